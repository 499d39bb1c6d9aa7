"""Batches in the database: the outbox that the sequencer empties, and what nodes submit.

A row is durable with the transaction that inserts it, before anybody is told. Whether a batch may come in is decided by its
caller, who has verified it.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, insert, literal, select, union_all
from sqlalchemy.orm import Session

from coordinator.db.session import now_s
from coordinator.ledger.models import BATCHES, OUTBOX
from crypto import domains
from crypto.errors import DoudiError
from crypto.ledger_entries import SealedBatch
from policies.contracts.ledger.batches import Batch
from policies.contracts.ledger.terms import COORDINATOR


class BatchGap(DoudiError):
    """A producer's numbers must follow without a gap. `expected`: the number that its next batch must begin with."""

    def __init__(self, expected: int) -> None:
        super().__init__(
            "batch.gap",
            f"the batch does not begin with number {expected}, which is the next one of its producer's key",
            "Send the producer's batches in order, from that number on.",
        )
        self.expected = expected

    def __reduce__(self) -> tuple[type["BatchGap"], tuple[int]]:
        return (BatchGap, (self.expected,))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A batch without a place, and without its wraps."""

    id: int
    batch_id: bytes
    producer: str
    first_sequence: int
    count: int
    signature: bytes | None
    entries: tuple[bytes, ...]


_OF_KEY = (
    BATCHES.c.producer == bindparam("maker"),
    BATCHES.c.signer == bindparam("by"),
    BATCHES.c.first_sequence > 0,
)
_NEWEST = (
    select(BATCHES.c.first_sequence, BATCHES.c.count).where(*_OF_KEY).order_by(BATCHES.c.first_sequence.desc()).limit(1)
)
_SHOWN = (BATCHES.c.id, BATCHES.c.signature, BATCHES.c.signer, BATCHES.c.first_sequence, BATCHES.c.count)
# One question instead of two: the batch of this id, and the newest one of its producer's key.
_SAME_AND_NEWEST = union_all(
    select(literal(True).label("same"), *_SHOWN).where(BATCHES.c.batch_id == bindparam("batch")),
    select(
        select(literal(False).label("same"), *_SHOWN)
        .where(*_OF_KEY)
        .order_by(BATCHES.c.first_sequence.desc())
        .limit(1)
        .subquery()
    ),
)
_INSERT = insert(BATCHES).returning(BATCHES.c.id)
_WAIT = insert(OUTBOX)
_ANY_WAITING = select(OUTBOX.c.batch).limit(1)


def put_in_outbox(session: Session, sealed: SealedBatch) -> int:
    """Store a batch of the coordinator's own records, unsigned and without a place; return its row's number."""
    row = _insert(session, COORDINATOR, sealed.batch_id, 0, None, None, sealed.wraps, sealed.entries)
    return _let_wait(session, row)


def append(session: Session, batch: Batch) -> int:
    """Store a submitted batch, which the caller has verified (`verify_batch`), without a place; return its row's number.

    The same batch again changes nothing. Raises `batch.conflict` for other bytes under its id or its numbers, `BatchGap`.
    """
    known, row = _store(session, batch)
    return known if row is None else _let_wait(session, row)


def store(session: Session, batch: Batch) -> Waiting | None:
    """Store a batch as `append` does, but outside of the outbox: the caller places it in the same transaction.

    Return it; `None` if it was stored before. Raises as `append`.
    """
    return _store(session, batch)[1]


def next_sequence(session: Session, producer: str, signer: bytes) -> int:
    """Return the number that the next batch of a producer's key must begin with: 1 for a key that has sent none."""
    newest = session.connection().execute(_NEWEST, {"maker": producer, "by": signer.hex()}).one_or_none()
    return 1 if newest is None else sum(newest)


def is_waiting(session: Session) -> bool:
    """Return whether any batch has no place yet."""
    return session.connection().execute(_ANY_WAITING).first() is not None


def _store(session: Session, batch: Batch) -> tuple[int, Waiting | None]:
    """Return the row's number of a batch, and what was stored of it: `None` if it was stored before."""
    signer = batch.signer.hex()
    asked = {"batch": batch.batch_id, "maker": batch.producer, "by": signer}
    expected = 1
    for same, number, signature, by, first, count in session.connection().execute(_SAME_AND_NEWEST, asked):
        if not same:
            expected = first + count
        elif (signature, by, first) == (batch.signature, signer, batch.first_sequence):
            # The signature covers producer, numbers, entries and the wraps' hash; a shredded batch is still the same one.
            return int(number), None
        else:
            raise _conflict()
    if batch.first_sequence < expected:
        raise _conflict()
    if batch.first_sequence > expected:
        raise BatchGap(expected)
    row = _insert(
        session,
        batch.producer,
        batch.batch_id,
        batch.first_sequence,
        signer,
        batch.signature,
        batch.wraps,
        batch.entries,
    )
    return row.id, row


def _let_wait(session: Session, row: Waiting) -> int:
    session.connection().execute(_WAIT, {"batch": row.id})
    return row.id


def _insert(
    session: Session,
    producer: str,
    batch_id: bytes,
    first_sequence: int,
    signer: str | None,
    signature: bytes | None,
    wraps: bytes,
    entries: tuple[bytes, ...],
) -> Waiting:
    values = {
        "batch_id": batch_id,
        "producer": producer,
        "signer": signer,
        "first_sequence": first_sequence,
        "count": len(entries),
        "signature": signature,
        "wraps": wraps or None,
        "entries": domains.frame(*entries),
        "received_at": now_s(session),
    }
    number = session.connection().execute(_INSERT, values).scalar_one()
    return Waiting(number, batch_id, producer, first_sequence, len(entries), signature, entries)


def _conflict() -> DoudiError:
    return DoudiError(
        "batch.conflict",
        "another batch has this id, or these numbers of its producer",
        "Send the batch as it was sent first; if it was made anew, report it: the producer's journal was changed.",
    )
