"""Killed coordinators and nodes: the attempt goes on with what is stored, and nobody who has answered is asked again."""

from typing import Any

import pytest
from region import DEPARTMENTS, LEAD, EngineRelay, Interrupted, Marks, Opened, Region, Stages, interrupt_before, lose
from sqlalchemy import text

from department_nodes.guard import parse_request
from policies.contracts.steps import REGION_STEPS, Step

ALL = REGION_STEPS
ANSWERS_BEFORE_THE_CRASH = {Step.RELEASE: 0, Step.COMBINE: 0}
NODE = "tax"


def stored_replies(region: Region, stages: Stages) -> dict[tuple[Step, str], bytes]:
    folder = region.run_folder(stages.manifest)
    found = {(step, name): folder.reply(step, name) for step in REGION_STEPS for name in DEPARTMENTS}
    return {key: reply for key, reply in found.items() if reply is not None}


@pytest.mark.parametrize("step", ALL)
def test_a_coordinator_killed_in_the_middle_of_a_step_goes_on_and_asks_nobody_twice(
    region_before: Any, stages: Stages, step: Step
) -> None:
    region = region_before(step)
    answers = ANSWERS_BEFORE_THE_CRASH.get(step, 3)
    first = EngineRelay(region.engines, interrupt_before(step, answers))
    with pytest.raises(Interrupted):
        region.run(stages.signed, stages.manifest, first)
    before = stored_replies(region, stages)
    assert len(first.seen) == answers

    second, marks = EngineRelay(region.engines), Marks()
    outcome = region.run(stages.signed, stages.manifest, second, marks)
    assert outcome["run"]["missing"] == {}
    assert outcome["run"]["messages"] == 25
    after = stored_replies(region, stages)
    assert all(after[key] == reply for key, reply in before.items())
    # The numbering is recorded in the attempt that makes it, and announced is what is asked: nobody who has answered.
    assert len(marks.numberings) == (1 if ALL.index(step) <= ALL.index(Step.FINISH) else 0)
    asked = [(row[1], row[2]) for row in marks.rows if row[0] == "sent"]
    assert {(each, name) for each, names in marks.announced for name in names} == set(asked)
    assert not {(each.value, name) for each, name in before} & set(asked)
    assert len(asked) == len(second.seen) == 25 - len(before)
    folder = region.run_folder(stages.manifest)
    for name, data, _ in (*first.seen, *second.seen):
        assert data == folder.request(parse_request(data).step, name)


@pytest.mark.parametrize("step", ALL)
def test_a_reply_lost_with_the_coordinator_is_given_again_byte_for_byte(
    region_before: Any, stages: Stages, step: Step
) -> None:
    region = region_before(step)
    name = LEAD if step is not Step.TRAIN else NODE

    def killed(asked: Step, department: str, reply: bytes) -> bytes:
        # The node has answered; the coordinator dies before it has stored the reply.
        if (asked, department) == (step, name):
            raise Interrupted
        return reply

    first = EngineRelay(region.engines, alter_reply=killed)
    with pytest.raises(Interrupted):
        region.run(stages.signed, stages.manifest, first)
    region.restart(name)
    second = EngineRelay(region.engines)
    outcome = region.run(stages.signed, stages.manifest, second)
    given = [(data, reply) for department, data, reply in (*first.seen, *second.seen) if department == name]
    lost = next((data, reply) for department, data, reply in first.seen[::-1] if department == name)
    assert given.count(lost) == 2
    assert outcome["run"]["missing"] == {}


def test_a_finished_run_executed_again_asks_nobody_and_gives_the_same_result(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(None)
    first, second = (
        region.run(stages.signed, stages.manifest, relay)
        for relay in (EngineRelay(region.engines), EngineRelay(region.engines, lose(NODE, Step.BLIND)))
    )
    assert first["metrics"] == second["metrics"]
    for field in ("slots", "departments", "missing", "bytes_sent", "messages"):
        assert first["run"][field] == second["run"][field]


def test_who_was_missing_stays_missing_after_a_restart_of_the_coordinator(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    lost = lose(NODE, Step.EVALUATE)
    stop = interrupt_before(Step.RELEASE)

    def lost_then_stopped(step: Step, name: str, data: bytes) -> bytes | None:
        stopped = stop(step, name, data)
        return None if stopped is None else lost(step, name, data)

    with pytest.raises(Interrupted):
        region.run(stages.signed, stages.manifest, EngineRelay(region.engines, lost_then_stopped))
    outcome = region.run(stages.signed, stages.manifest)
    assert outcome["run"]["missing"] == {NODE: "node.unreachable"}
    assert NODE not in outcome["run"]["departments"]


def test_the_union_is_numbered_once_per_attempt(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.RELEASE)
    before = (region.run_folder(stages.manifest).path / "union.bin").read_bytes()
    region.run_until(stages.signed, stages.manifest, Step.TRAIN)
    assert Opened(region, stages.signed, stages.manifest).union == before


@pytest.mark.parametrize("step", [Step.BLIND, Step.EVALUATE, Step.RELEASE, Step.TRAIN])
def test_a_node_killed_while_it_computes_computes_again_and_the_run_goes_on(
    region_before: Any, stages: Stages, step: Step
) -> None:
    region = region_before(step)
    name = LEAD if step is Step.RELEASE else NODE
    # The step is marked as started, charges are made, and the process ends before the reply is durable.
    faults = (
        "CREATE TRIGGER no_reply BEFORE UPDATE ON steps BEGIN SELECT RAISE(ABORT, 'killed'); END",
        "CREATE TRIGGER no_withdrawal BEFORE DELETE ON steps BEGIN SELECT RAISE(ABORT, 'killed'); END",
    )
    with region.engines[name].db.begin() as connection:
        for fault in faults:
            connection.execute(text(fault))
    with pytest.raises(Exception, match="killed"):
        region.run(stages.signed, stages.manifest)
    with region.restart(name).db.begin() as connection:
        unanswered = "SELECT count(*) FROM steps WHERE reply IS NULL"
        assert connection.execute(text(unanswered)).scalar() == 1
        assert (
            connection.execute(text("SELECT count(*) FROM sent WHERE step = :step"), {"step": step.value}).scalar() == 0
        )
        connection.execute(text("DROP TRIGGER no_reply"))
        connection.execute(text("DROP TRIGGER no_withdrawal"))
    outcome = region.run(stages.signed, stages.manifest)
    assert outcome["run"]["missing"] == {}
    assert {"evidence", "sum_only"} <= set(outcome["metrics"])
