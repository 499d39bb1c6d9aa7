"""What nodes bring to the ledger: their own sealed records and their cosignatures. Verified here before the store takes them.

Called within a transaction that the caller opens; the placing itself is the sequencer's. Nothing here opens an entry.
"""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.db.session import now_s
from coordinator.ledger.cosigning import not_a_witness
from coordinator.ledger.models import LedgerBatchRow, LedgerCheckpointRow, LedgerPlaceRow
from coordinator.ledger.terms_store import newest_terms, terms_by_number
from coordinator.parties.models import PartyRow
from crypto.checkpoint import parse_note
from crypto.errors import DoudiError
from crypto.ledger_entries import auditor_id, parse_wraps
from policies.contracts.ledger.batches import Batch, parse_batch, verify_batch
from policies.contracts.ledger.record_types import NODE_PREFIX
from policies.contracts.ledger.terms import LedgerTerms
from policies.contracts.requests import CLOCK_TOLERANCE_S

_TIME_BYTES = 8


@dataclass(frozen=True)
class Receipt:
    """Where a batch stands in the log. `size`: entries that had a place when it was answered."""

    first_index: int
    count: int
    size: int


def parse_submission(data: bytes) -> Batch:
    """Return the batch in untrusted bytes; nothing of it is verified. Raises `batch.malformed` also for one without a number."""
    batch = parse_batch(data)
    if not batch.first_sequence:
        raise DoudiError("batch.malformed", "a node's batch is numbered from 1")
    return batch


def verify_submission(session: Session, batch: Batch) -> None:
    """Raise unless a batch may get a place.

    (1) Its producer witnesses the log, with the identity key that it is registered with: else `ledger.not_a_witness`. (2) It is
    whole and signed with that key (`verify_batch`), and its wraps are there: else `batch.wrong_wraps`. (3) What it holds are a
    node's records: else `batch.inconsistent`. (4) It is sealed to exactly the auditors of the newest terms or of those before,
    which a node may have had when it sealed: else `batch.wrong_auditors`. A batch that was taken before is not asked (4) again:
    terms may have changed since, and its node only wants to know its place.
    """
    terms = newest_terms(session)
    # (1)
    party = session.get(PartyRow, batch.producer)
    key = terms.signer(batch.producer)
    if party is None or key is None or party.identity_key != key:
        raise not_a_witness()
    # (2)
    entries = verify_batch(terms.origin, batch, bytes.fromhex(key))
    if not batch.wraps:
        raise DoudiError("batch.wrong_wraps", "a batch comes without its wraps, so nobody could ever open it")
    # (3)
    if not all(entry.header.type.startswith(NODE_PREFIX) for entry in entries):
        raise DoudiError("batch.inconsistent", "a node's batch holds a record of a kind that no node makes")
    # (4)
    if _is_known(session, batch):
        return
    sealed_to = set(parse_wraps(batch.wraps))
    if sealed_to != _ids(terms) and (terms.number == 1 or sealed_to != _ids(_before(session, terms))):
        raise DoudiError(
            "batch.wrong_auditors",
            "the batch is not sealed to exactly the auditors of the newest terms or of those before",
            "Take the newest terms and seal the records to their auditors.",
        )


def receipt(session: Session, batch: Batch, size: int) -> Receipt:
    """Return the place of a batch that has one. Raises `ledger.not_published` while it waits."""
    first_index = session.scalar(
        select(LedgerPlaceRow.first_index)
        .join(LedgerBatchRow, LedgerBatchRow.id == LedgerPlaceRow.batch)
        .where(LedgerBatchRow.batch_id == batch.batch_id)
    )
    if first_index is None:
        raise DoudiError("ledger.not_published", "the batch is stored and waits for its place", "Send it again.")
    return Receipt(first_index, len(batch.entries), size)


def require_plausible_time(session: Session, size: int, line: str) -> None:
    """Raise unless a cosignature's time can be true by this host's clock.

    Raises `checkpoint.unknown`, `checkpoint.malformed`, `ledger.cosignature_time`. Old cosignatures are true ones: whether they
    are young enough to act on is asked where something is done. Nodes and auditors read the times again, by their own clocks.
    """
    published = session.scalar(select(LedgerCheckpointRow.published_at).where(LedgerCheckpointRow.size == size))
    if published is None:
        raise DoudiError("checkpoint.unknown", "the log has published no checkpoint of this size")
    time_s = _time_of(line)
    if not published - CLOCK_TOLERANCE_S <= time_s <= now_s(session) + CLOCK_TOLERANCE_S:
        raise DoudiError("ledger.cosignature_time", "the cosignature's time cannot be true", "Set the host's clock.")


def _time_of(line: str) -> int:
    # A note needs a text; the line alone says the time.
    signatures = parse_note(f"-\n\n{line}\n".encode()).signatures
    value = signatures[0].value if len(signatures) == 1 else b""
    if len(value) <= _TIME_BYTES:
        raise DoudiError("checkpoint.malformed", "the text is no cosignature")
    return int.from_bytes(value[:_TIME_BYTES], "big")


def _is_known(session: Session, batch: Batch) -> bool:
    return session.scalar(select(LedgerBatchRow.id).where(LedgerBatchRow.batch_id == batch.batch_id)) is not None


def _before(session: Session, terms: LedgerTerms) -> LedgerTerms:
    return terms_by_number(session, terms.number - 1).terms


def _ids(terms: LedgerTerms) -> set[bytes]:
    return {auditor_id(key) for key in terms.sealing_keys}
