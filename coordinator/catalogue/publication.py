"""Whether what a registration names is published here, in the same bytes. Pure: it reads the published files only.

A hash that differs means another text under the same name: then the parties would agree on different rules.
"""

from crypto.errors import DoudiError
from policies.contracts.assets import AssetRegistration
from policies.standards.loader import load_dataset_standard
from policies.standards.purpose_loader import load_purpose
from policies.standards.tier_loader import load_tier

_NEXT = "Install the same version of Doudi everywhere and register the asset again."


def require_published(asset: AssetRegistration) -> None:
    """Raise unless standard, columns, tier and purposes of a registration are published here with the same hashes.

    Raises `asset.unknown_standard`, `asset.unknown_column`, `asset.unknown_tier` or `asset.unknown_purpose`.
    """
    try:
        standard = load_dataset_standard(asset.dataset, asset.standard_version)
    except DoudiError:
        raise _unknown("standard", "its data standard") from None
    if standard.standard_hash() != asset.standard_hash:
        raise _unknown("standard", "its data standard")
    if not set(asset.columns) <= set(standard.feature_names):
        raise _unknown("column", "a column as a feature")
    try:
        tier = load_tier(asset.tier, asset.tier_version)
    except DoudiError:
        raise _unknown("tier", "its tier") from None
    if tier.standard_hash() != asset.tier_hash:
        raise _unknown("tier", "its tier")
    for purpose in asset.allowed_purposes:
        try:
            load_purpose(purpose)
        except DoudiError:
            raise _unknown("purpose", "a purpose") from None


def _unknown(kind: str, what: str) -> DoudiError:
    return DoudiError(f"asset.unknown_{kind}", f"this version of Doudi does not publish {what} in this form", _NEXT)
