"""The one place where a node records what it did: `record()`, in the same transaction as the act.

The audit ledger stands behind this call: events are numbered from 1 without a gap, sealed in that order (`ledger.sealing`), and
carry nothing but what their type's list in the contracts names, which is checked before an event is written.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from crypto.ledger_entries import Plain
from department_nodes.store.models import EventRow
from policies.contracts.ledger.record_types import NODE_PREFIX, NODE_TYPES
from policies.contracts.ledger.records import Record, to_plain

# Taken on PostgreSQL while an event gets its number; on SQLite only one transaction writes at a time.
_NUMBERING_LOCK = 0x446F756469


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
    STEP_UNKNOWN = "step.unknown"
    OFFER_REFUSED = "run.offer_refused"
    GRANT_ENDED = "grant.ended"
    LABELS_CHARGED = "labels.charged"
    LABELS_RELEASED = "labels.released"
    EVIDENCE_CHARGED = "evidence.charged"
    EVIDENCE_RELEASED = "evidence.released"
    EVIDENCE_WITHHELD = "evidence.withheld"
    LIST_COMMITTED = "list.committed"
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
    WITNESS_REFUSED = "witness.refused"
    WITNESS_OMISSION = "witness.omission"
    TERMS_ACCEPTED = "terms.accepted"
    ALARM_ACKNOWLEDGED = "alarm.acknowledged"


@dataclass(frozen=True)
class Event:
    """One event. `party`: whose list or request it is about. `counts`: named integers. Nothing here identifies a person.

    `assets`: `owner/dataset`. `hashes`: named SHA-256 values in hexadecimal, of documents or salted.
    """

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
    round: int = 0
    purpose: str = ""
    assets: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)


def record(session: Session, event: Event) -> int:
    """Append an event to the journal, inside the caller's transaction, and return its number.

    Raises `record.malformed` for anything that the event's type does not list: then nothing of the transaction happens.
    """
    row = EventRow(
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
        round=event.round,
        purpose=event.purpose,
        assets=json.dumps(list(event.assets)),
        hashes=json.dumps(dict(event.hashes), sort_keys=True),
    )
    plain_of(row)
    # The next number is taken in the transaction: one that is rolled back leaves no gap.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _NUMBERING_LOCK})
    row.number = (session.scalar(select(func.max(EventRow.number))) or 0) + 1
    session.add(row)
    return row.number


def plain_of(row: EventRow) -> Plain:
    """Return what is sealed of an event. Raises `record.malformed` for what its type does not list."""
    whole = Record(
        type=NODE_PREFIX + row.type,
        at=row.at,
        subject=row.party,
        project=row.project_id,
        run=row.run_id,
        attempt=row.attempt,
        round=row.round,
        step=row.step,
        purpose=row.purpose,
        assets=tuple(json.loads(row.assets)),
        code=row.code,
        counts=json.loads(row.counts),
        hashes=json.loads(row.hashes),
        grant_hash=row.grant_hash,
    )
    return to_plain(whole, NODE_TYPES)
