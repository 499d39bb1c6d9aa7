"""The tree's tiles in the database: extended at the right edge, read for proofs and for whoever mirrors the log."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as insert_on_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite
from sqlalchemy.orm import Session

from coordinator.ledger.log_head import damaged
from coordinator.ledger.models import LedgerTileRow
from crypto.errors import DoudiError
from crypto.merkle import HASH_BYTES
from crypto.merkle_log import HashReader, root_of
from crypto.tiles import TILE_HEIGHT, TILE_WIDTH, tile_reader


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
        _write(session, changed)


def tile_data(session: Session, level: int, tile: int, width: int) -> bytes:
    """Return the first `width` hashes of a tile. Raises `ledger.unknown_tile`."""
    row = session.execute(
        select(LedgerTileRow.width, LedgerTileRow.data).where(LedgerTileRow.level == level, LedgerTileRow.tile == tile)
    ).one_or_none()
    if row is None or row.width < width:
        raise DoudiError("ledger.unknown_tile", "the log has no such tile")
    return bytes(row.data[: width * HASH_BYTES])


def stored_reader(session: Session, size: int) -> HashReader:
    """Return a reader of the tree of `size` leaves, for making proofs."""
    return tile_reader(lambda level, tile, width: tile_data(session, level, tile, width), size)


def _stored(session: Session, level: int, tile: int, width: int) -> bytes:
    row = session.execute(
        select(LedgerTileRow.width, LedgerTileRow.data).where(LedgerTileRow.level == level, LedgerTileRow.tile == tile)
    ).one_or_none()
    if row is None or row.width != width or len(row.data) != width * HASH_BYTES:
        raise damaged("a tile at the right edge has not the tree's width")
    return bytes(row.data)


def _write(session: Session, changed: list[dict[str, object]]) -> None:
    # The two databases name the same statement in modules of their own.
    if session.get_bind().dialect.name == "sqlite":
        on_sqlite = insert_on_sqlite(LedgerTileRow)
        new = on_sqlite.excluded
        session.execute(
            on_sqlite.on_conflict_do_update(
                index_elements=["level", "tile"], set_={"width": new.width, "data": new.data}
            ),
            changed,
        )
        return
    on_postgresql = insert_on_postgresql(LedgerTileRow)
    newer = on_postgresql.excluded
    session.execute(
        on_postgresql.on_conflict_do_update(
            index_elements=["level", "tile"], set_={"width": newer.width, "data": newer.data}
        ),
        changed,
    )
