"""Every field of every file of an auditor's mirror, as spans of bytes: what a test changes must be all there is.

The forms are written down here once more, from their specifications and not from the parsers: a field that a parser skipped
would otherwise be skipped by the test too.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HASH = 32
# What stands before the names in an entry's header.
_FIXED = (
    ("schema", 1),
    ("time", 8),
    ("sequence", 8),
    ("batch", 16),
    ("position", 4),
    ("grant", 32),
    ("commitment", 32),
)
_PLACED = ("first index", "count", "producer", "batch", "first sequence", "signer", "signature", "wraps")
_WRAP = (("auditor", 8), ("encapsulated key", 1120), ("sealed key", 49))
_TOKEN = re.compile(rb'"[^"]*"|[0-9]+|[^"0-9]+')


class Field(NamedTuple):
    """A field's bytes [start, end) in a file. `group`: the entry, batch, hash or line that it belongs to."""

    group: str
    name: str
    start: int
    end: int


def fields_of(place: str, data: bytes) -> list[Field]:
    """Return the fields of a file of the mirror, in order. Raises `AssertionError` unless they are all of its bytes."""
    if place.startswith("tile/entries/"):
        found = list(_bundle(data))
    elif place.startswith("tile/"):
        found = [Field(f"hash {at // _HASH}", "hash", at, at + _HASH) for at in range(0, len(data), _HASH)]
    elif place.startswith("batches/"):
        found = list(_page(data))
    elif place.startswith("terms/"):
        found = [
            Field(f"token {number}", "token", one.start(), one.end())
            for number, one in enumerate(_TOKEN.finditer(data))
        ]
    else:
        found = list(_note(data))
    assert [one.start for one in found] == [0, *(one.end for one in found[:-1])], place
    assert found[-1].end == len(data), place
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a mirror by place, but for the auditor's own notes."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "state.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


class _Cursor:
    def __init__(self, group: str, at: int) -> None:
        self.group, self.at = group, at

    def take(self, name: str, size: int) -> Field:
        self.at += size
        return Field(self.group, name, self.at - size, self.at)


def _bundle(data: bytes) -> Iterator[Field]:
    at, number = 0, 0
    while at < len(data):
        cursor = _Cursor(f"entry {number}", at)
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        yield cursor.take("length", 2)
        yield cursor.take("version", 1)
        yield cursor.take("length of the header", 2)
        for name, size in _FIXED:
            yield cursor.take(name, size)
        for name in ("producer", "type"):
            size = data[cursor.at]
            yield cursor.take(f"length of the {name}", 1)
            yield cursor.take(name, size)
        yield cursor.take("ciphertext", end - cursor.at - 16 - _HASH)
        yield cursor.take("tag", 16)
        yield cursor.take("hash of the wraps", _HASH)
        at, number = end, number + 1


def _page(data: bytes) -> Iterator[Field]:
    yield Field("page", "version", 0, 1)
    at, number = 1, 0
    while at < len(data):
        cursor = _Cursor(f"batch {number}", at)
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        yield cursor.take("length", 4)
        for name in _PLACED:
            size = int.from_bytes(data[cursor.at : cursor.at + 4], "big")
            yield cursor.take(f"length of {name}", 4)
            if name == "wraps" and size:
                yield cursor.take("version of the wraps", 1)
                yield cursor.take("number of the wraps", 1)
                while cursor.at < end:
                    for part, length in _WRAP:
                        yield cursor.take(f"{part} of a wrap", length)
            elif size:
                yield cursor.take(name, size)
        assert cursor.at == end
        at, number = end, number + 1


def _note(data: bytes) -> Iterator[Field]:
    at = 0
    for number, line in enumerate(data.splitlines(keepends=True)):
        cursor = _Cursor(f"line {number}", at)
        if line.startswith("—".encode()):
            dash, name, value = line.split(b" ")
            for part, size in (("dash", len(dash) + 1), ("name", len(name) + 1), ("key and signature", len(value) - 1)):
                yield cursor.take(part, size)
        elif len(line) > 1:
            yield cursor.take("text", len(line) - 1)
        yield cursor.take("end of the line", 1)
        at += len(line)
