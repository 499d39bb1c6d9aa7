"""Label release: randomised response on one bit per household, from a keyed function so that it is drawn once.

Warner 1965, "Randomized response: a survey technique for eliminating evasive answer bias"; label differential privacy
for training after Ghazi, Golowich, Kumar, Manurangsi, Zhang 2021 (arXiv:2102.06062).
Imports `numpy`, `domains` and `errors`.
"""

import hmac
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Context, Decimal

import numpy as np
import numpy.typing as npt

from crypto import domains
from crypto.errors import CryptoError

MAX_EPSILON_MILLI = 8000
KEY_BYTES = 32
_WORD_BYTES = 8
_RANGE = 2**64
_HALF = 2**63
# e^ε/(1+e^ε) to 60 significant digits; 2^64 has 20. That 40 digits behind the point decide every floor is tested for
# all 8000 values of ε.
_PRECISION = Context(prec=60)


def keep_threshold(epsilon_milli: int) -> int:
    """Return k, so that keeping a bit with probability k/2^64 and flipping it otherwise is ε-differentially private.

    k = floor(2^64 · e^ε/(1+e^ε)) with ε = `epsilon_milli`/1000, exactly: rounding down is rounding towards ½, so the
    loss never exceeds ε. Raises `CryptoError` "privacy.epsilon_out_of_range" unless 1 <= epsilon_milli <= 8000.
    """
    _require_epsilon(epsilon_milli)
    odds = _PRECISION.exp(_PRECISION.divide(Decimal(epsilon_milli), Decimal(1000)))
    share = _PRECISION.divide(odds, _PRECISION.add(odds, Decimal(1)))
    scaled = _PRECISION.multiply(share, Decimal(_RANGE))
    return int(scaled.to_integral_value(rounding=ROUND_FLOOR))


def keep_probability(k: int) -> float:
    """Return k/2^64 as a float, for display. Raises `CryptoError` "privacy.bad_threshold" unless 2^63 < k < 2^64."""
    _require_threshold(k)
    return k / _RANGE


def draw_words(
    release_key: bytes, units: Sequence[bytes], target: str, period: str, epsilon_milli: int
) -> npt.NDArray[np.uint64]:
    """Return one 64-bit word per unit, uint64 [units]: the randomness of its bit, the same whenever it is asked for.

    HMAC-SHA256 under the lead's release key over unit ‖ target ‖ period ‖ ε, first 8 bytes big-endian. Repeating a
    release, a restart or an old backup therefore draws nothing new, and an observer cannot average the noise away.
    The price: pure ε-differential privacy holds against observers who cannot tell HMAC from a random function, and
    never against one who has the key. `units`: the lead's permanent household identifiers, not pseudonyms of a run;
    each at most once, since a unit that appears twice gets one word.

    Raises `CryptoError` "privacy.bad_key" unless the key has 32 bytes, "privacy.bad_label" for an empty target or
    period, "privacy.epsilon_out_of_range".
    """
    _require_epsilon(epsilon_milli)
    context = domains.frame(_text(target), _text(period), epsilon_milli.to_bytes(4, "big"))
    return _keyed_words(release_key, domains.RELEASE_WORD, units, context)


def randomise(labels: npt.NDArray[np.uint8], words: npt.NDArray[np.uint64], k: int) -> npt.NDArray[np.uint8]:
    """Return the released bits, uint8 [n]: the label where word < k, else its opposite.

    Privacy unit: one household's label of one target and period. Neighbouring relation: one label replaced by its
    opposite; who is in the list is not hidden. Guarantee: ln(p/(1−p)) <= ε, pure local differential privacy, for p =
    k/2^64 and uniform words (Warner 1965). It protects the lead's labels from the departments and from everybody who
    sees bits.

    `labels`: 0 or 1. Raises `CryptoError` "privacy.bad_bits", "privacy.wrong_shape", "privacy.bad_threshold".
    """
    _require_threshold(k)
    _require_bits(labels)
    if words.dtype != np.uint64 or words.shape != labels.shape:
        raise CryptoError("privacy.wrong_shape", "there must be one uint64 word per label")
    # Integers are compared: a float would lose the last eleven bits of both sides.
    flip = words >= np.uint64(k)
    return labels ^ flip.astype(np.uint8)


def debias(bits: npt.NDArray[np.uint8], k: int) -> npt.NDArray[np.float32]:
    """Return (bit − (1−p))/(2p−1), float32 [n]: unbiased for the true label; −0.58 or 1.58 at ε = 1.

    Variance p(1−p)/(2p−1)² per label, with p = k/2^64 the probability that was drawn with and not e^ε/(1+e^ε).
    Post-processing, so it costs nothing. Raises `CryptoError` "privacy.bad_bits", "privacy.bad_threshold".
    """
    _require_threshold(k)
    _require_bits(bits)
    # Whole numbers up to the division, so that 2p−1 keeps its digits for a very small ε.
    span = 2 * k - _RANGE
    values = np.array([-(_RANGE - k) / span, k / span], dtype=np.float32)
    return values[bits]


def held_out_flags(
    split_key: bytes, units: Sequence[bytes], target: str, share_percent: int = 20
) -> npt.NDArray[np.bool_]:
    """Return for each unit whether it is held out of training, bool [units], permanently for this key and target.

    HMAC-SHA256 of unit ‖ target, so the flag is independent of the label and does not change between periods or runs.
    Not a privacy mechanism. Raises `CryptoError` "privacy.bad_key", "privacy.bad_label", "privacy.bad_share" unless
    1 <= share_percent <= 99.
    """
    if not 1 <= share_percent <= 99:
        raise CryptoError("privacy.bad_share", "the held-out share is 1 to 99 percent")
    words = _keyed_words(split_key, domains.HELD_OUT, units, domains.frame(_text(target)))
    return words < np.uint64(_RANGE * share_percent // 100)


def _keyed_words(key: bytes, domain: bytes, units: Sequence[bytes], context: bytes) -> npt.NDArray[np.uint64]:
    if len(key) != KEY_BYTES:
        raise CryptoError("privacy.bad_key", f"the key has {len(key)} bytes, expected {KEY_BYTES}")
    frame, digest = domains.frame, hmac.digest
    words = b"".join([digest(key, domain + frame(unit) + context, "sha256")[:_WORD_BYTES] for unit in units])
    return np.frombuffer(words, dtype=">u8").astype(np.uint64)


def _text(label: str) -> bytes:
    if not label:
        raise CryptoError("privacy.bad_label", "the target and the period must not be empty")
    return label.encode("utf-8", "surrogatepass")


def _require_epsilon(epsilon_milli: int) -> None:
    if not 1 <= epsilon_milli <= MAX_EPSILON_MILLI:
        raise CryptoError(
            "privacy.epsilon_out_of_range",
            f"ε is {epsilon_milli} thousandths, expected 1 to {MAX_EPSILON_MILLI}",
            "State ε in thousandths in the request, for example 1000 for ε = 1.",
        )


def _require_threshold(k: int) -> None:
    if not _HALF < k < _RANGE:
        raise CryptoError("privacy.bad_threshold", "the keep threshold lies strictly between 2^63 and 2^64")


def _require_bits(bits: npt.NDArray[np.uint8]) -> None:
    if bits.dtype != np.uint8 or bits.ndim != 1:
        raise CryptoError("privacy.wrong_shape", "bits are a one-dimensional uint8 array")
    if bits.size and int(bits.max()) > 1:
        raise CryptoError("privacy.bad_bits", "a bit is neither 0 nor 1")
