"""The record of what was done: typed events with a fixed list of fields and no free text.

`record` is the single seam: today it writes the table `events`, later the audit ledger stands behind it. An event is
written in the transaction of the act that it reports, so neither exists without the other. The table refuses changes and
deletions by triggers; whoever owns the database file can still rewrite it, which only the ledger will prevent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import JSON, CheckConstraint, Index, Integer, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from coordinator.db.base import Base, RowNumber, UnixSeconds
from coordinator.db.session import now_s
from coordinator.paging import Order, PageRequest, Slice, page_of
from crypto.errors import DoudiError

COORDINATOR = "coordinator"
UNKNOWN_NODE_CODE = "node.refused"
_CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_HASH = re.compile(r"[0-9a-f]{64}")
_MAX_CODE_CHARACTERS = 80


class EventType(StrEnum):
    """Everything that is recorded. Names are part of the interface: they are added, never reworded."""

    PARTY_REGISTERED = "party.registered"
    PARTY_KEYS_REPLACED = "party.keys_replaced"
    PROJECT_CREATED = "project.created"
    GRANT_STORED = "grant.stored"
    GRANT_SIGNATURES_ADDED = "grant.signatures_added"
    GRANT_FULLY_SIGNED = "grant.fully_signed"
    RUN_CREATED = "run.created"
    RUN_OFFER_STORED = "run.offer_stored"
    RUN_SCHEDULED = "run.scheduled"
    RUN_STARTED = "run.started"
    RUN_RESUMED = "run.resumed"
    RUN_STEP_WAITING = "run.step_waiting"
    RUN_STEP_SENT = "run.step_sent"
    RUN_STEP_ANSWERED = "run.step_answered"
    RUN_STEP_REFUSED = "run.step_refused"
    RUN_STEP_LOST = "run.step_lost"
    RUN_FINISHED = "run.finished"
    RUN_FAILED = "run.failed"
    RUN_STOP_REQUESTED = "run.stop_requested"
    RUN_STOPPED = "run.stopped"
    RUN_RESTARTED = "run.restarted"
    REQUEST_REFUSED = "request.refused"
    ACCOUNT_CREATED = "account.created"
    ACCOUNT_ENROLLED = "account.enrolled"
    ACCOUNT_ROLES_CHANGED = "account.roles_changed"
    ACCOUNT_DISABLED = "account.disabled"
    ACCOUNT_RESET = "account.reset"
    ACCOUNT_PASSWORD_CHANGED = "account.password_changed"  # noqa: S105 - an event's name, not a password
    ACCOUNT_SIGNED_IN = "account.signed_in"
    ACCOUNT_LOCKED = "account.locked"
    ACCOUNT_RECOVERY_CODE_USED = "account.recovery_code_used"
    ACCOUNT_RECOVERY_CODES_REPLACED = "account.recovery_codes_replaced"
    TOKEN_CREATED = "token.created"  # noqa: S105
    TOKEN_REVOKED = "token.revoked"  # noqa: S105
    POLICY_PROPOSED = "policy.proposed"
    POLICY_APPROVED = "policy.approved"
    POLICY_ACTIVATED = "policy.activated"
    POLICY_WITHDRAWN = "policy.withdrawn"
    POLICY_REFUSED = "policy.refused"
    POLICY_RESET = "policy.reset"
    ASSET_REGISTERED = "asset.registered"
    ASSET_WITHDRAWN = "asset.withdrawn"
    # Of a request for access. `request.refused` above is an HTTP request that was refused; theirs is `request.declined`.
    REQUEST_DRAFTED = "request.drafted"
    REQUEST_SUBMITTED = "request.submitted"
    REQUEST_APPROVED = "request.approved"
    REQUEST_DECLINED = "request.declined"
    REQUEST_WITHDRAWN = "request.withdrawn"
    REQUEST_GRANTED = "request.granted"
    REQUEST_ACTIVATED = "request.activated"
    REQUEST_EXPIRED = "request.expired"
    REQUEST_REVOKED = "request.revoked"
    REQUEST_EXHAUSTED = "request.exhausted"
    REVOCATIONS_PUBLISHED = "revocation.published"
    REVOCATION_WISHED = "revocation.wished"


@dataclass(frozen=True)
class Event:
    """One act. `actor`: a department, `centre` or `coordinator`; for a step, the department that was asked.

    `account`: the number of the person who acted for that party, if one did; people have no other name here.
    `subject`: the party that the act is about, where that is not the actor.
    `counts`: integers only, for example `attempt`, `step` (1 for the first) or bytes. Raises `event.malformed`.
    """

    type: EventType
    actor: str
    project_id: str | None = None
    run_id: str | None = None
    grant_hash: str | None = None
    subject: str | None = None
    code: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    account: int | None = None

    def __post_init__(self) -> None:
        names = [
            self.actor,
            *(name for name in (self.project_id, self.run_id, self.subject) if name is not None),
            *self.counts,
        ]
        # A boolean is an int to Python; in a record of counts it would be a mistake.
        integers = all(type(count) is int for count in self.counts.values())
        integers &= self.account is None or (type(self.account) is int and self.account >= 1)
        sound = all(_NAME.fullmatch(name) for name in names) and integers
        if not sound or (self.code and not is_code(self.code)):
            raise DoudiError("event.malformed", "an event has a field that is not a name, a code or a count")
        if self.grant_hash is not None and not _HASH.fullmatch(self.grant_hash):
            raise DoudiError("event.malformed", "an event has a grant hash that is not a hash")


class EventRow(Base):
    """One recorded event."""

    __tablename__ = "events"
    __table_args__ = (
        # Sequence numbers start at one; AUTOINCREMENT keeps a number from ever being given twice.
        CheckConstraint("sequence >= 1", name="sequence"),
        Index("ix_events_run_id", "run_id"),
        # What people narrow the record by, newest first.
        Index("ix_events_type_sequence", "type", "sequence"),
        Index("ix_events_actor_sequence", "actor", "sequence"),
        Index("ix_events_account_sequence", "account", "sequence"),
        {"sqlite_autoincrement": True},
    )

    sequence: Mapped[int] = mapped_column(RowNumber, primary_key=True, comment="order of recording, never reused")
    at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    type: Mapped[str] = mapped_column(String(40), comment="an EventType")
    actor: Mapped[str] = mapped_column(String(63), comment="department, centre or coordinator")
    account: Mapped[int | None] = mapped_column(Integer, comment="account of the person who acted, if one did")
    project_id: Mapped[str | None] = mapped_column(String(63), comment="project, if the act is about one")
    run_id: Mapped[str | None] = mapped_column(String(63), comment="run, if the act is about one")
    grant_hash: Mapped[str | None] = mapped_column(String(64), comment="grant under which the act was done")
    subject: Mapped[str | None] = mapped_column(String(63), comment="party that the act is about, if not the actor")
    code: Mapped[str] = mapped_column(String(80), comment="reason code, or empty")
    counts: Mapped[dict[str, int]] = mapped_column(JSON, comment="integers by name, no text")


IN_SEQUENCE = Order("events", (EventRow.sequence,))
NEWEST_FIRST = Order("newest_events", (EventRow.sequence,), newest_first=True)


def is_code(text: str) -> bool:
    """Return whether a text has the form of a reason code, so that it may be stored and shown."""
    return len(text) <= _MAX_CODE_CHARACTERS and _CODE.fullmatch(text) is not None


def safe_code(text: str) -> str:
    """Return a node's code, or `node.refused` in its place: a node must not write free text into our record."""
    return text if is_code(text) else UNKNOWN_NODE_CODE


