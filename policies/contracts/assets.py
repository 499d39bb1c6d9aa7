"""A data asset (数据资源) as its owner registers it: what it is, whose, how sensitive, and what it may be used for.

Signed by the owner's node, so that nobody registers another's asset; officers of other parties compare it with the owner's card.
Numbers and names only; nothing about a person. May import crypto.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from crypto import signing
from crypto.errors import DoudiError
from policies.contracts.base import Document, Hash, SignatureHex, Slug

ASSET_SIGNATURE_DOMAIN = "asset-registration"


class AssetRegistration(Document):
    """One asset of one department. `revision` grows with every change; `registered_at`: seconds since 1970 UTC.

    `steward`: the office that answers for the data, never a person's name. `withdrawn`: no request may name it any more.
    """

    format_version: Literal[1] = 1
    owner: Slug
    region: Slug
    dataset: Slug
    standard_version: Annotated[int, Field(ge=1)]
    standard_hash: Hash
    people: Annotated[int, Field(ge=0, le=100_000_000)]
    columns: Annotated[tuple[str, ...], Field(max_length=512)]
    tier: Slug
    tier_version: Annotated[int, Field(ge=1)]
    tier_hash: Hash
    steward: Slug
    allowed_purposes: Annotated[tuple[Slug, ...], Field(max_length=64)]
    revision: Annotated[int, Field(ge=1)]
    registered_at: int
    withdrawn: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "AssetRegistration":
        if len(set(self.columns)) != len(self.columns) or len(set(self.allowed_purposes)) != len(self.allowed_purposes):
            raise ValueError("a column or purpose is named twice")
        return self


class SignedAsset(Document):
    """A registration and the signature of its owner's identity key."""

    asset: AssetRegistration
    signature: SignatureHex

    def verify(self, identity_key: str) -> None:
        """Raise `asset.bad_signature` unless the owner's node signed it."""
        try:
            signing.verify(
                bytes.fromhex(identity_key),
                ASSET_SIGNATURE_DOMAIN,
                self.asset.to_bytes(),
                bytes.fromhex(self.signature),
            )
        except DoudiError as error:
            raise DoudiError(
                "asset.bad_signature",
                "the registration is not signed by its owner's node",
                "Only the owner registers an asset: `doudi node register-asset`.",
            ) from error


def sign_asset(asset: AssetRegistration, private: bytes) -> SignedAsset:
    """Return the registration signed with the node's identity key."""
    signature = signing.sign(private, ASSET_SIGNATURE_DOMAIN, asset.to_bytes()).hex()
    return SignedAsset(asset=asset, signature=signature)
