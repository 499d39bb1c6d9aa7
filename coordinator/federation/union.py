"""The union of the departments' pseudonyms, numbered afresh for each run in random order, with random padding slots.

The coordinator sees which departments share which pseudonyms; nobody else sees an intersection. Padding hides the size of the
union from the departments and the lead. Pure: randomness comes from the operating system.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from crypto.errors import DoudiError
from crypto.pseudonyms import POINT_BYTES, random_points

PointArray = np.ndarray[Any, np.dtype[np.void]]
UInt32Array = np.ndarray[Any, np.dtype[np.uint32]]


@dataclass(frozen=True)
class PaddingPolicy:
    """How many random slots are added, in percent of the union; at least `minimum` of them."""

    min_percent: int
    max_percent: int
    minimum: int = 16


def check_pseudonyms(data: bytes, people: int) -> None:
    """Raise `linkage.wrong_count` or `linkage.not_in_byte_order` unless these are `people` distinct points in byte order."""
    if len(data) != POINT_BYTES * people:
        raise DoudiError("linkage.wrong_count", "the department sent another number of pseudonyms than it declared")
    points = [data[i : i + POINT_BYTES] for i in range(0, len(data), POINT_BYTES)]
    # Byte order says nothing about the department's rows; a list in another order might.
    if any(first >= second for first, second in pairwise(points)):
        raise DoudiError("linkage.not_in_byte_order", "the pseudonyms are not in byte order, or one stands twice")


def number_union(pseudonyms: Mapping[str, bytes], padding: PaddingPolicy) -> bytes:
    """Return the pseudonyms of all slots, 32 bytes each, in the order of a secret permutation, padding among them."""
    distinct = np.unique(np.concatenate([_points(data) for data in pseudonyms.values()]))
    spread = max(0, padding.max_percent - padding.min_percent) * len(distinct) // 100
    count = max(padding.minimum, padding.min_percent * len(distinct) // 100) + secrets.randbelow(spread + 1)
    slots = np.concatenate([distinct, _points(random_points(count))])
    words = np.frombuffer(secrets.token_bytes(8 * len(slots)), np.uint64)
    return slots[np.argsort(words, kind="stable")].tobytes()


def slots_of(union: bytes, own: bytes) -> UInt32Array:
    """Return the slot of each of a department's pseudonyms, in the department's order: uint32 [people]."""
    slots = _points(union)
    in_order = np.argsort(slots, kind="stable")
    position = np.searchsorted(slots, _points(own), sorter=in_order)
    return in_order[position].astype(np.uint32)


def _points(data: bytes) -> PointArray:
    return np.frombuffer(data, dtype="V32")
