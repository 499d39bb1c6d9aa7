"""GET /v1/decisions and /v1/policy: `coordinator/authorization/api.py`."""

import pytest
from rule_people import NARROWER, SHIPPED

from policies.authorization.coordinator_rules import shipped_engine, shipped_schema


def test_everybody_who_is_registered_reads_the_rules_that_are_applied_to_them(town):
    for answer in (
        town.world.send("tax", "GET", "/v1/policy"),
        town.world.send("centre", "GET", "/v1/policy"),
        town.call(town.operator, "GET", "/v1/policy"),
    ):
        assert answer.status_code == 200
        assert answer.json() == {
            "policy_hash": shipped_engine().policy_hash,
            "version": 0,
            "activated_at": None,
            "rules": SHIPPED,
            "policy_schema": shipped_schema(),
        }


def test_a_change_goes_through_the_api_from_proposal_to_force(town, code):
    proposed = town.call(town.officer, "POST", "/v1/policy/changes", {"rules": NARROWER})
    assert proposed.status_code == 201
    change = proposed.json()
    path = f"/v1/policy/changes/{change['policy_hash']}"
    assert (change["state"], change["proposer"], change["approvers"]) == ("proposed", town.officer.number, [])
    kinds = [line["kind"] for hunk in change["difference"] for line in hunk["lines"]]
    assert (kinds.count("removed"), kinds.count("added")) == (1, 1)
    assert town.call(town.officer, "POST", "/v1/policy/changes", {"rules": NARROWER}).status_code == 200
    assert code(town.call(town.officer, "POST", f"{path}/approve")) == "authorization.denied"
    first = town.call(town.approver, "POST", f"{path}/approve").json()
    assert (first["state"], first["approvers"], first["approvals_needed"]) == ("proposed", [town.approver.number], 2)
    assert code(town.call(town.approver, "POST", f"{path}/approve")) == "authorization.denied"
    second = town.call(town.second, "POST", f"{path}/approve").json()
    assert (second["state"], second["approvers"]) == ("active", [town.approver.number, town.second.number])
    assert town.world.send("tax", "GET", path).json()["state"] == "active"
    policy = town.world.send("tax", "GET", "/v1/policy").json()
    assert (policy["version"], policy["policy_hash"], policy["rules"]) == (1, change["policy_hash"], NARROWER)
    # The rules of the API itself are the new ones.
    assert town.world.send("tax", "GET", "/v1/policy/changes").json()["items"][0]["state"] == "active"


def test_a_proposal_is_withdrawn_by_its_proposer(town, code):
    change = town.call(town.officer, "POST", "/v1/policy/changes", {"rules": NARROWER}).json()
    path = f"/v1/policy/changes/{change['policy_hash']}"
    assert code(town.call(town.second, "POST", f"{path}/withdraw")) == "authorization.denied"
    assert town.call(town.officer, "POST", f"{path}/withdraw").json()["state"] == "withdrawn"
    assert code(town.call(town.second, "POST", f"{path}/approve")) == "policy.not_proposed"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (SHIPPED, "policy.unchanged"),
        ("permit (principal, action, resource);", "policy.invalid"),
        ('@id("all") permit (principal, action, resource);', "policy.breaks_invariant"),
        ("", "document.malformed"),
        ("x" * 100_001, "document.malformed"),
        ("(" * 50_000, "policy.invalid"),
    ],
)
def test_a_bad_proposal_is_refused_with_its_code(town, code, rules, expected):
    assert code(town.call(town.officer, "POST", "/v1/policy/changes", {"rules": rules})) == expected
    assert town.changes() == []


def test_an_unknown_change_is_unknown(town, code):
    for method, path in (("GET", ""), ("POST", "/approve"), ("POST", "/withdraw")):
        answer = town.call(town.approver, method, f"/v1/policy/changes/{'0' * 64}{path}")
        assert (answer.status_code, code(answer)) == (404, "policy.unknown_change")
    assert code(town.call(town.approver, "GET", "/v1/policy/changes/nonsense")) == "request.malformed"


def test_departments_have_no_part_in_the_rules(town, code):
    change = town.call(town.officer, "POST", "/v1/policy/changes", {"rules": NARROWER}).json()
    path = f"/v1/policy/changes/{change['policy_hash']}"
    for answer in (
        town.call(town.operator, "POST", "/v1/policy/changes", {"rules": NARROWER}),
        town.call(town.steward, "POST", f"{path}/approve"),
        town.world.send("tax", "POST", f"{path}/approve"),
        town.world.send("centre", "POST", f"{path}/approve"),
    ):
        assert (answer.status_code, code(answer)) == (403, "authorization.denied")


def test_decisions_are_read_by_the_centre_and_auditors_only(town, code):
    for answer in (
        town.world.send("centre", "GET", "/v1/decisions"),
        town.call(town.auditor, "GET", "/v1/decisions"),
        town.call(town.officer, "GET", "/v1/decisions"),
        town.call(town.approver, "GET", "/v1/decisions"),
    ):
        assert answer.status_code == 200
    for answer in (
        town.world.send("tax", "GET", "/v1/decisions"),
        town.call(town.operator, "GET", "/v1/decisions"),
        town.call(town.steward, "GET", "/v1/decisions"),
    ):
        assert code(answer) == "authorization.denied"


def test_decisions_come_newest_first_in_pages_and_by_what_is_wanted(town, code):
    town.world.send("tax", "GET", "/v1/decisions")
    town.call(town.steward, "GET", "/v1/decisions")
    town.call(town.officer, "POST", "/v1/policy/changes", {"rules": NARROWER})
    page = town.call(town.auditor, "GET", "/v1/decisions?limit=1").json()
    newest = page["items"][0]
    assert (newest["action"], newest["allowed"], newest["account"]) == ("policy.propose", True, town.officer.number)
    assert newest["policy_hash"] == shipped_engine().policy_hash
    following = town.call(town.auditor, "GET", f"/v1/decisions?limit=1&cursor={page['next_cursor']}").json()
    assert following["items"][0]["sequence"] == newest["sequence"] - 1
    denials = town.call(town.auditor, "GET", "/v1/decisions?allowed=false&action=decision.read").json()["items"]
    assert [(row["principal_kind"], row["account"]) for row in denials] == [
        ("account", town.steward.number),
        ("node", None),
    ]
    assert town.call(town.auditor, "GET", "/v1/decisions?allowed=true&action=decision.read").json()["items"] == []
    assert code(town.call(town.auditor, "GET", "/v1/decisions?action=nonsense")) == "request.malformed"


def test_a_proposal_under_a_key_acts_once(town):
    headers = {"Authorization": f"Bearer {town.officer.token}", "Idempotency-Key": "a" * 20}
    from crypto.canonical import canonical_json

    body = canonical_json({"rules": NARROWER})
    first = town.world.raw("POST", "/v1/policy/changes", body, headers)
    again = town.world.raw("POST", "/v1/policy/changes", body, headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
