"""The published purposes: what data may be used for. A grant names one, an owner allows some for each of its assets.

One JSON file per name and version in `purposes/`; a published file never changes. May import pydantic and crypto.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from policies.standards.loader import BilingualText
from policies.standards.published import Publication, PublishedStandard

__all__ = ["PurposeStandard", "available_purposes", "load_purpose", "parse_purpose"]


class PurposeStandard(PublishedStandard):
    """One purpose, in words that an officer can hold a request against."""

    format_version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    version: Annotated[int, Field(ge=1)]
    title: BilingualText
    description: BilingualText

    def published_as(self) -> tuple[str, int]:
        """Return the name and the version that the file must bear."""
        return self.name, self.version


_PUBLICATION = Publication(
    Path(__file__).parent / "purposes",
    PurposeStandard,
    "purpose",
    "standard.unknown_purpose",
    "standard.invalid_purpose",
)


def parse_purpose(raw: bytes) -> PurposeStandard:
    """Return the purpose in the bytes of its file. Raises `DoudiError` "standard.invalid_purpose"."""
    return _PUBLICATION.parse(raw)


def available_purposes() -> list[tuple[str, int]]:
    """Return name and version of every published purpose, sorted."""
    return _PUBLICATION.available()


def load_purpose(name: str, version: int = 1) -> PurposeStandard:
    """Return a published purpose. Raises `DoudiError` "standard.unknown_purpose" for one that is not published."""
    return _PUBLICATION.load(name, version)
