"""Changing the rules: `coordinator/authorization/changes.py` and `rules_in_force.py`."""

import threading

import pytest
from rule_people import NARROWER, OTHER, SHIPPED, Town
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import IntegrityError

from coordinator.app import create_app
from coordinator.authorization import changes
from coordinator.authorization.models import PolicyApprovalRow, PolicyVersionRow
from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import grant_resource, system_resource
from coordinator.authorization.rules_in_force import RulesInForce
from coordinator.authorization.services import authorise, may
from crypto.errors import DoudiError
from policies.authorization.coordinator_rules import shipped_engine
from policies.authorization.engine import PolicyEngine

DEVICE = Principal.of_party("centre")
GRANT = grant_resource("ab", parties=["tax", "health"], lead="tax", scheduler="tax", state="draft")


def rule(identifier):
    start = SHIPPED.index(f'@id("{identifier}")')
    return SHIPPED[start : SHIPPED.index(";\n", start) + 2]


def propose(town: Town, rules=NARROWER, who=None):
    with town.world.begin() as session:
        row, _ = changes.propose(session, town.context, (who or town.officer).principal, rules)
        return row.policy_hash


def approve(town, policy_hash, who):
    with town.world.begin() as session:
        return changes.approve(session, town.context, who.principal, policy_hash).state


def withdraw(town, policy_hash, who):
    with town.world.begin() as session:
        return changes.withdraw(session, town.context, who.principal, policy_hash).state


def in_force(town, rules=None):
    with town.world.begin() as session:
        return (rules or town.context.rules).engine(session).policy_hash


def refused(code, act, *arguments):
    with pytest.raises(DoudiError) as caught:
        act(*arguments)
    assert caught.value.code == code
    return caught.value


def last_rules(town):
    return town.decisions(allowed=False)[-1]["rules"]


def sign(town):
    with town.world.begin() as session:
        return authorise(session, town.context, DEVICE, "grant.sign", GRANT)


def test_the_shipped_rules_decide_until_two_people_approved_others(town):
    assert in_force(town) == shipped_engine().policy_hash
    assert sign(town).allowed
    changed = propose(town)
    assert in_force(town) == shipped_engine().policy_hash
    assert approve(town, changed, town.approver) == "proposed"
    assert sign(town).policy_hash == shipped_engine().policy_hash
    assert approve(town, changed, town.second) == "active"
    assert in_force(town) == changed
    # At once, in this process and for the next question.
    refused("authorization.denied", sign, town)
    assert town.decisions(action="grant.sign", allowed=False)[-1]["policy_hash"] == changed
    assert not may(town.context, DEVICE, "grant.sign", GRANT)


def test_every_step_is_an_event_with_its_person(town):
    changed = propose(town)
    approve(town, changed, town.approver)
    approve(town, changed, town.second)
    found = [event for event in town.world.events() if event["type"].startswith("policy.")]
    assert [(event["type"], event["account"], event["counts"]) for event in found] == [
        ("policy.proposed", town.officer.number, {"version": 1}),
        ("policy.approved", town.approver.number, {"version": 1}),
        ("policy.approved", town.second.number, {"version": 1}),
        ("policy.activated", town.second.number, {"version": 1}),
    ]


def test_a_later_change_replaces_the_one_in_force(town):
    first = propose(town)
    approve(town, first, town.approver)
    approve(town, first, town.second)
    second = propose(town, OTHER, town.third)
    approve(town, second, town.second)
    approve(town, second, town.approver)
    assert (in_force(town), town.changes()) == (second, [(1, "replaced"), (2, "active")])
    # And back again: the same text is a new version with approvals of its own.
    assert propose(town) == first
    assert town.changes()[-1] == (3, "proposed")
    approve(town, first, town.third)
    assert in_force(town) == second
    approve(town, first, town.approver)
    assert in_force(town) == first


def test_the_proposer_does_not_approve(town):
    changed = propose(town, who=town.approver)
    refused("authorization.denied", approve, town, changed, town.approver)
    assert last_rules(town) == ["policy.not_own"]
    assert approve(town, changed, town.second) == "proposed"


def test_the_same_person_does_not_approve_twice(town):
    changed = propose(town)
    approve(town, changed, town.approver)
    refused("authorization.denied", approve, town, changed, town.approver)
    assert last_rules(town) == ["policy.approve_once"]
    assert in_force(town) == shipped_engine().policy_hash


def test_the_table_counts_a_person_once_whatever_the_rules_say(town):
    changed = propose(town)
    approve(town, changed, town.approver)
    with pytest.raises(IntegrityError), town.world.begin() as session:
        session.add(PolicyApprovalRow(version=1, account=town.approver.number, at=1))
    # An approval of the proposer, written past the rules, does not count as the second one.
    with town.world.begin() as session:
        session.add(PolicyApprovalRow(version=1, account=town.officer.number, at=1))
    assert in_force(town) == shipped_engine().policy_hash
    assert approve(town, changed, town.second) == "active"


