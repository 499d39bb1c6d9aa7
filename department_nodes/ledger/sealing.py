"""Sealing the node's own events: in the journal's order, in batches, to the auditors of the ledger's terms.

Events are durable in the journal before they are sealed, and a batch is durable before it is sent, so that a crash at any place
repeats bytes that exist already. May import the store and the contracts.
"""

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from crypto.ledger_entries import MAX_BATCH_ENTRIES, seal_batch
from crypto.signing import signing_public_key
from department_nodes.store.journal import plain_of
from department_nodes.store.models import EventRow, LedgerBatchRow, LedgerTermsRow
from department_nodes.store.session import reading, transaction
from policies.contracts.ledger.batches import Batch, sign_batch
from policies.contracts.ledger.terms import LedgerTerms, SignedLedgerTerms

if TYPE_CHECKING:
    from department_nodes.engine import NodeEngine


def pinned_terms(session: Session) -> LedgerTerms | None:
    """Return the newest terms that this node accepted, which verified them before it stored them; None before the first."""
    newest = select(LedgerTermsRow.document).order_by(LedgerTermsRow.number.desc()).limit(1)
    document = session.scalar(newest)
    return None if document is None else SignedLedgerTerms.parse(document).terms


def seal_pending(engine: "NodeEngine") -> list[Batch]:
    """Seal every event that no batch holds, and return the new batches, each durable. Without terms, events wait."""
    sealed = []
    while (batch := _seal_next(engine)) is not None:
        sealed.append(batch)
    return sealed


def unplaced_batches(engine: "NodeEngine", limit: int = 20) -> list[tuple[int, bytes]]:
    """Return the oldest batches that the coordinator has not acknowledged: number of the first event, bytes to send."""
    query = (
        select(LedgerBatchRow.first_number, LedgerBatchRow.document)
        .where(LedgerBatchRow.first_index.is_(None))
        .order_by(LedgerBatchRow.first_number)
        .limit(limit)
    )
    with reading(engine.db) as session:
        return [(number, document) for number, document in session.execute(query)]


def unseal_unplaced(engine: "NodeEngine") -> None:
    """Take back the batches that were not acknowledged, so that their events are sealed again under the same numbers.

    For batches that the coordinator has refused because they are sealed to auditors of terms that are two or more changes old. A
    batch that it holds already it does not refuse but acknowledges again, and nothing else may be sent under its numbers: so this
    is called after such a refusal only.
    """
    with transaction(engine.db) as session:
        session.execute(delete(LedgerBatchRow).where(LedgerBatchRow.first_index.is_(None)))


def _seal_next(engine: "NodeEngine") -> Batch | None:
    private = engine.identity_private
    signer = signing_public_key(private).hex()
    with transaction(engine.db) as session:
        terms = pinned_terms(session)
        if terms is None:
            return None
        # Under a new key the numbering begins at 1. What was not acknowledged under the former one nobody would accept any more;
        # if only the answer was lost, those events are in the log twice.
        session.execute(
            delete(LedgerBatchRow).where(LedgerBatchRow.signer != signer, LedgerBatchRow.first_index.is_(None))
        )
        sealed_to = session.scalar(select(func.max(LedgerBatchRow.first_number + LedgerBatchRow.count - 1))) or 0
        rows = session.scalars(
            select(EventRow).where(EventRow.number > sealed_to).order_by(EventRow.number).limit(MAX_BATCH_ENTRIES)
        ).all()
        if not rows:
            return None
        under_this_key = select(func.sum(LedgerBatchRow.count)).where(LedgerBatchRow.signer == signer)
        first_sequence = (session.scalar(under_this_key) or 0) + 1
        department = engine.home.config.department
        plains = [plain_of(row) for row in rows]
        batch = sign_batch(
            terms.origin,
            department,
            first_sequence,
            seal_batch(terms.origin, department, first_sequence, plains, terms.sealing_keys),
            private,
        )
        session.add(
            LedgerBatchRow(
                first_number=rows[0].number,
                count=len(rows),
                signer=signer,
                first_sequence=first_sequence,
                batch_id=batch.batch_id.hex(),
                document=batch.to_bytes(),
                sealed_at=int(engine.clock()),
            )
        )
    # The batch is durable from here: a crash repeats only the sending, of the same bytes.
    return batch
