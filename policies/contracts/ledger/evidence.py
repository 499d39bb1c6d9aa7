"""What a witness keeps when the log misbehaves: a signed statement that others can check without trusting the witness's word.

A fork shows two checkpoints that the log itself signed; a rollback a smaller one after a larger; an omission a receipt that the
log's checkpoint does not honour. May import crypto.
"""

from typing import Annotated, Literal

from pydantic import Field

from crypto import signing
from crypto.errors import DoudiError
from policies.contracts.base import Document, Hash, KeyHex, SignatureHex, Slug

EVIDENCE_SIGNATURE_DOMAIN = "witness-evidence"
# Of a note with the log's signature alone, many times; not of one with a thousand cosignatures.
MAXIMUM_NOTE_CHARACTERS = 65_536
Note = Annotated[str, Field(max_length=MAXIMUM_NOTE_CHARACTERS)]
EvidenceKind = Literal["fork", "rollback", "bad_signature", "bad_proof", "omission", "other_terms"]


class WitnessEvidence(Document):
    """`seen`: the checkpoint that the witness had accepted, `offered`: the one that it refused; notes with the log's signature.

    `proof`: the consistency proof that came with it, hashes in hexadecimal. `batch_id`, `first_sequence`, `entries`: of the batch
    that was left out, for an omission. Times are seconds since 1970 UTC.
    """

    format_version: Literal[1] = 1
    kind: EvidenceKind
    witness: Slug
    at: Annotated[int, Field(ge=0, le=2**53)]
    terms_number: Annotated[int, Field(ge=1, le=2**53)]
    seen: Note = ""
    offered: Note = ""
    proof: Annotated[tuple[Hash, ...], Field(max_length=128)] = ()
    batch_id: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = ""
    first_sequence: Annotated[int, Field(ge=0, le=2**53)] = 0
    entries: Annotated[int, Field(ge=0, le=500)] = 0


class SignedWitnessEvidence(Document):
    """Evidence and the signature of the witness's identity key."""

    evidence: WitnessEvidence
    key: KeyHex
    signature: SignatureHex

    def verify(self, identity_key: str) -> WitnessEvidence:
        """Return the evidence if the witness signed it. Raises `evidence.bad_signature`."""
        if self.key != identity_key:
            raise DoudiError("evidence.bad_signature", "the evidence is signed by another key than the witness's")
        try:
            signing.verify(
                bytes.fromhex(identity_key),
                EVIDENCE_SIGNATURE_DOMAIN,
                self.evidence.to_bytes(),
                bytes.fromhex(self.signature),
            )
        except DoudiError as error:
            raise DoudiError("evidence.bad_signature", "the evidence is not signed by its witness") from error
        return self.evidence


def sign_evidence(evidence: WitnessEvidence, private: bytes) -> SignedWitnessEvidence:
    """Return the evidence signed with the witness's identity key."""
    return SignedWitnessEvidence(
        evidence=evidence,
        key=signing.signing_public_key(private).hex(),
        signature=signing.sign(private, EVIDENCE_SIGNATURE_DOMAIN, evidence.to_bytes()).hex(),
    )
