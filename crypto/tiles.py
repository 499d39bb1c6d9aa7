"""Tiles of a log: the files in which it stores its tree and its entries. C2SP tlog-tiles (c2sp.org/tlog-tiles).

A tile is 256 consecutive hashes of one tree level, every eighth level of the tree: tile level L holds the roots of
perfect subtrees of 256^L leaves. The right edge is a partial tile, named with its width. Entries are stored in bundles
of 256, each behind its length. A tile proves nothing: what is read from it is checked by a proof against a signed root.
Pure: paths are strings, tiles are bytes. Imports `merkle`, `merkle_log`, `errors`.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from crypto.errors import CryptoError
from crypto.merkle import HASH_BYTES, NODE_PREFIX
from crypto.merkle_log import HashReader

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_LEVEL = 63
MAX_INDEX = (1 << 63) - 1
MAX_ENTRY_BYTES = (1 << 16) - 1

_LENGTH_BYTES = 2
# A tile with its inner levels has 511 hashes, about 34 kB as Python objects: 256 of them are 9 MB.
_MEMOISED_TILES = 256
_MAX_PATH_CHARACTERS = 64
_PATH = re.compile(
    r"tile/(?P<level>entries|[0-9]{1,2})/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?"
)


@dataclass(frozen=True)
class TileAddress:
    """The name of one tile. `level` None: a bundle of entries. `width` 1 to 256 hashes or entries; below 256: partial.

    Raises `CryptoError` "tile.bad_path" for a tile that cannot exist.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        level_fits = self.level is None or 0 <= self.level <= MAX_LEVEL
        if not level_fits or not 0 <= self.index <= MAX_INDEX or not 1 <= self.width <= TILE_WIDTH:
            raise CryptoError("tile.bad_path", "a tile has a level of 0 to 63, an index from 0 and 1 to 256 hashes")

    @property
    def path(self) -> str:
        """The path under the log's prefix, for example "tile/0/x001/x234/067.p/5"."""
        groups = [f"{self.index % 1000:03d}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03d}")
            rest //= 1000
        level = "entries" if self.level is None else str(self.level)
        partial = f".p/{self.width}" if self.width < TILE_WIDTH else ""
        return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile of hashes. Raises `CryptoError` "tile.bad_path"."""
    return TileAddress(level, index, width).path


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a bundle of entries. Raises `CryptoError` "tile.bad_path"."""
    return TileAddress(None, index, width).path


def parse_tile_path(path: str) -> TileAddress:
    """Return the address of an untrusted path: only the one canonical form, so two names never mean one tile.

    Raises `CryptoError` "tile.bad_path".
    """
    match = _PATH.fullmatch(path) if len(path) <= _MAX_PATH_CHARACTERS else None
    if match is None:
        raise _bad_path()
    level = None if match["level"] == "entries" else int(match["level"])
    index = int(re.sub("[x/]", "", match["index"]))
    address = TileAddress(level, index, int(match["width"] or TILE_WIDTH))
    # Leading zeros, an explicit width of 256 and the like are found by writing the address again.
    if address.path != path:
        raise _bad_path()
    return address


def tiles_of(size: int) -> Iterator[TileAddress]:
    """Yield every tile of hashes of a tree with `size` leaves, level by level: the full ones, then the partial one."""
    return new_tiles(0, size)


def bundles_of(size: int) -> Iterator[TileAddress]:
    """Yield every bundle of entries of a tree with `size` leaves: the full ones, then the partial one."""
    return new_bundles(0, size)


def new_tiles(old_size: int, new_size: int) -> Iterator[TileAddress]:
    """Yield the tiles of hashes that the tree of `new_size` leaves has and that of `old_size` has not.

    Raises `CryptoError` "tile.bad_size" unless 0 ≤ old ≤ new.
    """
    _check_sizes(old_size, new_size)
    return _new_tiles(old_size, new_size)


