"""Sealed batch keys that an auditor gives to another one who was appointed later, so that it can open old batches too.

One document becomes one record (`ledger.wraps_added`), which is sealed to the auditors of the terms and so to the receiver. A
false wrap harms nobody: every entry commits to its key, so a wrong one is found at the first entry. The signature says who gave.

In the record's `wraps` stands `batch id, 16 ‖ the key sealed to the receiver, 1169`, in hexadecimal. May import crypto.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from crypto import signing
from crypto.errors import DoudiError
from crypto.ledger_entries import BATCH_ID_BYTES, WRAP_BYTES
from policies.contracts.base import Document, Hash, KeyHex, SignatureHex
from policies.contracts.ledger.terms import AuditorCard, LedgerTerms, Origin

WRAPS_SIGNATURE_DOMAIN = "ledger-wraps"
# As many as fit into one record.
MAXIMUM_WRAPS = 16
BatchIdHex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
WrapHex = Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{{2 * WRAP_BYTES}}}$")]


class AddedWrap(Document):
    """One batch's key, sealed to the receiver."""

    batch: BatchIdHex
    wrap: WrapHex


class AddedWraps(Document):
    """`giver`, `receiver`: digests of the auditors' cards. `wraps`: sorted by batch, none twice."""

    format_version: Literal[1] = 1
    origin: Origin
    giver: Hash
    receiver: Hash
    made_at: Annotated[int, Field(ge=0, le=2**53)]
    wraps: Annotated[tuple[AddedWrap, ...], Field(min_length=1, max_length=MAXIMUM_WRAPS)]

    @model_validator(mode="after")
    def _in_order(self) -> "AddedWraps":
        batches = [item.batch for item in self.wraps]
        if batches != sorted(set(batches)):
            raise ValueError("the batches are not sorted, or one is named twice")
        return self

    @property
    def packed(self) -> tuple[str, ...]:
        """The wraps as they stand in the record."""
        return tuple(item.batch + item.wrap for item in self.wraps)


class SignedAddedWraps(Document):
    """Added wraps and the signature of the auditor who gives them."""

    added: AddedWraps
    key: KeyHex
    signature: SignatureHex

    def verify(self, terms: LedgerTerms) -> AddedWraps:
        """Return the wraps if an auditor of the terms signed them for another one of this log.

        Raises `wraps.other_log`, `wraps.not_an_auditor` (giver or receiver), `wraps.bad_signature`.
        """
        if self.added.origin != terms.origin:
            raise DoudiError("wraps.other_log", "the wraps are of another log")
        cards = {card.digest(): card for card in terms.auditors}
        giver = cards.get(self.added.giver)
        if giver is None or self.added.receiver not in cards or self.added.receiver == self.added.giver:
            raise DoudiError(
                "wraps.not_an_auditor",
                "wraps are given by an auditor of the newest terms to another one",
                "Let the centre's officer add the new auditor first: `doudi centre ledger add-auditor CARD`.",
            )
        if self.key != giver.signing_key:
            raise DoudiError("wraps.bad_signature", "the wraps are signed by another key than the giver's card shows")
        try:
            signing.verify(
                bytes.fromhex(self.key), WRAPS_SIGNATURE_DOMAIN, self.added.to_bytes(), bytes.fromhex(self.signature)
            )
        except DoudiError as error:
            raise DoudiError("wraps.bad_signature", "the wraps are not signed by their giver") from error
        return self.added

    def record_hashes(self) -> Mapping[str, str]:
        """Return what a `ledger.wraps_added` record says about these wraps beside the wraps themselves."""
        batches = hashlib.sha256("".join(item.batch for item in self.added.wraps).encode()).hexdigest()
        return {
            "batches": batches,
            "giver": self.added.giver,
            "receiver": self.added.receiver,
            "signed": self.digest(),
        }


def sign_added_wraps(added: AddedWraps, private: bytes) -> SignedAddedWraps:
    """Return the wraps signed with the giver's signing key."""
    signature = signing.sign(private, WRAPS_SIGNATURE_DOMAIN, added.to_bytes())
    return SignedAddedWraps(added=added, key=signing.signing_public_key(private).hex(), signature=signature.hex())


def added_wraps(
    origin: str, giver: AuditorCard, receiver: AuditorCard, made_at: int, wraps: Sequence[tuple[bytes, bytes]]
) -> AddedWraps:
    """Return the document of (batch id, wrap) pairs, put in order."""
    items = tuple(AddedWrap(batch=batch.hex(), wrap=wrap.hex()) for batch, wrap in sorted(wraps))
    return AddedWraps(origin=origin, giver=giver.digest(), receiver=receiver.digest(), made_at=made_at, wraps=items)


def unpack_wrap(text: str) -> tuple[bytes, bytes]:
    """Return (batch id, wrap) of one element of a record's `wraps`. Raises `wraps.malformed`."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != BATCH_ID_BYTES + WRAP_BYTES:
        raise DoudiError("wraps.malformed", "an added wrap has another form than batch id and sealed key")
    return data[:BATCH_ID_BYTES], data[BATCH_ID_BYTES:]
