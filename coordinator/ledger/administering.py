"""What the centre does to the ledger: its terms, batches that nobody shall open again, wraps for a later auditor.

Each is an act like any other: allowed by the rules, recorded in the ledger in its own transaction, which the caller opens. None
of them changes an entry, its place or a proof.
"""

import hashlib
from typing import Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise
from coordinator.context import AppContext
from coordinator.events import Event, EventType, record
from coordinator.ledger.founding import terms_changed
from coordinator.ledger.models import LedgerBatchRow, LedgerPlaceRow
from coordinator.ledger.terms_store import newest_terms, store_terms
from crypto.errors import DoudiError
from policies.contracts.ledger.added_wraps import SignedAddedWraps
from policies.contracts.ledger.terms import SignedLedgerTerms

# Why records are made unreadable: their time is over, a court or an authority orders it, or they should not have been made.
ShredReason = Literal["retention_over", "legal_order", "recorded_in_error"]


def change_terms(session: Session, context: AppContext, principal: Principal, signed: SignedLedgerTerms) -> bool:
    """Put new terms in force; return whether they are new.

    Raises `terms.bad_signature` unless an approver of this centre signed them; `terms.rollback`, `terms.fork`, `terms.other_log`,
    `terms.gap`; `ledger.wrong_log_key` unless this host holds the key that they name: nothing could be placed any more.
    """
    authorise(session, context, principal, "ledger.change_terms", system_resource())
    terms = signed.verify(context.config.centre_keys.approval_keys)
    if not store_terms(session, signed):
        return False
    if terms.log_key != context.ledger.sequencer.log_key:
        raise DoudiError(
            "ledger.wrong_log_key",
            "the terms name a log key that this host does not hold",
            "Take the key's file from the host, which `doudi centre ledger rotate-key` wrote.",
        )
    record(session, terms_changed(terms, principal.party, principal.number))
    return True


def shred(session: Session, context: AppContext, principal: Principal, batch_id: bytes, reason: ShredReason) -> bool:
    """Destroy the wrapped keys of a batch for good; return whether there were any. Entries and proofs stay as they are.

    In SQLite's file the bytes are overwritten (`forget_old_pages` sees to its log). PostgreSQL's old row versions (until VACUUM)
    and every backup made before still hold them, and whoever fetched the batch before keeps it. Raises `ledger.unknown_batch`.
    """
    authorise(session, context, principal, "ledger.shred", system_resource())
    row = session.execute(
        select(
            LedgerBatchRow.id,
            LedgerBatchRow.producer,
            LedgerBatchRow.count.label("entries"),
            LedgerBatchRow.wraps.is_(None).label("shredded"),
            LedgerPlaceRow.first_index,
        )
        .outerjoin(LedgerPlaceRow, LedgerPlaceRow.batch == LedgerBatchRow.id)
        .where(LedgerBatchRow.batch_id == batch_id)
    ).one_or_none()
    if row is None:
        raise DoudiError("ledger.unknown_batch", "the ledger has no batch with this id", "Check the id.")
    if row.shredded:
        return False
    session.execute(
        update(LedgerBatchRow)
        .where(LedgerBatchRow.id == row.id)
        .values(wraps=None)
        .execution_options(synchronize_session=False)
    )
    counts = {"entries": row.entries} | ({} if row.first_index is None else {"first_index": row.first_index})
    event = Event(
        EventType.LEDGER_BATCH_SHREDDED,
        principal.party,
        account=principal.number,
        subject=row.producer,
        code=reason,
        counts=counts,
        hashes={"batch": hashlib.sha256(batch_id).hexdigest()},
    )
    record(session, event)
    return True


def add_wraps(session: Session, context: AppContext, principal: Principal, signed: SignedAddedWraps) -> None:
    """Record wraps of old batches that one auditor made for another one. They become a record, which the receiver opens.

    Raises `wraps.other_log`, `wraps.not_an_auditor`, `wraps.bad_signature`, `wraps.unknown_batch`.
    """
    authorise(session, context, principal, "ledger.add_wraps", system_resource())
    added = signed.verify(newest_terms(session))
    batches = [bytes.fromhex(item.batch) for item in added.wraps]
    known = session.scalar(select(func.count()).select_from(LedgerBatchRow).where(LedgerBatchRow.batch_id.in_(batches)))
    if known != len(batches):
        raise DoudiError("wraps.unknown_batch", "the wraps are of a batch that the ledger does not have")
    event = Event(
        EventType.LEDGER_WRAPS_ADDED,
        principal.party,
        account=principal.number,
        counts={"batches": len(batches)},
        hashes=signed.record_hashes(),
        wraps=added.packed,
    )
    record(session, event)


def forget_old_pages(context: AppContext) -> None:
    """Have SQLite move its log into its file and empty it, so that destroyed keys stand in neither; PostgreSQL has no such act.

    A reader that is under way keeps the log in use; then its pages go with a later turn of the database's own.
    """
    if context.engine.dialect.name != "sqlite":
        return
    # Outside of every transaction, which the engine would begin by itself.
    connection = context.engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
