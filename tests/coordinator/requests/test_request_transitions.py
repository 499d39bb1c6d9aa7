"""Who may move a request, in every state: the whole table of acts, states and principals. `coordinator/requests/services.py`."""

import itertools

import pytest
from coordinator_world import DEPARTMENTS, LEAD, Keys, World

from coordinator.authorization.principals import Principal
from coordinator.authorization.services import list_decisions
from coordinator.paging import PageRequest
from coordinator.requests import services
from coordinator.requests.answers import RequestDraft
from coordinator.requests.models import AccessRequestRow
from coordinator.requests.reading import transitions_of
from coordinator.requests.states import RequestState
from coordinator.runs.services import claim_running, finish_run
from crypto.errors import DoudiError

STATES = tuple(state.value for state in RequestState)
ACTS = ("submit", "withdraw", "approve", "refuse", "sign")
# In which states an act is possible at all.
POSSIBLE = {
    "submit": {"drafted"},
    "withdraw": {"drafted", "submitted", "granted"},
    "approve": {"submitted"},
    "refuse": {"submitted", "granted"},
    "sign": {"submitted", "granted"},
}
# Who may act; of the same people everybody else is denied. The request was drafted and submitted by the lead's node, which
# therefore refuses nothing: it withdraws.
ENTITLED = {
    "submit": {"lead_node", "lead_it"},
    "withdraw": {"lead_node", "lead_it"},
    "approve": {"lead_approver", "owner_approver", "centre_approver"},
    "refuse": {"lead_approver", "owner_node", "owner_approver", "device", "centre_approver"},
    "sign": {"lead_node", "owner_node", "device"},
}
PRINCIPALS = (
    "lead_node",
    "lead_it",
    "lead_approver",
    "lead_scheduler",
    "owner_node",
    "owner_it",
    "owner_approver",
    "device",
    "centre_officer",
    "centre_approver",
    "auditor",
    "outsider_node",
    "outsider_approver",
)
AFTER = {"submit": "submitted", "withdraw": "withdrawn", "refuse": "refused"}


class Case:
    """A coordinator with one request in a state, and one principal of each kind."""

    def __init__(self, world: World, state: str) -> None:
        self.world = world
        world.keys["outsider"] = Keys()
        world.prepare()
        world.send("centre", "POST", "/v1/parties", world.card("outsider").to_bytes())
        self.people = {
            "lead_node": Principal.of_party(LEAD),
            "lead_it": world.person(LEAD, "department_it"),
            "lead_approver": world.person(LEAD, "department_approver"),
            "lead_scheduler": world.person(LEAD, "scheduler"),
            "owner_node": Principal.of_party("tax"),
            "owner_it": world.person("tax", "department_it"),
            "owner_approver": world.person("tax", "department_approver"),
            "device": Principal.of_party("centre"),
            "centre_officer": world.person("centre", "centre_officer"),
            "centre_approver": world.person("centre", "centre_approver"),
            "auditor": world.person("centre", "auditor"),
            "outsider_node": Principal.of_party("outsider"),
            "outsider_approver": world.person("outsider", "department_approver"),
        }
        self.grant = world.grant(runs_allowed=1)
        self.number = bring_to(world, self.grant, state)
        assert world.show_request(self.number)["state"] == state

    def attempt(self, act: str, name: str) -> str:
        """Return the state after an act that is taken back again, or the code of its refusal."""
        with self.world.context.begin() as session:
            try:
                return str(self._do(session, act, self.people[name]).state)
            except DoudiError as error:
                return error.code
            finally:
                session.rollback()

    def _do(self, session, act, principal) -> AccessRequestRow:
        arguments = (session, self.world.context, principal, self.number)
        if act == "submit":
            return services.submit_request(*arguments)
        if act == "withdraw":
            return services.withdraw_request(*arguments, "not needed")
        if act == "sign":
            party = principal.party if principal.party in ("centre", *DEPARTMENTS) else "tax"
            # By second approvers, so that these signatures are new in every state.
            return services.add_signatures(*arguments, self.world.signed(self.grant, party, second=True))[0]
        return services.decide(*arguments, act, "not with these columns")


