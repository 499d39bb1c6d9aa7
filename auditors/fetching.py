"""A visit to the log: what it has beyond the mirror is copied, file by file. Nothing is verified here; `verification` judges it.

Order and crashes:
(1) The newest checkpoints, the terms and the number of batches are asked for.
(2) Every file of that size that the mirror has not yet is copied, in portions that are durable before they get their names: a
    further `fetch` goes on where a broken one ended.
(3) The checkpoints are kept by size.
(4) `checkpoint` is replaced. Until then the mirror is the former one, from then on the new one, both whole.
(5) The visit is noted. (6) The right edge's narrower files are removed. A crash after (4) loses the note of this visit and leaves
    some files too many; the next visit makes good for both.

A log that shows a smaller tree than before changes nothing here but the notes: its checkpoint is kept, the mirror stays as it is.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from auditors.portions import Portion
from auditors.store import (
    CHECKPOINT,
    CHECKPOINTS,
    MAXIMUM_BUNDLE_BYTES,
    MAXIMUM_PAGE_BYTES,
    STATE,
    TERMS,
    TIMESTAMPS,
    WITNESSED,
    Store,
)
from auditors.visits import MAXIMUM_REGRESSIONS, MAXIMUM_VISITS, Regression, StoreState, Visit
from crypto.checkpoint import MAX_NOTE_BYTES, Checkpoint, parse_checkpoint, parse_note
from crypto.errors import DoudiError
from crypto.merkle import HASH_BYTES
from crypto.tiles import TILE_HEIGHT, TILE_WIDTH, bundles_of, entries_path, tile_path, tiles_of
from crypto.timestamps import MAXIMUM_RESPONSE_BYTES
from policies.contracts.base import MAXIMUM_DOCUMENT_BYTES
from policies.contracts.ledger.placed import PAGE_BATCHES, page_path
from policies.contracts.ledger.terms import SignedLedgerTerms

ProgressOf = Callable[[int, int], None]
"""Gets how many files are here, of how many."""
_MAXIMUM_SUMMARY_BYTES = 4_096


class LogSource(Protocol):
    """Where a log's files come from."""

    def get(self, path: str, at_most: int) -> bytes | None:
        """Return the file at a path below `/log/`, or `None` if there is none; raise for more than `at_most` bytes."""
        ...


@dataclass(frozen=True)
class Fetched:
    """What a visit brought. `files`: copied now. `before`: the mirror's size until now."""

    visit: Visit
    files: int
    before: int

    @property
    def smaller(self) -> bool:
        """Whether the log showed a smaller tree than the mirror has."""
        return self.visit.size < self.before


def fetch(
    source: LogSource, store: Store, url: str, now_s: int, progress: ProgressOf = lambda done, total: None
) -> Fetched:
    """Bring the mirror to what the log shows now. Steps as above.

    Raises `log.nothing_published`, `log.bad_answer`, `log.incomplete`, `file.unwritable`, `StoreError`, and what `source` raises.
    """
    # (1)
    state, before = store.state(), store.size
    newest, data = _newest(source)
    witnessed = _witnessed(source)
    if witnessed is not None and witnessed[0].size > newest.size:
        # The log grew between two questions.
        newest, data = witnessed
    terms = _copy_terms(source, store)
    batches, stamped = _summary(source)
    files = 0
    if newest.size >= before:
        # (2)
        files = _copy_files(source, store, newest.size, batches, progress)
    # (3)
    _keep_note(store, newest, data)
    if witnessed is not None:
        _keep_note(store, *witnessed)
        if witnessed[0].size >= _size_of(store, WITNESSED):
            store.write(WITNESSED, witnessed[1])
    if stamped and not store.has(f"{TIMESTAMPS}/{stamped}"):
        _copy_timestamp(source, store, stamped)
    # (4)
    if newest.size >= before:
        store.write(CHECKPOINT, data)
    # (5)
    visit = Visit(
        at=now_s, size=newest.size, witnessed=witnessed[0].size if witnessed else 0, batches=batches, terms=terms
    )
    _note_visit(store, state, visit, url, before)
    # (6)
    if newest.size >= before:
        _drop_narrower(store, before, state.batches, newest.size, batches)
    return Fetched(visit, files, before)


def _newest(source: LogSource) -> tuple[Checkpoint, bytes]:
    data = source.get("checkpoint", MAX_NOTE_BYTES)
    if data is None:
        raise DoudiError("log.nothing_published", "the log has published no checkpoint yet", "Fetch again later.")
    return _read_note(data), data


def _witnessed(source: LogSource) -> tuple[Checkpoint, bytes] | None:
    data = source.get("checkpoint/witnessed", MAX_NOTE_BYTES)
    return None if data is None else (_read_note(data), data)


def _read_note(data: bytes) -> Checkpoint:
    try:
        return parse_checkpoint(parse_note(data).text)
    except DoudiError as error:
        raise DoudiError("log.bad_answer", "what the log calls its checkpoint is none") from error


def _copy_terms(source: LogSource, store: Store) -> int:
    newest = source.get(f"{TERMS}/newest", MAXIMUM_DOCUMENT_BYTES)
    try:
        number = SignedLedgerTerms.parse(newest or b"").terms.number
    except DoudiError as error:
        raise DoudiError("log.bad_answer", "what the log calls its newest terms are none") from error
    for each in range(1, number):
        _copy(source, store, f"{TERMS}/{each}", MAXIMUM_DOCUMENT_BYTES, store.write)
    if newest is not None and not store.has(f"{TERMS}/{number}"):
        store.write(f"{TERMS}/{number}", newest)
    return number


