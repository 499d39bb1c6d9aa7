"""Which batch holds what: marks by producer, type and grant, made from the entries' headers behind the log's writer.

No act waits for them: the writer's thread makes them in portions when nothing else is to be done, and whoever reads looks through
the batches that have none yet. A crash leaves whole portions, and the next one begins where the marks end.
"""

from collections.abc import Iterable

from sqlalchemy import Engine, Row, func, select
from sqlalchemy.dialects.postgresql import insert as insert_on_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite
from sqlalchemy.orm import Session

from coordinator.db.session import begin, read
from coordinator.ledger.models import BATCHES, MARKS, PLACES
from crypto.ledger_entries import NO_GRANT, parse_entry
from policies.contracts.ledger.batches import unframe

PORTION_ENTRIES = 2_000
# Rows that are read at once, so that large batches take little memory.
_PORTION_ROWS = 32
# Stands at the last batch of each portion: how far the marks go.
_END = "end"
_MARKED = select(func.max(MARKS.c.first_index)).where(MARKS.c.mark == _END)
# Two processes may make the same marks at once; the second finds them there.
_ADD = {
    "sqlite": insert_on_sqlite(MARKS).on_conflict_do_nothing(),
    "postgresql": insert_on_postgresql(MARKS).on_conflict_do_nothing(),
}


def producer_mark(producer: str) -> str:
    """Return the mark of batches that a producer made."""
    return f"producer:{producer}"


def type_mark(name: str) -> str:
    """Return the mark of batches with a record of a type."""
    return f"type:{name}"


def grant_mark(grant_hash: str) -> str:
    """Return the mark of batches with a record under a grant, whose hash is given in hexadecimal."""
    return f"grant:{grant_hash}"


def marked_index(session: Session) -> int:
    """Return the first index of the last batch that has its marks; -1 before the first one."""
    found = session.connection().execute(_MARKED).scalar_one()
    return -1 if found is None else int(found)


class Marker:
    """Makes the marks of placed batches. Several may be at work on one database."""

    def __init__(self, engine: Engine) -> None:
        # As for the log's writer: what is read here must not make acts fail that are recorded meanwhile.
        weaker = engine.dialect.name != "sqlite"
        self._engine = engine.execution_options(isolation_level="READ COMMITTED") if weaker else engine

    def mark(self, limit: int = PORTION_ENTRIES) -> bool:
        """Mark the next placed batches, about `limit` entries of them; return whether there were any."""
        # Places and entries never change, so they are read and parsed before the transaction that makes others wait.
        with read(self._engine) as session:
            marks = _next_marks(session, limit)
        if not marks:
            return False
        with begin(self._engine) as session:
            connection = session.connection()
            connection.execute(_ADD[connection.dialect.name], marks)
        return True


def _next_marks(session: Session, limit: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    after, entries = marked_index(session), 0
    while entries < limit:
        rows = _batches_after(session, after)
        for row in rows:
            found += [{"mark": mark, "first_index": row.first_index} for mark in sorted(_marks_of(row))]
            entries += row.held
            after = row.first_index
            if entries >= limit:
                break
        if len(rows) < _PORTION_ROWS:
            break
    return [*found, {"mark": _END, "first_index": after}] if found else []


def _batches_after(session: Session, index: int) -> list[Row[tuple[int, str, int, bytes]]]:
    query = (
        select(PLACES.c.first_index, BATCHES.c.producer, BATCHES.c.count.label("held"), BATCHES.c.entries)
        .join(BATCHES, BATCHES.c.id == PLACES.c.batch)
        .where(PLACES.c.first_index > index)
        .order_by(PLACES.c.first_index)
        .limit(_PORTION_ROWS)
    )
    return list(session.connection().execute(query))


def _marks_of(row: Row[tuple[int, str, int, bytes]]) -> Iterable[str]:
    headers = [parse_entry(entry).header for entry in unframe(row.entries)]
    types = {type_mark(header.type) for header in headers}
    grants = {grant_mark(header.grant_hash.hex()) for header in headers if header.grant_hash != NO_GRANT}
    return {producer_mark(row.producer)} | types | grants
