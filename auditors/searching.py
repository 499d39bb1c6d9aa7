"""Searching the opened records: by party, time, purpose, asset, kind, account, run and grant; all conditions together.

Purpose and asset are also found through the grant, where a record has none itself (`acts`). What is not opened is found by what
its header says: producer, time, kind and grant. Reads `opened.db` only.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from auditors.acts import Act, Acts
from auditors.opened import OpenedRecords
from crypto.errors import DoudiError

DEFAULT_LIMIT = 100
MAXIMUM_LIMIT = 100_000
_GRANT = re.compile(r"[0-9a-f]{8,64}")
_DAY = timedelta(days=1)

_CONDITIONS = {
    "party": "(producer = :party OR actor = :party OR subject = :party)",
    "start": "at >= :start",
    "end": "at < :end",
    "kind": "(type = :kind OR (type > :kind || '.' AND type < :kind || '/'))",
    "account": "(account = :account OR about = :account)",
    "run": "run = :run",
    "purpose": """(purpose = :purpose OR (purpose IS NULL AND (
        grant_hash IN (SELECT grant_hash FROM purposes WHERE purpose = :purpose)
        OR (grant_hash IS NULL AND run IN (SELECT run FROM run_purposes WHERE purpose = :purpose))
        OR (grant_hash IS NULL AND run IS NULL AND project IN (SELECT project FROM projects WHERE purpose = :purpose)))))""",
    "asset": """(number IN (SELECT number FROM record_assets WHERE asset = :asset)
        OR (opened AND number NOT IN (SELECT number FROM record_assets) AND (
            grant_hash IN (SELECT grant_hash FROM grant_assets WHERE asset = :asset)
            OR (grant_hash IS NULL AND run IN (SELECT run FROM run_assets WHERE asset = :asset)))))""",
    "low": """(grant_hash BETWEEN :low AND :high OR (grant_hash IS NULL
        AND run IN (SELECT run FROM runs WHERE grant_hash BETWEEN :low AND :high)))""",
}


@dataclass(frozen=True)
class Query:
    """What is looked for; `None` is no restriction. `start` included, `end` not: seconds since 1970 UTC.

    `kind`: a type of record, or the beginning of types up to a dot: `run`, `node.step`. `grant`: a hash or its first 8 characters
    and more. `account`: of the person who acted, or whom the act is about.
    """

    party: str | None = None
    start: int | None = None
    end: int | None = None
    purpose: str | None = None
    asset: str | None = None
    kind: str | None = None
    account: int | None = None
    run: str | None = None
    grant: str | None = None
    limit: int = DEFAULT_LIMIT


@dataclass(frozen=True)
class Result:
    """`acts`: the newest first, at most as many as were asked for. `more`: there are older ones."""

    acts: tuple[Act, ...]
    more: bool


def search(opened: OpenedRecords, query: Query) -> Result:
    """Return the acts that fit. Raises `search.bad_value`."""
    if not 1 <= query.limit <= MAXIMUM_LIMIT:
        raise _bad_value(f"--limit is a number from 1 to {MAXIMUM_LIMIT}")
    values: dict[str, Any] = {name: value for name in _CONDITIONS if (value := getattr(query, name, None)) is not None}
    if query.grant is not None:
        if not _GRANT.fullmatch(query.grant):
            raise _bad_value("--grant is a hash, or at least its first 8 characters: 0-9 and a-f")
        values["low"] = bytes.fromhex(query.grant.ljust(64, "0"))
    conditions = [_CONDITIONS[name] for name in values]
    if query.grant is not None:
        values["high"] = bytes.fromhex(query.grant.ljust(64, "f"))
    values["limit"] = query.limit + 1
    acts = Acts(opened).where(" AND ".join(conditions) or "TRUE", values, "number DESC LIMIT :limit")
    found = list(acts)
    return Result(tuple(found[: query.limit]), len(found) > query.limit)


def moment(text: str, *, as_end: bool = False) -> int:
    """Return seconds since 1970 of a day or an ISO 8601 time; UTC unless it names an offset. A day as an end is included.

    Raises `search.bad_value`.
    """
    try:
        if len(text) == len("2026-03-01"):
            day = datetime.combine(date.fromisoformat(text), time(tzinfo=UTC))
            return int((day + _DAY if as_end else day).timestamp())
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise _bad_value("a time is a day (2026-03-01) or ISO 8601 (2026-03-01T09:00+08:00)") from None


def _bad_value(why: str) -> DoudiError:
    return DoudiError("search.bad_value", why)
