"""Batches in the database: the outbox that the sequencer empties, and what nodes submit.

A row is durable with the transaction that inserts it, before anybody is told. Whether a batch may come in is decided by its
caller, who has verified it.
"""

from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from coordinator.db.session import now_s
from coordinator.ledger.models import LedgerBatchRow, LedgerOutboxRow
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


def put_in_outbox(session: Session, sealed: SealedBatch) -> int:
    """Store a batch of the coordinator's own records, unsigned and without a place; return its row's number."""
    return _insert(session, COORDINATOR, sealed.batch_id, 0, None, None, sealed.wraps, sealed.entries)


def append(session: Session, batch: Batch) -> int:
    """Store a submitted batch, which the caller has verified (`verify_batch`), without a place; return its row's number.

    The same batch again changes nothing. Raises `batch.conflict` for other bytes under its id or its numbers, `BatchGap`.
    """
    known = session.execute(
        select(LedgerBatchRow.id, LedgerBatchRow.signature, LedgerBatchRow.signer, LedgerBatchRow.first_sequence).where(
            LedgerBatchRow.batch_id == batch.batch_id
        )
    ).one_or_none()
    if known is not None:
        # The signature covers producer, numbers, entries and the wraps' hash; a shredded batch is still the same one.
        if (known.signature, known.signer, known.first_sequence) != (
            batch.signature,
            batch.signer.hex(),
            batch.first_sequence,
        ):
            raise _conflict()
        return int(known.id)
    expected = next_sequence(session, batch.producer, batch.signer)
    if batch.first_sequence < expected:
        raise _conflict()
    if batch.first_sequence > expected:
        raise BatchGap(expected)
    return insert_batch(session, batch)


def insert_batch(session: Session, batch: Batch) -> int:
    """Store a signed batch without a place, whatever its numbers; return its row's number."""
    signer = batch.signer.hex()
    return _insert(
        session,
        batch.producer,
        batch.batch_id,
        batch.first_sequence,
        signer,
        batch.signature,
        batch.wraps,
        batch.entries,
    )


def next_sequence(session: Session, producer: str, signer: bytes) -> int:
    """Return the number that the next batch of a producer's key must begin with: 1 for a key that has sent none."""
    newest = session.execute(
        select(LedgerBatchRow.first_sequence, LedgerBatchRow.count)
        .where(
            LedgerBatchRow.producer == producer,
            LedgerBatchRow.signer == signer.hex(),
            LedgerBatchRow.first_sequence > 0,
        )
        .order_by(LedgerBatchRow.first_sequence.desc())
        .limit(1)
    ).one_or_none()
    return 1 if newest is None else sum(newest)


def is_waiting(session: Session) -> bool:
    """Return whether any batch has no place yet."""
    return session.scalar(select(LedgerOutboxRow.batch).limit(1)) is not None


def _insert(
    session: Session,
    producer: str,
    batch_id: bytes,
    first_sequence: int,
    signer: str | None,
    signature: bytes | None,
    wraps: bytes,
    entries: Sequence[bytes],
) -> int:
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
    number = session.scalars(insert(LedgerBatchRow).returning(LedgerBatchRow.id), [values]).one()
    session.execute(insert(LedgerOutboxRow), [{"batch": number}])
    return int(number)


def _conflict() -> DoudiError:
    return DoudiError(
        "batch.conflict",
        "another batch has this id, or these numbers of its producer",
        "Send the batch as it was sent first; if it was made anew, report it: the producer's journal was changed.",
    )
