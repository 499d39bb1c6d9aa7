"""The local mirror of the log: files with the names that they have under `/log/`, so that other tools read it too.

| path | what |
| --- | --- |
| checkpoint, witnessed | the newest published checkpoint, and the newest one that a quorum cosigned, as they were served |
| checkpoints/<size> | every checkpoint that a visit saw; `<size>.fork-<hash>`: another one of the same size |
| terms/<number> | the log's terms |
| timestamps/<size> | what a time stamping authority said about the checkpoint of that size, where one was asked |
| tile/<L>/<N>, tile/entries/<N> | C2SP tlog-tiles; at the right edge `.p/<width>` |
| batches/<N> | pages of 256 placed batches; at the right edge `.p/<width>` |
| state.json | what the visits saw |

Nothing here is trusted: `verification` judges it. Reading raises `StoreError`, which names the file; a crash while fetching
leaves the former mirror usable, because `checkpoint` is written last. Imports no network.
"""

import os
import re
from collections.abc import Iterator
from functools import cached_property
from itertools import count
from pathlib import Path

from auditors.visits import StoreState
from command_line.documents import write_atomically
from crypto.checkpoint import MAX_NOTE_BYTES, Checkpoint, Note, parse_checkpoint, parse_note
from crypto.errors import DoudiError
from crypto.ledger_entries import AUDITOR_ID_BYTES, MAX_AUDITORS, WRAP_BYTES
from crypto.merkle import HASH_BYTES
from crypto.tiles import MAX_ENTRY_BYTES, TILE_WIDTH, entries_path, parse_bundle, tile_path
from policies.contracts.base import MAXIMUM_DOCUMENT_BYTES
from policies.contracts.ledger.batches import malformed
from policies.contracts.ledger.placed import PAGE_BATCHES, PlacedBatch, page_path, parse_page
from policies.contracts.ledger.placed import VERSION as PAGE_VERSION
from policies.contracts.ledger.terms import SignedLedgerTerms

CHECKPOINT = "checkpoint"
WITNESSED = "witnessed"
CHECKPOINTS = "checkpoints"
TERMS = "terms"
TIMESTAMPS = "timestamps"
STATE = "state.json"
MAXIMUM_BUNDLE_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES)
MAXIMUM_PAGE_BYTES = 1 + PAGE_BATCHES * (512 + MAX_AUDITORS * (AUDITOR_ID_BYTES + WRAP_BYTES))
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class StoreError(DoudiError):
    """A file of the mirror that is missing ("store.missing") or not what its name says ("store.malformed"). `place`: its path."""

    def __init__(self, code: str, place: str, message: str) -> None:
        super().__init__(code, message, "Run `doudi audit fetch` again; if it stays so, keep the file as evidence.")
        self.args = (code, place, message)
        self.place = place


