"""Headers of entries as people look through them: newest first, narrowed by producer, type, grant or number.

What narrows is found by the marks of batches (`marks`), and every page looks at a bounded part of the log, whatever is looked
for: a page may therefore hold fewer rows than wanted and still lead on. Whoever serves these must have asked the rules. Nothing
here opens an entry.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.ledger.log_reader import published_size
from coordinator.ledger.marks import grant_mark, marked_index, producer_mark, type_mark
from coordinator.ledger.models import BATCHES, MARKS, PLACES, LedgerPlaceRow
from coordinator.paging import Order, PageRequest, Slice, parse_cursor, write_cursor
from crypto.ledger_entries import EntryHeader, parse_entry
from policies.contracts.ledger.batches import unframe

# One page reads about so many entries at most, and tries so many batches that its marks name.
MOST_READ = 4_000
MOST_TRIED = 4_000
_PORTION_TRIED = 500
_LARGEST_PORTION_READ = 32
# A cursor names the lowest index that was looked at.
_ORDER = Order("newest_ledger_headers", (LedgerPlaceRow.first_index,), newest_first=True)


@dataclass(frozen=True)
class Narrowed:
    """What a list is narrowed to; `None` is no restriction. `up_to`: the highest index wanted."""

    producer: str | None = None
    type: str | None = None
    grant_hash: str | None = None
    up_to: int | None = None

    @property
    def marks(self) -> list[str]:
        """The marks that a batch must bear, the rarest kind first."""
        found = (
            self.grant_hash and grant_mark(self.grant_hash),
            self.type and type_mark(self.type),
            self.producer and producer_mark(self.producer),
        )
        return [mark for mark in found if mark]

    def fits(self, header: EntryHeader) -> bool:
        """Return whether an entry is wanted, apart from its index."""
        return (
            self.producer in (None, header.producer)
            and self.type in (None, header.type)
            and self.grant_hash in (None, header.grant_hash.hex())
        )


@dataclass(frozen=True)
class ListedHeader:
    """An entry's header and its index in the log. `keys_destroyed`: of its batch, so that nobody opens it any more."""

    index: int
    header: EntryHeader
    keys_destroyed: bool


@dataclass(frozen=True)
class _Batch:
    first_index: int
    entries: bytes
    shredded: bool


def newest_headers(session: Session, narrowed: Narrowed, wanted: PageRequest) -> Slice[ListedHeader]:
    """Return a page of the published entries that fit, newest first. Raises `request.bad_cursor`."""
    before = published_size(session)
    if narrowed.up_to is not None:
        before = min(before, narrowed.up_to + 1)
    if wanted.cursor is not None:
        before = min(before, int(parse_cursor(wanted.cursor, _ORDER)[0]))
    rows: list[ListedHeader] = []
    read = tried = 0
    while before > 0 and len(rows) < wanted.limit and read < MOST_READ and tried < MOST_TRIED:
        found, tried_now, reached = _fitting_batches(session, narrowed.marks, before)
        tried += tried_now
        for batch in _read(session, found):
            entries = unframe(batch.entries)
            read += len(entries)
            for index in range(min(batch.first_index + len(entries), before) - 1, batch.first_index - 1, -1):
                header = parse_entry(entries[index - batch.first_index]).header
                if narrowed.fits(header):
                    rows.append(ListedHeader(index, header, batch.shredded))
                if len(rows) == wanted.limit:
                    return Slice(rows, write_cursor(_ORDER, (index,)) if index else None)
            before = batch.first_index
            if read >= MOST_READ:
                break
        else:
            before = reached
    return Slice(rows, write_cursor(_ORDER, (before,)) if before else None)


def _fitting_batches(session: Session, marks: Sequence[str], before: int) -> tuple[list[int], int, int]:
    """Return first indices below an index, newest first, of batches that may hold what is wanted.

    And how many were tried, and down to which index all that there is has been tried.
    """
    connection = session.connection()
    marked = marked_index(session) if marks else -1
    if not marks or before > marked:
        # Not narrowed, or the newest part, which has no marks yet: batch by batch.
        query = select(PLACES.c.first_index).where(PLACES.c.first_index > marked, PLACES.c.first_index < before)
        found = list(connection.scalars(query.order_by(PLACES.c.first_index.desc()).limit(_PORTION_TRIED)))
        if found or not marks:
            return found, len(found), found[-1] if found else 0
    query = select(MARKS.c.first_index).where(MARKS.c.mark == marks[0], MARKS.c.first_index < before)
    query = query.order_by(MARKS.c.first_index.desc()).limit(_PORTION_TRIED)
    tried = found = list(connection.scalars(query))
    for mark in marks[1:]:
        also = select(MARKS.c.first_index).where(MARKS.c.mark == mark, MARKS.c.first_index.in_(found))
        bearing = set(connection.scalars(also))
        found = [index for index in found if index in bearing]
    return found, len(tried), tried[-1] if len(tried) == _PORTION_TRIED else 0


def _read(session: Session, first_indices: Sequence[int]) -> Iterator[_Batch]:
    """Yield the batches that begin at these indices, in the same order.

    The caller often stops early and batches hold up to 500 entries, so they are read in portions that grow.
    """
    start, portion = 0, 1
    while start < len(first_indices):
        query = (
            select(PLACES.c.first_index, BATCHES.c.entries, BATCHES.c.wraps.is_(None).label("shredded"))
            .join(BATCHES, BATCHES.c.id == PLACES.c.batch)
            .where(PLACES.c.first_index.in_(first_indices[start : start + portion]))
            .order_by(PLACES.c.first_index.desc())
        )
        for row in session.connection().execute(query):
            yield _Batch(row.first_index, row.entries, row.shredded)
        start, portion = start + portion, min(2 * portion, _LARGEST_PORTION_READ)
