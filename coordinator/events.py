"""The record of what was done: typed events with a fixed list of fields and no free text.

`record` is the single seam; behind it stands the audit ledger (`coordinator.ledger`). An event is sealed to the auditors in the
transaction of the act that it reports, so neither exists without the other, and nobody at the coordinator reads it again.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.orm import Session

from coordinator.db.session import now_s
from coordinator.ledger.recording import collect
from crypto.errors import DoudiError
from policies.contracts.ledger.record_types import COORDINATOR_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import COORDINATOR

__all__ = ["COORDINATOR", "Event", "EventType", "is_code", "record", "safe_code"]

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
    RUN_NUMBERED = "run.numbered"
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
    LEDGER_OPENED = "ledger.opened"
    LEDGER_TERMS_CHANGED = "ledger.terms_changed"
    LEDGER_BATCH_SHREDDED = "ledger.batch_shredded"
    LEDGER_WRAPS_ADDED = "ledger.wraps_added"
    LEDGER_TIMESTAMPED = "ledger.timestamped"


@dataclass(frozen=True)
class Event:
    """One act. `actor`: a department, `centre` or `coordinator`; for a step, the department that was asked.

    `account`: the number of the person who acted for that party, if one did; people have no other name here.
    `subject`: the party that the act is about, where that is not the actor.
    `counts`: integers only, for example `attempt`, `step` (1 for the first) or bytes. `assets`: `owner/dataset`. `hashes`:
    SHA-256 by name, 64 hexadecimal digits. `wraps`: sealed batch keys, hexadecimal. What a type may carry is in
    `policies.contracts.ledger.record_types`. Raises `event.malformed`.
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
    purpose: str = ""
    assets: Sequence[str] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    wraps: Sequence[str] = ()

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


def is_code(text: str) -> bool:
    """Return whether a text has the form of a reason code, so that it may be stored and shown."""
    return len(text) <= _MAX_CODE_CHARACTERS and _CODE.fullmatch(text) is not None


def safe_code(text: str) -> str:
    """Return a node's code, or `node.refused` in its place: a node must not write free text into our record."""
    return text if is_code(text) else UNKNOWN_NODE_CODE


def record(session: Session, event: Event) -> None:
    """Have an event sealed into the ledger with the session's transaction: durable together with the act, or not at all.

    Raises `event.malformed` for what its type may not carry; the commit raises `ledger.not_set_up` when the ledger has no terms.
    """
    counts = dict(event.counts)
    try:
        plain = to_plain(
            Record(
                type=event.type.value,
                at=now_s(session),
                actor="" if event.actor == COORDINATOR else event.actor,
                account=event.account or 0,
                subject=event.subject or "",
                project=event.project_id or "",
                run=event.run_id or "",
                attempt=counts.pop("attempt", 0),
                purpose=event.purpose,
                assets=tuple(event.assets),
                code=event.code,
                counts=counts,
                hashes=dict(event.hashes),
                wraps=tuple(event.wraps),
                grant_hash=event.grant_hash or "",
            ),
            COORDINATOR_TYPES,
        )
    except DoudiError as error:
        raise DoudiError("event.malformed", error.message) from error
    collect(session, plain)
