"""Published standards of one kind: a folder of files `<name>-v<version>.json` that never change. May import pydantic and crypto.

Grants name a standard by name, version and hash of its file's bytes. Names come from grants, so they are looked up in the list of
what is published and never become a path unseen.
"""

import hashlib
import re
from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from crypto.errors import DoudiError

_FILE_NAME = re.compile(r"([a-z][a-z0-9_]*)-v([1-9][0-9]*)\.json")


class PublishedStandard(BaseModel):
    """A standard that was parsed from a published file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    _file_hash: str = PrivateAttr(default="")

    def standard_hash(self) -> str:
        """Return SHA-256 over the bytes of the file that this was parsed from, as 64 hex characters."""
        return self._file_hash

    @abstractmethod
    def published_as(self) -> tuple[str, int]:
        """Return the name and the version that the file must bear."""


Standard = TypeVar("Standard", bound=PublishedStandard)


@dataclass(frozen=True)
class Publication(Generic[Standard]):
    """One kind of standards. `kind`: its name in messages; `unknown_code`, `invalid_code`: its errors."""

    folder: Path
    model: type[Standard]
    kind: str
    unknown_code: str
    invalid_code: str

    def parse(self, raw: bytes) -> Standard:
        """Return the standard in the bytes of its file. Raises `DoudiError` with `invalid_code`."""
        try:
            standard = self.model.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise DoudiError(self.invalid_code, f"{self.kind}, {where or 'file'}: {first['msg']}") from None
        standard._file_hash = hashlib.sha256(raw).hexdigest()
        return standard

    def available(self) -> list[tuple[str, int]]:
        """Return name and version of every published standard of this kind, sorted."""
        matches = (_FILE_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted((match[1], int(match[2])) for match in matches if match)

    @cache  # noqa: B019 - the few publications live as long as the process
    def load(self, name: str, version: int) -> Standard:
        """Return a published standard. Raises `DoudiError` with `unknown_code` when it is not published."""
        if (name, version) not in self.available():
            known = ", ".join(f"{one} v{number}" for one, number in self.available())
            raise DoudiError(self.unknown_code, f"no such {self.kind} is published here", f"Published are: {known}.")
        standard = self.parse((self.folder / f"{name}-v{version}.json").read_bytes())
        if standard.published_as() != (name, version):
            raise DoudiError(self.invalid_code, f"the file of {name} v{version} names another name or version")
        return standard
