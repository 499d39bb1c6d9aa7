"""Shares of a 32-byte secret: any `threshold` of the holders recover it, fewer learn nothing about it.

Shamir 1979 over the field of 2^521 − 1 (a prime, so that a secret of 256 bits fits with room to spare). Holder i has the
value at x = i + 1 of a polynomial whose constant term is the secret and whose other coefficients are uniform, from the
operating system. Imports `errors`.

Who is protected from whom: the dealer's secret from any threshold − 1 holders together, whatever they compute. Not
protected: the recovered secret from a holder that lies, nor the holders from a dealer that lies. From exactly
`threshold` shares somebody who knows the holders can shift the secret by a number of his choice, so **whoever recovers
a secret compares it with something public** (`secure_aggregation`: a commitment, or the public key). Python's integers
do not compute in constant time: deal and recover in a process that shares no processor with an attacker.
"""

import secrets
from collections.abc import Sequence

from crypto.errors import CryptoError

VERSION = b"\x01"
SECRET_BYTES = 32
MAX_HOLDERS = 255
MIN_THRESHOLD = 2
FIELD = 2**521 - 1
VALUE_BYTES = 66
SHARE_BYTES = 1 + 1 + VALUE_BYTES


def split_secret(secret: bytes, threshold: int, holders: int) -> list[bytes]:
    """Return one share per holder: version byte ‖ x (1 byte, from 1) ‖ value (66 bytes, big-endian).

    Shares of two calls do not belong together, even of the same secret. Raises `CryptoError`: "shamir.bad_secret" unless
    it has 32 bytes, "shamir.bad_threshold" unless 2 ≤ threshold ≤ holders ≤ 255 (with a threshold of one every share
    would be the secret).
    """
    if len(secret) != SECRET_BYTES:
        raise CryptoError("shamir.bad_secret", f"a secret has {SECRET_BYTES} bytes, got {len(secret)}")
    if not MIN_THRESHOLD <= threshold <= holders <= MAX_HOLDERS:
        raise _bad_threshold()
    # `randbelow` rejects what lies beyond the field. A leading zero is allowed: without it t − 1 shares would tell.
    coefficients = [int.from_bytes(secret, "big"), *(secrets.randbelow(FIELD) for _ in range(threshold - 1))]
    shares = []
    for x in range(1, holders + 1):
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * x + coefficient) % FIELD
        shares.append(VERSION + bytes([x]) + value.to_bytes(VALUE_BYTES, "big"))
    return shares


def combine_shares(shares: Sequence[bytes], threshold: int) -> bytes:
    """Return the secret of 32 bytes, from untrusted shares of distinct holders in any order.

    (1) Every share has the form of a share, and no holder appears twice: else "shamir.bad_share".
    (2) There are at least `threshold`: else "shamir.too_few_shares".
    (3) The shares beyond the threshold lie on the polynomial of the others: else "shamir.inconsistent_shares".
    (4) Its constant term is a secret of 32 bytes: else "shamir.inconsistent_shares". Of exactly `threshold` shares a
        random change is noticed here, a calculated one is not.

    The error does not say which share is wrong. Raises `CryptoError` with these codes, and "shamir.bad_threshold".
    """
    if not MIN_THRESHOLD <= threshold <= MAX_HOLDERS:
        raise _bad_threshold()

    # (1)
    points = [_parse_share(share) for share in shares]
    if len({x for x, _ in points}) != len(points):
        raise CryptoError("shamir.bad_share", "two shares belong to the same holder")

    # (2)
    if len(points) < threshold:
        raise CryptoError(
            "shamir.too_few_shares", f"the secret needs {threshold} shares, got {len(points)}", "Wait for more holders."
        )

    # (3)
    base = points[:threshold]
    weights = _weights([x for x, _ in base])
    if any(_interpolate(base, weights, x) != value for x, value in points[threshold:]):
        raise _inconsistent()

    # (4)
    secret = _interpolate(base, weights, 0)
    if secret >> (8 * SECRET_BYTES):
        raise _inconsistent()
    return secret.to_bytes(SECRET_BYTES, "big")


def _parse_share(share: bytes) -> tuple[int, int]:
    if len(share) != SHARE_BYTES or share[:1] != VERSION:
        raise CryptoError("shamir.bad_share", "a share has the wrong length or version")
    x, value = share[1], int.from_bytes(share[2:], "big")
    # The value at zero is the secret itself, and a value beyond the field would be a second form of another one.
    if x == 0 or value >= FIELD:
        raise CryptoError("shamir.bad_share", "a share lies outside the field")
    return x, value


def _weights(xs: Sequence[int]) -> list[int]:
    """Return the barycentric weights 1 / ∏ (x − other)."""
    weights = []
    for x in xs:
        product = 1
        for other in xs:
            if other != x:
                product *= x - other
        weights.append(pow(product, -1, FIELD))
    return weights


def _interpolate(base: Sequence[tuple[int, int]], weights: Sequence[int], x: int) -> int:
    """Return the value at `x`, which is none of the base's, of the polynomial through all base points."""
    total = 0
    for (own, value), weight in zip(base, weights, strict=True):
        product = 1
        for other, _ in base:
            if other != own:
                product *= x - other
        total += value * weight % FIELD * product
    return total % FIELD


def _bad_threshold() -> CryptoError:
    return CryptoError(
        "shamir.bad_threshold", f"expected {MIN_THRESHOLD} <= threshold <= holders <= {MAX_HOLDERS} for the shares"
    )


def _inconsistent() -> CryptoError:
    return CryptoError(
        "shamir.inconsistent_shares",
        "the shares do not belong to one secret",
        "Abort the round: the dealer or a holder sent a wrong share.",
    )
