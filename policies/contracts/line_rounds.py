"""The documents of one round of a line: fresh keys, sealed shares, the survivors, and what removes their masks.

Secure aggregation after Bonawitz et al. 2017 (double masking with the signed consistency round). Everything that a node signs
or masks is bound to grant, run, attempt, round, roster and the model that was sent out. May import crypto.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from crypto import signing
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from crypto.sealing import PUBLIC_KEY_BYTES
from policies.contracts.base import Document, Hash, KeyHex, LongKeyHex, SignatureHex, Slug
from policies.contracts.line_grant import LARGEST_LINE

ROUND_KEYS_SIGNATURE_DOMAIN = "line-round-keys"
CONSENT_SIGNATURE_DOMAIN = "line-consent"
MODEL_DOMAIN = b"doudi-line-model-v1\x00"
ROSTER_DOMAIN = b"doudi-line-roster-v1\x00"
LARGEST_ROUND = 999

RoundNumber = Annotated[int, Field(ge=1, le=LARGEST_ROUND)]
# Version byte, holder's place, 66 bytes of value: `crypto.shamir`.
ShareHex = Annotated[str, Field(pattern=r"^[0-9a-f]{136}$")]


class RoundName(Document):
    """Which round of which attempt: the prefix of everything that is signed or masked in it."""

    project_id: Slug
    grant_hash: Hash
    run_id: Slug
    attempt: Annotated[int, Field(ge=1, le=10)]
    round: RoundNumber


class RoundKeys(Document):
    """A node's fresh public keys for one round, signed by the identity key that the grant pins."""

    format_version: Literal[1] = 1
    name: RoundName
    department: Slug
    mask_key: KeyHex
    sealing_key: LongKeyHex
    signature: SignatureHex = "0" * 128

    def signed_bytes(self) -> bytes:
        """Return what the identity key signs: everything but the signature."""
        return canonical_json(self.model_dump(mode="json", exclude={"signature"}))

    def signed(self, private: bytes) -> "RoundKeys":
        """Return the keys with their signature."""
        signature = signing.sign(private, ROUND_KEYS_SIGNATURE_DOMAIN, self.signed_bytes()).hex()
        return self.model_copy(update={"signature": signature})

    def verify(self, name: RoundName, department: str, identity_key: str) -> None:
        """Raise `line.wrong_round`, `line.bad_keys` or `line.substituted_keys` unless these are the department's keys."""
        if (self.name, self.department) != (name, department):
            raise DoudiError("line.wrong_round", f"keys of {department} belong to another round or department")
        if len(self.sealing_key) != 2 * PUBLIC_KEY_BYTES:
            raise DoudiError("line.bad_keys", f"the sealing key of {department} has the wrong length")
        try:
            signing.verify(
                bytes.fromhex(identity_key),
                ROUND_KEYS_SIGNATURE_DOMAIN,
                self.signed_bytes(),
                bytes.fromhex(self.signature),
            )
        except DoudiError as error:
            raise DoudiError(
                "line.substituted_keys",
                f"the keys of {department} are not signed by the identity key that the grant pins",
                "Stop the run and ask the centre who replaced them.",
            ) from error


def roster_digest(keys: Sequence[RoundKeys]) -> str:
    """Return the digest of a roster: who takes part in the round with which keys, as 64 hex characters."""
    ordered = sorted(keys, key=lambda item: item.department)
    return hashlib.sha256(ROSTER_DOMAIN + b"".join(item.digest().encode() for item in ordered)).hexdigest()


def model_digest(model: bytes) -> str:
    """Return the digest that names a line model, as 64 hex characters."""
    return hashlib.sha256(MODEL_DOMAIN + model).hexdigest()


class Shares(Document):
    """What one node seals to another: one Shamir share of each of its two secrets, bound to the roster."""

    format_version: Literal[1] = 1
    roster: Hash
    self_seed_share: ShareHex
    mask_key_share: ShareHex


class Survivors(Document):
    """What every survivor signs: these, and no others, count in the round that started from this model."""

    format_version: Literal[1] = 1
    name: RoundName
    roster: Hash
    members: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=LARGEST_LINE)]
    survivors: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=LARGEST_LINE)]
    model: Hash

    @model_validator(mode="after")
    def _consistent(self) -> "Survivors":
        for names in (self.members, self.survivors):
            if list(names) != sorted(set(names)):
                raise ValueError("names are not in order, or one stands twice")
        if not set(self.survivors) <= set(self.members):
            raise ValueError("a survivor is not a member")
        return self

    def context(self) -> bytes:
        """Return the bytes that bind masks to the round, its members and its model; the survivors are not known yet then."""
        return mask_context(self.name, self.roster, self.members, self.model)


def mask_context(name: RoundName, roster: str, members: Sequence[str], model: str) -> bytes:
    """Return the bytes that every mask of a round is derived from."""
    fields = {"name": name.model_dump(mode="json"), "roster": roster, "members": sorted(members), "model": model}
    return canonical_json(fields)


class Consent(Document):
    """One survivor's signature over the survivors."""

    format_version: Literal[1] = 1
    department: Slug
    survivors_digest: Hash
    signature: SignatureHex


def sign_survivors(survivors: Survivors, department: str, private: bytes) -> Consent:
    """Return a department's consent."""
    message = _consent_bytes(survivors, department)
    return Consent(
        department=department,
        survivors_digest=survivors.digest(),
        signature=signing.sign(private, CONSENT_SIGNATURE_DOMAIN, message).hex(),
    )


def verify_consent(consent: Consent, survivors: Survivors, department: str, identity_key: str) -> None:
    """Raise `line.bad_consent` unless the department signed exactly these survivors."""
    try:
        if (consent.department, consent.survivors_digest) != (department, survivors.digest()):
            raise DoudiError("line.bad_consent", "the consent is about other survivors")
        signing.verify(
            bytes.fromhex(identity_key),
            CONSENT_SIGNATURE_DOMAIN,
            _consent_bytes(survivors, department),
            bytes.fromhex(consent.signature),
        )
    except DoudiError as error:
        raise DoudiError(
            "line.bad_consent", f"{department} did not consent to these survivors and this model"
        ) from error


def _consent_bytes(survivors: Survivors, department: str) -> bytes:
    return canonical_json({"department": department, "survivors": survivors.digest()})


class Unmasking(Document):
    """One survivor's shares: of the self mask of each survivor, and of the mask key of each member that dropped. Never both."""

    format_version: Literal[1] = 1
    survivors_digest: Hash
    self_seed_shares: Mapping[Slug, ShareHex]
    mask_key_shares: Mapping[Slug, ShareHex]

    @model_validator(mode="after")
    def _never_both(self) -> "Unmasking":
        if set(self.self_seed_shares) & set(self.mask_key_shares):
            raise ValueError("both secrets of one department")
        return self
