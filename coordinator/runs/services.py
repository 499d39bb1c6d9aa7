"""The life of a run from its first step to its end: called by the run's child process, and by the API.

Each is called within a transaction that the caller opens with `db.session.begin`, and records its event in it. State
changes go through `states.require_transition`, so two processes that race cannot both succeed.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.db.session import now_s
from coordinator.events import COORDINATOR, Event, EventType, record, safe_code
from coordinator.grants.models import GrantRow
from coordinator.runs.models import RunResultRow, RunRow, RunStepRow
from coordinator.runs.states import STEP_ENDED, RunState, StepState, require_transition
from crypto.errors import DoudiError
from policies.contracts.grant import SignedGrant
from policies.contracts.manifest import SignedManifest
from policies.contracts.steps import Step

MAXIMUM_METRICS_BYTES = 256 * 1024
STOPPED_CODE = "run.stopped"

_STEP_EVENTS: Mapping[StepState, EventType] = {
    StepState.WAITING: EventType.RUN_STEP_WAITING,
    StepState.SENT: EventType.RUN_STEP_SENT,
    StepState.ANSWERED: EventType.RUN_STEP_ANSWERED,
    StepState.REFUSED: EventType.RUN_STEP_REFUSED,
    StepState.LOST: EventType.RUN_STEP_LOST,
}
_STEP_NUMBER: Mapping[Step, int] = {step: number for number, step in enumerate(Step, start=1)}


@dataclass(frozen=True)
class RunView:
    """A run with its documents parsed; their signatures were verified when they were stored.

    `signed_manifest` is `None` while keys are gathered. `flower_run_id` is `None` until the run was claimed.
    """

    run_id: str
    project_id: str
    grant_hash: str
    run_number: int
    mode: str
    attempt: int
    state: RunState
    reason_code: str
    flower_run_id: int | None
    created_at: int
    stop_requested: bool
    signed_grant: SignedGrant
    signed_manifest: SignedManifest | None


def get_run(session: Session, run_id: str) -> RunRow:
    """Return a run's row. Raises `run.unknown`."""
    row = session.get(RunRow, run_id)
    if row is None:
        raise DoudiError("run.unknown", "there is no such run")
    return row


def load_run(session: Session, run_id: str) -> RunView:
    """Return a run with its grant and manifest. Raises `run.unknown`."""
    row = get_run(session, run_id)
    grant = session.get_one(GrantRow, row.grant_hash)
    return RunView(
        run_id=row.run_id,
        project_id=row.project_id,
        grant_hash=row.grant_hash,
        run_number=row.run_number,
        mode=row.mode,
        attempt=row.attempt,
        state=RunState(row.state),
        reason_code=row.reason_code,
        flower_run_id=int(row.flower_run_id) if row.flower_run_id is not None else None,
        created_at=row.created_at,
        stop_requested=row.stop_requested,
        signed_grant=SignedGrant.parse(grant.document),
        signed_manifest=SignedManifest.parse(row.manifest) if row.manifest is not None else None,
    )


def runs_in_state(session: Session, *states: RunState) -> Sequence[str]:
    """Return the identifiers of the runs in these states, oldest first."""
    wanted = [state.value for state in states]
    query = select(RunRow.run_id).where(RunRow.state.in_(wanted)).order_by(RunRow.created_at, RunRow.run_id)
    return session.scalars(query).all()


def claim_running(session: Session, run_id: str, flower_run_id: int) -> None:
    """Make a scheduled run `running` under a Flower run.

    A run that is already running may be claimed again: by the same Flower run nothing changes; by another one it is
    recorded as resumed, which is what a supervisor does after a restart. Raises `run.unknown`,
    `run.illegal_transition`.
    """
    row = get_run(session, run_id)
    number = str(flower_run_id)
    if row.state == RunState.RUNNING:
        if row.flower_run_id != number:
            row.flower_run_id = number
            record_run(session, EventType.RUN_RESUMED, COORDINATOR, row)
        return
    move(row, RunState.RUNNING)
    row.flower_run_id, row.started_at = number, now_s(session)
    record_run(session, EventType.RUN_STARTED, COORDINATOR, row)


def mark_step(
    session: Session,
    run_id: str,
    attempt: int,
    step: str,
    department: str,
    state: str,
    code: str = "",
    request_bytes: int | None = None,
    reply_bytes: int | None = None,
    round_number: int = 0,
) -> None:
    """Store where a department stands in a step; marking the same again changes nothing. Only `waiting` is an intent of its own
    each time and is recorded again.

    `code`: the node's own, replaced by `node.refused` when it has not the form of a code. Sizes are payload bytes; one
    that is not given stays as it was. `round_number`: of a line, from 1; 0 in the main job. Raises `run.unknown`,
    `run.wrong_attempt`, `run.bad_step`.
    """
    row = get_run(session, run_id)
    if attempt != row.attempt:
        # A child of an earlier attempt that was slow to die must not write into the current one.
        raise DoudiError("run.wrong_attempt", "the step belongs to another attempt of the run")
    try:
        named_step, named_state = Step(step), StepState(state)
    except ValueError:
        raise DoudiError("run.bad_step", "the step or its state has an unknown name") from None
    reason = safe_code(code) if code else ""
    marked = session.get(RunStepRow, (run_id, attempt, round_number, named_step.value, department))
    if marked is None:
        marked = RunStepRow(
            run_id=run_id, attempt=attempt, round=round_number, step=named_step.value, department=department
        )
        session.add(marked)
    elif (marked.state, marked.code) == (named_state.value, reason) and named_state is not StepState.WAITING:
        return
    now = now_s(session)
    marked.state, marked.code = named_state.value, reason
    marked.request_bytes = request_bytes if request_bytes is not None else marked.request_bytes
    marked.reply_bytes = reply_bytes if reply_bytes is not None else marked.reply_bytes
    if named_state is StepState.SENT and marked.started_at is None:
        marked.started_at = now
    marked.finished_at = now if named_state in STEP_ENDED else None
    sizes = {"round": round_number or None, "request_bytes": request_bytes, "reply_bytes": reply_bytes}
    counts = {"step": _STEP_NUMBER[named_step], **{name: size for name, size in sizes.items() if size is not None}}
    record_run(session, _STEP_EVENTS[named_state], department, row, reason, counts)