def record(session: Session, event: Event) -> None:
    """Write an event in the session's transaction: it becomes durable together with the act, or not at all."""
    session.add(
        EventRow(
            at=now_s(session),
            type=event.type.value,
            actor=event.actor,
            account=event.account,
            project_id=event.project_id,
            run_id=event.run_id,
            grant_hash=event.grant_hash,
            subject=event.subject,
            code=event.code,
            counts=dict(event.counts),
        )
    )
    # Flushing here keeps the order of events the order of the acts within a transaction.
    session.flush()


def list_events(session: Session, after: int, wanted: PageRequest, run_id: str | None = None) -> Slice[EventRow]:
    """Return a page of the events with a sequence above `after`, oldest first."""
    query = select(EventRow).where(EventRow.sequence > after)
    if run_id is not None:
        query = query.where(EventRow.run_id == run_id)
    return page_of(session, query, IN_SEQUENCE, wanted)


def search_events(
    session: Session,
    wanted: PageRequest,
    *,
    kind: str | None = None,
    actor: str | None = None,
    account: int | None = None,
    run_id: str | None = None,
) -> Slice[EventRow]:
    """Return a page of the events of one type, party, person or run, newest first; `None` is no restriction."""
    query = select(EventRow)
    for column, value in (
        (EventRow.type, kind),
        (EventRow.actor, actor),
        (EventRow.account, account),
        (EventRow.run_id, run_id),
    ):
        if value is not None:
            query = query.where(column == value)
    return page_of(session, query, NEWEST_FIRST, wanted)
