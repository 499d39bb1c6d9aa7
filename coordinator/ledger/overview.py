"""The ledger's checkpoints as people look at them, and since when something waits for its place. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.ledger.models import (
    BATCHES,
    OUTBOX,
    LedgerCheckpointRow,
    LedgerCosignatureRow,
    LedgerTimestampRow,
)
from crypto.checkpoint import parse_checkpoint, parse_note


@dataclass(frozen=True)
class CheckpointLine:
    """A checkpoint with its root, how many cosigned it, and whether a time stamping authority stamped it."""

    size: int
    root: bytes
    published_at: int
    witnessed_at: int | None
    cosignatures: int
    stamped: bool


def newest_checkpoints(session: Session, limit: int) -> list[CheckpointLine]:
    """Return the newest checkpoints, newest first."""
    query = select(LedgerCheckpointRow).order_by(LedgerCheckpointRow.size.desc()).limit(limit)
    return _lines(session, session.scalars(query).all())


def checkpoint_line(session: Session, size: int) -> CheckpointLine | None:
    """Return the checkpoint of a size; `None` if there is none."""
    row = session.get(LedgerCheckpointRow, size)
    return None if row is None else _lines(session, [row])[0]


def waiting_since(session: Session) -> int | None:
    """Return when the oldest batch without a place came; `None` when nothing waits."""
    query = select(BATCHES.c.received_at).join(OUTBOX, OUTBOX.c.batch == BATCHES.c.id).order_by(OUTBOX.c.batch)
    found = session.scalar(query.limit(1))
    return None if found is None else int(found)


def _lines(session: Session, rows: Sequence[LedgerCheckpointRow]) -> list[CheckpointLine]:
    sizes = [row.size for row in rows]
    counted = (
        select(LedgerCosignatureRow.size, func.count())
        .where(LedgerCosignatureRow.size.in_(sizes))
        .group_by(LedgerCosignatureRow.size)
    )
    cosignatures = {size: count for size, count in session.execute(counted)}
    stamped = set(session.scalars(select(LedgerTimestampRow.size).where(LedgerTimestampRow.size.in_(sizes))))
    return [
        CheckpointLine(
            row.size,
            parse_checkpoint(parse_note(row.note).text).root,
            row.published_at,
            row.witnessed_at,
            cosignatures.get(row.size, 0),
            row.size in stamped,
        )
        for row in rows
    ]
