"""The union's laws: every own pseudonym is found at its slot, padding keeps its policy, and no two runs are numbered alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.federation.union import PaddingPolicy, check_pseudonyms, number_union, slots_of
from crypto.errors import DoudiError
from crypto.pseudonyms import random_points, sort_points

few = settings(max_examples=25, deadline=None)
POOL = [random_points(1) for _ in range(60)]
LISTS = st.lists(st.sets(st.integers(0, 59), min_size=1), min_size=1, max_size=4)


def as_lists(chosen: list[set[int]]) -> dict[str, bytes]:
    return {f"d{i}": sort_points(b"".join(POOL[n] for n in each))[0] for i, each in enumerate(chosen)}


@few
@given(chosen=LISTS)
def test_every_pseudonym_is_found_at_its_slot_and_stands_once(chosen: list[set[int]]) -> None:
    lists = as_lists(chosen)
    union = number_union(lists, PaddingPolicy(1, 5))
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
    padding = len(number_union(as_lists(chosen), PaddingPolicy(low, low + more, minimum))) // 32 - distinct
    least = max(minimum, low * distinct // 100)
    assert least <= padding <= least + more * distinct // 100


def test_two_runs_are_numbered_differently_and_padded_with_other_points() -> None:
    own = sort_points(random_points(500))[0]
    unions = [number_union({"tax": own}, PaddingPolicy(1, 3)) for _ in range(2)]
    slots = [slots_of(union, own) for union in unions]
    # One entry in 500 agrees by chance; 20 of them do with a probability below 10^-15.
    assert (slots[0] == slots[1]).sum() < 20
    padding = [{union[i : i + 32] for i in range(0, len(union), 32)} - set(_points(own)) for union in unions]
    assert not padding[0] & padding[1]


def test_slots_do_not_follow_the_byte_order() -> None:
    own = sort_points(random_points(2000))[0]
    slots = slots_of(number_union({"tax": own}, PaddingPolicy(1, 3)), own).astype(float)
    # Rank correlation of a random order: standard deviation 1/√1999; beyond 0.14 with a probability below 10^-9.
    assert abs(np.corrcoef(np.arange(2000), slots)[0, 1]) < 0.14


def test_a_padding_slot_looks_like_a_pseudonym() -> None:
    from crypto.pseudonyms import check_points

    union = number_union({"tax": POOL[0]}, PaddingPolicy(0, 0, minimum=16))
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
