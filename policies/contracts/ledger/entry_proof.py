"""A proof about one entry of the log in one file, which a third person checks with nothing but the centre's card.

An auditor makes it from a mirror and may disclose what the entry says by its own key; the coordinator makes the same document
without a key, because it has none. `doudi audit check FILE` checks both. May import crypto.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from crypto.checkpoint import MAX_NOTE_BYTES
from crypto.ledger_entries import MAX_BATCH_ENTRIES, MAX_ENTRY_BYTES
from policies.contracts.base import Document, Hash, KeyHex, SignatureHex
from policies.contracts.ledger.terms import SignedLedgerTerms

MAXIMUM_PROOF_BYTES = 1024 * 1024
Index = Annotated[int, Field(ge=0, le=2**53)]
Path = Annotated[tuple[Hash, ...], Field(max_length=64)]
NoteText = Annotated[str, Field(max_length=MAX_NOTE_BYTES)]
EntryHex = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})+$", max_length=2 * MAX_ENTRY_BYTES)]
KeyOrNothing = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]


class BatchProof(Document):
    """The producer's signature over its batch: how many entries, their root, and the path from the entry to it."""

    count: Annotated[int, Field(ge=1, le=MAX_BATCH_ENTRIES)]
    root: Hash
    path: Path
    signer: KeyHex
    signature: SignatureHex


class EntryProof(Document):
    """`entry_key`: opens this entry, or nothing. `checkpoint`: a note. `path`: from the entry to the checkpoint's root.

    `terms`: by number, the newest last; those that name the keys which signed.
    """

    maximum_bytes: ClassVar[int] = MAXIMUM_PROOF_BYTES

    format_version: Literal[1] = 1
    kind: Literal["ledger-entry-proof"] = "ledger-entry-proof"
    index: Index
    entry: EntryHex
    entry_key: KeyOrNothing
    batch: BatchProof
    checkpoint: NoteText
    path: Path
    terms: Annotated[tuple[SignedLedgerTerms, ...], Field(min_length=1, max_length=3)]


class InclusionProof(Document):
    """That an entry with this leaf hash (RFC 9162) stands at its index, for whoever may not have the entry itself.

    `checkpoint`: a note; `path`: from the leaf to its root.
    """

    format_version: Literal[1] = 1
    kind: Literal["ledger-inclusion-proof"] = "ledger-inclusion-proof"
    index: Index
    leaf_hash: Hash
    checkpoint: NoteText
    path: Path
