"""Asking the rules before an act, and the record of the answers: `coordinator/authorization/services.py`."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import IntegrityError

from coordinator.authorization.models import DecisionRow
from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import (
    account_resource,
    asset_resource,
    grant_resource,
    party_ref,
    party_resource,
    policy_change_resource,
    project_resource,
    request_resource,
    run_resource,
    system_resource,
)
from coordinator.authorization.services import READS, authorise, may
from coordinator.projects.models import ProjectRow
from crypto.errors import DoudiError
from policies.authorization.coordinator_rules import shipped_engine, shipped_schema
from policies.authorization.engine import Entity


class PowerCut(Exception):
    """Stands for anything that ends a process between an act and its commit."""


GRANT = {"parties": ["tax", "health"], "lead": "tax", "scheduler": "tax"}
RUN = run_resource("run-1", **GRANT)
REQUEST = request_resource(7, lead="tax", owners=["tax", "health"], drafter="21", submitter="21", state="submitted")
TAX = Principal.of_party("tax")
DEVICE = Principal.of_party("centre")


def ask(town, principal, action, resource, **options):
    with town.world.begin() as session:
        return authorise(session, town.context, principal, action, resource, **options)


def denied(town, principal, action, resource, **options):
    with pytest.raises(DoudiError) as caught:
        ask(town, principal, action, resource, **options)
    assert caught.value.code == "authorization.denied"


def rows(town):
    with town.world.begin() as session:
        return session.scalars(select(DecisionRow).order_by(DecisionRow.sequence)).all()


def test_an_allowed_act_is_recorded_with_the_rule_that_permits_it(town):
    decision = ask(town, TAX, "run.create", grant_resource("ab" * 32, state="signed", **GRANT))
    row = rows(town)[-1]
    assert decision.rules == ("runs.schedule",)
    assert (row.principal_kind, row.party, row.account) == ("node", "tax", None)
    assert (row.action, row.resource_type, row.resource_id) == ("run.create", "GrantRecord", "ab" * 32)
    assert (row.allowed, row.rules, row.errors) == (True, ["runs.schedule"], 0)
    assert row.policy_hash == shipped_engine().policy_hash
    assert row.at == int(town.world.now)


def test_a_denied_act_is_recorded_with_the_rule_that_forbids_it(town):
    denied(town, Principal.of_party("health"), "run.stop", RUN)
    row = rows(town)[-1]
    assert (row.allowed, row.rules, row.party) == (False, ["runs.only_scheduler_lead_and_centre_stop"], "health")


def test_a_person_is_recorded_by_the_number_of_the_account(town):
    denied(town, town.officer.principal, "request.centre_approve", REQUEST)
    row = rows(town)[-1]
    assert (row.principal_kind, row.party, row.account, row.rules) == ("account", "centre", town.officer.number, [])


def test_reading_is_recorded_only_when_it_is_denied(town):
    before = len(rows(town))
    ask(town, TAX, "run.read", RUN)
    assert len(rows(town)) == before
    denied(town, Principal.of_party("housing"), "run.read", RUN)
    assert [row.action for row in rows(town)[before:]] == ["run.read"]


def test_a_denial_is_recorded_although_the_act_is_rolled_back(town):
    def act_then_ask():
        with town.world.begin() as session:
            session.add(
                ProjectRow(project_id="p", title="t", purpose="aid", region="r", lead="tax", created_at=1, state="open")
            )
            session.flush()
            authorise(session, town.context, Principal.of_party("housing"), "run.stop", RUN)

    with pytest.raises(DoudiError):
        act_then_ask()
    with town.world.begin() as session:
        assert session.scalar(select(func.count()).select_from(ProjectRow)) == 0
    assert rows(town)[-1].party == "housing"


def test_a_denial_in_a_reading_block_is_recorded(town):
    with pytest.raises(DoudiError), town.context.read() as session:
        authorise(session, town.context, Principal.of_party("housing"), "run.read", RUN)
    assert (rows(town)[-1].party, rows(town)[-1].allowed) == ("housing", False)


def test_whoever_swallows_a_denial_changes_nothing_afterwards(town):
    with town.world.begin() as session:
        with pytest.raises(DoudiError):
            authorise(session, town.context, Principal.of_party("housing"), "run.stop", RUN)
        with pytest.raises(Exception, match="closed transaction"):
            session.execute(text("DELETE FROM projects"))


def test_an_allowed_act_that_fails_afterwards_leaves_no_row(town):
    before = len(rows(town))

    def act_in_a_power_cut():
        with town.world.begin() as session:
            authorise(session, town.context, TAX, "run.stop", RUN)
            raise PowerCut

    with pytest.raises(PowerCut):
        act_in_a_power_cut()
    assert len(rows(town)) == before


def test_the_record_of_decisions_cannot_be_rewritten(town):
    ask(town, TAX, "run.stop", RUN)
    denied(town, Principal.of_party("housing"), "run.stop", RUN)
    for statement in (
        update(DecisionRow).values(allowed=True),
        update(DecisionRow).values(rules=[]).where(DecisionRow.sequence == 1),
        delete(DecisionRow),
    ):
        with pytest.raises(IntegrityError, match="append-only"), town.world.begin() as session:
            session.execute(statement)


@pytest.mark.parametrize(
    "broken",
    [
        {"principal_kind": "robot"},
        {"principal_kind": "account"},
        {"account": 3},
        {"errors": 1},
    ],
)
def test_a_row_that_cannot_be_true_is_refused_by_the_table(town, broken):
    values = {
        "at": 1,
        "principal_kind": "node",
        "party": "tax",
        "action": "run.stop",
        "resource_type": "Run",
        "resource_id": "run-1",
        "allowed": True,
        "rules": [],
        "errors": 0,
        "policy_hash": "0" * 64,
    }
    with town.world.begin() as session:
        session.add(DecisionRow(**values))
    with pytest.raises(IntegrityError), town.world.begin() as session:
        session.add(DecisionRow(**{**values, **broken}))


def test_who_asks_cannot_be_given_in_the_values(town):
    steward = town.steward.principal
    own = request_resource(7, lead="tax", owners=["tax"], drafter=steward.id, state="submitted")
    denied(town, steward, "request.owner_approve", own, values={"principal_id": "someone-else"})
    reader = replace(steward, scopes=frozenset({"read"}))
    denied(town, reader, "request.owner_approve", REQUEST, values={"may_write": True})
    assert [row.rules for row in rows(town)[-2:]] == [["requests.not_own"], ["everywhere.token_scope"]]


def test_a_question_that_lacks_an_attribute_is_denied_and_counted(town):
    bare = Entity(RUN.ref, {name: value for name, value in RUN.attributes.items() if name != "scheduler"})
    denied(town, TAX, "run.stop", bare)
    assert (rows(town)[-1].rules, rows(town)[-1].errors) == ([], 1)
    # The context of this action needs whose keys they are.
    denied(town, TAX, "run.offer", RUN)
    assert ask(town, TAX, "run.offer", RUN, values={"for_party": party_ref("tax")}).allowed


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"active": False}, "everywhere.inactive_account"),
        ({"two_factor": False}, "everywhere.two_factors"),
        ({"roles": frozenset()}, "everywhere.without_role"),
        ({"scopes": frozenset({"read"})}, "everywhere.token_scope"),
        ({"roles": frozenset({"department_it", "department_approver"})}, "everywhere.separate_roles"),
        ({"roles": frozenset({"department_approver", "auditor"})}, "everywhere.auditor_changes_nothing"),
        ({"party": "centre"}, "everywhere.roles_of_the_party"),
    ],
)
def test_what_a_principal_is_counts_in_every_act(town, changes, rule):
    steward = town.steward.principal
    assert ask(town, steward, "request.owner_approve", REQUEST).allowed
    denied(town, replace(steward, **changes), "request.owner_approve", REQUEST)
    assert rule in rows(town)[-1].rules


@pytest.mark.parametrize(
    ("principal", "action", "resource", "values"),
    [
        (DEVICE, "party.register", party_resource("tax"), {}),
        (TAX, "party.read", system_resource(), {}),
        (TAX, "asset.register", asset_resource("tax", "tax-2026"), {}),
        (TAX, "project.create", project_resource("p", "tax"), {}),
        (Principal.of_party("health"), "project.read", project_resource("p", "tax", ["health"]), {}),
        (TAX, "request.draft", request_resource("new", lead="tax", owners=[], drafter="", state="drafted"), {}),
        (Principal.of_party("health"), "request.read", REQUEST, {}),
        (TAX, "grant.sign", grant_resource("ab", state="draft", **GRANT), {}),
        (TAX, "run.restart", RUN, {}),
        (TAX, "policy.read", policy_change_resource("cd", proposer=1, approvers=[2, 3]), {}),
        (DEVICE, "ledger.read_headers", system_resource(), {}),
        (TAX, "report.publish", party_resource("tax"), {}),
        (DEVICE, "revocation.publish", party_resource("centre"), {}),
    ],
)
def test_every_resource_fits_the_schema(town, principal, action, resource, values):
    assert ask(town, principal, action, resource, values=values).errors == 0


def test_an_account_that_is_administered_fits_the_schema(town):
    officer = town.officer.principal
    for number, roles in ((None, []), (50, ["department_it"])):
        resource = account_resource(number, "tax", roles)
        action = "account.create" if number is None else "account.change_roles"
        assert ask(town, officer, action, resource, values={"new_roles": frozenset({"scheduler"})}).allowed
    own = account_resource(officer.number, "centre", officer.roles)
    denied(town, officer, "account.change_roles", own, values={"new_roles": frozenset({"centre_approver"})})
    assert rows(town)[-1].rules == ["accounts.not_own_rights"]
    # Without the roles that are to be given nothing is decided.
    denied(town, officer, "account.create", account_resource(None, "tax", []))


def test_a_page_may_ask_without_leaving_a_trace(town):
    before = len(rows(town))
    assert may(town.context, town.steward.principal, "request.owner_approve", REQUEST)
    assert not may(town.context, town.operator.principal, "request.owner_approve", REQUEST)
    assert len(rows(town)) == before


def test_the_actions_that_are_not_recorded_are_the_readings_of_the_schema():
    lines = shipped_schema().splitlines()
    named = [line.partition(" in [") for line in lines if line.startswith("action ")]
    found = {name for names, _, group in named if group.startswith('"reads"') for name in names.split('"')[1::2]}
    assert found == READS


def test_denials_of_many_threads_are_all_recorded(town):
    """A denial ends its transaction before it is written, so that none waits for itself."""
    before = len(rows(town))
    errors = []

    def one():
        try:
            ask(town, Principal.of_party("housing"), "run.stop", RUN)
        except DoudiError as error:
            errors.append(error.code)

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == ["authorization.denied"] * 12
    assert len(rows(town)) == before + 12
