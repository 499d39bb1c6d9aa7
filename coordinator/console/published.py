"""Published standards, tiers and purposes, for pages. What is not published here, as of another version, is `None`. Pure."""

from coordinator.console.grants_in_words import purpose_title
from coordinator.console.languages import Language
from crypto.errors import DoudiError
from policies.standards.loader import DatasetStandard, load_dataset_standard
from policies.standards.tier_loader import TierStandard, load_tier

__all__ = ["dataset_title", "published_standard", "published_tier", "purpose_title"]


def published_standard(dataset: str, version: int) -> DatasetStandard | None:
    """Return a data standard that is published here."""
    try:
        return load_dataset_standard(dataset, version)
    except DoudiError:
        return None


def published_tier(name: str, version: int) -> TierStandard | None:
    """Return a tier that is published here."""
    try:
        return load_tier(name, version)
    except DoudiError:
        return None


def dataset_title(language: Language, dataset: str, version: int) -> str:
    """Return a data set's published title, or its name."""
    standard = published_standard(dataset, version)
    return dataset if standard is None else language.either(standard.title)
