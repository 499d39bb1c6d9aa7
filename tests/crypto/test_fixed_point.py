"""Fixed point: exact sums, no wrap, and a range that depends on no data."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import CryptoError
from crypto.fixed_point import decode_sum, encode, require_room

Reals = npt.NDArray[np.float64]
_CHUNK_BORDERS = (0, 1, 2**15 - 1, 2**15, 2**15 + 1, 2**16 + 3)


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


@given(
    st.lists(st.tuples(st.floats(-20, 20), st.integers(1, 5000)), min_size=1, max_size=32),
    st.floats(0.5, 10),
    st.integers(1, 40),
)
@settings(max_examples=100)
def test_the_weighted_mean_of_the_clipped_values_returns(
    parties: list[tuple[float, int]], largest: float, fraction_bits: int
) -> None:
    total, weights = np.zeros(1, dtype=np.uint64), sum(weight for _, weight in parties)
    for value, weight in parties:
        total += encode(np.array([value]), largest, fraction_bits, weight)
    expected = sum(min(max(value, -largest), largest) * weight for value, weight in parties) / weights
    # Each value is rounded by at most half a step; the rest is float64's.
    assert decode_sum(total, weights, largest, fraction_bits)[0] == pytest.approx(
        expected, abs=2.0 ** -(fraction_bits + 1) * 1.001 + 1e-12
    )


@pytest.mark.parametrize("length", _CHUNK_BORDERS)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_arrays_around_the_chunk_border_are_encoded_whole(length: int, kind: type) -> None:
    values = np.linspace(-3, 3, length).astype(kind)
    before = values.copy()
    encoded = encode(values, 2.0, 20, 7)
    expected = np.rint(np.clip(values.astype(np.float64), -2, 2) * 2**20).astype(np.int64) * 7
    assert encoded.dtype == np.uint64
    assert np.array_equal(encoded.view(np.int64), expected)
    assert np.array_equal(values, before)


def test_every_other_entry_of_an_array_can_be_encoded() -> None:
    values = np.arange(10, dtype=np.float32) / 10
    assert np.array_equal(encode(values[::2], 1.0, 8), encode(values[::2].copy(), 1.0, 8))


def test_ties_round_to_even_and_negative_values_are_twos_complement() -> None:
    encoded = encode(np.array([0.5, 1.5, 2.5, -0.5, -1.5, -0.0, -3.0]), 8.0, 0)
    assert encoded.view(np.int64).tolist() == [0, 2, 2, 0, -2, 0, -3]
    assert int(encoded[-1]) == 2**64 - 3


def test_the_bound_is_not_rounded_to_the_precision_of_the_values() -> None:
    # 0.1 in float32 is larger than in float64: clipped in float32 a value would leave the range.
    bound = require_room(1, 0.1, 50)
    for value in (1.0, 0.1, 3e38):
        assert int(encode(np.array([value], dtype=np.float32), 0.1, 50)[0]) == bound == round(0.1 * 2**50)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(1e-3, 1e6), st.integers(20, 30))
def test_no_finite_value_causes_an_error(value: float, largest: float, fraction_bits: int) -> None:
    encoded = encode(np.array([value]), largest, fraction_bits, 1000)
    assert abs(int(encoded.view(np.int64)[0])) <= 1000 * require_room(1000, largest, fraction_bits)
    assert abs(decode_sum(encoded, 1000, largest, fraction_bits)[0]) <= largest + 2.0**-fraction_bits


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("position", [0, 2**15, 2**15 + 5])
def test_what_is_not_finite_is_refused_wherever_it_stands(value: float, kind: type, position: int) -> None:
    values = np.zeros(2**15 + 6, dtype=kind)
    values[position] = value
    assert code_of(encode, values, 1.0, 20) == "fixed_point.not_finite"


def test_the_largest_honest_sum_is_decoded_and_one_more_is_refused() -> None:
    edge = 5 * require_room(5, 1.5, 30)
    for sign in (1, -1):
        at, beyond = np.array([0, sign * edge]), np.array([0, sign * (edge + 1)])
        assert decode_sum(at, 5, 1.5, 30).tolist() == [0, sign * 1.5]
        assert code_of(decode_sum, beyond, 5, 1.5, 30) == "fixed_point.sum_out_of_range"
        assert code_of(decode_sum, beyond.view(np.uint64), 5, 1.5, 30) == "fixed_point.sum_out_of_range"
    smallest = np.array([-(2**63)])
    assert code_of(decode_sum, smallest, 5, 1.5, 30) == "fixed_point.sum_out_of_range"


def test_signed_and_unsigned_sums_mean_the_same() -> None:
    total = np.array([-3, 0, 5])
    assert decode_sum(total, 4, 10.0, 1).tolist() == decode_sum(total.view(np.uint64), 4, 10.0, 1).tolist()
    assert decode_sum(total, 4, 10.0, 1).tolist() == [-0.375, 0.0, 0.625]


@pytest.mark.parametrize("length", _CHUNK_BORDERS)
def test_random_sums_are_refused_unless_they_are_empty(length: int) -> None:
    # Masks that do not cancel. One entry lies in the range by chance once in 2^21, and the seed is fixed.
    total = np.random.default_rng(5).integers(0, 2**64, length, dtype=np.uint64)
    if length:
        assert code_of(decode_sum, total, 1000, 4.0, 30) == "fixed_point.sum_out_of_range"
    else:
        assert decode_sum(total, 1000, 4.0, 30).size == 0


def test_room_ends_one_below_62_bits() -> None:
    assert require_room(2**62 - 1, 1.0, 0) == 1
    assert require_room(1, 1.0, 61) == 2**61
    assert require_room(3, 1.0, 60) == 2**60
    for weight, largest, bits in ((2**62, 1.0, 0), (2, 1.0, 61), (4, 1.0, 60), (1, 1e308, 61), (1, 2.0**62, 0)):
        assert code_of(require_room, weight, largest, bits) == "fixed_point.no_room"
        assert code_of(encode, np.zeros(1), largest, bits, weight) == "fixed_point.no_room"
        assert code_of(decode_sum, np.zeros(1, dtype=np.int64), weight, largest, bits) == "fixed_point.no_room"


@given(st.integers(1, 2**30), st.floats(1e-6, 1e6), st.integers(0, 61))
def test_what_has_room_never_wraps(weight: int, largest: float, fraction_bits: int) -> None:
    step = largest * 2.0**fraction_bits
    if step < 1 or weight * (step + 1) >= 2**62:
        return
    bound = require_room(weight, largest, fraction_bits)
    assert weight * bound < 2**62
    top = encode(np.array([np.finfo(np.float64).max]), largest, fraction_bits, weight)
    assert int(top.view(np.int64)[0]) == weight * bound


@pytest.mark.parametrize(
    ("weight", "largest", "bits"),
    [
        (0, 1.0, 8),
        (-1, 1.0, 8),
        (1, 0.0, 8),
        (1, -1.0, 8),
        (1, np.nan, 8),
        (1, np.inf, 8),
        (1, 1.0, -1),
        (1, 1.0, 62),
        (1, 2.0**-10, 8),
    ],
)
def test_parameters_that_mean_nothing_are_refused(weight: int, largest: float, bits: int) -> None:
    assert code_of(encode, np.zeros(2), largest, bits, weight) == "fixed_point.bad_parameters"
    assert code_of(decode_sum, np.zeros(2, dtype=np.int64), weight, largest, bits) == "fixed_point.bad_parameters"


def test_arrays_of_another_form_are_refused() -> None:
    for values in (np.zeros((2, 2)), np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.float16), np.zeros(2, ">f8")):
        assert code_of(encode, values, 1.0, 8) == "fixed_point.wrong_shape"
    for total in (np.zeros((2, 2), dtype=np.int64), np.zeros(2), np.zeros(2, dtype=np.int32)):
        assert code_of(decode_sum, total, 1, 1.0, 8) == "fixed_point.wrong_shape"


def test_a_flipped_or_scaled_update_passes_within_the_range() -> None:
    # What the range bounds: through `encode` one party moves the mean by at most twice its weight's part of the range.
    honest = [encode(np.array([0.5]), 1.0, 20, 100) for _ in range(3)]
    for lie in (-0.5, 5.0, -5e30):
        total = honest[0] + honest[1] + honest[2] + encode(np.array([lie]), 1.0, 20, 100)
        moved = decode_sum(total, 400, 1.0, 20)[0] - 0.5
        assert abs(moved) <= 2 * 100 / 400


def test_one_party_that_skips_the_encoding_can_use_the_room_of_the_others() -> None:
    # A known weakness: only the sum is bounded. Three parties at 0 leave room for four times the liar's own range.
    honest = sum((encode(np.zeros(1), 1.0, 20, 100) for _ in range(3)), np.zeros(1, dtype=np.uint64))
    lie = np.array([400 * 2**20], dtype=np.uint64)
    assert decode_sum(honest + lie, 400, 1.0, 20).tolist() == [1.0]
    assert code_of(decode_sum, honest + lie + np.uint64(1), 400, 1.0, 20) == "fixed_point.sum_out_of_range"
