"""One pass over all entries: bundle after bundle to the tree, batch after batch to who checks batches. One bundle in memory.

A bundle that is missing or malformed does not end the pass: where its tile is there, the tree goes on with the tile's hashes,
and its entries are absent (`None`).
"""

from collections.abc import Callable

from auditors.store import Store, StoreError
from auditors.verification.findings import Findings
from auditors.verification.tree import TreePass
from crypto.merkle import HASH_BYTES, leaf_hash
from crypto.tiles import TILE_WIDTH

Progress = Callable[[int], None]
"""Gets the number of entries that the pass has read."""


class EntryWalk:
    """`broken`: neither a bundle nor its tile is there, so the pass ended before the tree did."""

    def __init__(self, store: Store, tree: TreePass, size: int, findings: Findings, progress: Progress) -> None:
        self._store = store
        self._tree = tree
        self._size = size
        self._findings = findings
        self._progress = progress
        self._first = tree.size
        self._entries: list[bytes | None] = []
        self._hashes: list[bytes] = []
        self.broken = False

    def take(self, first: int, count: int) -> tuple[list[bytes | None], list[bytes]]:
        """Return the entries and leaf hashes [first, first + count); what is before `first` is let go of.

        `first` never goes back. Fewer than `count` come at the end of the log, or where the pass is broken.
        """
        while self._first + len(self._hashes) < first + count and self._read():
            # Bundles that lie before the wanted entries are not collected.
            self._drop(first)
        self._drop(first)
        return self._entries[:count], self._hashes[:count]

    def drain(self) -> None:
        """Read what is left, for the tree."""
        while self._read():
            self._drop(self._size)

    def _drop(self, first: int) -> None:
        behind = min(first - self._first, len(self._hashes))
        if behind > 0:
            del self._entries[:behind], self._hashes[:behind]
            self._first += behind

    def _read(self) -> bool:
        if self.broken or self._tree.size >= self._size:
            return False
        index = self._tree.size // TILE_WIDTH
        width = min(TILE_WIDTH, self._size - self._tree.size)
        entries: list[bytes | None] = []
        try:
            entries += self._store.bundle(index, width)
            hashes = [leaf_hash(entry) for entry in entries if entry is not None]
        except StoreError as error:
            self._findings.add(error.code, error.place)
            hashes = self._hashes_of_tile(index, width)
            entries = [None] * len(hashes)
        if len(hashes) != width:
            self._findings.add("tree.incomplete", f"entry/{self._tree.size}", size=self._size)
            self.broken = True
            return False
        self._entries += entries
        self._hashes += hashes
        self._tree.add(hashes)
        self._progress(self._tree.size)
        return True

    def _hashes_of_tile(self, index: int, width: int) -> list[bytes]:
        try:
            tile = self._store.tile(0, index, width)
        except StoreError:
            return []
        return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]
