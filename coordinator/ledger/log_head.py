"""The tree as it stands, in one row of the database."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from coordinator.ledger.models import HEAD, THE_HEAD
from crypto.errors import CryptoError, DoudiError
from crypto.merkle import HASH_BYTES
from crypto.merkle_log import Frontier

_READ = select(HEAD.c.size, HEAD.c.batches, HEAD.c.frontier, HEAD.c.root).where(HEAD.c.id == THE_HEAD)
_LOCK = _READ.with_for_update()
_REPLACE = update(HEAD).where(HEAD.c.id == THE_HEAD)


@dataclass(frozen=True)
class Head:
    """`size`: entries with a place. `batches`: batches with a place. `root`: of the tree over them."""

    size: int
    batches: int
    hashes: tuple[bytes, ...]
    root: bytes

    def with_leaves(self, leaf_hashes: Sequence[bytes], batches: int) -> "Head":
        """Return the head after these leaves of so many more batches."""
        frontier = Frontier(self.size, self.hashes)
        frontier.extend(leaf_hashes)
        return Head(frontier.size, self.batches + batches, frontier.hashes, frontier.root())


def read_head(session: Session) -> Head:
    """Return the tree as it stands. Raises `ledger.damaged` for a row that contradicts itself."""
    return _head(session, lock=False)


def locked_head(session: Session) -> Head:
    """Return the tree as it stands, locked until the transaction ends: whoever asks next waits. Raises `ledger.damaged`."""
    return _head(session, lock=True)


def store_head(session: Session, head: Head) -> None:
    """Replace the head, which the caller has locked."""
    values = {"size": head.size, "batches": head.batches, "frontier": b"".join(head.hashes), "root": head.root}
    session.connection().execute(_REPLACE, values)


def damaged(why: str) -> DoudiError:
    """Return the error for a ledger's database that contradicts itself: nothing more is signed."""
    return DoudiError(
        "ledger.damaged",
        f"the ledger's database contradicts itself: {why}",
        "Sign nothing more; keep the database as it is and tell the auditors.",
    )


def _head(session: Session, lock: bool) -> Head:
    row = session.connection().execute(_LOCK if lock else _READ).one_or_none()
    if row is None:
        raise damaged("it has no head")
    hashes = tuple(row.frontier[start : start + HASH_BYTES] for start in range(0, len(row.frontier), HASH_BYTES))
    try:
        sound = Frontier(row.size, hashes).root() == row.root
    except CryptoError:
        sound = False
    if not sound:
        raise damaged("the root is not that of the tree's right edge")
    return Head(row.size, row.batches, hashes, row.root)
