"""Real numbers as integers of the ring Z_2^64, so that sums under masks are exact, and back.

A value v becomes round(v · 2^fraction_bits) · weight in two's complement. Values are clipped first, so that the range
of every sum is known before anybody looks at data, and nothing wraps. Imports `numpy` and `errors`.

Who is protected from whom: nobody; this hides nothing and adds no noise. It protects the meaning of the sum. A party that
does not use `encode` can put any integer into the ring: `decode_sum` bounds the *sum*, so one party can move the mean
anywhere within ±largest, further than its own weight allows, as long as the others leave room.
"""

import math

import numpy as np
import numpy.typing as npt

from crypto.errors import CryptoError

MAX_FRACTION_BITS = 61
# One bit is the sign and one is spare: an honest sum never comes near the place where the ring wraps.
CAPACITY = 2**62
# 256 KiB of float64: the scratch of a chunk stays in the processor's cache.
_CHUNK_ENTRIES = 2**15


def require_room(total_weight: int, largest: float, fraction_bits: int) -> int:
    """Return the largest integer that stands for one value, if the sum over all weights fits into the ring.

    To be called when a run is planned: all three numbers are public, and a refusal here costs no training. `largest`: the
    bound on the absolute value of an entry, in the unit of the values.

    Raises `CryptoError`: "fixed_point.no_room" unless total_weight · largest · 2^fraction_bits < 2^62,
    "fixed_point.bad_parameters" unless the weight is at least 1, 0 ≤ fraction_bits ≤ 61, and `largest` is finite and at
    least half a step, below which every value would become zero.
    """
    if total_weight < 1 or not 0 <= fraction_bits <= MAX_FRACTION_BITS or not (math.isfinite(largest) and largest > 0):
        raise _bad_parameters()
    # Compared first, because a float of this size times the scale could overflow.
    bound = CAPACITY if largest >= CAPACITY else round(math.ldexp(largest, fraction_bits))
    if bound < 1:
        raise _bad_parameters()
    if total_weight * bound >= CAPACITY:
        raise CryptoError(
            "fixed_point.no_room",
            "weights, range and fraction together exceed 62 bits, so a sum could wrap",
            "Choose fewer fraction bits or a smaller range.",
        )
    return bound


def encode(
    values: npt.NDArray[np.float32] | npt.NDArray[np.float64], largest: float, fraction_bits: int, weight: int = 1
) -> npt.NDArray[np.uint64]:
    """Return the clipped values as integers times the weight, uint64 [n] in two's complement.

    Each entry is within 2^−(fraction_bits + 1) of the clipped value, ties to even. `weight`: how much this party counts,
    public. Clipping is silent, so that no error and no timing of an error depends on how large a value was; it cannot
    cost privacy, since the noise is already in the values. What is not a number is refused: it shows a fault of the
    training, and the error tells that the fault happened.

    Raises `CryptoError`: "fixed_point.wrong_shape" unless float32 or float64 in one dimension,
    "fixed_point.not_finite", "fixed_point.no_room" (this party's weight alone; the sum is `require_room`'s),
    "fixed_point.bad_parameters".
    """
    if values.ndim != 1 or values.dtype not in (np.float32, np.float64):
        raise CryptoError("fixed_point.wrong_shape", "values are a one-dimensional float32 or float64 array")
    require_room(weight, largest, fraction_bits)
    scale = math.ldexp(1.0, fraction_bits)
    encoded = np.empty(values.shape, dtype=np.int64)
    scratch = np.empty(min(_CHUNK_ENTRIES, values.size), dtype=np.float64)
    for start in range(0, values.size, _CHUNK_ENTRIES):
        part = values[start : start + _CHUNK_ENTRIES]
        if not np.isfinite(part).all():
            raise CryptoError(
                "fixed_point.not_finite",
                "a value is not a finite number",
                "The training diverged: lower the learning rate or the clipping norm.",
            )
        work = scratch[: part.size]
        np.clip(part, -largest, largest, out=work, dtype=np.float64)
        # Exact: a power of two moves the exponent only.
        np.multiply(work, scale, out=work)
        np.rint(work, out=work)
        target = encoded[start : start + _CHUNK_ENTRIES]
        target[:] = work
        if weight != 1:
            np.multiply(target, weight, out=target)
    return encoded.view(np.uint64)


def decode_sum(
    total: npt.NDArray[np.int64] | npt.NDArray[np.uint64], total_weight: int, largest: float, fraction_bits: int
) -> npt.NDArray[np.float64]:
    """Return the weighted mean of the values behind a sum of `encode`, float64 [n] within ±largest and half a step.

    `total_weight`: the sum of the weights of exactly the parties in the sum, from the signed roster and not from the
    senders. Sums that honest values cannot have are refused, all entries or none: masks that do not cancel exceed the
    range in some entry, except with probability (total_weight · largest · 2^fraction_bits / 2^63)^n.

    Raises `CryptoError`: "fixed_point.sum_out_of_range", "fixed_point.wrong_shape", "fixed_point.no_room",
    "fixed_point.bad_parameters".
    """
    if total.ndim != 1 or total.dtype not in (np.int64, np.uint64):
        raise CryptoError("fixed_point.wrong_shape", "a sum is a one-dimensional int64 or uint64 array")
    bound = require_room(total_weight, largest, fraction_bits) * total_weight
    signed = total.view(np.int64)
    # Both ends are compared: the absolute value of the smallest integer is negative.
    if signed.size and (int(signed.min()) < -bound or int(signed.max()) > bound):
        raise CryptoError(
            "fixed_point.sum_out_of_range",
            "the sum is larger than the values allow: masks did not cancel, or a party sent a wrong vector",
            "Abort the round: nothing may be summed again over another set.",
        )
    mean = signed.astype(np.float64)
    mean *= math.ldexp(1.0, -fraction_bits)
    mean /= total_weight
    return mean


def _bad_parameters() -> CryptoError:
    return CryptoError(
        "fixed_point.bad_parameters",
        f"expected a weight >= 1, 0 <= fraction bits <= {MAX_FRACTION_BITS} and a finite range of at least half a step",
    )
