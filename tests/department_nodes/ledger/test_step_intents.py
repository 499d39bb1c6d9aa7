"""No record, no act: a step's intent is durable and witnessed before anything is computed, charged or sent."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broken_disks import ActingGate, FullDisk, held_database
from compromised_coordinator import contents
from open_gate import UnsafeOpenGate
from region import LEAD, Region, Stages, code_of, edited
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.ledger.gate import Gate
from department_nodes.program import program_hash
from department_nodes.store.models import EventRow
from department_nodes.store.session import transaction
from policies.contracts.framing import frame_digest
from policies.contracts.revocations import RevokedGrant
from policies.contracts.steps import Step

NODE = "tax"
STEPS = [(Step.BLIND, NODE), (Step.EVALUATE, NODE), (Step.FINISH, NODE), (Step.RELEASE, LEAD), (Step.TRAIN, NODE)]
# What counts runs before a step is computed: a place that was taken, and the step itself while it waits.
COUNTED = {"run_numbers", "run_attempts", "steps"}


def refuse(_number: int) -> None:
    raise DoudiError("ledger.not_witnessed", "no quorum")


def behind(region: Region, name: str, gate: Gate | None) -> NodeEngine:
    """Start a node's process again, behind this gate or without one."""
    region.stop(name)
    engine = NodeEngine(region.homes[name], region.clock, gate=gate)
    region.engines[name] = engine
    return engine


def computed(engine: NodeEngine) -> dict[str, Any]:
    """Return every row of what a step computes, charges, keeps and sends, and every file that it freezes."""
    rows = {name: found for name, found in contents(engine).items() if name not in COUNTED | {"filler"}}
    return {**rows, "files": _files(engine.home.path / "periods")}


def _files(folder: Path) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()]


def events(engine: NodeEngine, *types: str) -> list[EventRow]:
    with transaction(engine.db) as session:
        query = select(EventRow).order_by(EventRow.number)
        return list(session.scalars(query.where(EventRow.type.in_(types)) if types else query))


def newest_types(engine: NodeEngine, count: int) -> list[str]:
    return [row.type for row in events(engine)[-count:]]


def rows_of_steps(engine: NodeEngine) -> list[Any]:
    return contents(engine)["steps"]


@pytest.mark.parametrize(("step", "name"), [*STEPS, (Step.COMBINE, LEAD)])
def test_a_gate_that_refuses_leaves_no_computation_no_charge_and_no_reply(
    region_before: Callable[..., Region], stages: Stages, step: Step, name: str
) -> None:
    region = region_before(step)
    engine = behind(region, name, ActingGate(refuse))
    before, steps = computed(engine), rows_of_steps(engine)
    reply = engine.answer(stages.request(step, name))
    assert code_of(reply) == "ledger.not_witnessed"
    assert computed(engine) == before
    assert rows_of_steps(engine) == steps
    started, refused = events(engine)[-2:]
    assert (started.type, refused.type, refused.code) == ("step.started", "step.refused", "ledger.not_witnessed")
    assert (started.step, refused.step) == (step.value, step.value)
    # The same request is answered once the witnesses are back: the refusal has left nothing that stands in its way.
    again = behind(region, name, UnsafeOpenGate())
    assert code_of(again.answer(stages.request(step, name))) == "ok"
    assert newest_types(again, 1) == ["step.answered"]
    assert not events(again, "step.unknown")


@pytest.mark.parametrize(("step", "name"), [(Step.BLIND, NODE), (Step.RELEASE, LEAD), (Step.TRAIN, NODE)])
def test_the_intent_is_durable_before_the_gate_and_nothing_else_is_done_by_then(
    region_before: Callable[..., Region], stages: Stages, step: Step, name: str
) -> None:
    region = region_before(step)
    engine = behind(region, name, UnsafeOpenGate())
    before = computed(engine)
    seen: list[tuple[int, str, str]] = []

    def look(number: int) -> None:
        # As another process sees it: what is not committed is not there.
        connection = sqlite3.connect(f"file:{engine.home.path / 'node.db'}?mode=ro", uri=True)
        seen.append(connection.execute("SELECT number, type, step FROM events ORDER BY number DESC").fetchone())
        connection.close()
        assert seen[0][0] == number
        assert computed(engine) == before

    engine.serve_behind(ActingGate(look))
    assert code_of(engine.answer(stages.request(step, name))) == "ok"
    assert [(kind, what) for _, kind, what in seen] == [("step.started", step.value)]
    assert computed(engine) != before


@pytest.mark.parametrize(("step", "name"), [(Step.BLIND, NODE), (Step.RELEASE, LEAD), (Step.TRAIN, NODE)])
def test_without_a_gate_nothing_is_begun(
    region_before: Callable[..., Region], stages: Stages, step: Step, name: str
) -> None:
    region = region_before(step)
    engine = behind(region, name, None)
    before = contents(engine)
    assert code_of(engine.answer(stages.request(step, name))) == "ledger.no_gate"
    assert contents(engine) == before
    assert [(row.type, row.code) for row in events(engine)[-1:]] == [("step.refused", "ledger.no_gate")]


