"""What narrows a list: values of an address, as a form with `method="get"` writes them. An empty field is no restriction.

Addresses are typed, kept and sent around, so a value that is none raises `console.bad_address` and is never passed on.
"""

import re
from collections.abc import Collection
from typing import Annotated

from fastapi import Path, Request

from crypto.errors import DoudiError

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_HASH = re.compile(r"[0-9a-f]{64}")
_HIGHEST_NUMBER = 2**53
_TEXT_CHARACTERS = 63

# Parts of a page's own address. What is none of these gets the page for addresses that are none.
NumberInPath = Annotated[int, Path(ge=1, le=_HIGHEST_NUMBER)]
NameInPath = Annotated[str, Path(pattern=rf"^{_NAME.pattern}$")]
HashInPath = Annotated[str, Path(pattern=rf"^{_HASH.pattern}$")]


def wanted_name(request: Request, field: str) -> str | None:
    """Return the name of a party, a run, a project or the like."""
    value = _value(request, field)
    if value is not None and not _NAME.fullmatch(value):
        raise _bad_address()
    return value


def wanted_choice(request: Request, field: str, choices: Collection[str]) -> str | None:
    """Return one of a few words."""
    value = _value(request, field)
    if value is not None and value not in choices:
        raise _bad_address()
    return value


def wanted_number(request: Request, field: str) -> int | None:
    """Return a whole number from one on."""
    value = _value(request, field)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < len(str(_HIGHEST_NUMBER)) and int(value) >= 1):
        raise _bad_address()
    return int(value)


def wanted_index(request: Request, field: str) -> int | None:
    """Return a place in a list that is counted from zero."""
    return 0 if _value(request, field) == "0" else wanted_number(request, field)


def wanted_hash(request: Request, field: str) -> str | None:
    """Return a SHA-256 in hexadecimal, whole: a shorter one could mean several."""
    value = _value(request, field)
    if value is not None and not _HASH.fullmatch(value):
        raise _bad_address()
    return value


def wanted_text(request: Request, field: str) -> str | None:
    """Return text that is looked for."""
    value = _value(request, field)
    if value is not None and (len(value) > _TEXT_CHARACTERS or not value.isprintable()):
        raise _bad_address()
    return value


def _value(request: Request, field: str) -> str | None:
    return request.query_params.get(field, "").strip() or None


def _bad_address() -> DoudiError:
    return DoudiError("console.bad_address", "a value in the address is none that the page knows")
