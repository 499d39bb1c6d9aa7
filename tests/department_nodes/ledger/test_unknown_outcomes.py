"""A process that ends between an intent and its outcome: the outcome is unknown, said once, and guessed by nobody."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broken_disks import ActingGate, FullDisk, Killed
from open_gate import UnsafeOpenGate
from region import LEAD, Region, Stages, code_of
from sealed_journal import NOW, Auditor, accept_terms, record_together, small_node
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from department_nodes.engine import NodeEngine
from department_nodes.home import NodeHome
from department_nodes.ledger.sealing import seal_pending
from department_nodes.store.journal import Event, EventType
from department_nodes.store.models import EventRow
from department_nodes.store.session import transaction
from policies.contracts.steps import Step

NODE = "tax"


def restart(region: Region, name: str, gate: Any = None, clock: Callable[[], float] | None = None) -> NodeEngine:
    """Start a node's process again over its folder."""
    region.stop(name)
    engine = NodeEngine(region.homes[name], clock or region.clock, gate=gate or UnsafeOpenGate())
    region.engines[name] = engine
    return engine


def steps_of(engine: NodeEngine) -> list[EventRow]:
    with transaction(engine.db) as session:
        return list(
            session.scalars(select(EventRow).where(EventRow.type.startswith("step.")).order_by(EventRow.number))
        )


def newest(engine: NodeEngine, count: int) -> list[str]:
    return [row.type for row in steps_of(engine)[-count:]]


def kill(_number: int) -> None:
    raise Killed


class EndingClock:
    """Tells the time of another clock, and ends the process when it is asked so often."""

    def __init__(self, clock: Callable[[], float], calls: int) -> None:
        self._clock, self._left = clock, calls

    def __call__(self) -> float:
        self._left -= 1
        if self._left == 0:
            raise Killed
        return self._clock()


@pytest.mark.parametrize(("step", "name"), [(Step.BLIND, NODE), (Step.RELEASE, LEAD), (Step.TRAIN, NODE)])
def test_a_crash_at_the_gate_is_unknown_once_and_the_step_is_done_with_an_intent_of_its_own(
    region_before: Callable[..., Region], stages: Stages, step: Step, name: str
) -> None:
    region = region_before(step)
    engine = restart(region, name, ActingGate(kill))
    before = len(steps_of(engine))
    with pytest.raises(Killed):
        engine.answer(stages.request(step, name))
    assert newest(engine, 1) == ["step.started"]
    for _ in range(3):
        engine = restart(region, name)
        assert [row.type for row in steps_of(engine)[before:]] == ["step.started", "step.unknown"]
    started, unknown = steps_of(engine)[-2:]
    for column in ("project_id", "run_id", "attempt", "round", "step", "grant_hash", "purpose", "assets", "hashes"):
        assert getattr(unknown, column) == getattr(started, column), column
    assert (unknown.code, unknown.counts) == ("", "{}")
    assert json.loads(unknown.hashes)["request"]
    assert code_of(engine.answer(stages.request(step, name))) == "ok"
    assert [row.type for row in steps_of(engine)[before:]] == [
        "step.started",
        "step.unknown",
        "step.started",
        "step.answered",
    ]
    assert newest(restart(region, name), 1) == ["step.answered"]


def test_a_crash_after_the_computation_and_its_charge_is_unknown_too(
    region_before: Callable[..., Region], stages: Stages
) -> None:
    region = region_before(Step.TRAIN)
    # Asked for the time before the request, after the gate, and when the step has been computed.
    engine = restart(region, NODE)
    engine.clock = EndingClock(region.clock, calls=3)
    with pytest.raises(Killed):
        engine.answer(stages.request(Step.TRAIN, NODE))
    again = restart(region, NODE)
    with transaction(again.db) as session:
        types = list(session.scalars(select(EventRow.type).order_by(EventRow.number)))
    assert types[-3:] == ["step.started", "evidence.charged", "step.unknown"]
    assert code_of(again.answer(stages.request(Step.TRAIN, NODE))) == "ok"
    assert newest(again, 3) == ["step.unknown", "step.started", "step.answered"]


def test_a_crash_before_the_intent_leaves_nothing_unknown(region_before: Callable[..., Region], stages: Stages) -> None:
    region = region_before(Step.BLIND)
    engine = restart(region, NODE)
    engine.clock = EndingClock(region.clock, calls=1)
    with pytest.raises(Killed):
        engine.answer(stages.request(Step.BLIND, NODE))
    assert steps_of(restart(region, NODE)) == []


