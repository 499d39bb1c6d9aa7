"""One entry of the log as the database has it, sealed, and the proofs about it in files that stand alone.

The coordinator has no key, so its proofs disclose nothing: that an entry is there, since when, and whose. Only what the newest
published checkpoint covers is served, by whoever has asked the rules.
"""

from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.ledger.cosigning import cosigned_note
from coordinator.ledger.log_reader import prove_inclusion, published_size
from coordinator.ledger.models import LedgerBatchRow, LedgerCheckpointRow, LedgerPlaceRow
from coordinator.ledger.terms_store import newest_signed_terms, terms_by_number
from crypto import merkle_log
from crypto.checkpoint import Note
from crypto.errors import DoudiError
from crypto.ledger_entries import Entry, parse_entry
from crypto.merkle import leaf_hash
from policies.contracts.ledger.batches import unframe
from policies.contracts.ledger.entry_proof import BatchProof, EntryProof, InclusionProof
from policies.contracts.ledger.terms import SignedLedgerTerms


@dataclass(frozen=True)
class PlacedEntry:
    """An entry with its batch. `wraps`: the batch's sealed keys, `None` when they were destroyed. `received_at`: of the batch."""

    index: int
    first_index: int
    entries: tuple[bytes, ...]
    signer: str
    signature: bytes
    wraps: bytes | None
    received_at: int

    @property
    def position(self) -> int:
        """Its place in its batch, from 0."""
        return self.index - self.first_index

    @property
    def data(self) -> bytes:
        """The entry's bytes, of which the tree has the hash."""
        return self.entries[self.position]

    @cached_property
    def entry(self) -> Entry:
        """The entry's parts."""
        return parse_entry(self.data)

    @property
    def leaf_hash(self) -> bytes:
        """What stands for the entry in the tree (RFC 9162)."""
        return leaf_hash(self.data)


def placed_entry(session: Session, index: int) -> PlacedEntry:
    """Return a published entry. Raises `ledger.unknown_entry`."""
    row = session.execute(
        select(
            LedgerPlaceRow.first_index,
            LedgerBatchRow.entries,
            LedgerBatchRow.signer,
            LedgerBatchRow.signature,
            LedgerBatchRow.wraps,
            LedgerBatchRow.received_at,
        )
        .join(LedgerBatchRow, LedgerBatchRow.id == LedgerPlaceRow.batch)
        .where(LedgerPlaceRow.first_index <= index)
        .order_by(LedgerPlaceRow.first_index.desc())
        .limit(1)
    ).one_or_none()
    if row is None or index >= published_size(session):
        raise DoudiError("ledger.unknown_entry", "the log has published no entry with this number")
    entries = tuple(unframe(row.entries))
    return PlacedEntry(index, row.first_index, entries, row.signer, row.signature, row.wraps, row.received_at)


def first_witnessed(session: Session, index: int) -> LedgerCheckpointRow | None:
    """Return the smallest witnessed checkpoint that holds an entry: since when departments vouch for it."""
    query = select(LedgerCheckpointRow).where(
        LedgerCheckpointRow.size > index, LedgerCheckpointRow.witnessed_at.is_not(None)
    )
    return session.scalars(query.order_by(LedgerCheckpointRow.size).limit(1)).one_or_none()


def proving_size(session: Session, index: int) -> int:
    """Return the size of the checkpoint that an entry is proven by: the newest witnessed one, else the newest published one."""
    witnessed = published_size(session, witnessed=True)
    return witnessed if index < witnessed else published_size(session)


def prove_entry(session: Session, placed: PlacedEntry) -> EntryProof:
    """Return what `doudi audit check` accepts about an entry, without the key that would disclose what it says."""
    size = proving_size(session, placed.index)
    note = cosigned_note(session, size)
    leaves = [leaf_hash(entry) for entry in placed.entries]
    in_batch = merkle_log.inclusion_proof(merkle_log.leaves_reader(leaves), placed.position, len(leaves))
    return EntryProof(
        index=placed.index,
        entry=placed.data.hex(),
        entry_key="",
        batch=BatchProof(
            count=len(leaves),
            root=merkle_log.root_of(leaves).hex(),
            path=_hex(in_batch),
            signer=placed.signer,
            signature=placed.signature.hex(),
        ),
        checkpoint=note.to_bytes().decode(),
        path=_hex(prove_inclusion(session, [placed.index], size)[0]),
        terms=_naming_terms(session, placed, note),
    )


def prove_place(session: Session, placed: PlacedEntry) -> InclusionProof:
    """Return that the entry's hash is in the tree, without the entry."""
    size = proving_size(session, placed.index)
    return InclusionProof(
        index=placed.index,
        leaf_hash=placed.leaf_hash.hex(),
        checkpoint=cosigned_note(session, size).to_bytes().decode(),
        path=_hex(prove_inclusion(session, [placed.index], size)[0]),
    )


def _naming_terms(session: Session, placed: PlacedEntry, note: Note) -> tuple[SignedLedgerTerms, ...]:
    """Return the terms in force, and the newest ones that name the batch's signer and the checkpoint's, by number."""
    newest = newest_signed_terms(session)
    log_keys, producer = {line.key_hash for line in note.signatures}, placed.entry.header.producer
    found = {newest.terms.number: newest}
    batch_named = log_named = False
    for number in range(newest.terms.number, 0, -1):
        signed = found.get(number) or terms_by_number(session, number)
        names_batch = not batch_named and signed.terms.signer(producer) == placed.signer
        names_log = not log_named and signed.terms.log_note_key.key_hash in log_keys
        if names_batch or names_log:
            found[number] = signed
        batch_named, log_named = batch_named or names_batch, log_named or names_log
        if batch_named and log_named:
            break
    return tuple(found[number] for number in sorted(found))


def _hex(hashes: list[bytes]) -> tuple[str, ...]:
    return tuple(one.hex() for one in hashes)
