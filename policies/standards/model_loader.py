"""The published line models: the network that all regions of a line train, and the values it starts from.

One JSON file per name and version in `models/`; a published file never changes (see README.md): grants name it by its hash.
A seed is published, not the values: every node derives the same ones, and nobody can choose them. May import pydantic and crypto.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from policies.standards.loader import BilingualText
from policies.standards.published import Publication, PublishedStandard

__all__ = ["ModelStandard", "available_models", "load_model_standard", "parse_model_standard"]


class ModelStandard(PublishedStandard):
    """One line model: a two-layer perceptron of `hidden_units` rectified units and one logit."""

    format_version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    version: Annotated[int, Field(ge=1)]
    hidden_units: Annotated[int, Field(ge=1, le=4096)]
    initial_seed: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    description: BilingualText

    def parameters(self, width: int) -> int:
        """Return the number of parameters of this model over `width` encoded columns."""
        return self.hidden_units * (width + 2) + 1

    def published_as(self) -> tuple[str, int]:
        """Return the name and the version that the file must bear."""
        return self.name, self.version


_PUBLICATION = Publication(
    Path(__file__).parent / "models", ModelStandard, "line model", "standard.unknown_model", "standard.invalid_model"
)


def parse_model_standard(raw: bytes) -> ModelStandard:
    """Return the model standard in the bytes of its file.

    Raises `DoudiError` "standard.invalid_model": not JSON, or unknown, missing or impossible fields.
    """
    return _PUBLICATION.parse(raw)


def available_models() -> list[tuple[str, int]]:
    """Return name and version of every published line model, sorted."""
    return _PUBLICATION.available()


def load_model_standard(name: str, version: int = 1) -> ModelStandard:
    """Return a published line model. Raises `DoudiError` "standard.unknown_model" for one that is not published."""
    return _PUBLICATION.load(name, version)
