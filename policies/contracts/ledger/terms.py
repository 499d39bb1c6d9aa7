"""The terms of the audit ledger: who reads it, who witnesses it, and what counts as witnessed. Signed by the centre's approver.

Whoever operates the coordinator's host holds no approval key, so it cannot add a reader or a witness of its own. Every node pins
the newest terms that it has seen; a lower number or another content under the same number is refused. May import crypto.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from crypto import signing
from crypto.checkpoint import LOG_KEY, WITNESS_KEY, NoteKey
from crypto.errors import DoudiError
from policies.contracts.base import Document, KeyHex, LongKeyHex, SignatureHex, Slug

TERMS_SIGNATURE_DOMAIN = "ledger-terms"
# The coordinator's name as a producer of records.
COORDINATOR = "coordinator"
Origin = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9./:\[\]-]{0,126}$")]


class AuditorCard(Document):
    """What an auditor shows of itself: the key that records are sealed to, and the one that it signs with."""

    format_version: Literal[1] = 1
    auditor: Slug
    sealing_key: LongKeyHex
    signing_key: KeyHex

    def fingerprint(self) -> str:
        """Return 40 hex characters over name and keys, in groups of four, for reading out over the telephone."""
        digest = self.digest()[:40]
        return " ".join(digest[start : start + 4] for start in range(0, 40, 4))


class Witness(Document):
    """A department that cosigns checkpoints, and whose own records carry signatures by this key: its identity key."""

    department: Slug
    key: KeyHex

    @property
    def note_key(self) -> NoteKey:
        """The key as C2SP notes name it."""
        return NoteKey(self.department, bytes.fromhex(self.key), WITNESS_KEY)


class LedgerTerms(Document):
    """Numbered from 1. `tolerated_faulty_witnesses` is the f of "more than (n+f)/2 cosignatures".

    `checkpoint_max_age_s`: a step needs a witnessed checkpoint that holds its intent and is no older than this.
    """

    format_version: Literal[1] = 1
    number: Annotated[int, Field(ge=1, le=2**53)]
    issued_at: Annotated[int, Field(ge=0, le=2**53)]
    origin: Origin
    log_key: KeyHex
    auditors: Annotated[tuple[AuditorCard, ...], Field(min_length=1, max_length=32)]
    # A checkpoint carries a line of each, and a note has room for this many.
    witnesses: Annotated[tuple[Witness, ...], Field(max_length=1_000)] = ()
    tolerated_faulty_witnesses: Annotated[int, Field(ge=0, le=1_000)] = 0
    checkpoint_max_age_s: Annotated[int, Field(ge=10, le=86_400)] = 300

    @model_validator(mode="after")
    def _consistent(self) -> "LedgerTerms":
        names = [card.auditor for card in self.auditors]
        keys = [card.sealing_key for card in self.auditors]
        if len(set(names)) != len(names) or len(set(keys)) != len(keys):
            raise ValueError("an auditor is named twice")
        departments = [witness.department for witness in self.witnesses]
        witness_keys = [witness.key for witness in self.witnesses]
        if departments != sorted(set(departments)) or len(set(witness_keys)) != len(witness_keys):
            raise ValueError("witnesses are not sorted, or one is named twice")
        if self.log_key in witness_keys:
            raise ValueError("the log's key is a witness's")
        if self.witnesses and self.quorum > len(self.witnesses):
            raise ValueError("more faulty witnesses are tolerated than can be: nothing would ever count as witnessed")
        return self

    @property
    def quorum(self) -> int:
        """The fewest cosignatures that count: more than (n+f)/2. Two quorums then share a witness that is not faulty."""
        return (len(self.witnesses) + self.tolerated_faulty_witnesses) // 2 + 1

    @property
    def log_note_key(self) -> NoteKey:
        """The log's key as C2SP notes name it."""
        return NoteKey(self.origin, bytes.fromhex(self.log_key), LOG_KEY)

    @property
    def sealing_keys(self) -> tuple[bytes, ...]:
        """The public sealing keys of the auditors."""
        return tuple(bytes.fromhex(card.sealing_key) for card in self.auditors)

    def signer(self, producer: str) -> str | None:
        """Return the key that a producer's batches are signed with, in hexadecimal; `None` for an unknown producer."""
        if producer == COORDINATOR:
            return self.log_key
        return next((item.key for item in self.witnesses if item.department == producer), None)


class SignedLedgerTerms(Document):
    """Terms and the signature of one of the centre's approval keys."""

    terms: LedgerTerms
    key: KeyHex
    signature: SignatureHex

    def verify(self, approval_keys: tuple[str, ...]) -> LedgerTerms:
        """Return the terms if one of the centre's approvers signed them. Raises `terms.bad_signature`."""
        if self.key not in approval_keys:
            raise DoudiError(
                "terms.bad_signature",
                "the ledger's terms are not signed by an approver of the centre's card",
                "Pin the centre's present card, or ask the centre's officer who signed.",
            )
        try:
            signing.verify(
                bytes.fromhex(self.key), TERMS_SIGNATURE_DOMAIN, self.terms.to_bytes(), bytes.fromhex(self.signature)
            )
        except DoudiError as error:
            raise DoudiError("terms.bad_signature", "the signature under the ledger's terms does not fit") from error
        return self.terms


def sign_terms(terms: LedgerTerms, private: bytes) -> SignedLedgerTerms:
    """Return the terms signed with an approval key of the centre."""
    signature = signing.sign(private, TERMS_SIGNATURE_DOMAIN, terms.to_bytes())
    return SignedLedgerTerms(terms=terms, key=signing.signing_public_key(private).hex(), signature=signature.hex())


def require_next_terms(known: LedgerTerms | None, offered: LedgerTerms) -> bool:
    """Return whether offered terms are newer than the known ones; the same are not newer.

    Raises `terms.rollback` for a lower number, `terms.fork` for other content under one number, `terms.other_log` for another
    origin: the log of an installation keeps its name for ever.
    """
    if known is None:
        return True
    if offered.origin != known.origin:
        raise DoudiError("terms.other_log", "the terms name another log than this party has followed")
    if offered.number < known.number:
        raise DoudiError("terms.rollback", "the ledger's terms are older than those known here")
    if offered.number == known.number:
        if offered != known:
            raise DoudiError("terms.fork", "the centre signed two different terms with one number")
        return False
    return True


def tolerable_faults(witnesses: int) -> int:
    """Return the f that is proposed for n witnesses: fewer than a third of them, as usual for agreement among n."""
    return max(0, (witnesses - 1) // 3)