@pytest.mark.parametrize("who", ["officer", "auditor", "operator", "steward"])
def test_only_approvers_of_the_centre_approve(town, who):
    changed = propose(town, who=town.third)
    refused("authorization.denied", approve, town, changed, getattr(town, who))
    assert town.changes() == [(1, "proposed")]


@pytest.mark.parametrize("who", ["auditor", "operator", "steward"])
def test_only_officers_and_approvers_propose(town, who):
    refused("authorization.denied", propose, town, NARROWER, getattr(town, who))


def test_neither_the_device_nor_a_node_has_a_part_in_the_rules(town):
    for party in ("centre", "tax"):
        with pytest.raises(DoudiError) as caught, town.world.begin() as session:
            changes.propose(session, town.context, Principal.of_party(party), NARROWER)
        assert caught.value.code == "authorization.denied"


def test_the_proposer_withdraws_and_nobody_else(town):
    changed = propose(town)
    refused("authorization.denied", withdraw, town, changed, town.approver)
    assert withdraw(town, changed, town.officer) == "withdrawn"
    refused("policy.not_proposed", approve, town, changed, town.approver)
    refused("policy.not_proposed", withdraw, town, changed, town.officer)


def test_proposing_the_same_again_finds_the_open_change(town):
    assert propose(town) == propose(town)
    assert town.changes() == [(1, "proposed")]
    refused("policy.already_proposed", propose, town, NARROWER, town.approver)
    refused("policy.unchanged", propose, town, SHIPPED)


def test_open_changes_are_few(town):
    for number in range(changes.MAXIMUM_OPEN_CHANGES):
        propose(town, NARROWER + f"// {number}")
    refused("policy.too_many_changes", propose, town, NARROWER)


def test_a_change_that_permits_self_approval_is_refused_by_the_invariants(town):
    kept = rule("requests.not_own")
    weak = SHIPPED.replace(kept, kept.replace("resource.drafter == context.principal_id || ", ""))
    assert (
        "nobody approves a request that they drafted" in refused("policy.breaks_invariant", propose, town, weak).message
    )
    hidden = SHIPPED.replace(kept, kept.replace("};", '} unless { context.principal_id == "7" };'))
    assert "requests.not_own" in refused("policy.breaks_invariant", propose, town, hidden).message
    assert town.changes() == []


def test_a_change_that_nobody_could_undo_is_refused(town):
    locked = SHIPPED + '\n@id("policy.never")\nforbid (principal, action == Action::"policy.approve", resource);\n'
    refused("policy.breaks_invariant", propose, town, locked)


@pytest.mark.parametrize("text", ["", "permit", SHIPPED.replace("resource.lead", "resource.laed")])
def test_rules_that_do_not_read_are_refused(town, text):
    assert refused("policy.breaks_invariant" if not text else "policy.invalid", propose, town, text)


def test_when_a_change_comes_into_force_the_others_are_refused(town):
    """They were proposed as differences from rules that are no more: approving one would take the new change back."""
    first, second = propose(town), propose(town, OTHER, town.third)
    approve(town, second, town.approver)
    approve(town, first, town.approver)
    approve(town, first, town.second)
    assert town.changes() == [(1, "active"), (2, "refused")]
    refused("policy.not_proposed", approve, town, second, town.second)


