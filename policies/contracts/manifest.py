"""The run manifest: one run of a grant, with the participants' fresh keys, signed by the holder of the scheduling right.

Without it no run starts, so a compromised coordinator cannot start one. May import crypto.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from crypto import signing
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from crypto.sealing import PUBLIC_KEY_BYTES
from policies.contracts.base import Document, Hash, KeyHex, LongKeyHex, SignatureHex, Slug
from policies.contracts.grant import Grant, LineGrant
from policies.contracts.grant_terms import GrantBase, Share

OFFER_SIGNATURE_DOMAIN = "key-offer"
MANIFEST_SIGNATURE_DOMAIN = "run-manifest"

Mode = Literal["evidence", "sum_only", "both", "line"]


class KeyOffer(Document):
    """A node's fresh keys for one attempt of one run, and the length of the list it will link; signed by its identity key."""

    format_version: Literal[1] = 1
    grant_hash: Hash
    run_id: Slug
    attempt: Annotated[int, Field(ge=1, le=10)]
    department: Slug
    sealing_key: LongKeyHex
    mask_key: KeyHex
    people: Annotated[int, Field(ge=1)]
    program_hash: Hash
    signature: SignatureHex = "0" * 128

    def signed_bytes(self) -> bytes:
        """Return what the identity key signs: everything but the signature."""
        return canonical_json(self.model_dump(mode="json", exclude={"signature"}))

    def signed(self, private: bytes) -> "KeyOffer":
        """Return the offer with its signature."""
        signature = signing.sign(private, OFFER_SIGNATURE_DOMAIN, self.signed_bytes()).hex()
        return self.model_copy(update={"signature": signature})

    def verify(self, identity_key: str) -> None:
        """Raise `offer.bad_signature` unless the identity key signed this offer."""
        try:
            signing.verify(
                bytes.fromhex(identity_key), OFFER_SIGNATURE_DOMAIN, self.signed_bytes(), bytes.fromhex(self.signature)
            )
        except DoudiError as error:
            raise DoudiError(
                "offer.bad_signature",
                f"the run keys of {self.department} are not signed by the identity key that the grant pins",
                "Do not schedule this run; ask the department and the centre who replaced the key.",
            ) from error


class Manifest(Document):
    """One attempt of one run. Times are seconds since 1970 UTC."""

    format_version: Literal[1] = 1
    grant_hash: Hash
    run_id: Slug
    run_number: Annotated[int, Field(ge=1)]
    attempt: Annotated[int, Field(ge=1, le=10)]
    mode: Mode
    created_at: int
    expires_at: int
    offers: Annotated[tuple[KeyOffer, ...], Field(min_length=2, max_length=64)]

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        names = [offer.department for offer in self.offers]
        if len(set(names)) != len(names):
            raise ValueError("a department is named twice")
        for offer in self.offers:
            if (offer.grant_hash, offer.run_id, offer.attempt) != (self.grant_hash, self.run_id, self.attempt):
                raise ValueError("an offer belongs to another grant, run or attempt")
        return self

    def offer(self, department: str) -> KeyOffer:
        """Return a department's keys. Raises `manifest.not_a_participant`."""
        for offer in self.offers:
            if offer.department == department:
                return offer
        raise DoudiError("manifest.not_a_participant", "the department is not named in the run's manifest")

    @property
    def departments(self) -> tuple[str, ...]:
        """The departments of this run, in the manifest's order."""
        return tuple(offer.department for offer in self.offers)


class SignedManifest(Document):
    """A manifest and the signature of the scheduling key that the grant names."""

    manifest: Manifest
    signature: SignatureHex

    def verify(self, scheduling_key: str) -> None:
        """Raise `manifest.bad_signature` unless the scheduling key signed it."""
        try:
            signing.verify(
                bytes.fromhex(scheduling_key),
                MANIFEST_SIGNATURE_DOMAIN,
                self.manifest.to_bytes(),
                bytes.fromhex(self.signature),
            )
        except DoudiError as error:
            raise DoudiError(
                "manifest.bad_signature",
                "the run is not signed by the holder of the scheduling right",
                "Have the scheduler sign the manifest with `doudi node schedule`.",
            ) from error


def sign_manifest(manifest: Manifest, private: bytes) -> SignedManifest:
    """Return the manifest signed with the scheduling key."""
    signature = signing.sign(private, MANIFEST_SIGNATURE_DOMAIN, manifest.to_bytes()).hex()
    return SignedManifest(manifest=manifest, signature=signature)


def verify_run_terms(grant: Grant | LineGrant, manifest: Manifest) -> None:
    """Raise unless number, attempt, mode and participants of a run are what the grant allows."""
    if manifest.run_number > grant.runs_allowed:
        raise DoudiError("manifest.too_many_runs", "the grant allows fewer runs", "Ask for a new grant.")
    if manifest.attempt > grant.attempts_allowed:
        raise DoudiError("manifest.too_many_attempts", "the grant allows fewer attempts")
    verify_mode(grant, manifest.mode)
    granted, taking_part = set(grant.departments), set(manifest.departments)
    if not taking_part <= granted:
        raise _wrong_participants()
    if isinstance(grant, LineGrant):
        if len(taking_part) < grant.aggregation.min_survivors:
            raise DoudiError("manifest.too_few_parties", "fewer departments take part than a round must keep")
        return
    if grant.lead_department not in taking_part:
        raise _wrong_participants()
    if manifest.mode != "evidence" and taking_part != granted:
        raise DoudiError("manifest.sum_needs_everyone", "a sum is taken over the grant's exact participants only")
    if len(taking_part) < grant.linkage.min_key_holders:
        raise DoudiError("manifest.too_few_key_holders", "fewer key holders take part than the grant asks for")


def verify_mode(grant: Grant | LineGrant, mode: Mode) -> None:
    """Raise `manifest.mode_not_granted` unless the grant allows runs of this mode."""
    wanted = {"evidence", "sum_only"} if mode == "both" else {mode}
    if not wanted <= ({"line"} if isinstance(grant, LineGrant) else set(grant.modes)):
        raise DoudiError("manifest.mode_not_granted", "the grant does not allow this mode")


def _wrong_participants() -> DoudiError:
    return DoudiError("manifest.wrong_participants", "the run's participants are not the grant's")


def verify_offers(grant: GrantBase, manifest: Manifest) -> None:
    """Raise unless every offer is signed by its department's pinned key, short enough and of the granted program."""
    for offer in manifest.offers:
        share = grant.share(offer.department)
        offer.verify(share.identity_key)
        verify_offer_terms(share, offer, grant.program_hash)


def verify_offer_terms(share: Share, offer: KeyOffer, program_hash: str) -> None:
    """Raise `offer.list_too_long`, `offer.wrong_program` or `offer.bad_key`."""
    if offer.people > share.declared_people:
        raise DoudiError(
            "offer.list_too_long",
            f"the list of {offer.department} is longer than granted",
            "Ask for a grant that covers the list.",
        )
    if offer.program_hash != program_hash:
        raise DoudiError("offer.wrong_program", f"{offer.department} runs another program than granted")
    if len(offer.sealing_key) != 2 * PUBLIC_KEY_BYTES:
        # Refused here, before the run is scheduled: later it would stop every department that seals to this one.
        raise DoudiError("offer.bad_key", f"the sealing key of {offer.department} has the wrong length")
