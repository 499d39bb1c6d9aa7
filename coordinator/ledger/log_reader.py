"""What others read of the log: notes, tiles, bundles, pages, proofs, headers. Only what the newest published checkpoint covers.

Whoever serves these must have asked the rules who may read which. Nothing here opens an entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.ledger.cosigning import cosigned_note
from coordinator.ledger.models import LedgerBatchRow, LedgerCheckpointRow, LedgerPlaceRow, LedgerTimestampRow
from coordinator.ledger.terms_store import newest_terms
from coordinator.ledger.tile_store import stored_reader, tile_data
from coordinator.paging import Order, PageRequest, Slice, parse_cursor, write_cursor
from crypto import merkle_log
from crypto.checkpoint import Note
from crypto.errors import DoudiError
from crypto.ledger_entries import MAX_BATCH_ENTRIES, EntryHeader, parse_entry
from crypto.tiles import TILE_HEIGHT, TILE_WIDTH, encode_bundle
from policies.contracts.ledger.batches import unframe
from policies.contracts.ledger.placed import PAGE_BATCHES, PlacedBatch, pack_page

MOST_PROOFS = 500
# A cursor names the index of the entry that was given last.
_IN_ORDER = Order("ledger_entries", (LedgerPlaceRow.first_index,))


@dataclass(frozen=True)
class Summary:
    """How far the log is: in its newest published checkpoint, its newest witnessed one, and the newest with a time stamp."""

    size: int
    batches: int
    terms: int
    witnessed_size: int
    timestamped_size: int


@dataclass(frozen=True)
class PlacedHeader:
    """An entry's header and its index in the log. `sealed_bytes`: of its ciphertext."""

    index: int
    header: EntryHeader
    sealed_bytes: int


def published_size(session: Session, witnessed: bool = False) -> int:
    """Return the size of the newest published (or witnessed) checkpoint; 0 if there is none."""
    query = select(LedgerCheckpointRow.size).order_by(LedgerCheckpointRow.size.desc()).limit(1)
    if witnessed:
        query = query.where(LedgerCheckpointRow.witnessed_at.is_not(None))
    return session.scalar(query) or 0


def checkpoint_note(session: Session, witnessed: bool = False) -> Note | None:
    """Return the newest published (or witnessed) checkpoint with the cosignatures that it has; `None` if there is none."""
    size = published_size(session, witnessed)
    return cosigned_note(session, size) if size else None


def checkpoint_of_size(session: Session, size: int) -> Note:
    """Return the checkpoint of one size with its cosignatures. Raises `checkpoint.unknown`."""
    return cosigned_note(session, size)


def summary(session: Session) -> Summary:
    """Return how far the log is. Raises `ledger.not_set_up`."""
    size = published_size(session)
    stamped = session.scalar(select(func.max(LedgerTimestampRow.size)))
    return Summary(
        size,
        batches_within(session, size),
        newest_terms(session).number,
        published_size(session, True),
        int(stamped or 0),
    )


def batches_within(session: Session, size: int) -> int:
    """Return how many batches end within the first `size` entries: checkpoints never cut a batch."""
    newest = session.scalar(
        select(LedgerPlaceRow.number)
        .where(LedgerPlaceRow.first_index < size)
        .order_by(LedgerPlaceRow.first_index.desc())
        .limit(1)
    )
    return 0 if newest is None else newest + 1


def tile(session: Session, level: int, index: int, width: int) -> bytes:
    """Return a tile of hashes. Raises `ledger.unknown_tile` for what the newest checkpoint does not cover."""
    available = (published_size(session) >> (TILE_HEIGHT * level)) - TILE_WIDTH * index
    if not 1 <= width <= min(TILE_WIDTH, available):
        raise _unknown_tile()
    return tile_data(session, level, index, width)


def bundle(session: Session, index: int, width: int) -> bytes:
    """Return a bundle of entries. Raises `ledger.unknown_tile` for what the newest checkpoint does not cover."""
    start = TILE_WIDTH * index
    if not 1 <= width <= min(TILE_WIDTH, published_size(session) - start):
        raise _unknown_tile()
    return encode_bundle([entry for _, entry in _entries(session, start, start + width)])


