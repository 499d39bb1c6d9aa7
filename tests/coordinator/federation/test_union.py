"""The union's laws: every own pseudonym is found at its slot, padding keeps its policy, and no two runs are numbered alike."""

import hashlib
import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.federation.union import PaddingPolicy, check_pseudonyms, describe_numbering, number_union, slots_of
from crypto.errors import DoudiError
from crypto.pseudonyms import random_points, sort_points

few = settings(max_examples=25, deadline=None)
POOL = [random_points(1) for _ in range(60)]
LISTS = st.lists(st.sets(st.integers(0, 59), min_size=1), min_size=1, max_size=4)


def fresh() -> bytes:
    return os.urandom(32)


def as_lists(chosen: list[set[int]]) -> dict[str, bytes]:
    return {f"d{i}": sort_points(b"".join(POOL[n] for n in each))[0] for i, each in enumerate(chosen)}


@few
@given(chosen=LISTS)
def test_every_pseudonym_is_found_at_its_slot_and_stands_once(chosen: list[set[int]]) -> None:
    lists = as_lists(chosen)
    union = number_union(lists, PaddingPolicy(1, 5), fresh())
    points = [union[i : i + 32] for i in range(0, len(union), 32)]
    assert len(set(points)) == len(points)
    for own in lists.values():
        slots = slots_of(union, own)
        assert slots.dtype == np.uint32
        assert b"".join(points[slot] for slot in slots) == own


