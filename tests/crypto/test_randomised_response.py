"""Randomised response: exact constants, closed forms, one draw per unit, and the guarantee itself."""

import hashlib
import hmac
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import randomised_response as rr
from crypto.errors import CryptoError

KEY = bytes(range(32))
UNITS = [b"household-%d" % number for number in range(4000)]
WORDS = st.integers(0, 2**64 - 1)
EPSILONS = st.integers(1, 8000)


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def exponential_bounds(epsilon_milli: int, scale: int) -> tuple[int, int]:
    """Return integers with lower <= scale · e^ε < upper, by the Taylor series in whole numbers.

    Rounding each of 200 terms down loses at most 200 · e^8 < 2^20 units in all; the terms left out are below one unit.
    """
    term = total = scale
    for number in range(1, 200):
        term = term * epsilon_milli // (1000 * number)
        total += term
    return total, total + 2**21


def test_the_threshold_is_the_exact_floor_and_within_epsilon_for_every_epsilon() -> None:
    scale = 2**400
    for epsilon_milli in range(1, 8001):
        lower, upper = exponential_bounds(epsilon_milli, scale)
        floors = {(odds << 64) // (scale + odds) for odds in (lower, upper)}
        k = rr.keep_threshold(epsilon_milli)
        assert floors == {k}
        # The guarantee: p/(1−p) <= e^ε, in integers.
        assert k * scale <= (2**64 - k) * lower


def test_the_threshold_of_epsilon_one_is_the_published_number() -> None:
    assert rr.keep_threshold(1000) == 13485650502877570762
    assert rr.keep_probability(rr.keep_threshold(1000)) == pytest.approx(math.e / (1 + math.e), rel=1e-15)


@pytest.mark.parametrize("epsilon_milli", [-1000, 0, 8001, 10**9])
def test_an_epsilon_out_of_range_is_refused(epsilon_milli: int) -> None:
    assert code_of(rr.keep_threshold, epsilon_milli) == "privacy.epsilon_out_of_range"
    assert code_of(rr.draw_words, KEY, [b"u"], "t", "p", epsilon_milli) == "privacy.epsilon_out_of_range"


def test_words_follow_the_stated_encoding() -> None:
    def prefixed(part: bytes) -> bytes:
        return struct.pack(">I", len(part)) + part

    message = b"doudi-release-word\x01" + prefixed(b"unit") + prefixed("目标".encode()) + prefixed(b"2026")
    message += prefixed(struct.pack(">I", 1000))
    expected = struct.unpack(">Q", hmac.new(KEY, message, hashlib.sha256).digest()[:8])[0]
    words = rr.draw_words(KEY, [b"unit"], "目标", "2026", 1000)
    assert words.dtype == np.uint64
    assert words.tolist() == [expected]


def test_drawing_again_gives_the_same_words_in_any_order() -> None:
    words = rr.draw_words(KEY, UNITS, "aid", "2026", 1000)
    assert np.array_equal(rr.draw_words(KEY, UNITS[::-1], "aid", "2026", 1000), words[::-1])
    assert np.array_equal(rr.draw_words(KEY, UNITS[7:9], "aid", "2026", 1000), words[7:9])


def test_another_key_target_period_or_epsilon_draws_anew() -> None:
    words = rr.draw_words(KEY, UNITS, "aid", "2026", 1000)
    for other in (
        rr.draw_words(bytes(32), UNITS, "aid", "2026", 1000),
        rr.draw_words(KEY, UNITS, "rent", "2026", 1000),
        rr.draw_words(KEY, UNITS, "aid", "2027", 1000),
        rr.draw_words(KEY, UNITS, "aid", "2026", 1001),
        rr.draw_words(KEY, UNITS, "aid2", "026", 1000),
    ):
        assert not np.any(words == other)


def test_a_short_key_and_empty_labels_are_refused() -> None:
    assert code_of(rr.draw_words, bytes(31), [b"u"], "t", "p", 1000) == "privacy.bad_key"
    assert code_of(rr.held_out_flags, bytes(33), [b"u"], "t") == "privacy.bad_key"
    assert code_of(rr.draw_words, KEY, [b"u"], "", "p", 1000) == "privacy.bad_label"
    assert code_of(rr.draw_words, KEY, [b"u"], "t", "", 1000) == "privacy.bad_label"
    assert code_of(rr.held_out_flags, KEY, [b"u"], "") == "privacy.bad_label"


@given(st.lists(st.tuples(st.integers(0, 1), WORDS), max_size=30), EPSILONS)
def test_a_label_is_kept_exactly_where_the_word_is_below_the_threshold(rows: list[tuple[int, int]], eps: int) -> None:
    k = rr.keep_threshold(eps)
    labels = np.array([label for label, _ in rows], dtype=np.uint8)
    bits = rr.randomise(labels, np.array([word for _, word in rows], dtype=np.uint64), k)
    assert bits.tolist() == [label if word < k else 1 - label for label, word in rows]


def test_the_comparison_is_exact_at_the_threshold() -> None:
    k = rr.keep_threshold(1000)
    words = np.array([0, k - 1, k, k + 1, 2**64 - 1], dtype=np.uint64)
    assert rr.randomise(np.ones(5, dtype=np.uint8), words, k).tolist() == [1, 1, 0, 0, 0]


@given(EPSILONS)
def test_debiased_bits_have_the_closed_form_mean_and_variance(eps: int) -> None:
    k = rr.keep_threshold(eps)
    zero, one = rr.debias(np.array([0, 1], dtype=np.uint8), k).astype(np.float64)
    p = math.exp(eps / 1000) / (1 + math.exp(eps / 1000))
    size = max(abs(zero), abs(one))
    assert p * one + (1 - p) * zero == pytest.approx(1, abs=1e-6 * size)
    assert p * zero + (1 - p) * one == pytest.approx(0, abs=1e-6 * size)
    second = p * one**2 + (1 - p) * zero**2
    assert second - 1 == pytest.approx(p * (1 - p) / (2 * p - 1) ** 2, rel=1e-5, abs=1e-5)


def test_debiased_values_at_epsilon_one_are_the_documented_ones() -> None:
    values = rr.debias(np.array([0, 1, 1], dtype=np.uint8), rr.keep_threshold(1000))
    assert values.dtype == np.float32
    assert values.round(2).tolist() == pytest.approx([-0.58, 1.58, 1.58])


@pytest.mark.parametrize("eps", [1, 100, 1000, 3000])
@pytest.mark.parametrize("label", [0, 1])
def test_the_share_of_kept_labels_is_p(eps: int, label: int) -> None:
    # The key is fixed, so this never flickers. Five standard deviations: a right implementation with another key would
    # fail once in 1.7 million.
    units = [number.to_bytes(4, "big") for number in range(100_000)]
    k = rr.keep_threshold(eps)
    labels = np.full(len(units), label, dtype=np.uint8)
    kept = int((rr.randomise(labels, rr.draw_words(KEY, units, "aid", "2026", eps), k) == label).sum())
    p = rr.keep_probability(k)
    assert abs(kept - p * len(units)) < 5 * math.sqrt(p * (1 - p) * len(units))


@pytest.mark.parametrize("k", [0, 2**63, 2**64, -1])
def test_a_threshold_outside_its_range_is_refused(k: int) -> None:
    bits = np.zeros(1, dtype=np.uint8)
    assert code_of(rr.keep_probability, k) == "privacy.bad_threshold"
    assert code_of(rr.randomise, bits, np.zeros(1, dtype=np.uint64), k) == "privacy.bad_threshold"
    assert code_of(rr.debias, bits, k) == "privacy.bad_threshold"


def test_labels_and_words_of_another_form_are_refused() -> None:
    k, words = rr.keep_threshold(1000), np.zeros(2, dtype=np.uint64)
    assert code_of(rr.randomise, np.array([0, 2], dtype=np.uint8), words, k) == "privacy.bad_bits"
    assert code_of(rr.debias, np.array([0, 255], dtype=np.uint8), k) == "privacy.bad_bits"
    for labels in (np.zeros(3, dtype=np.uint8), np.zeros(2, dtype=np.int64), np.zeros((2, 1), dtype=np.uint8)):
        assert code_of(rr.randomise, labels, words, k) == "privacy.wrong_shape"
    assert code_of(rr.randomise, np.zeros(2, dtype=np.uint8), words.astype(np.float64), k) == "privacy.wrong_shape"


def test_empty_lists_give_empty_results() -> None:
    words = rr.draw_words(KEY, [], "aid", "2026", 1000)
    bits = rr.randomise(np.zeros(0, dtype=np.uint8), words, rr.keep_threshold(1000))
    assert len(rr.debias(bits, rr.keep_threshold(1000))) == len(rr.held_out_flags(KEY, [], "aid")) == 0


@pytest.mark.parametrize("share", [1, 20, 50, 99])
def test_the_held_out_share_is_as_asked(share: int) -> None:
    # The key is fixed; five standard deviations, false alarm once in 1.7 million for another key.
    flags = rr.held_out_flags(KEY, UNITS, "aid", share)
    p = share / 100
    assert flags.dtype == np.bool_
    assert abs(int(flags.sum()) - p * len(UNITS)) < 5 * math.sqrt(p * (1 - p) * len(UNITS))


def test_held_out_flags_are_permanent_and_nested_and_differ_by_target() -> None:
    flags = rr.held_out_flags(KEY, UNITS, "aid")
    assert np.array_equal(flags, rr.held_out_flags(KEY, UNITS, "aid", 20))
    assert not np.any(flags & ~rr.held_out_flags(KEY, UNITS, "aid", 30))
    assert not np.array_equal(flags, rr.held_out_flags(KEY, UNITS, "rent"))
    assert not np.array_equal(flags, rr.held_out_flags(bytes(32), UNITS, "aid"))


@pytest.mark.parametrize("share", [0, 100, -1])
def test_a_held_out_share_of_nobody_or_everybody_is_refused(share: int) -> None:
    assert code_of(rr.held_out_flags, KEY, UNITS[:1], "aid", share) == "privacy.bad_share"
