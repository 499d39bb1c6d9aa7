"""What people type into the console's forms: text fields only, bounded, and in one normal form.

May import starlette. Values are never logged and never part of an error's message.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from crypto.errors import DoudiError

_MAX_FIELDS = 500
_LINE_CHARACTERS = 200
_TEXT_CHARACTERS = 2000
_SECRET_CHARACTERS = 1024


@dataclass(frozen=True)
class Form:
    """The fields of one form, by name; one name can have several values. Everything raises `console.bad_form`."""

    fields: Sequence[tuple[str, str]]

    def line(self, name: str, max_characters: int = _LINE_CHARACTERS) -> str:
        """Return one line of text without spaces around it; "" when the field is absent."""
        value = _normal(self._only(name)).strip()
        if len(value) > max_characters or not value.isprintable():
            raise _bad_form()
        return value

    def text(self, name: str, max_characters: int = _TEXT_CHARACTERS) -> str:
        """Return text of several lines, with plain line ends."""
        value = _normal(self._only(name)).replace("\r\n", "\n").replace("\r", "\n").strip()
        if len(value) > max_characters or not value.replace("\n", "").replace("\t", "").isprintable():
            raise _bad_form()
        return value

    def secret(self, name: str) -> str:
        """Return a password, code or token exactly as it was typed."""
        value = self._only(name)
        if len(value) > _SECRET_CHARACTERS:
            raise _bad_form()
        return value

    def code(self, name: str) -> str:
        """Return a code without the spaces that people type into it, and with plain digits for full-width ones."""
        return "".join(unicodedata.normalize("NFKC", self.secret(name)).split())

    def integer(self, name: str) -> int | None:
        """Return a whole number that is not negative, or `None` when the field is empty."""
        value = self.line(name, 18)
        if not value:
            return None
        if not (value.isascii() and value.isdigit()):
            raise _bad_form()
        return int(value)

    def choices(self, name: str) -> tuple[str, ...]:
        """Return every value of a field that can be ticked several times."""
        values = tuple(value for field, value in self.fields if field == name)
        if any(len(value) > _LINE_CHARACTERS or not value.isprintable() for value in values):
            raise _bad_form()
        return values

    def ticked(self, name: str) -> bool:
        """Return whether a box was ticked."""
        return bool(self._only(name))

    def _only(self, name: str) -> str:
        values = [value for field, value in self.fields if field == name]
        if len(values) > 1:
            # Two values for one field: who reads the first and who reads the last would disagree.
            raise _bad_form()
        return values[0] if values else ""


async def read_form(request: Request) -> Form:
    """Return the request's form. The border has bounded its size. Raises `console.bad_form`."""
    try:
        read = await request.form(max_files=0, max_fields=_MAX_FIELDS)
    except (HTTPException, UnicodeDecodeError, ValueError):
        raise _bad_form() from None
    fields = [(name, value) for name, value in read.multi_items() if not isinstance(value, UploadFile)]
    if len(fields) != len(read.multi_items()):
        raise _bad_form()
    return Form(fields)


def _normal(value: str) -> str:
    # The full-width space of Chinese keyboards is a space; Python does not count it as printable.
    return unicodedata.normalize("NFC", value).replace("\u3000", " ")


def _bad_form() -> DoudiError:
    return DoudiError("console.bad_form", "a field of the form is too long, given twice, or no text")
