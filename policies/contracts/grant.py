"""The grant: who may do what with which columns, for which purpose, how often and until when.

Canonical JSON, signed with Ed25519 by the lead, every owner of an asset and the data-management centre. Each node verifies it
offline at every step against its own list of trusted keys. May import crypto.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from crypto import signing
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from policies.contracts.base import Document, Hash, KeyHex, Period, SignatureHex, Slug

GRANT_SIGNATURE_DOMAIN = "grant"


class Operation(StrEnum):
    """What a grant may allow. Anything that is not named in it is refused."""

    LINK = "link"
    RELEASE = "release"
    TRAIN = "train"
    EVIDENCE = "evidence"
    SUM_ONLY = "sum_only"
    COMBINE = "combine"


class Participant(Document):
    """One department's share in a grant: its asset, columns, operations, keys and counts."""

    department: Slug
    role: Literal["lead", "supporting"]
    dataset: Slug
    standard_version: Annotated[int, Field(ge=1)]
    standard_hash: Hash
    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=512)]
    operations: Annotated[tuple[Operation, ...], Field(min_length=1)]
    declared_people: Annotated[int, Field(ge=1, le=100_000_000)]
    evaluation_limit: Annotated[int, Field(ge=1, description="points a key holder evaluates for it, cumulative")]
    identity_key: KeyHex
    approval_key: KeyHex


class LinkageTerms(Document):
    """What fixes the pseudonyms: the hash of this section separates one project's pseudonyms from another's."""

    project_id: Slug
    nonce: Hash
    participants: tuple[Slug, ...]
    min_key_holders: Annotated[int, Field(ge=2)]

    def domain(self) -> bytes:
        """Return the bytes that the domain separation tag is derived from."""
        return canonical_json(self.model_dump(mode="json"))


class LabelTerms(Document):
    """The label that the lead releases: one bit per household, target and period, ε-DP by randomised response."""

    target: Slug
    label_period: Period
    epsilon_milli: Annotated[int, Field(ge=1, le=8000, description="thousandths of ε per household and period")]
    held_out_percent: Annotated[int, Field(ge=5, le=50)] = 20


class EvidenceTerms(Document):
    """What may reach the lead about each slot."""

    levels: Annotated[int, Field(ge=2, le=32)]
    max_slots: Annotated[int, Field(ge=1)]
    bits_per_person_and_year: Annotated[int, Field(ge=1)]


class Scheduler(Document):
    """Who holds the scheduling right: may start runs by signing their manifests."""

    department: Slug
    key: KeyHex


class Grant(Document):
    """The agreement of one project. `not_before` and `expires_at` are seconds since 1970 UTC."""

    format_version: Literal[1] = 1
    grant_id: Slug
    project_id: Slug
    purpose: Slug
    region: Slug
    not_before: int
    expires_at: int
    program_hash: Hash
    participants: Annotated[tuple[Participant, ...], Field(min_length=2, max_length=64)]
    linkage: LinkageTerms
    label: LabelTerms
    evidence: EvidenceTerms
    modes: Annotated[tuple[Literal["evidence", "sum_only"], ...], Field(min_length=1)]
    runs_allowed: Annotated[int, Field(ge=1, le=10_000)]
    attempts_allowed: Annotated[int, Field(ge=1, le=10)] = 3
    scheduler: Scheduler
    centre_key: KeyHex

    @model_validator(mode="after")
    def _consistent(self) -> "Grant":
        names = [participant.department for participant in self.participants]
        if len(set(names)) != len(names):
            raise ValueError("a department is named twice")
        if sum(participant.role == "lead" for participant in self.participants) != 1:
            raise ValueError("exactly one lead is needed")
        if sorted(self.linkage.participants) != sorted(names) or self.linkage.project_id != self.project_id:
            raise ValueError("the linkage section does not match the participants or the project")
        if self.linkage.min_key_holders > len(names):
            raise ValueError("min_key_holders is larger than the number of participants")
        if self.scheduler.department not in names:
            raise ValueError("the scheduler is not a participant")
        if "sum_only" in self.modes and len(names) < 4:
            raise ValueError("sum-only needs at least three supporting departments")
        if self.expires_at <= self.not_before:
            raise ValueError("expires_at is not after not_before")
        return self

    @property
    def lead(self) -> Participant:
        """The lead department."""
        return next(participant for participant in self.participants if participant.role == "lead")

    @property
    def supporting(self) -> tuple[Participant, ...]:
        """The supporting departments, in the grant's order."""
        return tuple(participant for participant in self.participants if participant.role == "supporting")

    def participant(self, department: str) -> Participant:
        """Return a department's share. Raises `grant.not_a_participant`."""
        for participant in self.participants:
            if participant.department == department:
                return participant
        raise DoudiError("grant.not_a_participant", "the department is not named in the grant")