def race(*acts):
    """Run acts at the same time; return what each gave, a code for a refusal."""
    barrier = threading.Barrier(len(acts))
    results = [None] * len(acts)

    def run(at, act):
        barrier.wait()
        try:
            results[at] = act()
        except DoudiError as error:
            results[at] = error.code

    threads = [threading.Thread(target=run, args=(at, act)) for at, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_approvals_at_the_same_time_put_it_in_force_once(town):
    changed = propose(town)
    results = race(lambda: approve(town, changed, town.approver), lambda: approve(town, changed, town.second))
    assert sorted(results) == ["active", "proposed"]
    assert len([event for event in town.world.events("policy.activated")]) == 1
    assert in_force(town) == changed


def test_the_same_person_in_two_windows_approves_once(town):
    changed = propose(town)
    results = race(*[lambda: approve(town, changed, town.approver)] * 4)
    assert sorted(results) == ["authorization.denied"] * 3 + ["proposed"]
    assert in_force(town) == shipped_engine().policy_hash


def test_of_two_changes_that_get_their_second_approval_at_the_same_time_one_wins(town):
    first, second = propose(town), propose(town, OTHER)
    for policy_hash in (first, second):
        approve(town, policy_hash, town.approver)
    results = race(lambda: approve(town, first, town.second), lambda: approve(town, second, town.third))
    assert sorted(results) == ["active", "policy.not_proposed"]
    assert sorted(state for _, state in town.changes()) == ["active", "refused"]


def test_another_process_decides_by_the_new_rules_from_the_commit_on(town):
    other = RulesInForce()
    assert in_force(town, other) == shipped_engine().policy_hash
    changed = propose(town)
    approve(town, changed, town.approver)
    with town.world.begin() as session:
        changes.approve(session, town.context, town.second.principal, changed)
        # Not yet durable: whoever asks in another transaction is answered by the rules that are.
        with town.context.read() as reading:
            assert other.engine(reading).policy_hash == shipped_engine().policy_hash
    assert in_force(town, other) == changed


def test_an_act_that_is_under_way_is_decided_by_the_rules_of_its_own_transaction(town):
    changed = propose(town)
    approve(town, changed, town.approver)
    with town.context.read() as reading:
        before = town.context.rules.engine(reading).policy_hash
        approve(town, changed, town.second)
        assert town.context.rules.engine(reading).policy_hash == before


def test_versions_cannot_be_rewritten(town):
    changed = propose(town)
    approve(town, changed, town.approver)
    for statement in (
        update(PolicyVersionRow).values(rules="permit (principal, action, resource);"),
        update(PolicyVersionRow).values(policy_hash="0" * 64),
        update(PolicyVersionRow).values(proposer=town.third.number),
        delete(PolicyVersionRow),
        update(PolicyApprovalRow).values(account=town.second.number),
        delete(PolicyApprovalRow),
    ):
        with pytest.raises(IntegrityError, match="append-only"), town.world.begin() as session:
            session.execute(statement)


def test_two_versions_are_never_in_force(town):
    changed = propose(town)
    approve(town, changed, town.approver)
    approve(town, changed, town.second)
    propose(town, OTHER)
    with pytest.raises(IntegrityError), town.world.begin() as session:
        session.execute(update(PolicyVersionRow).values(state="active", activated_at=1))


def forge(town, rules, policy_hash=None):
    """Write a version in force past this program, as somebody could who has the database file."""
    with town.world.begin() as session:
        session.add(
            PolicyVersionRow(
                policy_hash=policy_hash or PolicyEngine(rules, shipped_engine().schema_text).policy_hash,
                base_hash="0" * 64,
                rules=rules,
                state="active",
                proposer=town.officer.number,
                proposed_at=1,
                activated_at=1,
            )
        )


@pytest.mark.parametrize(
    ("rules", "policy_hash"),
    [
        ('@id("all") permit (principal, action, resource);', None),
        (NARROWER, "0" * 64),
        (SHIPPED.replace(rule("policy.approve_once"), ""), None),
    ],
)
def test_rules_that_were_written_past_the_program_deny_everything(town, rules, policy_hash):
    forge(town, rules, policy_hash)
    refused("policy.not_loadable", sign, town)
    # A reading too, and no start of the program.
    refused("policy.not_loadable", in_force, town)
    refused("policy.not_loadable", create_app, town.world.config)


def test_the_host_can_return_to_the_shipped_rules(town):
    forge(town, '@id("all") permit (principal, action, resource);')
    with town.world.begin() as session:
        assert changes.return_to_shipped_rules(session)
    assert in_force(town) == shipped_engine().policy_hash
    (event,) = town.world.events("policy.reset")
    assert (event["actor"], event["account"], event["counts"]) == ("coordinator", None, {"version": 1})
    with town.world.begin() as session:
        assert not changes.return_to_shipped_rules(session)


def test_returning_refuses_what_is_open(town):
    changed = propose(town)
    approve(town, changed, town.approver)
    approve(town, changed, town.second)
    propose(town, OTHER)
    with town.world.begin() as session:
        changes.return_to_shipped_rules(session)
    assert town.changes() == [(1, "replaced"), (2, "refused")]


def test_the_difference_shows_what_changes_and_nothing_else(town):
    changed = propose(town)
    with town.context.read() as session:
        (hunk,) = changes.change_difference(session, town.context, changes.get_change(session, changed))
    by_kind = {kind: [line.text for line in hunk.lines if line.kind == kind] for kind in ("removed", "added", "same")}
    assert by_kind["removed"] == ["when { principal is Node || principal is Device };"]
    assert by_kind["added"] == ["when { principal is Node };"]
    assert 3 <= len(by_kind["same"]) <= 6
    (removed,) = [line for line in hunk.lines if line.kind == "removed"]
    assert SHIPPED.splitlines()[removed.old - 1] == removed.text


def test_the_difference_of_a_change_in_force_is_from_what_it_changed(town):
    changed = propose(town)
    approve(town, changed, town.approver)
    approve(town, changed, town.second)
    with town.context.read() as session:
        assert len(changes.change_difference(session, town.context, changes.get_change(session, changed))) == 1


def test_the_record_names_who_approved_what(town):
    changed = propose(town)
    approve(town, changed, town.approver)
    with town.world.begin() as session:
        row = session.scalars(select(PolicyVersionRow)).one()
        assert list(changes.approvers(session, row)) == [town.approver.number]
        assert session.execute(text("SELECT count(*) FROM policy_approvals")).scalar() == 1
    found = town.decisions(action="policy.approve")
    assert [(row["resource_id"], row["account"], row["allowed"]) for row in found] == [
        (changed, town.approver.number, True)
    ]
    assert authorise_reading(town)


def authorise_reading(town):
    with town.context.read() as session:
        return authorise(session, town.context, town.auditor.principal, "decision.read", system_resource()).allowed
