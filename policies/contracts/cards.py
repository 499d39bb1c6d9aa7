"""A party's public card: the keys and the data asset that it shows to the others, outside the coordinator. May import crypto."""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from policies.contracts.base import Document, Hash, KeyHex, Slug

# Keys of further people who may approve for the same party: a tier may ask for two people, and one key is one person.
CoApprovalKeys = Annotated[tuple[KeyHex, ...], Field(max_length=7)]


class DepartmentCard(Document):
    """What a department shows of itself. Officers compare the fingerprint by another channel before they trust it."""

    format_version: Literal[1] = 1
    department: Slug
    region: Slug
    identity_key: KeyHex
    approval_key: KeyHex
    co_approval_keys: CoApprovalKeys = ()
    scheduling_key: KeyHex
    revocation_key: KeyHex
    flower_key: Annotated[str, Field(max_length=1000, description="OpenSSH public key of the Flower node")]
    dataset: Slug
    standard_version: int
    standard_hash: Hash
    people: Annotated[int, Field(ge=0)]
    columns: tuple[str, ...]
    tier: Slug
    tier_version: Annotated[int, Field(ge=1)]
    tier_hash: Hash
    allowed_purposes: tuple[Slug, ...]
    program_hash: Hash

    def fingerprint(self) -> str:
        """Return 40 hex characters over the card's keys and its tier, in groups of four, for reading out over the telephone.

        The tier is in it because it says how many people sign: who may only operate the node must not lower it unheard.
        """
        keys = (self.approval_key, *self.co_approval_keys, self.scheduling_key, self.revocation_key, self.flower_key)
        return _fingerprint(self.department, self.identity_key, *keys, self.tier, str(self.tier_version))

    def signing_keys(self) -> tuple[str, ...]:
        """Return every key of this department that signs something: none may stand for two purposes or people."""
        approvers = (self.approval_key, *self.co_approval_keys)
        return (self.identity_key, *approvers, self.scheduling_key, self.revocation_key)


class CentreCard(Document):
    """What the data-management centre shows: its approvers' keys, its revocation key and its address."""

    format_version: Literal[1] = 1
    approval_key: KeyHex
    co_approval_keys: CoApprovalKeys = ()
    revocation_key: KeyHex
    api_key: KeyHex
    url: str
    superlink: str

    def fingerprint(self) -> str:
        """Return 40 hex characters over the centre's keys, in groups of four."""
        return _fingerprint("centre", *self.signing_keys())

    def signing_keys(self) -> tuple[str, ...]:
        """Return every key of the centre that signs something: none may stand for two purposes or people."""
        return (self.approval_key, *self.co_approval_keys, self.revocation_key, self.api_key)


def _fingerprint(*fields: str) -> str:
    digest = hashlib.sha256(b"doudi-card-v1\x00" + "|".join(fields).encode()).hexdigest()[:40]
    return " ".join(digest[i : i + 4] for i in range(0, 40, 4))


def parse_card(data: bytes) -> DepartmentCard | CentreCard:
    """Return the card in untrusted bytes: a department's, or the centre's. Raises `document.malformed`."""
    return DepartmentCard.parse(data) if b'"department":' in data else CentreCard.parse(data)