@few
@given(chosen=LISTS, low=st.integers(0, 100), more=st.integers(0, 100), minimum=st.integers(0, 40))
def test_padding_stays_within_its_policy(chosen: list[set[int]], low: int, more: int, minimum: int) -> None:
    distinct = len(set().union(*chosen))
    padding = len(number_union(as_lists(chosen), PaddingPolicy(low, low + more, minimum), fresh())) // 32 - distinct
    least = max(minimum, low * distinct // 100)
    assert least <= padding <= least + more * distinct // 100


def test_two_runs_are_numbered_differently_and_padded_with_other_points() -> None:
    own = sort_points(random_points(500))[0]
    unions = [number_union({"tax": own}, PaddingPolicy(1, 3), fresh()) for _ in range(2)]
    slots = [slots_of(union, own) for union in unions]
    # One entry in 500 agrees by chance; 20 of them do with a probability below 10^-15.
    assert (slots[0] == slots[1]).sum() < 20
    padding = [{union[i : i + 32] for i in range(0, len(union), 32)} - set(_points(own)) for union in unions]
    assert not padding[0] & padding[1]


def test_an_auditor_with_the_seed_and_the_lists_numbers_again() -> None:
    """In the auditor's own words: the streams and steps that the module states, with nothing of its code."""
    lists = {"tax": sort_points(b"".join(POOL[:40]))[0], "health": sort_points(b"".join(POOL[20:]))[0]}
    seed, policy = bytes(range(32)), PaddingPolicy(10, 60)
    union = number_union(lists, policy, seed)

    def framed(*parts: bytes) -> bytes:
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    def stream(name: bytes, size: int) -> bytes:
        return hashlib.shake_256(b"doudi-union-numbering\x01" + framed(seed, name)).digest(size)

    distinct = sorted(set(_points(b"".join(lists.values()))))
    spread = 50 * len(distinct) // 100
    padding = 16 + int.from_bytes(stream(b"count", 8), "big") % (spread + 1)
    from crypto.ristretto import points_from_uniform

    blocks = stream(b"points", 64 * padding)
    added = points_from_uniform(
        lambda start, end: [blocks[64 * at : 64 * at + 64] for at in range(start, end)], padding, 1
    )
    slots = distinct + _points(added)
    words = stream(b"order/0", 8 * len(slots))
    keys = [int.from_bytes(words[8 * at : 8 * at + 8], "big") for at in range(len(slots))]
    assert len(set(keys)) == len(keys)
    assert _points(union) == [slots[at] for at in sorted(range(len(slots)), key=keys.__getitem__)]

    said = describe_numbering(lists, union, seed)
    assert (said.slots, said.padding, said.list_count, said.seed) == (len(slots), padding, 2, seed.hex())
    pairs = b"".join(framed(name.encode(), hashlib.sha256(lists[name]).digest()) for name in ("health", "tax"))
    for named, data, committed in ((b"commitment/lists", pairs, said.lists), (b"commitment/union", union, said.union)):
        assert committed == hashlib.sha256(b"doudi-union-numbering\x01" + framed(seed, named, data)).hexdigest()


def test_the_same_seed_numbers_alike_and_another_one_does_not() -> None:
    lists = as_lists([set(range(50))])
    seed = fresh()
    first, again, other = (number_union(lists, PaddingPolicy(1, 3), one) for one in (seed, seed, fresh()))
    assert first == again != other


def test_every_order_and_every_number_of_padding_slots_is_as_likely_as_any_other() -> None:
    """Three slots have six orders, and padding of 0 to 2 three numbers. χ² below its 10^-6 quantile; seeds are fixed."""
    lists = as_lists([{0, 1, 2}])
    rounds = 3_000
    orders, counts = Counter[tuple[int, ...]](), Counter[int]()
    for number in range(rounds):
        seed = hashlib.sha256(number.to_bytes(4, "big")).digest()
        union = number_union(lists, PaddingPolicy(0, 0, minimum=0), seed)
        orders[tuple(slots_of(union, lists["d0"]).tolist())] += 1
        counts[len(number_union(lists, PaddingPolicy(0, 67, minimum=0), seed)) // 32 - 3] += 1
    for found, kinds, quantile in ((orders, 6, 35.9), (counts, 3, 27.7)):
        assert len(found) == kinds
        expected = rounds / kinds
        assert sum((count - expected) ** 2 / expected for count in found.values()) < quantile


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(DoudiError) as caught:
        number_union(as_lists([{1}]), PaddingPolicy(1, 3), bytes(length))
    assert caught.value.code == "run.bad_seed"


def test_slots_do_not_follow_the_byte_order() -> None:
    own = sort_points(random_points(2000))[0]
    slots = slots_of(number_union({"tax": own}, PaddingPolicy(1, 3), fresh()), own).astype(float)
    # Rank correlation of a random order: standard deviation 1/√1999; beyond 0.14 with a probability below 10^-9.
    assert abs(np.corrcoef(np.arange(2000), slots)[0, 1]) < 0.14


def test_a_padding_slot_looks_like_a_pseudonym() -> None:
    from crypto.pseudonyms import check_points

    union = number_union({"tax": POOL[0]}, PaddingPolicy(0, 0, minimum=16), fresh())
    check_points(union, 17)


def test_pseudonyms_in_byte_order_are_accepted() -> None:
    check_pseudonyms(sort_points(b"".join(POOL))[0], 60)


@pytest.mark.parametrize(
    ("change", "people", "code"),
    [
        (lambda data: data, 59, "linkage.wrong_count"),
        (lambda data: data, 61, "linkage.wrong_count"),
        (lambda data: data[:-1], 60, "linkage.wrong_count"),
        (lambda data: data[32:64] + data[:32] + data[64:], 60, "linkage.not_in_byte_order"),
        (lambda data: data[:32] + data[:32] + data[64:], 60, "linkage.not_in_byte_order"),
    ],
    ids=["more", "fewer", "cut", "out of order", "doubled"],
)
def test_other_pseudonyms_than_declared_are_refused(change: object, people: int, code: str) -> None:
    with pytest.raises(DoudiError) as caught:
        check_pseudonyms(change(sort_points(b"".join(POOL))[0]), people)  # type: ignore[operator]
    assert caught.value.code == code


def _points(data: bytes) -> list[bytes]:
    return [data[i : i + 32] for i in range(0, len(data), 32)]