def test_answered_and_refused_steps_do_not_become_unknown(region_before: Callable[..., Region], stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    engine = restart(region, NODE)
    engine.answer(stages.request(Step.EVALUATE, NODE))
    engine.answer(b"no frame")
    region.set_policy(NODE, max_epsilon_milli=1)
    engine = restart(region, NODE)
    assert code_of(engine.answer(stages.request(Step.FINISH, NODE))) == "policy.epsilon"
    types = [row.type for row in steps_of(engine)]
    assert [row.type for row in steps_of(restart(region, NODE))] == types
    assert "step.unknown" not in types


def test_a_program_beside_the_running_node_declares_nothing_unknown(
    region_before: Callable[..., Region], stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    seen: list[list[str]] = []

    def look(_number: int) -> None:
        # As `doudi node status` does while the step waits: an engine of its own that serves no steps.
        beside = NodeEngine(NodeHome(region.homes[NODE].path), region.clock)
        seen.append(newest(beside, 1))
        beside.db.dispose()

    engine = restart(region, NODE, ActingGate(look))
    assert code_of(engine.answer(stages.request(Step.BLIND, NODE))) == "ok"
    assert seen == [["step.started"]]
    assert newest(engine, 2) == ["step.started", "step.answered"]


def test_an_outcome_that_found_no_room_on_the_disk_is_unknown_before_the_step_is_tried_again(
    region_before: Callable[..., Region], stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    engine = restart(region, NODE)
    disk = FullDisk(engine.db)
    engine.serve_behind(ActingGate(lambda _number: disk.fill()))
    with pytest.raises(OperationalError, match="full"):
        engine.answer(stages.request(Step.BLIND, NODE))
    disk.free()
    assert newest(engine, 1) == ["step.started"]
    engine.serve_behind(UnsafeOpenGate())
    assert newest(engine, 2) == ["step.started", "step.unknown"]
    assert code_of(engine.answer(stages.request(Step.BLIND, NODE))) == "ok"
    assert newest(engine, 4) == ["step.started", "step.unknown", "step.started", "step.answered"]


def test_the_same_process_says_unknown_before_its_next_intent(
    region_before: Callable[..., Region], stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    fate = [kill]
    engine = restart(region, NODE, ActingGate(lambda number: fate.pop()(number) if fate else None))
    with pytest.raises(Killed):
        engine.answer(stages.request(Step.BLIND, NODE))
    assert code_of(engine.answer(stages.request(Step.BLIND, NODE))) == "ok"
    assert newest(engine, 4) == ["step.started", "step.unknown", "step.started", "step.answered"]


def test_every_orphan_of_every_run_attempt_round_and_step_is_told_apart(tmp_path: Path) -> None:
    engine = NodeEngine(small_node(tmp_path / "node"), lambda: NOW)

    def event(kind: EventType, run_id: str, attempt: int, round_number: int, step: str) -> Event:
        return Event(kind, NOW, run_id=run_id, attempt=attempt, round=round_number, step=step)

    asked = [
        ("run-1", 1, 0, "blind"),
        ("run-1", 2, 0, "blind"),
        ("run-2", 1, 1, "line_keys"),
        ("run-2", 1, 2, "line_keys"),
    ]
    asked += [("run-2", 1, 2, "line_update"), ("run-3", 1, 0, "train")]
    outcomes = {
        asked[1]: EventType.STEP_ANSWERED,
        asked[3]: EventType.STEP_REFUSED,
        asked[4]: EventType.STEP_FAILED,
        asked[5]: EventType.STEP_REPEATED,
    }
    record_together(engine.db, *(event(EventType.STEP_STARTED, *each) for each in asked))
    record_together(engine.db, *(event(kind, *each) for each, kind in outcomes.items()))
    # Begun again after its outcome, and orphaned then.
    record_together(engine.db, event(EventType.STEP_STARTED, *asked[1]))
    engine.serve_behind(UnsafeOpenGate())
    orphans = [row for row in steps_of(engine) if row.type == "step.unknown"]
    named = [(row.run_id, row.attempt, row.round, row.step) for row in orphans]
    # That an old answer was sent again is no outcome of what was begun.
    assert sorted(named) == sorted([asked[0], asked[1], asked[2], asked[5]])
    engine.serve_behind(UnsafeOpenGate())
    assert len([row for row in steps_of(engine) if row.type == "step.unknown"]) == 4
    accept_terms(engine.db, auditor := Auditor())
    (batch,) = seal_pending(engine)
    assert [record.type for record in auditor.open(batch, batch.signer)].count("node.step.unknown") == 4
    engine.db.dispose()


@pytest.mark.processes
def test_a_killed_process_leaves_its_intent_and_the_next_one_says_unknown(
    region_before: Callable[..., Region], stages: Stages, tmp_path: Path
) -> None:
    region = region_before(Step.BLIND)
    region.stop(NODE)
    request = tmp_path / "request"
    request.write_bytes(stages.request(Step.BLIND, NODE))
    program = (
        "import sys, time; from pathlib import Path\n"
        "from department_nodes.engine import NodeEngine; from department_nodes.home import NodeHome\n"
        "class Waiting:\n"
        "    def wait(self, number):\n"
        "        print(number, flush=True); time.sleep(600)\n"
        "NodeEngine(NodeHome(Path(sys.argv[1])), gate=Waiting()).answer(Path(sys.argv[2]).read_bytes())\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(region.folder / NODE), str(request)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    number = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    child.wait(timeout=30)
    child.stdout.close()
    engine = restart(region, NODE)
    started, unknown = steps_of(engine)[-2:]
    assert (started.number, started.type, unknown.type) == (number, "step.started", "step.unknown")
    assert code_of(engine.answer(request.read_bytes())) == "ok"
