"""The tree over all entries, built anew while they are read, and compared with the stored tiles. RFC 9162, C2SP tlog-tiles.

Keeps at most 256 hashes of every eighth level of the tree, so memory does not grow with the log. The pass begins at a bundle's
start: at 0, or at the last full bundle of what was verified before, whose hashes are read from the tiles and confirmed when the
root of the verified size comes out again.
"""

from collections.abc import Iterable, Sequence

from auditors.store import Store, StoreError
from auditors.verification.findings import Findings
from crypto.errors import DoudiError
from crypto.merkle import HASH_BYTES
from crypto.merkle_log import (
    Frontier,
    HashReader,
    consistency_proof,
    inclusion_proof,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from crypto.tiles import TILE_HEIGHT, TILE_WIDTH, tile_path, tile_reader

# So many leaves that differ from their tile are judged one by one.
MAXIMUM_DIFFERENT = 1_000


class TreePass:
    """The tree while it grows. `wanted`: sizes whose roots are kept on the way, in `roots`."""

    def __init__(self, store: Store, findings: Findings, wanted: Iterable[int], start: int = 0) -> None:
        """Begin at `start`, a multiple of 256. Raises `StoreError` when the tiles to begin with are missing."""
        self._store = store
        self._findings = findings
        self._wanted = sorted(set(wanted))
        self.roots: dict[int, bytes] = {}
        self.size = start
        # By tile level: the hashes of its last tile, fewer than 256. Level 0 is filled by the last, partial bundle alone.
        self._levels: list[list[bytes]] = [[]]
        level = 1
        while (nodes := start >> TILE_HEIGHT * level) > 0:
            index, width = divmod(nodes, TILE_WIDTH)
            tile = store.tile(level, index, width) if width else b""
            self._levels.append([tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)])
            level += 1
        self._different: list[tuple[int, bytes]] = []
        self._suspect_tiles: list[str] = []
        self._note_roots([])

    def add(self, hashes: Sequence[bytes]) -> None:
        """Add the leaf hashes of the next bundle: 256, or fewer for the last one."""
        index = self.size // TILE_WIDTH
        self._note_roots(hashes)
        self.size += len(hashes)
        if len(hashes) == TILE_WIDTH:
            self._check_tile(0, index, hashes)
            self._push(1, root_of(hashes))
        else:
            self._levels[0] = list(hashes)
        self._note_roots([])

    def finish(self, signed_root: bytes | None) -> bytes:
        """Return the root; compare the right edge's tiles, and the root with the signed one if there is one.

        Where an entry and its tile differ, the proof through the other tiles tells which of them the log signed.
        """
        for level, hashes in enumerate(self._levels):
            if hashes:
                self._check_tile(level, (self.size >> TILE_HEIGHT * level) // TILE_WIDTH, hashes)
        root = self._root(())
        if signed_root is not None and root != signed_root:
            self._findings.add("tree.wrong_root", "checkpoint", size=self.size)
        self._judge(signed_root, right=root == signed_root)
        return root

    def _note_roots(self, hashes: Sequence[bytes]) -> None:
        # Sizes within the bundle that comes next, or, without one, the size that is reached.
        end = self.size + max(1, len(hashes))
        while self._wanted and self._wanted[0] < end:
            size = self._wanted.pop(0)
            if size >= self.size:
                self.roots[size] = self._root(hashes[: size - self.size], size)

    def _root(self, leaves: Sequence[bytes], size: int | None = None) -> bytes:
        # The edge of the whole tree is the edges of the tiles at its right, the highest level's first.
        edge: list[bytes] = []
        for hashes in reversed(self._levels[1:]):
            edge += _edge(hashes)
        edge += _edge(leaves or self._levels[0])
        return Frontier(self.size if size is None else size, edge).root()

    def _push(self, level: int, node: bytes) -> None:
        if level == len(self._levels):
            self._levels.append([])
        hashes = self._levels[level]
        hashes.append(node)
        if len(hashes) == TILE_WIDTH:
            index = (self.size >> TILE_HEIGHT * level) // TILE_WIDTH - 1
            self._check_tile(level, index, hashes)
            self._levels[level] = []
            self._push(level + 1, root_of(hashes))

    def _check_tile(self, level: int, index: int, hashes: Sequence[bytes]) -> None:
        try:
            stored = self._store.tile(level, index, len(hashes))
        except StoreError as error:
            self._findings.add(error.code, error.place)
            return
        if stored == b"".join(hashes):
            return
        if level:
            self._suspect_tiles.append(tile_path(level, index))
            return
        for position, own in enumerate(hashes):
            other = stored[position * HASH_BYTES : (position + 1) * HASH_BYTES]
            if own != other and len(self._different) < MAXIMUM_DIFFERENT:
                self._different.append((index * TILE_WIDTH + position, other))

    def _judge(self, signed_root: bytes | None, *, right: bool) -> None:
        reader = tile_reader(self._store.tile, self.size)
        changed: list[int] = []
        tiles: dict[str, None] = {}
        for index, other in self._different:
            if not right and signed_root is not None and _is_proven(reader, signed_root, other, index, self.size):
                changed.append(index)
            else:
                tiles[tile_path(0, index // TILE_WIDTH)] = None
        if not changed:
            # Tiles above a changed entry differ from what was computed from it, and are right.
            tiles |= dict.fromkeys(self._suspect_tiles)
        for index in changed:
            self._findings.add("tree.entry_changed", f"entry/{index}")
        for place in tiles:
            self._findings.add("tree.tile_differs", place)


def root_from_tiles(store: Store, size: int, newest_root: bytes, newest_size: int) -> bytes:
    """Return the root of an earlier size, proven against the newest one. Raises `DoudiError` when the tiles do not prove it."""
    reader = tile_reader(store.tile, newest_size)
    hashes, start = [], 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            hashes.append(reader(level, start >> level))
            start += 1 << level
    root = Frontier(size, hashes).root()
    verify_consistency(root, size, newest_root, newest_size, consistency_proof(reader, size, newest_size))
    return root


def _edge(hashes: Sequence[bytes]) -> list[bytes]:
    frontier = Frontier.empty()
    frontier.extend(hashes)
    return list(frontier.hashes)


def _is_proven(reader: HashReader, root: bytes, leaf: bytes, index: int, size: int) -> bool:
    try:
        verify_inclusion(root, leaf, index, size, inclusion_proof(reader, index, size))
    except DoudiError:
        return False
    return True
