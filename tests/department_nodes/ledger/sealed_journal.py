"""A small node with a journal, the ledger's terms for it, and an auditor who opens what it seals."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from crypto.ledger_entries import auditor_id, entry_key, open_entry, open_wrap, parse_wraps
from crypto.sealing import generate_sealing_key, sealing_public_key
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.config import NodeConfig
from department_nodes.engine import NodeEngine
from department_nodes.enrolment import create_node
from department_nodes.home import NodeHome
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import EventRow, LedgerBatchRow, LedgerTermsRow
from department_nodes.store.session import transaction
from policies.contracts.ledger.batches import Batch, parse_batch, verify_batch
from policies.contracts.ledger.record_types import NODE_TYPES
from policies.contracts.ledger.records import Record, record_of
from policies.contracts.ledger.terms import AuditorCard, LedgerTerms, sign_terms

ORIGIN, DEPARTMENT, NOW = "centre:8443/ledger-0a1b2c3d", "tax", 1_790_000_000
APPROVER, LOG = generate_signing_key(), generate_signing_key()


class Auditor:
    """Opens batches with its own key."""

    def __init__(self, name: str = "auditor") -> None:
        self._private = generate_sealing_key()
        self.card = AuditorCard(
            auditor=name,
            sealing_key=sealing_public_key(self._private).hex(),
            signing_key=signing_public_key(generate_signing_key()).hex(),
        )

    def open(self, batch: Batch, signer: bytes) -> list[Record]:
        """Return the records of a batch that its producer signed, each opened with its own key."""
        entries = verify_batch(ORIGIN, batch, signer)
        wrap = parse_wraps(batch.wraps)[auditor_id(bytes.fromhex(self.card.sealing_key))]
        key = open_wrap(ORIGIN, batch.producer, batch.batch_id, wrap, self._private)
        return [
            record_of(
                entry, open_entry(ORIGIN, entry, entry_key(key, batch.batch_id, entry.header.position)), NODE_TYPES
            )
            for entry in entries
        ]


def small_node(folder: Path) -> NodeHome:
    """Return a node whose extract is never read."""
    config = NodeConfig(
        department=DEPARTMENT,
        region="test",
        dataset=DEPARTMENT,
        tier="general_2",
        allowed_purposes=("social_assistance",),
        extract="extract.parquet",
        coordinator_url="https://127.0.0.1:1",
        superlink_address="127.0.0.1:2",
    )
    return create_node(folder, config)


def accept_terms(db: Engine, *auditors: Auditor, number: int = 1, **changes: Any) -> LedgerTerms:
    """Store terms as the node does once it has verified them."""
    terms = LedgerTerms(
        number=number,
        issued_at=NOW,
        origin=ORIGIN,
        log_key=signing_public_key(LOG).hex(),
        auditors=tuple(auditor.card for auditor in auditors),
        **changes,
    )
    document = sign_terms(terms, APPROVER).to_bytes()
    with transaction(db) as session:
        session.add(LedgerTermsRow(number=number, document=document, accepted_at=NOW))
    return terms


def record_reports(db: Engine, *numbers: int) -> list[int]:
    """Record an event for each number, in one transaction, and return the events' own numbers."""
    return record_together(db, *(Event(EventType.REPORT_SIGNED, NOW, counts={"number": each}) for each in numbers))


def record_together(db: Engine, *events: Event) -> list[int]:
    """Record events in one transaction, and return their numbers."""
    with transaction(db) as session:
        return [record(session, each) for each in events]


def numbers_of(db: Engine) -> list[int]:
    """Return the numbers of all events."""
    with transaction(db) as session:
        return list(session.scalars(select(EventRow.number).order_by(EventRow.number)))


def acknowledge(engine: NodeEngine, first_number: int, first_index: int = 0) -> None:
    """Note what the coordinator's answer says about a batch."""
    with transaction(engine.db) as session:
        session.get_one(LedgerBatchRow, first_number).first_index = first_index


def stored_batches(db: Engine) -> list[Batch]:
    """Return every batch that the node keeps, in order."""
    with transaction(db) as session:
        documents = session.scalars(select(LedgerBatchRow.document).order_by(LedgerBatchRow.first_number)).all()
    return [parse_batch(document) for document in documents]