def page(session: Session, number: int, width: int) -> bytes:
    """Return a page of placed batches without their entries. Raises `ledger.unknown_tile`."""
    start = PAGE_BATCHES * number
    if not 1 <= width <= min(PAGE_BATCHES, batches_within(session, published_size(session)) - start):
        raise _unknown_tile()
    rows = session.execute(
        select(
            LedgerPlaceRow.first_index,
            LedgerBatchRow.count.label("entries"),
            LedgerBatchRow.producer,
            LedgerBatchRow.batch_id,
            LedgerBatchRow.first_sequence,
            LedgerBatchRow.signer,
            LedgerBatchRow.signature,
            LedgerBatchRow.wraps,
        )
        .join(LedgerBatchRow, LedgerBatchRow.id == LedgerPlaceRow.batch)
        .where(LedgerPlaceRow.number >= start, LedgerPlaceRow.number < start + width)
        .order_by(LedgerPlaceRow.number)
    )
    return pack_page(
        [
            PlacedBatch(
                row.first_index,
                row.entries,
                row.producer,
                row.batch_id,
                row.first_sequence,
                bytes.fromhex(row.signer),
                row.signature,
                row.wraps or b"",
            )
            for row in rows
        ]
    )


def place_of(session: Session, batch: int) -> tuple[int, int] | None:
    """Return first index and number of entries of a batch's row; `None` while it waits for its place."""
    row = session.execute(
        select(LedgerPlaceRow.first_index, LedgerBatchRow.count)
        .join(LedgerBatchRow, LedgerBatchRow.id == LedgerPlaceRow.batch)
        .where(LedgerPlaceRow.batch == batch)
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def prove_inclusion(session: Session, indices: Sequence[int], size: int) -> list[list[bytes]]:
    """Return a proof for each entry that it is in the tree of `size`, which must be published.

    Raises `ledger.not_published`, `ledger.too_many_proofs`, "merkle.bad_index".
    """
    _require_published(session, size)
    if len(indices) > MOST_PROOFS:
        raise DoudiError("ledger.too_many_proofs", f"at most {MOST_PROOFS} proofs are made at once")
    read = stored_reader(session, size)
    return [merkle_log.inclusion_proof(read, index, size) for index in indices]


def prove_consistency(session: Session, old_size: int, new_size: int) -> list[bytes]:
    """Return the proof that the tree of `new_size`, which must be published, begins with that of `old_size`.

    Raises `ledger.not_published`, "merkle.bad_index".
    """
    _require_published(session, new_size)
    return merkle_log.consistency_proof(stored_reader(session, new_size), old_size, new_size)


def headers(session: Session, after: int, wanted: PageRequest) -> Slice[PlacedHeader]:
    """Return a page of the headers of entries with an index from `after` on, in the log's order. Raises `request.bad_cursor`.

    As people look through them, newest first and narrowed: `header_lists`.
    """
    given = None if wanted.cursor is None else int(parse_cursor(wanted.cursor, _IN_ORDER)[0])
    size = published_size(session)
    start = after if given is None else max(after, given + 1)
    end = min(size, start + wanted.limit)
    rows = [_placed_header(index, entry) for index, entry in _entries(session, start, end)]
    return Slice(rows, write_cursor(_IN_ORDER, (rows[-1].index,)) if rows and end < size else None)


def _entries(session: Session, start: int, end: int) -> list[tuple[int, bytes]]:
    """Return index and bytes of the entries of a range that the caller knows to be published."""
    rows = session.execute(
        select(LedgerPlaceRow.first_index, LedgerBatchRow.entries)
        .join(LedgerBatchRow, LedgerBatchRow.id == LedgerPlaceRow.batch)
        # A batch that holds an entry of the range begins at most a batch's length before it.
        .where(LedgerPlaceRow.first_index > start - MAX_BATCH_ENTRIES, LedgerPlaceRow.first_index < end)
        .order_by(LedgerPlaceRow.first_index)
    )
    return [
        (index, entry)
        for first, entries in rows
        for index, entry in enumerate(unframe(entries), start=first)
        if start <= index < end
    ]


def _placed_header(index: int, data: bytes) -> PlacedHeader:
    entry = parse_entry(data)
    return PlacedHeader(index, entry.header, len(entry.ciphertext))


def _require_published(session: Session, size: int) -> None:
    if size > published_size(session):
        raise DoudiError("ledger.not_published", "the log has published no checkpoint of this size or a larger one")


def _unknown_tile() -> DoudiError:
    return DoudiError("ledger.unknown_tile", "the newest checkpoint of the log covers no such tile, bundle or page")
