"""Opening: the auditor's own key turns sealed entries into records, offline. One HPKE opening per batch, then one key per entry.

Steps for a batch (the same numbers label the code):
(1) A wrap for one of this auditor's keys stands in the batch, or another auditor gave one later. Destroyed wraps and batches that
    were sealed to others are states, not errors here: `opened_findings` says what they mean.
(2) The wrap opens to the batch key.
(3) Each entry's key, derived from it, is the one that the entry's header commits to.
(4) The entry opens under the log's origin and its own header.
(5) Its body is a record of a type that this producer may record, with nothing beyond the type's list.
A fault in (3) to (5) is kept with the entry, and all others still open.

Pure but for `open_pending`, which reads the store and writes `opened.db`. May import crypto, policies.contracts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from auditors.keys import AuditorKeys
from auditors.opened import BatchState, OpenedEntry, OpenedRecords
from auditors.store import Store, StoreError
from crypto.errors import CryptoError, DoudiError
from crypto.ledger_entries import (
    Entry,
    EntryHeader,
    entry_key,
    key_commitment,
    open_entry,
    open_wrap,
    parse_entry,
    parse_wraps,
)
from policies.contracts.ledger.added_wraps import unpack_wrap
from policies.contracts.ledger.placed import PlacedBatch
from policies.contracts.ledger.record_types import COORDINATOR_TYPES, NODE_TYPES
from policies.contracts.ledger.records import RecordType, parse_record
from policies.contracts.ledger.terms import COORDINATOR

PORTION_ENTRIES = 10_000
WRAPS_ADDED = "ledger.wraps_added"

Progress = Callable[[int, int], None]


class OwnKeys:
    """The sealing keys that this auditor holds: the present one and former ones."""

    def __init__(self, keys: Iterable[AuditorKeys]) -> None:
        self._private: dict[bytes, bytes] = {}
        self._by_card: dict[str, bytes] = {}
        for pair in keys:
            self._private[pair.auditor_id] = pair.sealing
            self._by_card[pair.card.digest()] = pair.sealing

    @property
    def cards(self) -> tuple[str, ...]:
        """The digests of this auditor's cards, as `ledger.wraps_added` names a receiver."""
        return tuple(sorted(self._by_card))

    @property
    def ids(self) -> frozenset[bytes]:
        """The names of these keys among the wraps of a batch."""
        return frozenset(self._private)

    def wraps_for_us(self, wraps: bytes, added: Iterable[tuple[str, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return (private key, wrap) for each wrap that is ours, those of the batch itself first."""
        found = []
        if wraps:
            try:
                found = [(self._private[name], wrap) for name, wrap in parse_wraps(wraps).items() if name in self.ids]
            except CryptoError:
                # Wraps without form are a finding of `verify`, and open nothing.
                found = []
        return found + [(self._by_card[receiver], wrap) for receiver, wrap in added if receiver in self._by_card]


@dataclass(frozen=True)
class OpenedPortion:
    """How many batches and entries one call opened, newly or again."""

    batches: int = 0
    entries: int = 0


def batch_key(
    origin: str, placed: PlacedBatch, first: EntryHeader | None, keys: OwnKeys, added: Iterable[tuple[str, bytes]] = ()
) -> tuple[BatchState, bytes]:
    """Return what becomes of a batch, and its key unless nobody here has it (no bytes then): steps (1) and (2).

    `first`: the header of the batch's first entry. Of several wraps the one counts whose key that entry commits to; where none
    does, the state is WRONG_KEY.
    """
    ours = keys.wraps_for_us(placed.wraps, added)
    if not ours:
        return (BatchState.OTHERS if placed.wraps else BatchState.SHREDDED), b""
    key = b""
    for private, wrap in ours:
        try:
            key = open_wrap(origin, placed.producer, placed.batch_id, wrap, private)
        except CryptoError:
            continue
        own = entry_key(key, placed.batch_id, first.position if first else 0)
        if first is None or key_commitment(own) == first.key_commitment:
            return BatchState.OPENED, key
    return BatchState.WRONG_KEY, key


def open_batch(
    origin: str,
    placed: PlacedBatch,
    data: Sequence[bytes],
    keys: OwnKeys,
    added: Iterable[tuple[str, bytes]] = (),
) -> tuple[BatchState, list[OpenedEntry]]:
    """Return what became of a batch and of each of its entries, in order.

    Entries without the form of one are left out: `verify` reports them, and without a header there is nothing to list.
    """
    entries = [(placed.first_index + position, entry) for position, item in enumerate(data) if (entry := _parsed(item))]
    state, key = batch_key(origin, placed, entries[0][1].header if entries else None, keys, added)
    if not key:
        return state, [OpenedEntry(index, entry.header) for index, entry in entries]
    types = COORDINATOR_TYPES if placed.producer == COORDINATOR else NODE_TYPES
    return state, [_opened(origin, index, entry, placed, key, types) for index, entry in entries]


def open_pending(
    store: Store,
    opened: OpenedRecords,
    keys: OwnKeys,
    size: int,
    progress: Progress | None = None,
    portion_entries: int = PORTION_ENTRIES,
) -> OpenedPortion:
    """Open everything up to `size` that is not opened yet, then former batches for which wraps have come since.

    `size`: up to which the store was verified. `progress`: called with (entries done, size). `portion_entries`: about as many are
    written in one transaction. Raises `StoreError`.
    """
    batches = entries = 0
    start = opened.size
    if start < size:
        if size - start > start:
            opened.drop_indices()
        stream = store.entries(start, size)
        for portion in _portions(_placed_between(store, start, size), portion_entries):
            with opened.portion():
                for placed in portion:
                    state, count = _open_into(opened, keys, placed, list(islice(stream, placed.count)))
                    batches, entries = batches + (state is BatchState.OPENED), entries + count
                opened.remember("size", str(portion[-1].first_index + portion[-1].count))
            # Durable from here; a crash repeats the next portion only.
            if progress is not None:
                progress(opened.size, size)
    opened.make_indices()
    again = _open_again(store, opened, keys)
    return OpenedPortion(batches + again.batches, entries + again.entries)


def _open_again(store: Store, opened: OpenedRecords, keys: OwnKeys) -> OpenedPortion:
    """Open batches that were closed before: those for which another auditor gave wraps, or all when our keys are others now."""
    ids = " ".join(sorted(name.hex() for name in keys.ids))
    receivers = keys.cards if opened.fact("keys") in (None, ids) else None
    batches = entries = 0
    while closed := opened.closed_batches(receivers):
        newly = 0
        with opened.portion():
            for first_index in closed:
                _, placed = store.batch_of(first_index)
                data = list(store.entries(first_index, first_index + placed.count))
                state, count = _open_into(opened, keys, placed, data)
                newly += state is BatchState.OPENED
                entries += count if state is BatchState.OPENED else 0
        batches, receivers = batches + newly, keys.cards
        if not newly:
            # What stays closed in spite of a wrap is not tried for ever; what was opened now may hold further wraps.
            break
    with opened.portion():
        opened.remember("keys", ids)
    return OpenedPortion(batches, entries)


def _open_into(
    opened: OpenedRecords, keys: OwnKeys, placed: PlacedBatch, data: Sequence[bytes]
) -> tuple[BatchState, int]:
    state, found = open_batch(opened.origin, placed, data, keys, opened.added_wraps(placed.batch_id))
    opened.put_batch(placed, state, found)
    for entry in found:
        if entry.record is not None and entry.record.type == WRAPS_ADDED:
            for text in entry.record.wraps:
                batch_id, wrap = unpack_wrap(text)
                opened.put_added_wrap(batch_id, entry.record.hashes.get("receiver", ""), wrap, entry.index)
    return state, sum(entry.record is not None for entry in found)


def _parsed(data: bytes) -> Entry | None:
    try:
        return parse_entry(data)
    except CryptoError:
        return None


def _opened(
    origin: str, index: int, entry: Entry, placed: PlacedBatch, key: bytes, types: Mapping[str, RecordType]
) -> OpenedEntry:
    try:
        # (3), (4)
        body = open_entry(origin, entry, entry_key(key, placed.batch_id, index - placed.first_index))
        # (5)
        record = parse_record(entry.header, body, types)
    except DoudiError as error:
        return OpenedEntry(index, entry.header, fault=error.code)
    try:
        for text in record.wraps:
            unpack_wrap(text)
    except DoudiError:
        return OpenedEntry(index, entry.header, fault="record.malformed")
    return OpenedEntry(index, entry.header, record, body)


def _placed_between(store: Store, start: int, size: int) -> Iterator[PlacedBatch]:
    number = store.batch_of(start)[0]
    for _, placed in store.batches(number):
        if placed.first_index != start or start + placed.count > size:
            raise StoreError("store.malformed", f"batch/{number}", "the batches of the mirror do not follow each other")
        yield placed
        number, start = number + 1, start + placed.count
        if start == size:
            return


def _portions(batches: Iterable[PlacedBatch], most: int) -> Iterator[list[PlacedBatch]]:
    portion: list[PlacedBatch] = []
    entries = 0
    for placed in batches:
        portion.append(placed)
        entries += placed.count
        if entries >= most:
            yield portion
            portion, entries = [], 0
    if portion:
        yield portion