def test_intent_and_outcome_say_what_was_asked_by_which_program_for_which_purpose(
    region_before: Callable[..., Region], stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    engine = behind(region, NODE, UnsafeOpenGate())
    request = stages.request(Step.BLIND, NODE)
    reply = engine.answer(request)
    started, answered = events(engine)[-2:]
    for row in (started, answered):
        assert (row.project_id, row.run_id, row.attempt, row.round) == ("support-2026", "run-1", 1, 0)
        assert (row.purpose, row.assets) == ("social_assistance", json.dumps([f"{NODE}/{NODE}"]))
        assert row.grant_hash == stages.signed.grant_hash
    digest = frame_digest(request).hex()
    manifest = stages.manifest.manifest.digest()
    assert json.loads(started.hashes) == {"request": digest, "program": program_hash(), "manifest": manifest}
    assert json.loads(answered.hashes) == {"request": digest, "reply": frame_digest(reply).hex()}
    assert json.loads(answered.counts)["bytes"] == len(reply)


def test_a_refusal_needs_no_gate_and_names_the_request_that_was_refused(
    region_before: Callable[..., Region], stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    gate = UnsafeOpenGate()
    engine = behind(region, NODE, gate)
    for request, code in (
        (b"no frame", "frame.malformed"),
        (edited(stages.request(Step.BLIND, NODE), {"grant": b"{}"}), "document.malformed"),
    ):
        assert code_of(engine.answer(request)) == code
        (row,) = events(engine)[-1:]
        assert (row.type, row.code) == ("step.refused", code)
        assert json.loads(row.hashes) == {"request": frame_digest(request).hex()}
    assert gate.passed == []


def test_a_stored_reply_is_sent_again_without_another_intent(
    region_before: Callable[..., Region], stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    gate = UnsafeOpenGate()
    engine = behind(region, NODE, gate)
    request = stages.request(Step.BLIND, NODE)
    reply = engine.answer(request)
    engine.serve_behind(ActingGate(refuse))
    assert engine.answer(request) == reply
    assert newest_types(engine, 3) == ["step.started", "step.answered", "step.repeated"]
    assert len(gate.passed) == 1


def test_a_grant_that_is_revoked_while_the_step_waits_is_not_used(
    region_before: Callable[..., Region], stages: Stages
) -> None:
    region = region_before(Step.TRAIN)
    grant = stages.signed.grant

    def revoke(_number: int) -> None:
        now_s = int(region.clock())
        entry = RevokedGrant(
            grant_hash=stages.signed.grant_hash,
            reason="purpose_ended",
            revoked_at=now_s,
            expires_at=grant.expires_at,
        )
        region.publish_revocations(entry)

    engine = behind(region, NODE, ActingGate(revoke))
    before = computed(engine)
    assert code_of(engine.answer(stages.request(Step.TRAIN, NODE))) == "grant.revoked"
    assert computed(engine) == before


def test_a_gate_that_fails_in_an_unforeseen_way_opens_nothing(
    region_before: Callable[..., Region], stages: Stages
) -> None:
    region = region_before(Step.TRAIN)

    def fail(_number: int) -> None:
        raise ZeroDivisionError

    engine = behind(region, NODE, ActingGate(fail))
    before = computed(engine)
    assert code_of(engine.answer(stages.request(Step.TRAIN, NODE))) == "node.internal_error"
    assert computed(engine) == before
    assert newest_types(engine, 2) == ["step.started", "step.failed"]


@pytest.mark.parametrize(("step", "name"), [(Step.BLIND, NODE), (Step.RELEASE, LEAD), (Step.TRAIN, NODE)])
def test_on_a_full_disk_nothing_is_done_and_nothing_is_answered(
    region_before: Callable[..., Region], stages: Stages, step: Step, name: str
) -> None:
    region = region_before(step)
    gate = UnsafeOpenGate()
    engine = behind(region, name, gate)
    disk = FullDisk(engine.db)
    disk.fill()
    before, recorded = contents(engine), len(events(engine))
    with pytest.raises(OperationalError, match="full"):
        engine.answer(stages.request(step, name))
    assert gate.passed == []
    disk.free()
    assert contents(engine) == before
    assert len(events(engine)) == recorded
    assert code_of(engine.answer(stages.request(step, name))) == "ok"


def test_while_another_process_holds_the_database_nothing_is_done_and_nothing_is_answered(
    region_before: Callable[..., Region], stages: Stages
) -> None:
    region = region_before(Step.TRAIN)
    gate = UnsafeOpenGate()
    engine = behind(region, NODE, gate)
    before, recorded = contents(engine), len(events(engine))
    with (
        held_database(engine.db, engine.home.path / "node.db"),
        pytest.raises(OperationalError, match="locked"),
    ):
        engine.answer(stages.request(Step.TRAIN, NODE))
    assert gate.passed == []
    assert contents(engine) == before
    assert len(events(engine)) == recorded
    assert code_of(engine.answer(stages.request(Step.TRAIN, NODE))) == "ok"


def test_every_computation_of_a_run_passed_the_gate_with_its_own_intent(stages: Stages) -> None:
    region = stages.before(None)
    for name in region.departments:
        with transaction(region.engines[name].db) as session:
            started = session.scalar(select(func.count()).where(EventRow.type == "step.started"))
            answered = session.scalar(select(func.count()).where(EventRow.type == "step.answered"))
            numbers = list(session.scalars(select(EventRow.number).order_by(EventRow.number)))
        assert started == answered == (5 if name == LEAD else 4)
        assert numbers == list(range(1, len(numbers) + 1))
