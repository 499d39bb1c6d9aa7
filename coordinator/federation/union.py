"""The union of the departments' pseudonyms, numbered afresh for each run in random order, with random padding slots.

The coordinator sees which departments share which pseudonyms; nobody else sees an intersection. Padding hides the size of the
union from the departments and the lead.

Everything random about a numbering follows from one seed of 32 bytes of the operating system, which goes sealed to the auditors:
whoever has the seed and the lists can number again and compare. A stream is SHAKE256 over the domain, the seed and the stream's
name; so the count of padding slots, their points and the order are three streams that say nothing about each other.

1. The distinct pseudonyms are put in byte order.
2. `count`: 64-bit words, big-endian; the first one below the largest multiple of the range gives the number of padding slots.
3. `points`: 64 bytes for each padding slot become a point (RFC 9496 section 4.3.4); they stand behind the pseudonyms.
4. `order/n`: a 64-bit word, big-endian, for each slot; the slots are sorted by their words. If two words are equal the next n is
   taken, from 0: so every order is equally likely.

Pure. Imports numpy and crypto.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from crypto import domains
from crypto.errors import DoudiError
from crypto.pseudonyms import POINT_BYTES, points_of

SEED_BYTES = 32
_WORD_BYTES = 8
_WORDS = 1 << 64
_COUNT_WORDS = 64

PointArray = np.ndarray[Any, np.dtype[np.void]]
UInt32Array = np.ndarray[Any, np.dtype[np.uint32]]


@dataclass(frozen=True)
class PaddingPolicy:
    """How many random slots are added, in percent of the union; at least `minimum` of them."""

    min_percent: int
    max_percent: int
    minimum: int = 16


@dataclass(frozen=True)
class Numbering:
    """How a union was numbered, for the record. `lists`, `union`: commitments under the seed, 64 hexadecimal digits."""

    slots: int
    padding: int
    list_count: int
    seed: str
    lists: str
    union: str


def check_pseudonyms(data: bytes, people: int) -> None:
    """Raise `linkage.wrong_count` or `linkage.not_in_byte_order` unless these are `people` distinct points in byte order."""
    if len(data) != POINT_BYTES * people:
        raise DoudiError("linkage.wrong_count", "the department sent another number of pseudonyms than it declared")
    points = [data[i : i + POINT_BYTES] for i in range(0, len(data), POINT_BYTES)]
    # Byte order says nothing about the department's rows; a list in another order might.
    if any(first >= second for first, second in pairwise(points)):
        raise DoudiError("linkage.not_in_byte_order", "the pseudonyms are not in byte order, or one stands twice")


def number_union(pseudonyms: Mapping[str, bytes], padding: PaddingPolicy, seed: bytes) -> bytes:
    """Return the pseudonyms of all slots, 32 bytes each, in the order that the seed gives, padding among them.

    `seed`: 32 fresh bytes of the operating system. Raises `run.bad_seed` for another length.
    """
    if len(seed) != SEED_BYTES:
        raise DoudiError("run.bad_seed", f"the seed of a numbering has {SEED_BYTES} bytes")
    distinct = np.unique(np.concatenate([_points(data) for data in pseudonyms.values()]))
    count = _padding_count(len(distinct), padding, seed)
    slots = np.concatenate([distinct, _points(points_of(_stream(seed, "points", 64 * count)))])
    return bytes(slots[_order(len(slots), seed)].tobytes())


def describe_numbering(pseudonyms: Mapping[str, bytes], union: bytes, seed: bytes) -> Numbering:
    """Return what is recorded of a numbering: an auditor with the lists computes the same from the seed."""
    lists = b"".join(
        domains.frame(name.encode(), hashlib.sha256(pseudonyms[name]).digest()) for name in sorted(pseudonyms)
    )
    distinct = len(np.unique(np.concatenate([_points(data) for data in pseudonyms.values()])))
    slots = len(union) // POINT_BYTES
    return Numbering(
        slots=slots,
        padding=slots - distinct,
        list_count=len(pseudonyms),
        seed=seed.hex(),
        lists=_commitment(seed, "lists", lists),
        union=_commitment(seed, "union", union),
    )


def slots_of(union: bytes, own: bytes) -> UInt32Array:
    """Return the slot of each of a department's pseudonyms, in the department's order: uint32 [people]."""
    slots = _points(union)
    in_order = np.argsort(slots, kind="stable")
    position = np.searchsorted(slots, _points(own), sorter=in_order)
    return in_order[position].astype(np.uint32)


def _padding_count(distinct: int, padding: PaddingPolicy, seed: bytes) -> int:
    spread = max(0, padding.max_percent - padding.min_percent) * distinct // 100
    least = max(padding.minimum, padding.min_percent * distinct // 100)
    limit = _WORDS - _WORDS % (spread + 1)
    # Fewer than half of all words are above the limit, so that all of them are has a probability below 2^-64.
    words = np.frombuffer(_stream(seed, "count", _WORD_BYTES * _COUNT_WORDS), ">u8")
    return least + next(int(word) % (spread + 1) for word in words if int(word) < limit)


def _order(count: int, seed: bytes) -> np.ndarray[Any, np.dtype[np.intp]]:
    attempt = 0
    while True:
        words = np.frombuffer(_stream(seed, f"order/{attempt}", _WORD_BYTES * count), ">u8").astype(np.uint64)
        order = np.argsort(words, kind="stable")
        if not (words[order][1:] == words[order][:-1]).any():
            return order
        attempt += 1


def _stream(seed: bytes, name: str, size: int) -> bytes:
    return hashlib.shake_256(domains.UNION_NUMBERING + domains.frame(seed, name.encode())).digest(size)


def _commitment(seed: bytes, name: str, data: bytes) -> str:
    named = domains.frame(seed, f"commitment/{name}".encode(), data)
    return hashlib.sha256(domains.UNION_NUMBERING + named).hexdigest()


def _points(data: bytes) -> PointArray:
    return np.frombuffer(data, dtype="V32")
