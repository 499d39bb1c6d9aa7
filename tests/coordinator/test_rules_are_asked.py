"""With rules that deny everything nothing is done and nothing is shown: no endpoint and no page goes round them."""

import json
from dataclasses import replace

import pytest
from coordinator_world import LEAD, PROJECT, documented
from ledger_hands import Hands

from crypto.canonical import canonical_json
from policies.authorization.coordinator_rules import shipped_schema
from policies.authorization.engine import PolicyEngine

# What needs no leave: whether the API answers, and its description for everybody who is known.
OPEN = {("GET", "/v1/health"), ("GET", "/v1/openapi.json")}

# Requests of which the state allows the act: else that is told first, and the rules are never asked.
STATES = {
    "/v1/requests/{number}/submit": "drafted",
    "/v1/requests/{number}/withdraw": "submitted",
    "/v1/requests/{number}/decisions": "submitted",
    "/v1/requests/{number}/signatures": "submitted",
}


class DenyAll:
    """Rules in force of which none permits anything."""

    def __init__(self):
        self.newest = PolicyEngine('@id("nobody.nothing")\nforbid (principal, action, resource);\n', shipped_schema())
        self.asked = 0

    def engine(self, _session):
        self.asked += 1
        return self.newest


@pytest.fixture
def denied(world):
    """A world at work, in which from now on the rules permit nothing: (world, known names, tokens)."""
    run = world.scheduled_run()
    hands = Hands(world)
    hands.name_witnesses()
    submitted, drafted = world.grant(grant_id="grant-2"), world.grant(grant_id="grant-3")
    numbers = {"submitted": world.request(submitted), "drafted": world.draft(drafted).json()["number"]}
    proposer = world.token("centre", "centre_approver")
    rules = world.ask(proposer, "GET", "/v1/policy").json()["rules"] + "\n// a remark\n"
    change = world.ask(proposer, "POST", "/v1/policy/changes", canonical_json({"rules": rules}))
    assert change.status_code == 201, change.text
    tokens = [
        world.token("centre", "centre_officer"),
        world.token(LEAD, "department_it"),
        world.token("tax", "auditor"),
    ]
    known = {
        "project_id": PROJECT,
        "run_id": run["run_id"],
        "department": "tax",
        "party": "tax",
        "owner": "tax",
        "dataset": "tax",
        "name": "tax",
        "number": "1",
        "policy_hash": change.json()["policy_hash"],
        "submitted": str(numbers["submitted"]),
        "drafted": str(numbers["drafted"]),
        "signed": world.signed(submitted).to_bytes(),
        "batch": hands.sealed("tax", 1).to_bytes(),
        "size": str(hands.advance()),
        "level": "0",
        "path": "000.p/1",
    }
    world.app.state.context = replace(world.context, rules=DenyAll())
    return world, known, tokens


def operations():
    for path, found in documented()["paths"].items():
        for method, described in found.items():
            if (method.upper(), path) not in OPEN:
                yield method.upper(), path, described


@pytest.mark.parametrize(
    ("method", "path", "described"), list(operations()), ids=lambda part: part if isinstance(part, str) else ""
)
def test_no_endpoint_acts_or_answers_without_leave(denied, method, path, described):
    world, known, tokens = denied
    filled = path
    for parameter in described.get("parameters", []):
        if parameter["in"] == "path":
            value = known[STATES.get(path, parameter["name"])]
            filled = filled.replace("{" + parameter["name"] + "}", value)
        elif parameter.get("required"):
            # All that must be there are numbers.
            filled += f"{'&' if '?' in filled else '?'}{parameter['name']}=1"
    body = b""
    if "requestBody" in described:
        ((kind, content),) = described["requestBody"]["content"].items()
        if kind == "application/octet-stream":
            body = known["batch"]
        else:
            example = content.get("example") or next(iter(content["examples"].values()))["value"]
            body = known["signed"] if path.endswith("/signatures") else canonical_json(example)
    before = len(events(world))
    answers = [world.send(party, method, filled, body) for party in ("centre", LEAD, "tax")]
    answers += [world.ask(token, method, filled, body) for token in tokens]
    for answer in answers:
        assert answer.status_code >= 400, (method, filled, answer.text[:200])
        assert answer.status_code != 500
    assert world.context.rules.asked, "refused for another reason: the rules were not asked at all"
    # What is recorded since then are refusals alone.
    assert {kind for kind in events(world)[before:]} <= {"request.refused"}


def test_every_operation_is_tried():
    assert len(list(operations())) > 40


def test_the_same_requests_succeed_under_the_shipped_rules(world):
    """The search is able to find: the lists that were denied above are there for who may read them."""
    world.scheduled_run()
    lists = ("/v1/parties", "/v1/projects", "/v1/runs", "/v1/assets", "/v1/requests", "/v1/queue", "/v1/ledger/entries")
    for path in (*lists, "/v1/ledger/status", "/log/summary", "/log/terms/newest"):
        assert world.send("centre", "GET", path).status_code == 200
    assert json.loads(world.send("centre", "GET", "/v1/runs").content)["items"]


def events(world):
    return [one.type for one in world.records()]
