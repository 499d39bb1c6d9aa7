"""Noise and samples from bytes, and the refusal of what does not protect."""

import math
import os

import numpy as np
import pytest
from scipy import stats

from crypto.errors import DoudiError
from department_nodes.privacy.randomness import (
    OperatingSystemNoise,
    UnsafeSeededNoise,
    require_healthy,
    require_protecting,
)


def test_the_noise_is_standard_normal() -> None:
    # Kolmogorov-Smirnov over 200,000 values of a fixed seed; a fresh seed would fail once in 10^6.
    values = UnsafeSeededNoise(3).gaussian(200_000)
    assert stats.kstest(values, "norm").pvalue > 1e-6
    assert values.dtype == np.float64
    # Tails are there: 12.7 values beyond 4 are expected of 200,000, and none of them is a false alarm of 3e-6.
    assert (np.abs(values) > 4).any()


def test_the_two_values_of_a_pair_are_independent() -> None:
    values = UnsafeSeededNoise(4).gaussian(200_000)
    for transform in (np.asarray, np.square):
        correlation = np.corrcoef(transform(values[:100_000]), transform(values[100_000:]))[0, 1]
        assert abs(correlation) < 5 / math.sqrt(100_000)  # false alarm 6e-7


@pytest.mark.parametrize("count", [0, 1, 2, 3553])
def test_any_number_of_values_can_be_drawn(count: int) -> None:
    assert OperatingSystemNoise().gaussian(count).shape == (count,)


@pytest.mark.parametrize("rate", [1 / 300, 0.01, 0.25, 0.9, 0.997])
def test_each_row_is_drawn_at_the_stated_rate(rate: float) -> None:
    draws = [UnsafeSeededNoise(seed).poisson_sample(2000, rate) for seed in range(200)]
    sizes = np.array([len(draw) for draw in draws])
    deviation = math.sqrt(2000 * rate * (1 - rate))
    assert abs(sizes.mean() - 2000 * rate) < 5 * deviation / math.sqrt(200)  # false alarm 6e-7
    # Independent rows: the batch size is binomial; its variance over 200 draws has relative deviation 0.1.
    assert abs(sizes.var() / deviation**2 - 1) < 0.5
    # And no row is drawn more often than another: chi-square over rows, false alarm 1e-6.
    counts = np.bincount(np.concatenate(draws), minlength=2000)
    statistic = ((counts - 200 * rate) ** 2).sum() / (200 * rate * (1 - rate))
    assert stats.chi2.sf(statistic, 2000) > 1e-6
    assert stats.chi2.cdf(statistic, 2000) > 1e-6


class ScriptedNoise(UnsafeSeededNoise):
    """A source whose bytes are given, to test the threshold at its very edge."""

    def __init__(self, *blocks: bytes) -> None:
        remaining = list(blocks)
        self._read = lambda count: remaining.pop(0)[:count]


@pytest.mark.parametrize(("offset", "drawn"), [(-1, True), (0, False), (1, False)])
def test_a_row_is_drawn_exactly_below_the_threshold(offset: int, drawn: bool) -> None:
    # rate·2^64 = 2^62 + 2^20: the first byte of the word ties, the other seven decide. Words are native-endian uint64
    # whose upper 56 bits are used.
    rate = 0.25 + 2.0**-44
    rest = (2**20 + offset) % 2**56
    word = np.array([rest << 8], np.uint64).tobytes()
    first = bytes([64 if offset >= 0 or rest < 2**56 - 1 else 63])
    found = ScriptedNoise(first, word).poisson_sample(1, rate)
    assert found.tolist() == ([0] if drawn else [])


def test_the_first_byte_alone_decides_the_other_rows() -> None:
    found = ScriptedNoise(bytes([63, 65, 0, 255]), b"").poisson_sample(4, 0.25 + 2.0**-44)
    assert found.tolist() == [0, 2]


def test_a_rate_of_one_draws_everybody() -> None:
    assert OperatingSystemNoise().poisson_sample(5, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert OperatingSystemNoise().poisson_sample(0, 0.5).tolist() == []


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, math.nan])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(DoudiError, match=r"privacy\.bad_sample_rate"):
        OperatingSystemNoise().poisson_sample(5, rate)


def test_only_the_operating_systems_source_protects() -> None:
    class Derived(OperatingSystemNoise):
        """Could replace what is drawn."""

    require_protecting(OperatingSystemNoise())
    for source in (UnsafeSeededNoise(1), Derived()):
        with pytest.raises(DoudiError) as caught:
            require_protecting(source)
        assert caught.value.code == "privacy.unsafe_randomness"


def test_two_draws_of_the_operating_system_differ() -> None:
    assert (OperatingSystemNoise().gaussian(10) != OperatingSystemNoise().gaussian(10)).all()


@pytest.mark.parametrize(
    "read",
    [
        bytes,
        lambda count: b"\xa5" * count,
        lambda count: bytes(range(256)) * (count // 256),
        lambda count: os.urandom(count - 6) + b"\x07" * 6,
        lambda count: os.urandom(count - 1),
    ],
    ids=["zeros", "constant", "the same block twice", "a repeated byte", "short"],
)
def test_a_broken_source_is_refused(read: object) -> None:
    with pytest.raises(DoudiError, match=r"privacy\.unsafe_randomness"):
        require_healthy(read)  # type: ignore[arg-type]


def test_a_working_source_is_healthy() -> None:
    for _ in range(100):
        require_healthy(os.urandom)
