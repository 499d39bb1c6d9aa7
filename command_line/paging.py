"""Lists of the coordinator's API, page after page. The coordinator's answers are untrusted input."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from crypto.errors import DoudiError

# The coordinator gives less where its own limit is lower.
PAGE_ROWS = 500
# A coordinator that always names another page must not keep a command busy for ever.
MAXIMUM_PAGES = 2_000
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,512}")


def every_item(get: Callable[[str], Any], path: str) -> Iterator[Any]:
    """Yield the items of a list over all its pages, each page asked for when it is needed.

    `get`: returns the JSON answer to a path. `path`: of the list, with its filters. Raises `coordinator.bad_answer`, and
    what `get` raises.
    """
    first = f"{path}{'&' if '?' in path else '?'}limit={PAGE_ROWS}"
    cursor = ""
    for _ in range(MAXIMUM_PAGES):
        answer = get(f"{first}&cursor={cursor}" if cursor else first)
        items, following = _parse_page(answer)
        yield from items
        if following is None:
            return
        cursor = following
    raise DoudiError("coordinator.bad_answer", "the coordinator's list does not end", "Ask the centre.")


def _parse_page(answer: Any) -> tuple[list[Any], str | None]:
    items = answer.get("items") if isinstance(answer, dict) else None
    following = answer.get("next_cursor") if isinstance(answer, dict) else None
    # The cursor becomes part of an address that this party signs, so only its own characters may stand there.
    named = following is None or (isinstance(following, str) and _CURSOR.fullmatch(following))
    if not isinstance(items, list) or not named:
        raise DoudiError("coordinator.bad_answer", "the coordinator's list has the wrong form", "Check the address.")
    return items, following
