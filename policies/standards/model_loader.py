"""The published line models: the network that all regions of a line train, and the values it starts from.

One JSON file per name and version in `models/`; a published file never changes (see README.md): grants name it by its hash.
A seed is published, not the values: every node derives the same ones, and nobody can choose them. May import pydantic and crypto.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, ValidationError

from crypto.errors import DoudiError
from policies.standards.loader import BilingualText

__all__ = ["ModelStandard", "available_models", "load_model_standard", "parse_model_standard"]

_MODELS = Path(__file__).parent / "models"
_FILE_NAME = re.compile(r"([a-z][a-z0-9_]*)-v([1-9][0-9]*)\.json")


class ModelStandard(BaseModel):
    """One line model: a two-layer perceptron of `hidden_units` rectified units and one logit."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format_version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    version: Annotated[int, Field(ge=1)]
    hidden_units: Annotated[int, Field(ge=1, le=4096)]
    initial_seed: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    description: BilingualText
    _file_hash: str = PrivateAttr(default="")

    def parameters(self, width: int) -> int:
        """Return the number of parameters of this model over `width` encoded columns."""
        return self.hidden_units * (width + 2) + 1

    def standard_hash(self) -> str:
        """Return SHA-256 over the bytes of the file that this was parsed from, as 64 hex characters."""
        return self._file_hash


def parse_model_standard(raw: bytes) -> ModelStandard:
    """Return the model standard in the bytes of its file.

    Raises `DoudiError` "standard.invalid_model": not JSON, or unknown, missing or impossible fields.
    """
    try:
        standard = ModelStandard.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DoudiError("standard.invalid_model", f"line model, {where or 'file'}: {first['msg']}") from None
    standard._file_hash = hashlib.sha256(raw).hexdigest()
    return standard


def available_models() -> list[tuple[str, int]]:
    """Return name and version of every published line model, sorted."""
    matches = (_FILE_NAME.fullmatch(path.name) for path in _MODELS.iterdir())
    return sorted((match[1], int(match[2])) for match in matches if match)


@lru_cache(maxsize=16)
def load_model_standard(name: str, version: int = 1) -> ModelStandard:
    """Return a published line model.

    Raises `DoudiError` "standard.unknown_model" for a name or version that is not published. Names come from grants, so they
    are looked up in the list and never become a path unseen.
    """
    if (name, version) not in available_models():
        known = ", ".join(f"{model} v{number}" for model, number in available_models())
        raise DoudiError("standard.unknown_model", "no such line model is published here", f"Published are: {known}.")
    standard = parse_model_standard((_MODELS / f"{name}-v{version}.json").read_bytes())
    if (standard.name, standard.version) != (name, version):
        raise DoudiError("standard.invalid_model", f"the file of {name} v{version} names another model or version")
    return standard
