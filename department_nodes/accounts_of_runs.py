"""What an officer asks a node afterwards: what was sent, what the meter read, how much of each budget is used."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.steps.accounts import YEAR_S
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import (
    EventRow,
    EvidenceChargeRow,
    GrantRow,
    LabelChargeRow,
    ProjectRow,
    ReportRow,
    SealedValueRow,
    SentRow,
    StepRow,
)
from department_nodes.store.session import transaction
from department_nodes.store.vault import RESULTS_VALUE
from policies.contracts.grant import SignedGrant


@dataclass(frozen=True)
class Usage:
    """What this node has spent in the last 365 days."""

    projects: int
    runs: int
    label_epsilon_milli: int
    evidence_bits_per_person: int


def usage(engine: NodeEngine) -> Usage:
    """Return the counters of the last year."""
    since = int(engine.clock()) - YEAR_S
    with transaction(engine.db) as session:
        epsilon = session.scalar(
            select(func.coalesce(func.sum(LabelChargeRow.epsilon_milli), 0)).where(LabelChargeRow.charged_at > since)
        )
        bits = session.scalar(
            select(func.coalesce(func.sum(EvidenceChargeRow.bits_per_person), 0)).where(
                EvidenceChargeRow.charged_at > since
            )
        )
        projects = session.scalar(select(func.count()).select_from(ProjectRow).where(ProjectRow.left_at.is_(None)))
        runs = session.scalar(select(func.count(func.distinct(StepRow.run_id))))
    return Usage(int(projects or 0), int(runs or 0), int(epsilon or 0), int(bits or 0))


def steps(engine: NodeEngine, limit: int = 30) -> list[dict[str, Any]]:
    """Return the newest steps with their state."""
    with transaction(engine.db) as session:
        rows = session.scalars(select(StepRow).order_by(StepRow.started_at.desc()).limit(limit)).all()
        return [
            {
                "run": row.run_id,
                "attempt": row.attempt,
                "round": row.round,
                "step": row.step,
                "state": "answered" if row.reply is not None else "running",
                "seconds": (row.seconds_milli or 0) / 1000,
            }
            for row in rows
        ]


def refusals(engine: NodeEngine, limit: int = 20) -> list[dict[str, Any]]:
    """Return the newest refusals with their codes."""
    kinds = [EventType.STEP_REFUSED.value, EventType.STEP_FAILED.value, EventType.OFFER_REFUSED.value]
    with transaction(engine.db) as session:
        rows = session.scalars(
            select(EventRow).where(EventRow.type.in_(kinds)).order_by(EventRow.number.desc()).limit(limit)
        ).all()
        return [
            {
                "at": row.at,
                "event": row.type,
                "run": row.run_id,
                "attempt": row.attempt,
                "step": row.step,
                "code": row.code,
            }
            for row in rows
        ]


def sent(engine: NodeEngine, run_id: str) -> list[dict[str, Any]]:
    """Return everything that left this node in a run. Raises `run.unknown`."""
    with transaction(engine.db) as session:
        if session.scalar(select(func.count()).select_from(EventRow).where(EventRow.run_id == run_id)) == 0:
            raise DoudiError("run.unknown", "this node has no such run", "See `doudi node status`.")
        rows = session.scalars(select(SentRow).where(SentRow.run_id == run_id).order_by(SentRow.number)).all()
        return [
            {
                "attempt": row.attempt,
                "round": row.round,
                "step": row.step,
                "receiver": row.receiver,
                "kind": row.kind,
                "items": row.items,
                "bytes": row.size_bytes,
                "grant": row.grant_hash,
                "at": row.sent_at,
            }
            for row in rows
        ]


def reports(engine: NodeEngine, run_id: str) -> dict[str, Any]:
    """Return the reports of a run's latest attempt: disclosure, training, metrics."""
    with transaction(engine.db) as session:
        rows = session.scalars(select(ReportRow).where(ReportRow.run_id == run_id).order_by(ReportRow.attempt)).all()
        return {row.kind: json.loads(row.document) for row in rows}


def result_arrays(engine: NodeEngine, run_id: str) -> bytes:
    """Return the lead's stored results of a run's latest attempt. Raises `run.no_results`; the reading is recorded."""
    with transaction(engine.db) as session:
        row = session.scalars(
            select(SealedValueRow)
            .where(SealedValueRow.run_id == run_id, SealedValueRow.name == RESULTS_VALUE)
            .order_by(SealedValueRow.attempt.desc())
        ).first()
        if row is None:
            raise DoudiError("run.no_results", "this node holds no results of this run", "Only the lead has results.")
        granted = session.get_one(GrantRow, row.grant_hash)
        project_id, purpose = granted.project_id, SignedGrant.parse(granted.document).grant.purpose
        data = engine.vault.get(session, project_id, row.run_id, row.attempt, row.name)
        event = Event(
            EventType.RESULTS_READ,
            int(engine.clock()),
            project_id=project_id,
            run_id=run_id,
            attempt=row.attempt,
            grant_hash=row.grant_hash,
            counts={"bytes": len(data)},
            purpose=purpose,
        )
        record(session, event)
        return data
