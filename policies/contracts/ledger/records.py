"""The records of the audit ledger: typed, versioned, with a fixed list of fields and no free text.

A record says who did what, for which purpose, under which grant, and how much. It has no field that could hold a person's name,
a value of a row or a pseudonym: names are those of parties, projects, runs and data standards; people who act are account
numbers; the rest are integers, codes and hashes. What a type may carry is in `record_types`; everything else is refused on
writing **and** on reading. Times, producer, type and grant stand in the entry's header (`crypto.ledger_entries`). May import
crypto.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crypto.canonical import canonical_json, parse_canonical
from crypto.errors import DoudiError
from crypto.ledger_entries import NO_GRANT, Entry, EntryHeader, Plain

MAXIMUM_RECORD_BYTES = 60_000
_MAXIMUM_NUMBER = 2**53
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_ASSET = re.compile(r"[a-z][a-z0-9_-]{0,62}/[a-z][a-z0-9_-]{0,62}")
_HASH = re.compile(r"[0-9a-f]{64}")
_WRAPS = re.compile(r"(?:[0-9a-f]{2}){1,2000}")
_MAXIMUM_CODE_CHARACTERS = 80
_MAXIMUM_ASSETS = 64
_MAXIMUM_WRAPS = 16


@dataclass(frozen=True)
class RecordType:
    """What records of one type may carry. `fields`: names of `Record`'s fields; `counts`, `hashes`: names within those."""

    name: str
    version: int
    fields: frozenset[str]
    counts: frozenset[str] = frozenset()
    hashes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Record:
    """One event.

    `actor`: the party that acted, where that is not the producer. `account`: the number of the person who acted. `subject`: the
    party that the act is about. `assets`: `owner/dataset`. `code`: a reason from a fixed set. `counts`: integers by name.
    `hashes`: SHA-256 by name: commitments and digests of documents, never of a value that could be guessed unless it is salted.
    `wraps`: sealed batch keys for a later auditor, ciphertext in hexadecimal.
    """

    type: str
    at: int
    actor: str = ""
    account: int = 0
    subject: str = ""
    project: str = ""
    run: str = ""
    attempt: int = 0
    round: int = 0
    step: str = ""
    purpose: str = ""
    assets: tuple[str, ...] = ()
    code: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    wraps: tuple[str, ...] = ()
    grant_hash: str = ""


_BODY_FIELDS = tuple(name for name in Record.__dataclass_fields__ if name not in ("type", "at", "grant_hash"))
_NUMBERS = frozenset({"account", "attempt", "round"})
_NAMES = frozenset({"actor", "subject", "project", "run", "step", "purpose"})
_LISTS = frozenset({"assets", "wraps"})
_MAPS = frozenset({"counts", "hashes"})


def to_plain(record: Record, types: Mapping[str, RecordType]) -> Plain:
    """Return a record as what is sealed into an entry. Raises `record.malformed`: nothing beyond its type's list is written."""
    kind = _type(record.type, types)
    body = {name: value for name in _BODY_FIELDS if (value := getattr(record, name))}
    _require(kind, body)
    if type(record.at) is not int or not 0 <= record.at <= _MAXIMUM_NUMBER:
        raise _malformed(kind.name, "at")
    grant = NO_GRANT
    if record.grant_hash:
        if "grant" not in kind.fields or not _HASH.fullmatch(record.grant_hash):
            raise _malformed(kind.name, "grant")
        grant = bytes.fromhex(record.grant_hash)
    for name in _LISTS & body.keys():
        body[name] = list(body[name])
    for name in _MAPS & body.keys():
        body[name] = dict(body[name])
    return Plain(kind.name, kind.version, record.at, canonical_json(body), grant)


def parse_record(header: EntryHeader, body: bytes, types: Mapping[str, RecordType]) -> Record:
    """Return the record of an opened entry. Raises `record.malformed` for whatever its type's list does not name."""
    kind = _type(header.type, types)
    if header.schema_version != kind.version:
        raise _malformed(kind.name, "schema_version")
    try:
        values = parse_canonical(body, max_bytes=MAXIMUM_RECORD_BYTES)
    except DoudiError:
        raise _malformed(kind.name, "body") from None
    # A field that says nothing is left out, so that a record has one form.
    if not isinstance(values, dict) or not all(values.values()):
        raise _malformed(kind.name, "body")
    _require(kind, values)
    grant = "" if header.grant_hash == NO_GRANT else header.grant_hash.hex()
    if grant and "grant" not in kind.fields:
        raise _malformed(kind.name, "grant")
    shown: dict[str, Any] = {name: tuple(value) if name in _LISTS else value for name, value in values.items()}
    return Record(type=kind.name, at=header.at, grant_hash=grant, **shown)


def record_of(entry: Entry, body: bytes, types: Mapping[str, RecordType]) -> Record:
    """Return the record in an opened entry; as `parse_record`."""
    return parse_record(entry.header, body, types)


def _require(kind: RecordType, body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name not in kind.fields or not _is_sound(kind, name, value):
            raise _malformed(kind.name, name if name in _BODY_FIELDS else "an unknown field")


def _is_sound(kind: RecordType, name: str, value: Any) -> bool:
    if name in _NUMBERS:
        return _is_number(value)
    if name in _NAMES:
        return isinstance(value, str) and _NAME.fullmatch(value) is not None
    if name == "code":
        return isinstance(value, str) and len(value) <= _MAXIMUM_CODE_CHARACTERS and _CODE.fullmatch(value) is not None
    if name == "counts":
        return isinstance(value, Mapping) and value.keys() <= kind.counts and all(map(_is_count, value.values()))
    if name == "hashes":
        return isinstance(value, Mapping) and value.keys() <= kind.hashes and _all_match(_HASH, value.values())
    most, form = (_MAXIMUM_ASSETS, _ASSET) if name == "assets" else (_MAXIMUM_WRAPS, _WRAPS)
    return isinstance(value, list | tuple) and len(value) <= most and _all_match(form, value)


def _all_match(form: re.Pattern[str], values: Any) -> bool:
    return all(isinstance(value, str) and form.fullmatch(value) for value in values)


def _is_number(value: Any) -> bool:
    # A boolean is an int to Python; in a record of numbers it would be a mistake.
    return type(value) is int and 0 <= value <= _MAXIMUM_NUMBER


def _is_count(value: Any) -> bool:
    return type(value) is int and abs(value) <= _MAXIMUM_NUMBER


def _type(name: str, types: Mapping[str, RecordType]) -> RecordType:
    kind = types.get(name)
    if kind is None:
        raise DoudiError("record.malformed", "a record has a type that this program does not know")
    return kind


def _malformed(kind: str, where: str) -> DoudiError:
    return DoudiError("record.malformed", f"a record of the type {kind} has a {where} that its type does not allow")
