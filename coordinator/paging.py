"""Lists in pages: `limit` and `cursor` come in, `items` and `next_cursor` go out. Every list of the API is one of these.

A cursor names the last row that was given, by the values of the list's order, and the next page begins behind it. So a row
that comes in between moves no other one, none is given twice, and the thousandth page costs what the first costs; an
offset has none of the three. A cursor holds only what the page held, and who may see what stays in the query: made up, it
shows nothing more, so it is checked strictly and not signed. May import the database layer and the web framework.
"""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from coordinator.context import Context
from crypto.errors import DoudiError

DEFAULT_ROWS = 50
# What the configuration's `max_listed_rows` cannot exceed.
HIGHEST_LIMIT = 10_000
MAXIMUM_CURSOR_CHARACTERS = 512
_FORMAT = 1
_CURSOR = re.compile(r"[A-Za-z0-9_-]+")
# Values of an order are numbers and names. A NUL among them would be an error of the database instead of a refusal.
_NAME = re.compile(r"[A-Za-z0-9:._-]{1,128}")
_HIGHEST_NUMBER = 2**53

Item = TypeVar("Item")
Row = TypeVar("Row")
Key = tuple[int | str, ...]


class Page(BaseModel, Generic[Item]):
    """One page of a list. `next_cursor` is null on the last page; give it back as `cursor` for the next one."""

    items: list[Item]
    next_cursor: Annotated[str | None, Field(max_length=MAXIMUM_CURSOR_CHARACTERS)]


@dataclass(frozen=True)
class Order:
    """The order of a list. `columns`: unique together and indexed in this sequence, integers or names, never null.

    `name`: the list's. A cursor serves only the list that gave it.
    """

    name: str
    columns: tuple[InstrumentedAttribute[Any], ...]
    newest_first: bool = False


@dataclass(frozen=True)
class PageRequest:
    """Which page is wanted: the first one without a cursor."""

    limit: int = DEFAULT_ROWS
    cursor: str | None = None


@dataclass(frozen=True)
class Slice(Generic[Row]):
    """The rows of one page, and the cursor of the next one."""

    rows: Sequence[Row]
    next_cursor: str | None


def page_request(
    context: Context,
    limit: Annotated[
        int, Query(ge=1, le=HIGHEST_LIMIT, description="most items of a page; more than the coordinator's most is that")
    ] = DEFAULT_ROWS,
    cursor: Annotated[
        str | None, Query(max_length=MAXIMUM_CURSOR_CHARACTERS, description="`next_cursor` of the page before")
    ] = None,
) -> PageRequest:
    """Return which page a request asks for. The cursor is read where the list's order is known."""
    return PageRequest(min(limit, context.config.limits.max_listed_rows), cursor)


PageQuery = Annotated[PageRequest, Depends(page_request)]


def page_of(session: Session, query: Select[Row], order: Order, wanted: PageRequest) -> Slice[Row]:
    """Return one page of a query's rows. The query has its conditions and neither order nor limit.

    Raises `request.bad_cursor`.
    """
    columns = order.columns
    if wanted.cursor is not None:
        last = tuple_(*parse_cursor(wanted.cursor, order))
        query = query.where(tuple_(*columns) < last if order.newest_first else tuple_(*columns) > last)
    query = query.order_by(*(column.desc() if order.newest_first else column.asc() for column in columns))
    # One more than wanted says whether there is another page, without counting the list.
    rows = session.scalars(query.limit(wanted.limit + 1)).all()
    if len(rows) <= wanted.limit:
        return Slice(rows, None)
    rows = rows[: wanted.limit]
    return Slice(rows, write_cursor(order, tuple(getattr(rows[-1], column.key) for column in columns)))


def write_cursor(order: Order, key: Key) -> str:
    text = json.dumps([_FORMAT, order.name, *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode("ascii")).decode("ascii").rstrip("=")


def parse_cursor(cursor: str, order: Order) -> Key:
    """Return the values of the last row that was given.

    Accepted is only what `write_cursor` makes of the values: this list, this format, each value of its column's type.
    """
    if len(cursor) > MAXIMUM_CURSOR_CHARACTERS or not _CURSOR.fullmatch(cursor):
        raise _bad_cursor()
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise _bad_cursor() from None
    if not isinstance(found, list) or found[:2] != [_FORMAT, order.name] or len(found) != 2 + len(order.columns):
        raise _bad_cursor()
    key: Key = tuple(found[2:])
    sound = all(_is_sound(value, column) for value, column in zip(key, order.columns, strict=True))
    if not sound or write_cursor(order, key) != cursor:
        raise _bad_cursor()
    return key


def _is_sound(value: object, column: InstrumentedAttribute[Any]) -> bool:
    if column.type.python_type is int:
        # A boolean is an int to Python.
        return type(value) is int and 0 <= value <= _HIGHEST_NUMBER
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _bad_cursor() -> DoudiError:
    return DoudiError("request.bad_cursor", "the cursor is none that this list gave")
