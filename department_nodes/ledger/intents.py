"""Intents and outcomes of steps in the journal: nothing is computed before its intent, and every intent gets an outcome.

An intent is `step.started`; its outcome is `step.answered`, `step.refused`, `step.failed`, or `step.unknown` when the process
ended in between: then nobody guesses what it did. One step at a time is computed, so that an intent without an outcome is the
newest of its step, and orphaned when the node's process or the same step begins again. Called within the engine's transactions.
"""

import json
from collections.abc import Mapping

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from department_nodes.guard import Request, UnverifiedRequest
from department_nodes.program import program_hash
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import EventRow

OUTCOMES = (EventType.STEP_ANSWERED, EventType.STEP_REFUSED, EventType.STEP_FAILED, EventType.STEP_UNKNOWN)


def record_intent(session: Session, request: Request, digest: bytes, now_s: int) -> int:
    """Record that a step is about to be computed, and return the intent's number.

    An earlier intent of the same step that has no outcome becomes unknown first.
    """
    manifest = request.manifest
    record_unknown_outcomes(
        session,
        now_s,
        EventRow.run_id == manifest.run_id,
        EventRow.attempt == manifest.attempt,
        EventRow.round == request.round,
        EventRow.step == request.step.value,
    )
    hashes = {"request": digest.hex(), "program": program_hash(), "manifest": manifest.digest()}
    return record(session, step_event(EventType.STEP_STARTED, request, now_s, hashes=hashes))


def record_unknown_outcomes(session: Session, now_s: int, *of: ColumnElement[bool]) -> int:
    """Record `step.unknown` for every intent that has no outcome, of these events or of all, and return for how many."""
    intent = func.max(case((EventRow.type == EventType.STEP_STARTED.value, EventRow.number), else_=0))
    outcome = func.max(case((EventRow.type != EventType.STEP_STARTED.value, EventRow.number), else_=0))
    kinds = [kind.value for kind in (EventType.STEP_STARTED, *OUTCOMES)]
    orphaned = (
        select(intent)
        .where(EventRow.type.in_(kinds), *of)
        .group_by(EventRow.run_id, EventRow.attempt, EventRow.round, EventRow.step)
        .having(intent > outcome)
    )
    rows = session.scalars(select(EventRow).where(EventRow.number.in_(orphaned)).order_by(EventRow.number)).all()
    for row in rows:
        unknown = Event(
            EventType.STEP_UNKNOWN,
            now_s,
            project_id=row.project_id,
            run_id=row.run_id,
            attempt=row.attempt,
            step=row.step,
            grant_hash=row.grant_hash,
            round=row.round,
            purpose=row.purpose,
            assets=tuple(json.loads(row.assets)),
            hashes=json.loads(row.hashes),
        )
        record(session, unknown)
    return len(rows)


def step_event(
    kind: EventType,
    request: Request,
    now_s: int,
    counts: Mapping[str, int] | None = None,
    hashes: Mapping[str, str] | None = None,
) -> Event:
    """Return an event of a step: which of which run, for which purpose, with which of this department's data assets."""
    return Event(
        kind,
        now_s,
        project_id=request.project_id,
        run_id=request.manifest.run_id,
        attempt=request.manifest.attempt,
        step=request.step.value,
        grant_hash=request.grant_hash,
        counts=counts or {},
        round=request.round,
        purpose=request.signed_grant.grant.purpose,
        assets=(f"{request.me.department}/{request.me.dataset}",),
        hashes=hashes or {},
    )


def refused_step(kind: EventType, unverified: UnverifiedRequest | None, digest: bytes, code: str, now_s: int) -> Event:
    """Return the event of a request that got a code for an answer. Nothing of the request need be verified: little is told."""
    hashes = {"request": digest.hex()}
    if unverified is None:
        return Event(kind, now_s, code=code, hashes=hashes)
    return Event(
        kind,
        now_s,
        run_id=unverified.run_id,
        attempt=unverified.attempt,
        step=unverified.step.value,
        code=code,
        round=unverified.round,
        hashes=hashes,
    )
