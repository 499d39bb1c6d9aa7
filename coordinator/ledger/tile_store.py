"""The tree's tiles in the database: extended at the right edge, read for proofs and for whoever mirrors the log."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Executable, bindparam, select
from sqlalchemy.dialects.postgresql import insert as insert_on_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite
from sqlalchemy.orm import Session

from coordinator.ledger.log_head import damaged
from coordinator.ledger.models import TILES
from crypto.errors import DoudiError
from crypto.merkle import HASH_BYTES
from crypto.merkle_log import HashReader, root_of
from crypto.tiles import TILE_HEIGHT, TILE_WIDTH, tile_reader

_TILE = select(TILES.c.width, TILES.c.data).where(
    TILES.c.level == bindparam("of_level"), TILES.c.tile == bindparam("of_tile")
)
# The two databases name the same statement in modules of their own.
_ON_SQLITE, _ON_POSTGRESQL = insert_on_sqlite(TILES), insert_on_postgresql(TILES)
_REPLACE: Mapping[str, Executable] = {
    "sqlite": _ON_SQLITE.on_conflict_do_update(
        index_elements=["level", "tile"],
        set_={"width": _ON_SQLITE.excluded.width, "data": _ON_SQLITE.excluded.data},
    ),
    "postgresql": _ON_POSTGRESQL.on_conflict_do_update(
        index_elements=["level", "tile"],
        set_={"width": _ON_POSTGRESQL.excluded.width, "data": _ON_POSTGRESQL.excluded.data},
    ),
}


def extend_tiles(session: Session, size: int, leaf_hashes: Sequence[bytes]) -> None:
    """Add leaves to the tiles of a tree of `size`: only the right edge is read, only what changed is written."""
    level, hashes = 0, leaf_hashes
    changed: list[dict[str, object]] = []
    while hashes:
        tile, width = divmod(size, TILE_WIDTH)
        data = (_stored(session, level, tile, width) if width else b"") + b"".join(hashes)
        full: list[bytes] = []
        for start in range(0, len(data), TILE_WIDTH * HASH_BYTES):
            part = data[start : start + TILE_WIDTH * HASH_BYTES]
            changed.append({"level": level, "tile": tile, "width": len(part) // HASH_BYTES, "data": part})
            if len(part) == TILE_WIDTH * HASH_BYTES:
                full.append(root_of([part[at : at + HASH_BYTES] for at in range(0, len(part), HASH_BYTES)]))
            tile += 1
        level, size, hashes = level + 1, size >> TILE_HEIGHT, full
    if changed:
        connection = session.connection()
        connection.execute(_REPLACE[connection.dialect.name], changed)


def tile_data(session: Session, level: int, tile: int, width: int) -> bytes:
    """Return the first `width` hashes of a tile. Raises `ledger.unknown_tile`."""
    row = session.connection().execute(_TILE, {"of_level": level, "of_tile": tile}).one_or_none()
    if row is None or row.width < width:
        raise DoudiError("ledger.unknown_tile", "the log has no such tile")
    return bytes(row.data[: width * HASH_BYTES])


def stored_reader(session: Session, size: int) -> HashReader:
    """Return a reader of the tree of `size` leaves, for making proofs."""
    return tile_reader(lambda level, tile, width: tile_data(session, level, tile, width), size)


def _stored(session: Session, level: int, tile: int, width: int) -> bytes:
    row = session.connection().execute(_TILE, {"of_level": level, "of_tile": tile}).one_or_none()
    if row is None or row.width != width or len(row.data) != width * HASH_BYTES:
        raise damaged("a tile at the right edge has not the tree's width")
    return bytes(row.data)
