"""Exact samples of the discrete Gaussian: integer noise that a sum modulo 2^64 carries without rounding.

Canonne, Kamath, Steinke 2020, "The Discrete Gaussian for Differential Privacy" (arXiv:2004.00010), algorithms 1 to 3, for a
whole vector at once. Integers and bytes of the operating system only: no logarithm, no float, so no low bit that betrays the
value it hides (Mironov 2012). σ is a power of two, so every probability is a fraction of a power of two or 1/K.
Imports `numpy` and `errors`.
"""

import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from crypto.errors import CryptoError

__all__ = ["LARGEST_SIGMA_BITS", "sample", "unsafe_sample"]

LARGEST_SIGMA_BITS = 20
# A Laplace proposal of 2^31 or more would overflow its square. Its chance is e^-2048 at σ = 2^20: it is drawn again.
_LARGEST_PROPOSAL = 1 << 31

_Read = Callable[[int], bytes]
_Words = npt.NDArray[np.uint64]
_Bools = npt.NDArray[np.bool_]


def sample(count: int, sigma_bits: int = LARGEST_SIGMA_BITS) -> npt.NDArray[np.int64]:
    """Return independent discrete Gaussian values, int64 [count]: P(x) ∝ exp(−x²/2σ²) over the integers, σ = 2^`sigma_bits`.

    Mean 0 and variance just below σ² (equal to 20 digits from σ = 4). Exact but for a statistical distance below e^-2000 per
    value (the largest proposals are drawn again), given uniform bytes of the operating system. Time depends on
    the values drawn. About 1 µs per value.
    Raises `CryptoError` "privacy.bad_sigma" unless 0 <= sigma_bits <= 20.
    """
    return unsafe_sample(os.urandom, count, sigma_bits)


def unsafe_sample(read: _Read, count: int, sigma_bits: int) -> npt.NDArray[np.int64]:
    """Return the same from the bytes of `read`, for tests with a fixed seed: such noise protects nobody."""
    if not 0 <= sigma_bits <= LARGEST_SIGMA_BITS:
        raise CryptoError("privacy.bad_sigma", f"sigma is 2^0 to 2^{LARGEST_SIGMA_BITS}")
    found: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
    missing = count
    while missing > 0:
        # Three in four proposals are accepted; a few more are asked for, so that one pass mostly suffices.
        accepted = _accepted(read, _laplace(read, missing * 3 // 2 + 32, sigma_bits), sigma_bits)
        found.append(accepted)
        missing -= len(accepted)
    return np.concatenate(found)[:count]


def _accepted(read: _Read, proposals: npt.NDArray[np.int64], sigma_bits: int) -> npt.NDArray[np.int64]:
    """Return the proposals that algorithm 3 keeps: each with probability exp(−(|y| − σ²/t)²/2σ²), here with t = σ.

    The paper takes t = floor(σ)+1; any t gives the same distribution, and t = σ makes the exponent a fraction of 2σ².
    """
    distance = np.abs(proposals) - (1 << sigma_bits)
    exponent = (distance * distance).astype(np.uint64)
    return proposals[_bernoulli_exp(read, exponent, 2 * sigma_bits + 1)]


def _laplace(read: _Read, count: int, scale_bits: int) -> npt.NDArray[np.int64]:
    """Return about count·0.6 or more discrete Laplace values, P(x) ∝ exp(−|x|/2^scale_bits): algorithm 2."""
    low = _uniform_bits(read, count, scale_bits)
    low = low[_bernoulli_exp(read, low, scale_bits)]
    high = _geometric(read, len(low))
    size = (low + (high << np.uint64(scale_bits))).astype(np.int64)
    negative = _uniform_bits(read, len(size), 1).astype(np.bool_)
    # Zero has one sign only, or it would be drawn twice as often.
    keep = ~(negative & (size == 0)) & (size < _LARGEST_PROPOSAL)
    signed: npt.NDArray[np.int64] = np.where(negative, -size, size)[keep]
    return signed


def _geometric(read: _Read, count: int) -> _Words:
    """Return how many Bernoulli(1/e) trials succeed before the first failure, uint64 [count]."""
    successes = np.zeros(count, np.uint64)
    active = np.arange(count)
    while len(active):
        active = active[_bernoulli_exp_unit(read, np.ones(len(active), np.uint64), 0)]
        successes[active] += np.uint64(1)
    return successes


def _bernoulli_exp(read: _Read, numerators: _Words, bits: int) -> _Bools:
    """Return bits that are true with probability exp(−numerator/2^bits), for any numerator: algorithm 1.

    exp(−γ) is a product of floor(γ) factors exp(−1) and one exp(−fraction): all trials must succeed.
    """
    whole = numerators >> np.uint64(bits)
    fraction = numerators & np.uint64((1 << bits) - 1)
    result = _bernoulli_exp_unit(read, fraction, bits)
    active = np.flatnonzero(result & (whole > 0))
    done = 0
    while len(active):
        kept = _bernoulli_exp_unit(read, np.ones(len(active), np.uint64), 0)
        result[active[~kept]] = False
        active = active[kept]
        done += 1
        active = active[whole[active] > done]
    return result


def _bernoulli_exp_unit(read: _Read, numerators: _Words, bits: int) -> _Bools:
    """Return bits that are true with probability exp(−γ), γ = numerator/2^bits in 0 to 1.

    Trials A_1, A_2, … succeed with probability γ/K; the number of the first failure is odd with probability exp(−γ), by the
    series of the exponential function. Bernoulli(γ/K) is Bernoulli(γ) and Bernoulli(1/K).
    """
    odd = np.zeros(len(numerators), np.bool_)
    active, k = np.arange(len(numerators)), 1
    while len(active):
        success = _uniform_bits(read, len(active), bits) < numerators[active]
        if k > 1:
            # Only those still in the race need the second trial.
            ahead = np.flatnonzero(success)
            success[ahead] = _one_in(read, len(ahead), k)
        if k % 2:
            odd[active[~success]] = True
        active, k = active[success], k + 1
    return odd


def _one_in(read: _Read, count: int, k: int) -> _Bools:
    """Return bits that are true with probability exactly 1/k."""
    limit = 2**64 // k * k
    words = _words(read, count)
    if limit < 2**64:
        # A word above the largest multiple of k would favour small remainders.
        while (beyond := np.flatnonzero(words >= np.uint64(limit))).size:
            words[beyond] = _words(read, len(beyond))
    hit: _Bools = words % np.uint64(k) == 0
    return hit


def _uniform_bits(read: _Read, count: int, bits: int) -> _Words:
    """Return uniform integers below 2^bits, uint64 [count]."""
    if bits == 0:
        return np.zeros(count, np.uint64)
    if bits <= 32:
        return (np.frombuffer(read(4 * count), np.uint32) >> np.uint32(32 - bits)).astype(np.uint64)
    return _words(read, count) >> np.uint64(64 - bits)


def _words(read: _Read, count: int) -> _Words:
    return np.frombuffer(read(8 * count), np.uint64).copy()
