"""Recording behind `coordinator.events.record`: what a transaction did is sealed before it commits, in one batch, by itself.

The events of a transaction are collected in its session. Before the commit they are sealed to the auditors of the terms in force
and inserted as one batch without a place: the outbox. So the sealed record is durable together with the act, or neither is; and
nobody needs a private key to record. The batch key is gone when the transaction ends: the outbox opens for auditors only.
"""

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from coordinator.ledger.batch_store import put_in_outbox
from coordinator.ledger.terms_store import newest_terms
from crypto.errors import DoudiError
from crypto.ledger_entries import MAX_BATCH_ENTRIES, Plain, seal_batch
from policies.contracts.ledger.terms import COORDINATOR

_COLLECTED = "doudi_ledger_collected"
_RECORDED = "doudi_ledger_recorded"


def collect(session: Session, plain: Plain) -> None:
    """Have one record sealed with the session's transaction. Its commit raises `ledger.not_set_up` when there are no terms."""
    if session.in_nested_transaction():
        # What a savepoint takes back must not be recorded; no act here needs one.
        raise DoudiError("ledger.savepoint", "an act is recorded inside a savepoint, which may be taken back alone")
    if not session.in_transaction():
        # A session that has done nothing yet has nothing to roll back either, and would keep what it collected.
        session.begin()
    collected: list[Plain] | None = session.info.get(_COLLECTED)
    if collected is None:
        collected = session.info[_COLLECTED] = []
        event.listen(session, "before_commit", _seal)
        event.listen(session, "after_soft_rollback", _forget)
    collected.append(plain)


def recorded_batches(session: Session) -> tuple[int, ...]:
    """Return the row numbers of the batches that the session's last commit recorded, for whoever waits for their witnesses."""
    found: tuple[int, ...] = session.info.get(_RECORDED, ())
    return found


def _seal(session: Session) -> None:
    if session.in_nested_transaction():
        return
    collected: list[Plain] = session.info[_COLLECTED]
    session.info[_RECORDED] = ()
    if not collected:
        return
    # The acts of this transaction must be refused by the database before their record is made, not after.
    session.flush()
    session.info[_RECORDED] = tuple(seal_into_outbox(session, collected))
    # The record is in the transaction from here: the commit that follows makes act and record durable at once, and a crash
    # before it ends leaves neither.
    collected.clear()


def seal_into_outbox(session: Session, records: list[Plain]) -> list[int]:
    """Seal records of the coordinator to the auditors in force, without a place; return the batches' row numbers."""
    terms = newest_terms(session)
    return [
        put_in_outbox(session, seal_batch(terms.origin, COORDINATOR, 0, portion, terms.sealing_keys))
        for portion in _portions(records)
    ]


def _portions(records: list[Plain]) -> list[list[Plain]]:
    return [list(records[start : start + MAX_BATCH_ENTRIES]) for start in range(0, len(records), MAX_BATCH_ENTRIES)]


def _forget(session: Session, previous: SessionTransaction) -> None:
    if not previous.nested:
        session.info[_COLLECTED].clear()
        session.info[_RECORDED] = ()