def bring_to(world, grant, state):
    """Have a request of the lead's node in a state, on the ordinary way there; return its number."""
    if state == "drafted":
        return world.draft(grant).json()["number"]
    number = world.request(grant)
    if state == "withdrawn":
        world.act(LEAD, number, "withdraw", {"reason": ""})
    elif state == "refused":
        world.act("health", number, "decisions", {"decision": "refuse", "reason": "no"})
    elif state in ("granted", "active", "exhausted", "revoked"):
        world.sign_all(number, grant, *DEPARTMENTS)
        with world.begin() as session:
            approver = world.person("centre", "centre_approver")
            services.decide(session, world.context, approver, number, "approve", "")
        if state != "granted":
            world.sign_all(number, grant, "centre")
        if state == "revoked":
            world.publish(world.revocations("health", grant))
        if state == "exhausted":
            run = world.schedule(world.start_run())
            with world.begin() as session:
                claim_running(session, run["run_id"], 1)
                finish_run(session, run["run_id"], {})
            world.keep_house()
    elif state == "expired":
        world.now = grant.expires_at
        world.keep_house()
    return number


@pytest.fixture(scope="module")
def cases(tmp_path_factory, migrated):
    made = {}

    def get(state):
        if state not in made:
            made[state] = Case(World.in_folder(tmp_path_factory.mktemp(state), migrated), state)
        return made[state]

    return get


def expected(act, state, name):
    if name.startswith("outsider"):
        return "request.unknown"
    signs = act == "sign"
    # Who signs is asked before the state: the answer to a late signature of a party is not "not allowed".
    if signs and name not in ENTITLED["sign"]:
        return "authorization.denied"
    if state not in POSSIBLE[act]:
        return "request.illegal_transition"
    if act == "approve" and name in ("lead_node", "owner_node", "device"):
        return "request.sign_instead"
    if name not in ENTITLED[act]:
        return "authorization.denied"
    if (act, state, name) == ("sign", "granted", "device"):
        return "active"
    return AFTER.get(act, state)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("act", ACTS)
def test_each_act_in_each_state_by_each_principal(cases, state, act):
    case = cases(state)
    found = {name: case.attempt(act, name) for name in PRINCIPALS}
    assert found == {name: expected(act, state, name) for name in PRINCIPALS}


def test_only_the_lead_drafts_and_only_for_itself(world, code):
    world.prepare()
    grant = world.grant()
    assert code(world.draft(grant, "tax")) == "authorization.denied"
    assert code(world.draft(grant, "centre")) == "authorization.denied"
    for party, role in itertools.product((LEAD, "tax"), ("department_it", "department_approver", "scheduler")):
        answer = world.ask(world.token(party, role), "POST", "/v1/requests", RequestDraft(grant=grant).to_bytes())
        allowed = (party, role) == (LEAD, "department_it")
        assert answer.status_code == (201 if allowed else 403), (party, role)


def test_every_change_of_state_is_recorded_with_who_and_why(world):
    world.prepare()
    grant = world.grant(runs_allowed=1)
    number = bring_to(world, grant, "active")
    run = world.schedule(world.start_run())
    world.publish(world.revocations("tax", grant))
    with world.begin() as session:
        rows = transitions_of(session, number)
        found = [(row.from_state, row.to_state, row.actor) for row in rows]
        denied_or_allowed = [row.action for row in list_decisions(session, PageRequest(500)).rows]
    approver = next(row.actor for row in rows if row.to_state == "granted")
    assert approver.isdigit()
    assert found == [
        (None, "drafted", "node:civil_affairs"),
        ("drafted", "submitted", "node:civil_affairs"),
        ("submitted", "granted", approver),
        ("granted", "active", "device:centre"),
        ("active", "revoked", "node:tax"),
    ]
    assert (rows[-1].code, rows[-1].reason) == ("grant.revoked", "misuse")
    assert world.send(LEAD, "GET", f"/v1/runs/{run['run_id']}").json()["reason_code"] == "grant.revoked"
    kinds = [event["type"] for event in world.events() if event["counts"].get("request") == number]
    assert kinds == [
        "request.drafted",
        "request.submitted",
        *["grant.signatures_added"] * 4,
        "request.approved",
        "request.granted",
        "grant.signatures_added",
        "grant.fully_signed",
        "request.activated",
        "request.revoked",
    ]
    assert {"request.draft", "request.submit", "request.centre_approve", "grant.sign", "grant.revoke"} <= set(
        denied_or_allowed
    )
