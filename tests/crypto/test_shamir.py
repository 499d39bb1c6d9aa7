"""Shamir shares: the threshold recovers the secret, one share less says nothing."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import CryptoError
from crypto.shamir import SHARE_BYTES, combine_shares, split_secret

PRIME = 2**521 - 1
SECRET = bytes(range(32))
SHARES = split_secret(SECRET, 3, 5)


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def share_of(x: int, value: int) -> bytes:
    return b"\x01" + bytes([x]) + (value % PRIME).to_bytes(66, "big")


def point_of(share: bytes) -> tuple[int, int]:
    return share[1], int.from_bytes(share[2:], "big")


def lagrange(points: Sequence[tuple[int, int]], x: int) -> int:
    """Return the value at `x` of the polynomial through the points: the textbook formula, with rational factors."""
    total = 0
    for number, (own, value) in enumerate(points):
        factor = Fraction(1)
        for other_number, (other, _) in enumerate(points):
            if other_number != number:
                factor *= Fraction(x - other, own - other)
        total += value * factor.numerator * pow(factor.denominator, PRIME - 2, PRIME)
    return total % PRIME


@given(st.binary(min_size=32, max_size=32), st.integers(2, 32), st.data())
@settings(max_examples=50, deadline=None)
def test_any_threshold_of_the_holders_recovers_the_secret(secret: bytes, holders: int, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(2, holders))
    shares = split_secret(secret, threshold, holders)
    chosen = data.draw(st.lists(st.sampled_from(shares), min_size=threshold, max_size=holders, unique=True))
    assert combine_shares(chosen, threshold) == secret


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_the_extreme_secrets_and_the_most_holders_round_trip(secret: bytes) -> None:
    shares = split_secret(secret, 171, 255)
    assert [share[1] for share in shares] == list(range(1, 256))
    assert combine_shares(shares[-171:], 171) == secret


def test_shares_follow_the_stated_form() -> None:
    # Own vector: s + 5x + (p − 2)x², evaluated by hand-written powers.
    number = int.from_bytes(SECRET, "big")
    shares = [share_of(x, number + 5 * x + (PRIME - 2) * x**2) for x in (7, 200, 1)]
    assert combine_shares(shares, 3) == SECRET
    assert all(len(share) == 68 == SHARE_BYTES and share[0] == 1 for share in SHARES)
    assert lagrange([point_of(share) for share in SHARES[:3]], 0) == number


@given(st.binary(min_size=32, max_size=32), st.integers(2, 8))
@settings(max_examples=30, deadline=None)
def test_one_share_less_than_the_threshold_fits_every_secret(other_secret: bytes, threshold: int) -> None:
    # For any other secret there is exactly one polynomial through the known shares, as likely as the true one.
    known = split_secret(SECRET, threshold, 8)[: threshold - 1]
    points = [(0, int.from_bytes(other_secret, "big")), *(point_of(share) for share in known)]
    imagined = share_of(200, lagrange(points, 200))
    assert combine_shares([*known, imagined], threshold) == other_secret


@pytest.mark.parametrize("threshold", [3, 4, 22])
def test_one_share_less_than_the_threshold_does_not_recover_the_secret(threshold: int) -> None:
    # By chance once in 2^265: the polynomial has the full degree, so fewer points lie on another one.
    known = split_secret(SECRET, threshold, 32)[: threshold - 1]
    assert code_of(combine_shares, known, threshold - 1) == "shamir.inconsistent_shares"


def test_coefficients_come_from_the_whole_field() -> None:
    # With a threshold of two, share 1 minus the secret is the only coefficient. 64 halves of the field: fails once in 2^63.
    numbers = [point_of(split_secret(SECRET, 2, 2)[0])[1] - int.from_bytes(SECRET, "big") for _ in range(64)]
    halves = [number % PRIME >> 520 for number in numbers]
    assert 0 < sum(halves) < 64
    assert len(set(numbers)) == 64


def test_two_splits_of_a_secret_share_no_value() -> None:
    assert not set(SHARES) & set(split_secret(SECRET, 3, 5))


@given(st.integers(0, 4), st.integers(1, PRIME - 1))
@settings(max_examples=50)
def test_an_altered_share_among_more_than_the_threshold_is_noticed(position: int, difference: int) -> None:
    x, value = point_of(SHARES[position])
    altered = [*SHARES[:position], share_of(x, value + difference), *SHARES[position + 1 :]]
    for order in (altered, altered[::-1]):
        assert code_of(combine_shares, order, 3) == "shamir.inconsistent_shares"
        assert code_of(combine_shares, order, 4) == "shamir.inconsistent_shares"


def test_a_random_change_is_noticed_without_extra_shares() -> None:
    # Missed with probability 2^−265: the constant term would have to fall below 2^256.
    x, value = point_of(SHARES[0])
    altered = [share_of(x, value ^ 1 << 300), *SHARES[1:3]]
    assert code_of(combine_shares, altered, 3) == "shamir.inconsistent_shares"
    foreign = split_secret(SECRET, 3, 5)[0]
    assert code_of(combine_shares, [foreign, *SHARES[1:3]], 3) == "shamir.inconsistent_shares"


def test_a_calculated_change_without_extra_shares_shifts_the_secret_unseen() -> None:
    # The reason for `verify_seed` and for comparing recovered mask keys with their public keys.
    points = [point_of(share) for share in SHARES[:3]]
    factor = lagrange([(points[0][0], 1), (points[1][0], 0), (points[2][0], 0)], 0)
    shifted = share_of(points[0][0], points[0][1] + pow(factor, -1, PRIME))
    recovered = combine_shares([shifted, *SHARES[1:3]], 3)
    assert int.from_bytes(recovered, "big") == int.from_bytes(SECRET, "big") + 1
    assert code_of(combine_shares, [shifted, *SHARES[1:4]], 3) == "shamir.inconsistent_shares"


def test_too_few_shares_are_refused() -> None:
    for count in range(3):
        assert code_of(combine_shares, SHARES[:count], 3) == "shamir.too_few_shares"


def test_a_share_given_twice_does_not_count_twice() -> None:
    assert code_of(combine_shares, [SHARES[0], SHARES[1], SHARES[1]], 3) == "shamir.bad_share"
    x, value = point_of(SHARES[1])
    assert code_of(combine_shares, [*SHARES[:3], share_of(x, value + 1)], 3) == "shamir.bad_share"


@pytest.mark.parametrize(
    "share",
    [
        b"",
        SHARES[0][:-1],
        SHARES[0] + b"\x00",
        b"\x02" + SHARES[0][1:],
        b"\x01\x00" + SHARES[0][2:],
        b"\x01\x01" + PRIME.to_bytes(66, "big"),
        b"\x01\x01" + b"\xff" * 66,
    ],
    ids=["empty", "short", "long", "version", "place", "prime", "beyond"],
)
def test_a_share_of_another_form_is_refused(share: bytes) -> None:
    assert code_of(combine_shares, [share, *SHARES[1:4]], 3) == "shamir.bad_share"


@given(
    st.lists(st.binary(max_size=80) | st.binary(min_size=66, max_size=66).map(lambda b: b"\x01\x07" + b), max_size=5)
)
def test_random_bytes_raise_only_our_error(shares: list[bytes]) -> None:
    with pytest.raises(CryptoError):
        combine_shares(shares, 3)


@given(st.integers(0, 4), st.integers(0, SHARE_BYTES - 1), st.integers(1, 255))
def test_a_changed_byte_anywhere_is_refused(number: int, position: int, difference: int) -> None:
    changed = bytearray(SHARES[number])
    changed[position] ^= difference
    shares = [*SHARES[:number], bytes(changed), *SHARES[number + 1 :]]
    assert code_of(combine_shares, shares, 3) in ("shamir.bad_share", "shamir.inconsistent_shares")


@pytest.mark.parametrize(("threshold", "holders"), [(0, 3), (1, 3), (4, 3), (3, 256), (-1, 3), (256, 256)])
def test_an_impossible_threshold_is_refused(threshold: int, holders: int) -> None:
    assert code_of(split_secret, SECRET, threshold, holders) == "shamir.bad_threshold"


def test_an_impossible_threshold_is_refused_when_recovering() -> None:
    for threshold in (-1, 0, 1, 256):
        assert code_of(combine_shares, SHARES, threshold) == "shamir.bad_threshold"


def test_a_secret_of_another_length_is_refused() -> None:
    for secret in (b"", bytes(31), bytes(33)):
        assert code_of(split_secret, secret, 2, 3) == "shamir.bad_secret"
