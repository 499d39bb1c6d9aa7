"""Projects, and the grants that are fetched of them: `coordinator/projects`, `coordinator/grants`.

How a grant is asked for and signed: `requests/`.
"""

import pytest
from coordinator_world import DEPARTMENTS, LEAD, PROJECT, PURPOSE

from crypto.canonical import canonical_json
from policies.contracts.grant import SignedGrant

GRANT = f"/v1/projects/{PROJECT}/grant"


@pytest.fixture
def ready(world):
    world.prepare()
    return world


def project_body(**changes):
    body = {"project_id": PROJECT, "title": "低保", "purpose": PURPOSE, "region": "kentucky", "lead": LEAD}
    return canonical_json({**body, **changes})


def test_the_centre_or_the_lead_opens_a_project_once(world, code):
    world.register_all()
    assert world.send(LEAD, "POST", "/v1/projects", project_body()).status_code == 201
    assert world.send("centre", "POST", "/v1/projects", project_body()).status_code == 200
    assert code(world.send("centre", "POST", "/v1/projects", project_body(title="x"))) == "project.already_exists"
    assert code(world.send("tax", "POST", "/v1/projects", project_body())) == "authorization.denied"
    assert len(world.events("project.created")) == 1


@pytest.mark.parametrize(
    ("party", "role", "expected"),
    [
        ("centre", "centre_officer", 201),
        ("centre", "centre_approver", 403),
        ("centre", "auditor", 403),
        (LEAD, "department_it", 201),
        (LEAD, "department_approver", 403),
        ("tax", "department_it", 403),
    ],
)
def test_people_open_projects_by_their_role_and_party(world, party, role, expected):
    world.register_all()
    assert world.ask(world.token(party, role), "POST", "/v1/projects", project_body()).status_code == expected


def test_a_project_needs_a_registered_lead_and_known_fields(world, code):
    assert code(world.send("centre", "POST", "/v1/projects", project_body())) == "party.unknown"
    assert code(world.send("centre", "POST", "/v1/projects", project_body(lead="centre"))) == "party.unknown"
    for changes in ({"title": ""}, {"title": "x" * 201}, {"project_id": "Not A Slug"}, {"more": 1}):
        assert code(world.send("centre", "POST", "/v1/projects", project_body(**changes))) == "document.malformed"


def test_a_department_sees_only_projects_that_concern_it(ready, code):
    assert ready.listed("tax", "/v1/projects") == []
    assert code(ready.send("tax", "GET", f"/v1/projects/{PROJECT}")) == "project.unknown"
    assert code(ready.send("tax", "GET", GRANT)) == "project.unknown"
    ready.request(ready.grant())
    for party in ("tax", LEAD, "centre"):
        assert ready.send(party, "GET", f"/v1/projects/{PROJECT}").json()["lead"] == LEAD
        assert [project["project_id"] for project in ready.listed(party, "/v1/projects")] == [PROJECT]
    assert code(ready.send("centre", "GET", "/v1/projects/other")) == "project.unknown"


def test_an_auditor_sees_the_projects_of_all_parties(ready, code):
    token = ready.token("tax", "auditor")
    assert ready.ask(token, "GET", f"/v1/projects/{PROJECT}").json()["lead"] == LEAD
    assert code(ready.ask(ready.token("tax", "department_it"), "GET", f"/v1/projects/{PROJECT}")) == "project.unknown"


def test_a_grant_is_fetched_byte_for_byte_with_its_standing(ready):
    grant = ready.grant()
    number = ready.request(grant)
    for party in (*DEPARTMENTS, "centre"):
        ready.sign(number, ready.signed(grant, party), party)
        fetched = ready.send("tax", "GET", GRANT)
        assert fetched.headers["doudi-grant-hash"] == grant.digest()
        assert fetched.headers["doudi-fully-signed"] == str(party == "centre").lower()
    signed = SignedGrant.parse(fetched.content)
    assert (signed.grant, len(signed.signatures)) == (grant, 5)


def test_a_grant_in_force_counts_before_one_that_is_asked_for(ready, code):
    first = ready.grant()
    ready.sign_all(ready.request(first), first)
    later = ready.grant(grant_id="grant-2")
    ready.request(later)
    assert ready.send(LEAD, "GET", GRANT).headers["doudi-grant-hash"] == first.digest()
    asked = ready.send(LEAD, "GET", f"{GRANT}?grant_hash={later.digest()}")
    assert (asked.headers["doudi-grant-hash"], asked.headers["doudi-fully-signed"]) == (later.digest(), "false")
    assert code(ready.send(LEAD, "GET", f"{GRANT}?grant_hash={'0' * 64}")) == "grant.unknown"


def test_a_department_that_the_grant_does_not_name_may_not_read_it(ready, code):
    """It sees the project, because an earlier grant named it."""
    first = ready.grant()
    ready.request(first)
    three = [share for share in ready.grant().participants if share.department != "tax"]
    linkage = first.linkage.model_copy(update={"participants": tuple(share.department for share in three)})
    smaller = ready.grant(grant_id="grant-2", participants=three, linkage=linkage, modes=["evidence"])
    ready.request(smaller)
    path = f"{GRANT}?grant_hash={smaller.digest()}"
    assert ready.send("health", "GET", path).status_code == 200
    assert code(ready.send("tax", "GET", path)) == "authorization.denied"
    assert ready.send("tax", "GET", f"{GRANT}?grant_hash={first.digest()}").status_code == 200
