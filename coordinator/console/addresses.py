"""Addresses within the console: which ones a page may lead back to, and the same page with another query. Pure."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

CONSOLE = "/console"
_MAX_CHARACTERS = 500
# A list of what may stand in an address of ours, not of what is dangerous: browsers read backslashes, tabs and two
# slashes in ways that no such list has kept up with.
_OWN = re.compile(r"/console(?:[/?][A-Za-z0-9/_.~%=&?,:+-]*)?")


def in_console(path: str) -> bool:
    """Return whether a path is answered by the console, and so by a page and not by a problem document."""
    return path in ("/", CONSOLE) or path.startswith(f"{CONSOLE}/")


def safe_back(wanted: str | None, otherwise: str = CONSOLE) -> str:
    """Return the address to go back to if it lies within the console, else `otherwise`: nobody is led elsewhere."""
    if wanted is None or len(wanted) > _MAX_CHARACTERS or not _OWN.fullmatch(wanted):
        return otherwise
    return otherwise if "//" in wanted or ".." in wanted else wanted


def with_query(address: str, **changes: object) -> str:
    """Return the address with these values in its query; `None` takes one out."""
    parts = urlsplit(address)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in changes]
    added = [(name, str(value)) for name, value in changes.items() if value is not None]
    query = urlencode(kept + added)
    return f"{parts.path}?{query}" if query else parts.path