def new_bundles(old_size: int, new_size: int) -> Iterator[TileAddress]:
    """Yield the bundles of entries that the tree of `new_size` leaves has and that of `old_size` has not.

    Raises `CryptoError` "tile.bad_size" unless 0 ≤ old ≤ new.
    """
    _check_sizes(old_size, new_size)
    return _new_of_level(None, old_size, new_size)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the entries in order, each behind its length as 2 bytes big-endian.

    Raises `CryptoError` "tile.entry_too_long" above 65,535 bytes, "tile.malformed" for more than 256 entries.
    """
    if len(entries) > TILE_WIDTH:
        raise CryptoError("tile.malformed", f"a bundle has at most {TILE_WIDTH} entries, got {len(entries)}")
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise CryptoError("tile.entry_too_long", f"an entry of a log has at most {MAX_ENTRY_BYTES} bytes")
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def parse_bundle(data: bytes, count: int) -> list[bytes]:
    """Return the `count` entries of an untrusted bundle. Raises `CryptoError` "tile.malformed" for any other bytes."""
    if not 0 <= count <= TILE_WIDTH:
        raise CryptoError("tile.malformed", f"a bundle has at most {TILE_WIDTH} entries")
    entries: list[bytes] = []
    at = 0
    for _ in range(count):
        start = at + _LENGTH_BYTES
        end = start + int.from_bytes(data[at:start], "big")
        if end > len(data):
            raise CryptoError("tile.malformed", f"the bundle ends before its {count} entries do")
        entries.append(bytes(data[start:end]))
        at = end
    if at != len(data):
        raise CryptoError("tile.malformed", f"the bundle goes on after its {count} entries")
    return entries


def parse_hashes(data: bytes, width: int) -> list[bytes]:
    """Return the `width` hashes of an untrusted tile. Raises `CryptoError` "tile.malformed" for another length."""
    if not 1 <= width <= TILE_WIDTH or len(data) != width * HASH_BYTES:
        raise CryptoError("tile.malformed", f"a tile has {HASH_BYTES} bytes for each of its 1 to 256 hashes")
    return [bytes(data[at : at + HASH_BYTES]) for at in range(0, len(data), HASH_BYTES)]


def tile_reader(get_tile: Callable[[int, int, int], bytes], size: int) -> HashReader:
    """Return a reader of the tree with `size` leaves, over its tiles.

    `get_tile` gets (level, index, width) and returns the tile's bytes: width times 32. `width` is the one of this size;
    whoever has only the wider tile of a later tree returns its beginning. The reader keeps the last 256 tiles. It does
    not make its answers true: check what is built from them against a signed root.

    The reader raises `CryptoError` "merkle.bad_index" for a subtree that is not wholly in the tree, "tile.malformed",
    and what `get_tile` raises.
    """

    sha256, prefix = hashlib.sha256, NODE_PREFIX

    @lru_cache(maxsize=_MEMOISED_TILES)
    def levels_of(tile_level: int, tile_index: int) -> list[list[bytes]]:
        width = min(TILE_WIDTH, (size >> (TILE_HEIGHT * tile_level)) - TILE_WIDTH * tile_index)
        levels = [parse_hashes(get_tile(tile_level, tile_index, width), width)]
        while len(levels[-1]) > 1:
            below = iter(levels[-1])
            # The odd last hash of a partial tile is no perfect subtree's left half yet: it has no parent. Inlined hashing.
            levels.append([sha256(prefix + left + right).digest() for left, right in zip(below, below, strict=False)])
        return levels

    def read(level: int, index: int) -> bytes:
        if level < 0 or index < 0 or (index + 1) << level > size:
            raise CryptoError("merkle.bad_index", "the subtree lies outside the tree")
        tile_level, inner = divmod(level, TILE_HEIGHT)
        tile_index, position = divmod(index, TILE_WIDTH >> inner)
        return levels_of(tile_level, tile_index)[inner][position]

    return read


def _check_sizes(old_size: int, new_size: int) -> None:
    if not 0 <= old_size <= new_size <= MAX_INDEX:
        raise CryptoError("tile.bad_size", "a log grows from a size of 0 or more to one that is not smaller")


def _new_tiles(old_size: int, new_size: int) -> Iterator[TileAddress]:
    level = 0
    while new_size:
        yield from _new_of_level(level, old_size, new_size)
        level, old_size, new_size = level + 1, old_size >> TILE_HEIGHT, new_size >> TILE_HEIGHT


def _new_of_level(level: int | None, old_width: int, new_width: int) -> Iterator[TileAddress]:
    for index in range(old_width // TILE_WIDTH, new_width // TILE_WIDTH):
        yield TileAddress(level, index)
    if new_width % TILE_WIDTH and new_width != old_width:
        yield TileAddress(level, new_width // TILE_WIDTH, new_width % TILE_WIDTH)


def _bad_path() -> CryptoError:
    return CryptoError("tile.bad_path", "the path is not the canonical name of a tile")
