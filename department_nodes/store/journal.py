"""The one place where a node records what it did: `record()`, in the same transaction as the act.

Later the audit ledger stands behind this call; its events have a fixed field list and no free text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.orm import Session

from department_nodes.store.models import EventRow


class EventType(StrEnum):
    """What a node records."""

    PROJECT_JOINED = "project.joined"
    PROJECT_LEFT = "project.left"
    GRANT_SIGNED = "grant.signed"
    KEYS_OFFERED = "run.keys_offered"
    RUN_SCHEDULED = "run.scheduled"
    STEP_STARTED = "step.started"
    STEP_ANSWERED = "step.answered"
    STEP_REPEATED = "step.repeated"
    STEP_REFUSED = "step.refused"
    STEP_FAILED = "step.failed"
    OFFER_REFUSED = "run.offer_refused"
    GRANT_ENDED = "grant.ended"
    LABELS_CHARGED = "labels.charged"
    EVIDENCE_CHARGED = "evidence.charged"
    RESULTS_READ = "results.read"
    BUDGET_RESERVED = "budget.reserved"
    BUDGET_CHARGED = "budget.charged"
    BUDGET_SETTLED = "budget.settled"
    BUDGET_REFUSED = "budget.refused"
    LINE_MODEL_ADOPTED = "line.model_adopted"
    RESULTS_DESTROYED = "results.destroyed"
    GRANT_REVOKED = "grant.revoked"
    REVOCATIONS_ISSUED = "revocation.issued"
    REVOCATIONS_ACCEPTED = "revocation.accepted"
    REVOCATIONS_REFUSED = "revocation.refused"
    ASSET_SIGNED = "asset.signed"
    REPORT_SIGNED = "report.signed"
    REQUEST_DRAFTED = "request.drafted"
    REQUEST_REFUSED = "request.refused"
    REQUEST_WITHDRAWN = "request.withdrawn"


@dataclass(frozen=True)
class Event:
    """One event. `party`: whose list or request it is about. `counts`: named integers. Nothing here identifies a person."""

    type: EventType
    at: int
    project_id: str = ""
    run_id: str = ""
    attempt: int = 0
    step: str = ""
    grant_hash: str = ""
    code: str = ""
    party: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


def record(session: Session, event: Event) -> None:
    """Append an event to the journal, inside the caller's transaction."""
    session.add(
        EventRow(
            at=event.at,
            type=event.type.value,
            project_id=event.project_id,
            run_id=event.run_id,
            attempt=event.attempt,
            step=event.step,
            grant_hash=event.grant_hash,
            code=event.code,
            party=event.party,
            counts=json.dumps(dict(event.counts), sort_keys=True),
        )
    )
