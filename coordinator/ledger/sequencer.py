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
from typing import TypeVar

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from coordinator.db.session import Clock, begin, now_s, read
from coordinator.ledger import batch_store
from coordinator.ledger.cosigning import store_cosignature
from coordinator.ledger.log_head import Head, damaged, locked_head, read_head
from coordinator.ledger.models import LedgerCheckpointRow
from coordinator.ledger.placing import PLACED_ENTRIES, place, place_oldest
from coordinator.ledger.terms_store import newest_terms
from crypto import signing
from crypto.checkpoint import Checkpoint, Note, sign_checkpoint
from crypto.errors import DoudiError
from policies.contracts.ledger.batches import Batch
from policies.contracts.ledger.terms import LedgerTerms

_MOST_PORTIONS = 64
_TRIES = 5

Result = TypeVar("Result")


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
        """Store verified batches and give all that wait their places in one transaction: for a writer in this process.

        A batch that was stored before changes nothing. With more waiting than one portion they wait behind it, durable. Raises
        what `batch_store.append` raises.
        """

        def work(session: Session) -> Head:
            # The head's lock comes first: two processes that store for one producer do so one after the other.
            head = locked_head(session)
            terms = self._terms(session)
            if batch_store.is_waiting(session):
                # What came first is placed first: a producer's batches keep their order.
                for batch in batches:
                    batch_store.append(session, batch)
                return place_oldest(session, head, terms, PLACED_ENTRIES, self._private)
            new = [row for batch in batches if (row := batch_store.store(session, batch)) is not None]
            return place(session, head, terms, new, self._private) if new else head

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
        return place_oldest(session, head, self._terms(session), limit, self._private)

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


def _newest_checkpoint(session: Session) -> LedgerCheckpointRow | None:
    return session.scalars(select(LedgerCheckpointRow).order_by(LedgerCheckpointRow.size.desc()).limit(1)).one_or_none()
