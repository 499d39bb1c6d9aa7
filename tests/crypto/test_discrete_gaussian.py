"""The discrete Gaussian sampler against its exact probabilities. Seeds are fixed; a fresh one would fail at the stated rate."""

import math

import numpy as np
import pytest
from scipy import stats

from crypto import discrete_gaussian
from crypto.discrete_gaussian import sample, unsafe_sample
from crypto.errors import CryptoError


def seeded(seed: int, count: int, sigma_bits: int) -> np.ndarray:
    return unsafe_sample(np.random.default_rng(seed).bytes, count, sigma_bits)


def chi_square_pvalue(values: np.ndarray, sigma_bits: int) -> float:
    """Return the p-value of the counts against the exact pmf; bins expecting fewer than 10 are merged into the tails."""
    sigma = 2.0**sigma_bits
    reach = math.ceil(12 * sigma)
    support = np.arange(-reach, reach + 1)
    weights = np.exp(-(support.astype(float) ** 2) / (2 * sigma**2))
    expected = len(values) * weights / weights.sum()
    first, last = np.flatnonzero(expected >= 10)[[0, -1]]
    observed = np.bincount(np.clip(values, support[first], support[last]) - support[first], minlength=last - first + 1)
    merged = expected[first : last + 1].copy()
    merged[0] += expected[:first].sum()
    merged[-1] += expected[last + 1 :].sum()
    return float(stats.chisquare(observed, merged * len(values) / merged.sum()).pvalue)


@pytest.mark.parametrize("sigma_bits", [0, 1, 2, 3, 5])
def test_small_deviations_have_the_exact_probabilities(sigma_bits: int) -> None:
    # False alarm 10^-6 for a fresh seed, either way.
    assert 1e-6 < chi_square_pvalue(seeded(sigma_bits, 400_000, sigma_bits), sigma_bits) < 1 - 1e-6


@pytest.mark.parametrize("wrong", ["scaled", "shifted", "no zero"])
def test_the_comparison_finds_a_wrong_sampler(wrong: str) -> None:
    values = seeded(1, 400_000, 2)
    if wrong == "scaled":
        values = np.where(np.arange(len(values)) % 50 == 0, 2 * values, values)
    elif wrong == "shifted":
        values = values + (np.arange(len(values)) % 10 == 0)
    else:
        values = values[(values != 0) | (np.arange(len(values)) % 10 != 0)]
    assert chi_square_pvalue(values, 2) < 1e-6


def test_the_large_deviation_has_the_right_moments_and_shape() -> None:
    # 400,000 values. Sample mean, variance and fourth moment have relative deviations 0.0016, 0.0022 and 0.0052 of σ, σ², 3σ⁴;
    # five of each: false alarm 2e-6 together. At σ = 2^20 the grid is invisible to Kolmogorov-Smirnov.
    values = seeded(9, 400_000, 20) / 2.0**20
    assert abs(values.mean()) < 0.008
    assert abs(values.var() - 1) < 0.0112
    assert abs((values**4).mean() / 3 - 1) < 0.026
    assert stats.kstest(values, "norm").pvalue > 1e-6


def test_low_bits_are_uniform() -> None:
    # Sixteen residues of 400,000 values at σ = 2^20: chi-square, false alarm 10^-6.
    residues = np.bincount(seeded(10, 400_000, 20) & 15, minlength=16)
    assert stats.chisquare(residues).pvalue > 1e-6


def test_the_operating_systems_noise_has_the_stated_deviation() -> None:
    # Not seeded: relative deviation of the sample variance is 0.01, seven of them fail once in 4·10^11 runs.
    values = sample(20_000).astype(np.float64)
    assert abs(values.var() / 2.0**40 - 1) < 0.07
    assert (sample(50) != sample(50)).any()


@pytest.mark.parametrize("count", [0, 1, 2, 5000])
def test_any_number_of_values_can_be_drawn(count: int) -> None:
    values = sample(count)
    assert values.shape == (count,)
    assert values.dtype == np.int64


def test_proposals_that_would_overflow_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discrete_gaussian, "_LARGEST_PROPOSAL", 3)
    assert np.abs(seeded(3, 1000, 1)).max() == 2


@pytest.mark.parametrize("sigma_bits", [-1, 21])
def test_other_deviations_are_refused(sigma_bits: int) -> None:
    with pytest.raises(CryptoError) as caught:
        sample(1, sigma_bits)
    assert caught.value.code == "privacy.bad_sigma"
