"""The one writer of the log: it gives batches their places, keeps the tree, and signs checkpoints.

Durability: what a method returns is durable. Concurrency: one thread of a process at a time; between processes the row of the
head decides, which every method locks first. A crash at any point loses nothing that was acknowledged, because each method is one
transaction and begins from what the last one left: normal running is the recovery.

Errors: `ledger.not_set_up`, `ledger.other_log_key` (the key on this host is not the one of the terms in force), `ledger.damaged`
(the database contradicts itself: nothing is signed), and what the database raises.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from coordinator.db.session import Clock, begin, now_s, read
from coordinator.ledger import batch_store
from coordinator.ledger.cosigning import store_cosignature
from coordinator.ledger.log_head import Head, damaged, locked_head, read_head, store_head
from coordinator.ledger.models import (
    LedgerBatchRow,
    LedgerCheckpointRow,
    LedgerOutboxRow,
    LedgerPlaceRow,
)
from coordinator.ledger.terms_store import newest_terms
from coordinator.ledger.tile_store import extend_tiles
from crypto import merkle, signing
from crypto.checkpoint import Checkpoint, Note, sign_checkpoint
from crypto.errors import DoudiError
from crypto.ledger_entries import HASH_BYTES
from policies.contracts.ledger.batches import BATCH_SIGNATURE_DOMAIN, Batch, batch_statement, unframe
from policies.contracts.ledger.terms import LedgerTerms

# One transaction's portion: large enough that the commit costs little, small enough that no act waits long for its own.
PLACED_ENTRIES = 2_000
_MOST_PORTIONS = 64
_TRIES = 5

Result = TypeVar("Result")


class _Waiting(NamedTuple):
    """A batch of the outbox, without its wraps."""

    id: int
    batch_id: bytes
    producer: str
    first_sequence: int
    signature: bytes | None
    entries: bytes


class Sequencer:
    """The log's writer. `log_private`: the log's signing key. `republish_after_s`: see `LedgerSettings`."""

    def __init__(
        self, engine: Engine, log_private: bytes, clock: Clock = time.time, republish_after_s: float = 2
    ) -> None:
        self._engine, self._private, self._clock = engine, log_private, clock
        self._public = signing.signing_public_key(log_private).hex()
        self._republish_after_s = republish_after_s
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        # The row lock of the head makes placing one after another, so nothing stronger is needed; a serializable transaction
        # that reads the outbox would make the acts fail that fill it.
        weaker = engine.dialect.name != "sqlite"
        self._own = engine.execution_options(isolation_level="READ COMMITTED") if weaker else engine

    @property
    def log_key(self) -> str:
        """The public key that this host signs with, in hexadecimal."""
        return self._public

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have a function called after each new checkpoint and cosignature, from any thread; it must return at once."""
        self._listeners.append(listener)

    def place(self, limit: int = PLACED_ENTRIES) -> Head:
        """Give the oldest waiting batches their places, up to about `limit` entries; return the tree as it then stands."""
        return self._retried(lambda session: self._place(session, limit))

    def append_and_place(self, batches: Sequence[Batch]) -> Head:
        """Store verified batches and give all that wait their places in one transaction: for a writer in this process."""

        def work(session: Session) -> Head:
            for batch in batches:
                batch_store.append(session, batch)
            return self._place(session, PLACED_ENTRIES)

        return self._retried(work)

    def publish(self) -> Note | None:
        """Sign a checkpoint of the tree if it grew and it is time; return it, or `None`.

        It is time when the last checkpoint is witnessed, is older than `republish_after_s`, or nobody witnesses: so that the
        witnesses' signatures meet under one size instead of chasing a growing log.
        """
        note = self._retried(self._publish)
        if note is not None:
            self._tell()
        return note

    def add_cosignature(self, department: str, size: int, line: str) -> bool:
        """Store a witness's line of a note under the checkpoint of a size; return whether it is new or later. See `cosigning`."""
        changed = self._retried(lambda session: self._add_cosignature(session, department, size, line))
        if changed:
            self._tell()
        return changed

    def advance(self) -> None:
        """Place all that waits, and publish if it is time."""
        for _ in range(_MOST_PORTIONS):
            self.place()
            with read(self._engine, self._clock) as session:
                if not batch_store.is_waiting(session):
                    break
        self.publish()

    def is_behind(self) -> bool:
        """Return whether something has no place or no checkpoint yet. Takes no lock."""
        with read(self._engine, self._clock) as session:
            if batch_store.is_waiting(session):
                return True
            newest = _newest_checkpoint(session)
            return read_head(session).size > (0 if newest is None else newest.size)

    def _place(self, session: Session, limit: int) -> Head:
        head = locked_head(session)
        terms = self._terms(session)
        waiting = _waiting(session, limit)
        if not waiting:
            return head
        leaves: list[bytes] = []
        places: list[dict[str, int]] = []
        for number, row in enumerate(waiting, start=head.batches):
            hashes = [merkle.leaf_hash(entry) for entry in unframe(row.entries)]
            if row.signature is None:
                self._sign(session, terms, row, hashes)
            places.append({"number": number, "batch": row.id, "first_index": head.size + len(leaves)})
            leaves += hashes
        session.execute(insert(LedgerPlaceRow), places)
        session.execute(delete(LedgerOutboxRow).where(LedgerOutboxRow.batch.in_([row.id for row in waiting])))
        extend_tiles(session, head.size, leaves)
        grown = head.with_leaves(leaves, len(waiting))
        store_head(session, grown)
        # Places, tiles and head become durable together; a crash before the commit leaves the batches waiting, and they are
        # placed again, perhaps elsewhere: nothing was published of the places that are lost.
        return grown

    def _sign(self, session: Session, terms: LedgerTerms, row: _Waiting, hashes: Sequence[bytes]) -> None:
        # Every entry ends with the hash of the wraps, which stays when the wraps are destroyed while the batch waits.
        digest = row.entries[-HASH_BYTES:]
        statement = batch_statement(terms.origin, row.producer, row.batch_id, row.first_sequence, hashes, digest)
        signature = signing.sign(self._private, BATCH_SIGNATURE_DOMAIN, statement)
        session.execute(
            update(LedgerBatchRow)
            .where(LedgerBatchRow.id == row.id)
            .values(signer=self._public, signature=signature)
            .execution_options(synchronize_session=False)
        )

    def _publish(self, session: Session) -> Note | None:
        head = locked_head(session)
        terms = self._terms(session)
        newest = _newest_checkpoint(session)
        if newest is not None:
            if newest.size > head.size:
                raise damaged("a checkpoint is larger than the tree: the database was put back to an earlier state")
            if newest.size == head.size:
                return None
            too_early = now_s(session) - newest.published_at < self._republish_after_s
            if terms.witnesses and newest.witnessed_at is None and too_early:
                return None
        if not head.size:
            return None
        note = sign_checkpoint(Checkpoint(terms.origin, head.size, head.root), terms.origin, self._private)
        values = {"size": head.size, "note": note.to_bytes(), "published_at": now_s(session)}
        session.execute(insert(LedgerCheckpointRow), [values])
        # The note leaves this host only from its row. A crash before the commit forgets a signature that nobody has seen.
        return note

    def _add_cosignature(self, session: Session, department: str, size: int, line: str) -> bool:
        locked_head(session)
        return store_cosignature(session, department, size, line)

    def _terms(self, session: Session) -> LedgerTerms:
        terms = newest_terms(session)
        if terms.log_key != self._public:
            raise DoudiError(
                "ledger.other_log_key",
                "the log's key on this host is not the one of the terms in force; records wait in the outbox",
                "Renew the terms with `doudi centre ledger renew-terms` on the officer's device.",
            )
        return terms

    def _retried(self, work: Callable[[Session], Result]) -> Result:
        for attempt in range(1, _TRIES + 1):
            try:
                with self._lock, self._writing() as session:
                    return work(session)
            except DBAPIError:
                # Another process's sequencer, or a database that is busy: what it left is begun from again.
                if attempt == _TRIES or self._engine.dialect.name == "sqlite":
                    raise
        raise AssertionError("unreachable")

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with begin(self._own, self._clock) as session:
            yield session

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _waiting(session: Session, limit: int) -> Sequence[_Waiting]:
    sizes = session.execute(
        select(LedgerBatchRow.id, LedgerBatchRow.count)
        .join(LedgerOutboxRow, LedgerOutboxRow.batch == LedgerBatchRow.id)
        .order_by(LedgerBatchRow.id)
        .limit(limit)
    ).all()
    taken: list[int] = []
    entries = 0
    for number, count in sizes:
        if taken and entries + count > limit:
            break
        taken.append(number)
        entries += count
    if not taken:
        return ()
    columns = [getattr(LedgerBatchRow, name) for name in _Waiting._fields]
    found = session.execute(select(*columns).where(LedgerBatchRow.id.in_(taken)).order_by(LedgerBatchRow.id))
    return [_Waiting(*row) for row in found]


def _newest_checkpoint(session: Session) -> LedgerCheckpointRow | None:
    return session.scalars(select(LedgerCheckpointRow).order_by(LedgerCheckpointRow.size.desc()).limit(1)).one_or_none()