class Store:
    """A mirror in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bundles: dict[int, list[bytes]] = {}

    # Files.

    def has(self, place: str) -> bool:
        """Return whether there is such a file."""
        return (self.folder / place).is_file()

    def read(self, place: str, at_most: int = MAXIMUM_DOCUMENT_BYTES) -> bytes:
        """Return a file's bytes. Raises `StoreError`."""
        try:
            with (self.folder / place).open("rb") as file:
                data = file.read(at_most + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError("store.missing", place, f"{place} is not in the mirror") from None
        except OSError:
            raise StoreError("store.malformed", place, f"{place} cannot be read") from None
        if len(data) > at_most:
            raise StoreError("store.malformed", place, f"{place} is longer than anything of its kind")
        return data

    def write(self, place: str, data: bytes) -> None:
        """Write a file so that it is durable, or its old content is still there. Raises `file.unwritable`."""
        try:
            write_atomically(self.folder / place, data)
        except OSError:
            raise DoudiError(
                "file.unwritable", f"{place} cannot be written", "Check the disk and its rights."
            ) from None

    # Checkpoints, terms, state.

    def note(self, place: str) -> Note:
        """Return a checkpoint file's note; none of its signatures is verified. Raises `StoreError`."""
        try:
            return parse_note(self.read(place, MAX_NOTE_BYTES))
        except StoreError:
            raise
        except DoudiError as error:
            raise StoreError("store.malformed", place, f"{place} is no checkpoint") from error

    def latest(self) -> Note | None:
        """Return the newest checkpoint of the mirror, which everything in it is complete for; `None` before the first visit."""
        return self.note(CHECKPOINT) if self.has(CHECKPOINT) else None

    def witnessed(self) -> Note | None:
        """Return the newest checkpoint that the log calls witnessed."""
        return self.note(WITNESSED) if self.has(WITNESSED) else None

    def unverified_checkpoint(self, place: str = CHECKPOINT, note: Note | None = None) -> Checkpoint:
        """Return what a checkpoint file, or its note, states. Raises `StoreError`."""
        found = note or self.note(place)
        try:
            return parse_checkpoint(found.text)
        except DoudiError as error:
            raise StoreError("store.malformed", place, f"{place} is no checkpoint") from error

    @cached_property
    def size(self) -> int:
        """The size that the mirror is complete for; 0 before the first visit. Raises `StoreError`."""
        return self.unverified_checkpoint().size if self.has(CHECKPOINT) else 0

    def checkpoint_places(self) -> list[str]:
        """Return the paths of every checkpoint that a visit saw, by size."""
        found = [path.name for path in (self.folder / CHECKPOINTS).glob("[0-9]*")]
        sized = [(int(name.partition(".")[0]), name) for name in found if _NUMBER.fullmatch(name.partition(".")[0])]
        return [f"{CHECKPOINTS}/{name}" for _, name in sorted(sized)]

    def timestamp_sizes(self) -> list[int]:
        """Return the sizes of the checkpoints for which a time stamp is in the mirror, in order."""
        names = [path.name for path in (self.folder / TIMESTAMPS).glob("[0-9]*")]
        return sorted(int(name) for name in names if _NUMBER.fullmatch(name))

    def terms_numbers(self) -> list[int]:
        """Return the numbers of the terms that are in the mirror, in order."""
        names = [path.name for path in (self.folder / TERMS).glob("[0-9]*")]
        return sorted(int(name) for name in names if _NUMBER.fullmatch(name))

    def terms(self, number: int) -> SignedLedgerTerms:
        """Return terms by number; their signature is not verified. Raises `StoreError`."""
        place = f"{TERMS}/{number}"
        data = self.read(place)
        try:
            return SignedLedgerTerms.parse(data)
        except DoudiError as error:
            raise StoreError("store.malformed", place, f"{place} is no terms of a log") from error

    def newest_terms(self) -> SignedLedgerTerms:
        """Return the terms with the highest number, not verified. Raises `StoreError`."""
        numbers = self.terms_numbers()
        return self.terms(numbers[-1] if numbers else 1)

    def state(self) -> StoreState:
        """Return what the visits saw. Raises `StoreError`."""
        if not self.has(STATE):
            return StoreState()
        try:
            return StoreState.parse(self.read(STATE))
        except StoreError:
            raise
        except DoudiError as error:
            raise StoreError("store.malformed", STATE, f"{STATE} is not what `fetch` writes") from error

    # Tiles and entries.

    def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """Return the first `width` hashes of a tile: for `crypto.tiles.tile_reader`. Raises `StoreError`."""
        stored = self._stored_width(tile_path(level, index), width)
        place = tile_path(level, index, stored)
        data = self.read(place, stored * HASH_BYTES)
        if len(data) != stored * HASH_BYTES:
            raise StoreError("store.malformed", place, f"{place} has not {stored} hashes")
        return data[: width * HASH_BYTES]

    def bundle(self, index: int, width: int) -> list[bytes]:
        """Return the first `width` entries of a bundle. Raises `StoreError`."""
        stored = self._stored_width(entries_path(index), width)
        place = entries_path(index, stored)
        data = self.read(place, MAXIMUM_BUNDLE_BYTES)
        try:
            return parse_bundle(data, stored)[:width]
        except DoudiError as error:
            raise StoreError("store.malformed", place, f"{place} has not {stored} entries") from error

    def entry(self, index: int) -> bytes:
        """Return the bytes of one entry; the last bundles are kept in memory. Raises `StoreError`."""
        number, position = divmod(index, TILE_WIDTH)
        entries = self._bundles.get(number, [])
        if position >= len(entries):
            entries = self.bundle(number, min(TILE_WIDTH, max(position + 1, self.size - number * TILE_WIDTH)))
            if len(self._bundles) >= 4:
                self._bundles.pop(next(iter(self._bundles)))
            self._bundles[number] = entries
        return entries[position]

    def entries(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the entries [start, end) in order, one bundle in memory. Raises `StoreError`."""
        for number in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
            first = number * TILE_WIDTH
            yield from self.bundle(number, min(TILE_WIDTH, end - first))[max(0, start - first) :]

    # Batches.

    def page(self, number: int) -> list[PlacedBatch]:
        """Return the batches of one page, as wide as it is here. Raises `StoreError`."""
        width = self._stored_width(page_path(number), 1)
        place = page_path(number, width)
        data = self.read(place, MAXIMUM_PAGE_BYTES)
        try:
            return parse_page(data, width)
        except DoudiError as error:
            raise StoreError("store.malformed", place, f"{place} has not {width} batches") from error

    def has_page(self, number: int) -> bool:
        """Return whether the mirror has this page, full or partial."""
        return self.has(page_path(number)) or bool(self._partial_widths(page_path(number)))

    def batches(self, start: int = 0) -> Iterator[tuple[int, PlacedBatch]]:
        """Yield (number, batch) in the order of the log, from batch `start`. Raises `StoreError`."""
        for number in count(start // PAGE_BATCHES):
            if not self.has_page(number):
                return
            for position, batch in enumerate(self.page(number), start=number * PAGE_BATCHES):
                if position >= start:
                    yield position, batch

    def batch_of(self, index: int) -> tuple[int, PlacedBatch]:
        """Return (number, batch) of the batch that holds an entry. Raises `StoreError`."""
        low, high = 0, 1
        while self.has_page(high) and self._first_index(high) <= index:
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            begins = self.has_page(middle) and self._first_index(middle) <= index
            low, high = (middle, high) if begins else (low, middle)
        place = page_path(low, self._stored_width(page_path(low), 1))
        try:
            with (self.folder / place).open("rb") as file:
                position, batch = _find_in_page(file.fileno(), index)
        except OSError:
            raise StoreError("store.missing", place, f"{place} is not in the mirror") from None
        except DoudiError as error:
            raise StoreError("store.malformed", place, f"{place} holds no batch with entry {index}") from error
        return low * PAGE_BATCHES + position, batch

    def _first_index(self, number: int) -> int:
        # The first field of a page's first batch stands behind version and two lengths: a look-up reads no whole pages.
        place = page_path(number, self._stored_width(page_path(number), 1))
        try:
            with (self.folder / place).open("rb") as file:
                head = file.read(17)
        except OSError:
            raise StoreError("store.missing", place, f"{place} is not in the mirror") from None
        if len(head) != 17:
            raise StoreError("store.malformed", place, f"{place} has no batches")
        return int.from_bytes(head[9:], "big")

    def _stored_width(self, place: str, width: int) -> int:
        # The file that has at least this width: the full one, else the widest partial one.
        if self.has(place):
            return TILE_WIDTH
        return max([width, *self._partial_widths(place)])

    def _partial_widths(self, place: str) -> list[int]:
        try:
            names = [path.name for path in (self.folder / f"{place}.p").iterdir()]
        except OSError:
            return []
        return [int(name) for name in names if _NUMBER.fullmatch(name) and 0 < int(name) < TILE_WIDTH]


def _find_in_page(descriptor: int, index: int) -> tuple[int, PlacedBatch]:
    """Return (position, batch) of the batch with an entry; the others are stepped over, not read. Raises `batch.malformed`."""
    start = 1
    for position in range(PAGE_BATCHES):
        # Its length, then the first two fields, each behind its own length: first index and number of entries.
        head = os.pread(descriptor, 24, start)
        if len(head) < 24:
            break
        length = int.from_bytes(head[:4], "big")
        first, many = int.from_bytes(head[8:16], "big"), int.from_bytes(head[20:24], "big")
        if first <= index < first + many:
            frame = os.pread(descriptor, min(4 + length, MAXIMUM_PAGE_BYTES), start)
            return position, parse_page(PAGE_VERSION + frame, 1)[0]
        start += 4 + length
    raise malformed("no batch of the page holds the entry")
