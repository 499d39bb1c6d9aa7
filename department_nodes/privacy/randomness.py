"""Where the noise and the sampling of a private training come from: the operating system, and nothing else.

torch's CPU generator keeps 32 bits of its seed, numpy's is predictable from its output, and Opacus' `secure_mode` needs a
package that is not to be had: none of them may protect a person. Here bytes of `os.urandom` become noise and samples; a seeded
source exists for tests, has `Unsafe` in its name and is refused at start-up. Pure: numpy and the operating system.
"""

import math
import os
from collections.abc import Callable
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crypto.errors import DoudiError

__all__ = ["NoiseSource", "OperatingSystemNoise", "UnsafeSeededNoise", "require_healthy", "require_protecting"]

_HEALTH_BLOCK_BYTES = 1024
# NIST SP 800-90B section 4.4.1 with H = 8 bits per byte: a run of 6 equal bytes has a chance below 2^-40 at each place,
# so a healthy source fails the test once in 10^9 blocks.
_REPETITION_CUTOFF = 6


class NoiseSource(Protocol):
    """What a private training draws."""

    def gaussian(self, count: int) -> npt.NDArray[np.float64]:
        """Return independent standard normal values, float64 [count]."""

    def poisson_sample(self, rows: int, rate: float) -> npt.NDArray[np.int64]:
        """Return the indices below `rows` that are drawn, ascending: each independently with probability `rate`."""


class _ByteNoise:
    """Turns independent uniform bytes into noise and samples."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def gaussian(self, count: int) -> npt.NDArray[np.float64]:
        """Return independent standard normal values, float64 [count], by Box and Muller 1958.

        Two 53-bit uniforms give two values: u in (0, 1], so that the logarithm is finite and no value exceeds 8.6. The values
        are float64 approximations of a normal distribution, not samples of one: see `dp_sgd` for what that costs.
        """
        pairs = (count + 1) // 2
        uniform = (self._words(2 * pairs) >> np.uint64(11)).astype(np.float64)
        uniform += 1.0
        uniform *= 2.0**-53
        radius = np.log(uniform[:pairs])
        radius *= -2.0
        np.sqrt(radius, out=radius)
        # Cosine (1−t²)/(1+t²) and sine 2t/(1+t²) of the angle 2πu from t = tan(πu): one slow function instead of two.
        half = uniform[pairs:]
        half *= math.pi
        np.tan(half, out=half)
        square = half * half
        radius /= square + 1.0
        values = np.empty(2 * pairs, np.float64)
        np.subtract(1.0, square, out=values[:pairs])
        np.multiply(half, 2.0, out=values[pairs:])
        values[:pairs] *= radius
        values[pairs:] *= radius
        return values[:count]

    def poisson_sample(self, rows: int, rate: float) -> npt.NDArray[np.int64]:
        """Return the drawn indices, int64, ascending: each row with probability exactly floor(rate·2^64)/2^64.

        A row is drawn if its uniform 64-bit word is below the threshold. The first byte decides for all but one row in 256;
        only for those the other seven are read, so one byte per row suffices and integers alone are compared.
        Raises `DoudiError` "privacy.bad_sample_rate" unless 0 < rate <= 1.
        """
        if not 0 < rate <= 1:
            raise DoudiError("privacy.bad_sample_rate", "the sampling rate is above 0 and at most 1")
        # A float times a power of two is exact, and int() of it rounds down.
        threshold = int(rate * 2.0**64)
        if threshold == 2**64:
            return np.arange(rows, dtype=np.int64)
        first, rest = divmod(threshold, 2**56)
        bytes_of_rows = np.frombuffer(self._read(rows), np.uint8)
        candidates = np.flatnonzero(bytes_of_rows <= first)
        undecided = bytes_of_rows[candidates] == first
        words = self._words(int(np.count_nonzero(undecided))) >> np.uint64(8)
        drawn = np.ones(len(candidates), np.bool_)
        drawn[undecided] = words < np.uint64(rest)
        return candidates[drawn].astype(np.int64, copy=False)

    def _words(self, count: int) -> npt.NDArray[np.uint64]:
        return np.frombuffer(self._read(8 * count), np.uint64)


class OperatingSystemNoise(_ByteNoise):
    """Noise and samples from the operating system's cryptographic source: what protects people."""

    def __init__(self) -> None:
        super().__init__(os.urandom)


class UnsafeSeededNoise(_ByteNoise):
    """The same transformations over a seeded generator, for tests: whoever knows or guesses the seed removes the noise."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.default_rng(seed).bytes)


def require_protecting(source: NoiseSource) -> None:
    """Raise `DoudiError` "privacy.unsafe_randomness" unless `source` is the operating system's and passes its health test.

    Exactly that class: a subclass could replace what it draws. Called at start-up and before each round is charged.
    """
    if type(source) is not OperatingSystemNoise:
        raise _unsafe("the noise does not come from the operating system")
    if hasattr(os, "getrandom"):
        try:
            os.getrandom(16, os.GRND_NONBLOCK)
        except OSError:
            raise _unsafe("the operating system's random source is not ready") from None
    require_healthy(os.urandom)


def require_healthy(read: Callable[[int], bytes]) -> None:
    """Raise `DoudiError` "privacy.unsafe_randomness" when `read` fails visibly: short, repeating or constant blocks.

    The repetition count test of NIST SP 800-90B on one block of 1024 bytes, and a comparison of two blocks. It finds a broken
    source (a sandbox that answers zeros, a copied state that answers twice the same), never a predictable one.
    """
    block, other = read(_HEALTH_BLOCK_BYTES), read(_HEALTH_BLOCK_BYTES)
    if len(block) != _HEALTH_BLOCK_BYTES or len(other) != _HEALTH_BLOCK_BYTES:
        raise _unsafe("the random source gave too few bytes")
    if block == other:
        raise _unsafe("the random source gave the same block twice")
    longest = run = 1
    for previous, current in pairwise(block):
        run = run + 1 if current == previous else 1
        longest = max(longest, run)
    if longest >= _REPETITION_CUTOFF:
        raise _unsafe("the random source repeats a byte")


def _unsafe(reason: str) -> DoudiError:
    return DoudiError(
        "privacy.unsafe_randomness",
        reason,
        "Run the node on a host whose operating system gives cryptographic randomness.",
    )