def _summary(source: LogSource) -> tuple[int, int]:
    """Return the number of batches, and the size of the newest checkpoint with a time stamp, 0 for none."""
    data = source.get("summary", _MAXIMUM_SUMMARY_BYTES)
    try:
        found = json.loads(data or b"")
        numbers = found["batches"], found.get("timestamped_size", 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        numbers = None, None
    batches, stamped = numbers
    if type(batches) is not int or type(stamped) is not int or not 0 <= min(numbers) <= max(numbers) < 2**63:
        raise DoudiError("log.bad_answer", "the log's summary has the wrong form", "Check --url.")
    return batches, stamped


def _copy_timestamp(source: LogSource, store: Store, size: int) -> None:
    """Copy a time stamp and the checkpoint that it is about, if the log gives both: it proves something only beside it."""
    note = source.get(f"checkpoint/{size}", MAX_NOTE_BYTES)
    token = source.get(f"{TIMESTAMPS}/{size}", MAXIMUM_RESPONSE_BYTES)
    if note is None or token is None:
        return
    checkpoint = _read_note(note)
    if checkpoint.size != size:
        raise DoudiError("log.bad_answer", "what the log gives for a checkpoint is another one")
    _keep_note(store, checkpoint, note)
    store.write(f"{TIMESTAMPS}/{size}", token)


def _copy_files(source: LogSource, store: Store, size: int, batches: int, progress: ProgressOf) -> int:
    # Tiles of the higher levels are a 256th of the others.
    total = -(-size // TILE_WIDTH) * 2 + -(-batches // PAGE_BATCHES)
    files, portion = 0, Portion(store.folder)
    try:
        for done, (place, at_most) in enumerate(_files(size, batches), start=1):
            files += _copy(source, store, place, at_most, portion.put)
            progress(min(done, total), total)
    finally:
        # What came before an error is kept: the next visit does not ask for it again.
        portion.settle()
    return files


def _files(size: int, batches: int) -> Iterator[tuple[str, int]]:
    for bundle in bundles_of(size):
        yield bundle.path, MAXIMUM_BUNDLE_BYTES
    for tile in tiles_of(size):
        yield tile.path, tile.width * HASH_BYTES
    for number in range(batches // PAGE_BATCHES):
        yield page_path(number), MAXIMUM_PAGE_BYTES
    if batches % PAGE_BATCHES:
        yield page_path(batches // PAGE_BATCHES, batches % PAGE_BATCHES), MAXIMUM_PAGE_BYTES


def _copy(source: LogSource, store: Store, place: str, at_most: int, write: Callable[[str, bytes], None]) -> int:
    if store.has(place):
        return 0
    data = source.get(place, at_most)
    if data is None:
        raise DoudiError(
            "log.incomplete",
            f"the log does not give {place}, which its own checkpoint or terms need",
            "Fetch again; if it stays so, the log withholds it: tell the centre and keep the checkpoint as evidence.",
        )
    write(place, data)
    return 1


def _keep_note(store: Store, checkpoint: Checkpoint, data: bytes) -> None:
    """Keep a checkpoint by its size. Another one of this size is evidence of a fork, and kept beside it.

    Of two notes about one tree the one with more signature lines stays: cosignatures come in later.
    """
    place = f"{CHECKPOINTS}/{checkpoint.size}"
    if store.has(place):
        known = store.read(place, MAX_NOTE_BYTES)
        if _text(known) != _text(data):
            place = f"{place}.fork-{checkpoint.root.hex()[:16]}"
        elif len(known) >= len(data):
            return
    store.write(place, data)


def _text(note: bytes) -> bytes:
    return note.rpartition(b"\n\n")[0]


def _size_of(store: Store, place: str) -> int:
    return store.unverified_checkpoint(place).size if store.has(place) else 0


def _note_visit(store: Store, state: StoreState, visit: Visit, url: str, before: int) -> None:
    visits = list(state.visits)
    if visits and visits[-1].model_copy(update={"at": visit.at}) == visit:
        visits.pop()
    regressions = state.regressions
    known = any((one.before, one.after) == (before, visit.size) for one in regressions)
    if visit.size < before and not known and len(regressions) < MAXIMUM_REGRESSIONS:
        regressions = (*regressions, Regression(at=visit.at, before=before, after=visit.size))
    kept = StoreState(
        url=url,
        batches=state.batches if visit.size < before else visit.batches,
        visits=(*visits, visit)[-MAXIMUM_VISITS:],
        regressions=regressions,
    )
    store.write(STATE, kept.to_bytes())


def _drop_narrower(store: Store, before: int, batches_before: int, size: int, batches: int) -> None:
    kept = {place for place, _ in _right_edge(size, batches)}
    for place, folder in _right_edge(before, batches_before):
        if place not in kept:
            (store.folder / place).unlink(missing_ok=True)
        if not any((store.folder / folder).glob("*")) and (store.folder / folder).is_dir():
            (store.folder / folder).rmdir()


def _right_edge(size: int, batches: int) -> Iterator[tuple[str, str]]:
    """Yield every partial file of a size, with its folder."""
    partial = []
    if size % TILE_WIDTH:
        partial.append((entries_path(size // TILE_WIDTH, size % TILE_WIDTH), entries_path(size // TILE_WIDTH)))
    for level in range(size.bit_length() // TILE_HEIGHT + 1):
        index, width = divmod(size >> TILE_HEIGHT * level, TILE_WIDTH)
        if width:
            partial.append((tile_path(level, index, width), tile_path(level, index)))
    number, width = divmod(batches, PAGE_BATCHES)
    if width:
        partial.append((page_path(number, width), page_path(number)))
    for place, full in partial:
        yield place, f"{full}.p"
