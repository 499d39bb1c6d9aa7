"""The grant: who may do what with which columns, for which purpose, how often and until when.

Canonical JSON, signed with Ed25519 by the lead, every owner of an asset and the data-management centre. Each node verifies it
offline at every step against its own list of trusted keys. Two kinds: `Grant` for a region's departments (the main job), and
`LineGrant` for one department's regions. Who must sign follows from the assets' tiers. May import crypto and policies.standards.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from crypto import signing
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from policies.contracts.base import Document, Hash, KeyHex, Period, SignatureHex, Slug
from policies.contracts.grant_terms import GrantBase, Operation, Scheduler, Share
from policies.contracts.line_grant import LineGrant
from policies.standards.tier_loader import load_tier

__all__ = [
    "EvidenceTerms",
    "Grant",
    "GrantSignature",
    "LabelTerms",
    "LineGrant",
    "LinkageTerms",
    "Operation",
    "Participant",
    "RequiredSignatures",
    "Scheduler",
    "SignedGrant",
    "required_signatures",
    "sign_grant",
    "verify_grant_signature",
    "verify_grant_signatures",
]

GRANT_SIGNATURE_DOMAIN = "grant"


class Participant(Share):
    """One department's share in a region's grant."""

    evaluation_limit: Annotated[int, Field(ge=1, description="points a key holder evaluates for it, cumulative")]


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


class Grant(GrantBase):
    """The agreement of one region's departments: the main job."""

    kind: Literal["region"] = "region"
    participants: Annotated[tuple[Participant, ...], Field(min_length=2, max_length=64)]
    linkage: LinkageTerms
    label: LabelTerms
    evidence: EvidenceTerms
    modes: Annotated[tuple[Literal["evidence", "sum_only"], ...], Field(min_length=1)]

    @property
    def shares(self) -> tuple[Share, ...]:
        """What each department gives, in the grant's order."""
        return self.participants

    @model_validator(mode="after")
    def _consistent(self) -> "Grant":
        names = self.departments
        if sorted(self.linkage.participants) != sorted(names) or self.linkage.project_id != self.project_id:
            raise ValueError("the linkage section does not match the participants or the project")
        if self.linkage.min_key_holders > len(names):
            raise ValueError("min_key_holders is larger than the number of participants")
        if "sum_only" in self.modes and len(names) < 4:
            raise ValueError("sum-only needs at least three supporting departments")
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

    grant: Annotated[Grant | LineGrant, Field(discriminator="kind")]
    signatures: tuple[GrantSignature, ...] = ()

    @property
    def grant_hash(self) -> str:
        """The hash that names the grant in every message."""
        return self.grant.digest()

    @property
    def region_grant(self) -> Grant:
        """The grant of a region's departments. Raises `grant.wrong_kind`."""
        if not isinstance(self.grant, Grant):
            raise DoudiError("grant.wrong_kind", "the grant is a line's, not a region's")
        return self.grant

    @property
    def line_grant(self) -> LineGrant:
        """The grant of a line. Raises `grant.wrong_kind`."""
        if not isinstance(self.grant, LineGrant):
            raise DoudiError("grant.wrong_kind", "the grant is a region's, not a line's")
        return self.grant


@dataclass(frozen=True)
class RequiredSignatures:
    """How many people of a party must sign, and the keys of those who may: one key is one person."""

    party: str
    role: Literal["lead", "owner", "centre"]
    keys: tuple[str, ...]
    count: int


def required_signatures(grant: GrantBase) -> list[RequiredSignatures]:
    """Return what a grant needs: signatures of the centre, the lead and each owner, as many as this program's tiers say.

    The centre needs as many as the strictest of the assets' tiers asks for. Raises `standard.unknown_tier`.
    """
    tiers = [load_tier(share.tier, share.tier_version) for share in grant.shares]
    centre = max(tier.approvals.centre.count for tier in tiers)
    needed = [RequiredSignatures("centre", "centre", grant.centre_keys, centre)]
    for share, tier in zip(grant.shares, tiers, strict=True):
        role: Literal["lead", "owner"] = "lead" if share.role == "lead" else "owner"
        needed.append(RequiredSignatures(share.department, role, share.approval_keys, tier.approvals.owner.count))
    return needed


def sign_grant(
    grant: GrantBase, party: str, role: Literal["lead", "owner", "centre"], private: bytes
) -> GrantSignature:
    """Return a party's signature over the grant's canonical form."""
    return GrantSignature(
        party=party,
        role=role,
        key=signing.signing_public_key(private).hex(),
        signature=signing.sign(private, GRANT_SIGNATURE_DOMAIN, _signed_bytes(grant.digest(), party, role)).hex(),
    )


def verify_grant_signatures(signed: SignedGrant) -> str:
    """Return the grant's hash if enough people of every party signed it with keys that it names.

    Raises `grant.signature_missing` or `grant.bad_signature`.

    Every signature must verify, also one beyond the number. Two by one key are one person. Whether those keys are the right
    ones is the caller's question: compare them with a list of trusted keys.
    """
    grant_hash = signed.grant_hash
    for needed in required_signatures(signed.grant):
        people = set()
        for signature in signed.signatures:
            if (signature.party, signature.role) != (needed.party, needed.role):
                continue
            if signature.key not in needed.keys:
                raise DoudiError("grant.bad_signature", f"{needed.party} signed with another key than the grant names")
            _verify(grant_hash, signature)
            people.add(signature.key)
        if len(people) < needed.count:
            raise DoudiError(
                "grant.signature_missing",
                f"of {needed.count} signatures of {needed.party} ({needed.role}) there are {len(people)}",
                "Have this party sign the grant; its tier says how many people must.",
            )
    return grant_hash


def verify_grant_signature(grant: GrantBase, signature: GrantSignature) -> None:
    """Raise `grant.bad_signature` unless this one signature is its party's, in its role, over this grant with its own key."""
    _verify(grant.digest(), signature)


def _verify(grant_hash: str, signature: GrantSignature) -> None:
    try:
        signing.verify(
            bytes.fromhex(signature.key),
            GRANT_SIGNATURE_DOMAIN,
            _signed_bytes(grant_hash, signature.party, signature.role),
            bytes.fromhex(signature.signature),
        )
    except DoudiError as error:
        party = f"{signature.party} ({signature.role})"
        raise DoudiError("grant.bad_signature", f"the signature of {party} does not verify") from error


def _signed_bytes(grant_hash: str, party: str, role: str) -> bytes:
    """Bind the signer's role to the signature, so that an owner's signature never counts as the centre's."""
    return canonical_json({"party": party, "role": role, "grant_hash": grant_hash})
