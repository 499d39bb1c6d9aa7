"""The base of every signed document: frozen, unknown fields refused, one canonical byte form. May import crypto."""

import hashlib
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from crypto.canonical import canonical_json, parse_canonical
from crypto.errors import DoudiError

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Period = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
KeyHex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
LongKeyHex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64,4096}$")]
SignatureHex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
MAXIMUM_DOCUMENT_BYTES = 256 * 1024


class Document(BaseModel):
    """A document that parties exchange and sign. Integers, strings, lists and objects only: no floats."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)
    maximum_bytes: ClassVar[int] = MAXIMUM_DOCUMENT_BYTES

    def to_bytes(self) -> bytes:
        """Return the canonical JSON form: what is hashed and signed."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the document in untrusted bytes; its signatures are not checked here.

        Raises `DoudiError` `document.malformed`: not canonical JSON, unknown or missing fields, or out of range.
        """
        if len(data) > cls.maximum_bytes:
            raise malformed(cls.__name__, f"longer than {cls.maximum_bytes // 1024} KiB")
        try:
            document = cls.model_validate(parse_canonical(data))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise malformed(cls.__name__, f"field {where}: {first['msg']}") from None
        except DoudiError as error:
            raise malformed(cls.__name__, "not canonical JSON") from error
        cls._require_one_form(document, data)
        return document

    @classmethod
    def _require_one_form(cls, document: "Document", data: bytes) -> None:
        """Raise unless these are the only bytes of the document: no number as text, no default left out."""
        if document.to_bytes() != data:
            raise malformed(cls.__name__, "not in the one form that is signed")

    def digest(self) -> str:
        """Return SHA-256 of the canonical form, separated by the document's type, as 64 hex characters."""
        domain = f"doudi-document-v1:{type(self).__name__}\x00".encode()
        return hashlib.sha256(domain + self.to_bytes()).hexdigest()


def malformed(kind: str, why: str) -> DoudiError:
    """Return the error for a document that cannot be read."""
    return DoudiError("document.malformed", f"{kind}: {why}", "Ask its issuer for the document again.")