class GrantSignature(Document):
    """One party's signature. `party` is a department's name, or `centre`."""

    party: Slug
    role: Literal["lead", "owner", "centre"]
    key: KeyHex
    signature: SignatureHex


class SignedGrant(Document):
    """A grant with the signatures collected so far; only `verify_grant_signatures` says whether they suffice."""

    grant: Grant
    signatures: tuple[GrantSignature, ...] = ()

    @property
    def grant_hash(self) -> str:
        """The hash that names the grant in every message."""
        return self.grant.digest()


def required_signatures(grant: Grant) -> list[tuple[str, str, str]]:
    """Return (party, role, key) of every signature a grant needs: the centre, the lead, each owner."""
    needed = [("centre", "centre", grant.centre_key)]
    for participant in grant.participants:
        role = "lead" if participant.role == "lead" else "owner"
        needed.append((participant.department, role, participant.approval_key))
    return needed


def sign_grant(grant: Grant, party: str, role: Literal["lead", "owner", "centre"], private: bytes) -> GrantSignature:
    """Return a party's signature over the grant's canonical form."""
    return GrantSignature(
        party=party,
        role=role,
        key=signing.signing_public_key(private).hex(),
        signature=signing.sign(private, GRANT_SIGNATURE_DOMAIN, _signed_bytes(grant, party, role)).hex(),
    )


def verify_grant_signatures(signed: SignedGrant) -> None:
    """Raise `grant.signature_missing` or `grant.bad_signature` unless every required party signed with the key the grant names.

    Whether those keys are the right ones is the caller's question: compare them with a list of trusted keys.
    """
    by_party = {(str(item.party), str(item.role)): item for item in signed.signatures}
    for party, role, key in required_signatures(signed.grant):
        signature = by_party.get((party, role))
        if signature is None:
            raise DoudiError(
                "grant.signature_missing",
                f"the signature of {party} ({role}) is missing",
                "Have this party sign the grant.",
            )
        if signature.key != key:
            raise DoudiError("grant.bad_signature", f"{party} signed with another key than the grant names")
        verify_grant_signature(signed.grant, signature)


def verify_grant_signature(grant: Grant, signature: GrantSignature) -> None:
    """Raise `grant.bad_signature` unless this one signature is its party's, in its role, over this grant with its own key."""
    try:
        signing.verify(
            bytes.fromhex(signature.key),
            GRANT_SIGNATURE_DOMAIN,
            _signed_bytes(grant, signature.party, signature.role),
            bytes.fromhex(signature.signature),
        )
    except DoudiError as error:
        party = f"{signature.party} ({signature.role})"
        raise DoudiError("grant.bad_signature", f"the signature of {party} does not verify") from error


def _signed_bytes(grant: Grant, party: str, role: str) -> bytes:
    """Bind the signer's role to the signature, so that an owner's signature never counts as the centre's."""
    return canonical_json({"party": party, "role": role, "grant_hash": grant.digest()})
