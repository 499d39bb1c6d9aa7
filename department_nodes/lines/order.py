"""The order of a line's rounds at the node, and what is forgotten when a round is over.

A round that was passed is never answered again, so its secrets and replies are of no use and are destroyed: what a node does
not keep cannot be asked for, or stolen. Called within the engine's transactions.
"""

from sqlalchemy import delete, false, func, select, update
from sqlalchemy.orm import Session

from crypto.errors import DoudiError
from department_nodes.guard import Request
from department_nodes.steps.context import StepResult
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import LineModelRow, SealedValueRow, StepRow
from policies.contracts.steps import Step

_ROUND_VALUES = "line-"


def round_value(round_number: int, kind: str) -> str:
    """Return the name under which a value of a round is sealed; all of them are forgotten together."""
    return f"{_ROUND_VALUES}{round_number:03d}-{kind}"


def enter_round(session: Session, request: Request) -> None:
    """Raise `line.too_many_rounds`, or `line.round_passed` before the newest round and after the end; forget what is older.

    Called for a step that this node has not answered yet.
    """
    manifest = request.manifest
    if request.round > request.line.training.rounds:
        raise DoudiError("line.too_many_rounds", "the grant allows fewer rounds", "Ask for a new grant.")
    own = (StepRow.run_id == manifest.run_id, StepRow.attempt == manifest.attempt)
    newest = session.scalar(select(func.max(StepRow.round)).where(*own)) or 0
    # The same request for the final model may come again after a crash; another one, or another step, may not.
    same = StepRow.round == request.round if request.step is Step.LINE_MODEL else false()
    ended = session.scalar(select(func.count()).where(*own, StepRow.step == Step.LINE_MODEL.value, ~same))
    later = session.scalar(
        select(func.count()).where(StepRow.run_id == manifest.run_id, StepRow.attempt > manifest.attempt)
    )
    if request.round < newest or ended or later:
        raise DoudiError(
            "line.round_passed", "this round, or this attempt of the line, is over", "Ask for the present one."
        )
    if request.round > newest or request.step is Step.LINE_MODEL:
        _forget(session, request)


def _forget(session: Session, request: Request) -> None:
    manifest = request.manifest
    names = (SealedValueRow.run_id == manifest.run_id, SealedValueRow.attempt <= manifest.attempt)
    session.execute(delete(SealedValueRow).where(*names, SealedValueRow.name.startswith(_ROUND_VALUES)))
    session.execute(
        update(StepRow)
        .where(StepRow.run_id == manifest.run_id, StepRow.attempt <= manifest.attempt, StepRow.finished_at.is_not(None))
        .values(reply=b"")
    )


def finish_line_step(session: Session, request: Request, result: StepResult, now_s: int) -> None:
    """Destroy what the step no longer needs, and store the line's final model if it came."""
    manifest = request.manifest
    if result.forget:
        session.execute(
            delete(SealedValueRow).where(
                SealedValueRow.run_id == manifest.run_id,
                SealedValueRow.attempt == manifest.attempt,
                SealedValueRow.name.in_(result.forget),
            )
        )
    adopted = result.line_model
    if adopted is None:
        return
    session.merge(
        LineModelRow(
            digest=adopted.digest,
            run_id=manifest.run_id,
            attempt=manifest.attempt,
            grant_hash=request.grant_hash,
            project_id=request.project_id,
            dataset=request.me.dataset,
            standard_version=request.me.standard_version,
            target=request.line.target,
            document=adopted.document,
            adopted_at=now_s,
        )
    )
    record(
        session,
        Event(
            EventType.LINE_MODEL_ADOPTED,
            now_s,
            project_id=request.project_id,
            run_id=manifest.run_id,
            attempt=manifest.attempt,
            step=request.step.value,
            grant_hash=request.grant_hash,
            counts={"bytes": len(adopted.document)},
            round=request.round,
            hashes={"model": adopted.digest},
        ),
    )