def record_numbering(
    session: Session, run_id: str, attempt: int, counts: Mapping[str, int], hashes: Mapping[str, str]
) -> None:
    """Record how the union of an attempt was numbered. Raises `run.unknown`, `run.wrong_attempt`."""
    row = get_run(session, run_id)
    if attempt != row.attempt:
        raise DoudiError("run.wrong_attempt", "the numbering belongs to another attempt of the run")
    record_run(session, EventType.RUN_NUMBERED, COORDINATOR, row, counts=counts, hashes=hashes)


def stop_requested(session: Session, run_id: str) -> bool:
    """Return whether somebody entitled asked for a stop; the child looks between steps and while it waits."""
    return get_run(session, run_id).stop_requested


def finish_run(session: Session, run_id: str, metrics: Mapping[str, Any]) -> None:
    """Store the lead's metrics and end the run well.

    The lead's node keeps the minimum cell of 10 before metrics leave it; here only form and size are checked. Raises
    `run.unknown`, `run.illegal_transition`, `run.metrics_malformed`, `run.metrics_too_large`; nothing is stored then.
    """
    row = get_run(session, run_id)
    try:
        text = json.dumps(dict(metrics), allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        size = len(text.encode("utf-8"))
    except (TypeError, ValueError, RecursionError):
        raise DoudiError("run.metrics_malformed", "the metrics are not JSON") from None
    if size > MAXIMUM_METRICS_BYTES:
        raise DoudiError("run.metrics_too_large", "the metrics are above 256 KiB")
    move(row, RunState.FINISHED)
    # A stop that was asked for too late leaves no reason behind.
    row.finished_at, row.reason_code = now_s(session), ""
    session.add(RunResultRow(run_id=run_id, attempt=row.attempt, metrics=text))
    hashes = {"metrics": hashlib.sha256(text.encode("utf-8")).hexdigest()}
    record_run(session, EventType.RUN_FINISHED, COORDINATOR, row, counts={"metrics_bytes": size}, hashes=hashes)


def fail_run(session: Session, run_id: str, code: str) -> None:
    """End a run with a reason. `run.stopped` after a request to stop makes it `stopped`, everything else `failed`.

    A run that has ended stays as it is: the first reason is the true one. Raises `run.unknown`.
    """
    row = get_run(session, run_id)
    if row.state in (RunState.FINISHED, RunState.FAILED, RunState.STOPPED):
        return
    if code == STOPPED_CODE and row.stop_requested:
        # Who asked for the stop may have left a reason of their own.
        end(session, row, RunState.STOPPED, EventType.RUN_STOPPED, COORDINATOR, row.reason_code or code)
    else:
        end(session, row, RunState.FAILED, EventType.RUN_FAILED, COORDINATOR, safe_code(code))


def stop_runs_of_grant(session: Session, grant_hash: str, code: str, actor: Principal | str) -> int:
    """Stop every run of a grant that ended: at once before its first step, else between two steps. Return how many.

    `code`: why, which becomes the runs' reason.
    """
    alive = [state.value for state in (RunState.GATHERING_KEYS, RunState.SCHEDULED, RunState.RUNNING)]
    rows = session.scalars(select(RunRow).where(RunRow.grant_hash == grant_hash, RunRow.state.in_(alive))).all()
    for row in rows:
        if row.stop_requested:
            continue
        row.stop_requested = True
        if row.state == RunState.RUNNING:
            row.reason_code = code
            record_run(session, EventType.RUN_STOP_REQUESTED, actor, row, code)
        else:
            end(session, row, RunState.STOPPED, EventType.RUN_STOPPED, actor, code)
    return len(rows)


def end(session: Session, row: RunRow, state: RunState, kind: EventType, actor: Principal | str, code: str) -> None:
    """End a run with a reason code and record it. Raises `run.illegal_transition`."""
    move(row, state)
    row.reason_code, row.finished_at = code, now_s(session)
    record_run(session, kind, actor, row, code)


def move(row: RunRow, state: RunState) -> None:
    """Change a run's state if the table allows it. Raises `run.illegal_transition`."""
    require_transition(RunState(row.state), state)
    row.state = state.value


def record_run(
    session: Session,
    kind: EventType,
    actor: Principal | str,
    row: RunRow,
    code: str = "",
    counts: Mapping[str, int] | None = None,
    hashes: Mapping[str, str] | None = None,
) -> None:
    """Record an event about a run, with its grant and attempt. `actor`: who sent a request, or the name of a party."""
    event = Event(
        kind,
        actor if isinstance(actor, str) else actor.party,
        account=None if isinstance(actor, str) else actor.number,
        project_id=row.project_id,
        run_id=row.run_id,
        grant_hash=row.grant_hash,
        code=code,
        counts={"attempt": row.attempt, **(counts or {})},
        hashes=hashes or {},
    )
    record(session, event)
