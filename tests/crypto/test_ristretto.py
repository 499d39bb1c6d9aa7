"""The group over contiguous buffers, against rbcl's own functions point by point."""

import os
from pathlib import Path

import pytest
import rbcl

from crypto import ristretto
from crypto.errors import CryptoError

# RFC 9496 appendix A.2: encodings that must be refused (not canonical, negative, no square, and so on).
BAD_ENCODINGS = [
    bytes.fromhex(text)
    for text in (
        "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
]
# RFC 9496 appendix A.1: the generator and its double.
GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
DOUBLE = bytes.fromhex("6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919")
ORDER = 2**252 + 27742317777372353535851937790883648493


def scalar(value: int) -> bytes:
    return value.to_bytes(32, "little")


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_the_generator_doubles_as_in_rfc_9496() -> None:
    assert ristretto.multiply(GENERATOR, scalar(2)) == DOUBLE == ristretto.add([GENERATOR, GENERATOR])


def test_elements_derive_from_uniform_bytes_as_in_rfc_9496() -> None:
    # Appendix A.3, first vector.
    uniform = bytes.fromhex(
        "5d1be09e3d0c82fc538112490e35701979d99e06ca3e2b5b54bffe8b4dc772c1"
        "4d98b696a1bbfb5ca32c436cc61c16563790306c79eaca7705668b47dffe5bb6"
    )
    expected = bytes.fromhex("3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46")
    assert ristretto.points_from_uniform(lambda start, end: [uniform], 1, threads=1) == expected


@pytest.mark.parametrize("threads", [1, 2, 3, 100])
def test_batches_equal_the_public_functions_point_by_point(threads: int) -> None:
    points = [rbcl.crypto_core_ristretto255_random() for _ in range(11)]
    others = [rbcl.crypto_core_ristretto255_random() for _ in range(11)]
    key = ristretto.random_scalar()
    expected = b"".join(rbcl.crypto_scalarmult_ristretto255(key, point) for point in points)
    assert ristretto.multiply(b"".join(points), key, threads) == expected
    expected = b"".join(map(rbcl.crypto_core_ristretto255_add, points, others))
    assert ristretto.add([b"".join(points), b"".join(others)], threads) == expected


def test_the_arguments_are_not_changed() -> None:
    first, second = GENERATOR * 2, DOUBLE * 2
    ristretto.add([first, second])
    ristretto.multiply(first, scalar(3))
    assert (first, second) == (GENERATOR * 2, DOUBLE * 2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bad", [*BAD_ENCODINGS, ristretto.IDENTITY])
@pytest.mark.parametrize("position", [0, 1, 3])
def test_a_bad_point_anywhere_is_refused_by_every_operation(bad: bytes, position: int, threads: int) -> None:
    points = [GENERATOR, DOUBLE, GENERATOR, DOUBLE]
    points[position] = bad
    data = b"".join(points)
    good = GENERATOR * 4
    for call in (
        lambda: ristretto.require_valid(data, threads),
        lambda: ristretto.multiply(data, scalar(5), threads),
        lambda: ristretto.add([data], threads),
        lambda: ristretto.add([data, good], threads),
        lambda: ristretto.add([good, data], threads),
    ):
        assert code_of(call) == "linkage.invalid_point"


def test_a_sum_that_is_the_identity_is_refused() -> None:
    negative = ristretto.multiply(GENERATOR, scalar(ORDER - 1))
    assert code_of(ristretto.add, [GENERATOR, negative]) == "linkage.invalid_point"
    # In between it is harmless: only the result counts.
    assert ristretto.add([GENERATOR, negative, DOUBLE]) == DOUBLE


def test_zero_bytes_across_two_points_are_not_the_identity() -> None:
    assert not ristretto._has_identity(b"\x01" * 10 + bytes(40) + b"\x01" * 14)
    assert ristretto._has_identity(b"\x01" * 32 + bytes(32))


@pytest.mark.parametrize("bad", [b"", bytes(32), bytes(31), bytes(33), scalar(ORDER), scalar(ORDER + 1), b"\xff" * 32])
def test_a_scalar_that_is_zero_or_not_reduced_is_refused(bad: bytes) -> None:
    assert code_of(ristretto.multiply, GENERATOR, bad) == "linkage.bad_scalar"
    assert code_of(ristretto.inverse, bad) == "linkage.bad_scalar"


def test_the_largest_scalar_is_accepted_and_inverts_to_itself() -> None:
    assert ristretto.inverse(scalar(ORDER - 1)) == scalar(ORDER - 1)


def test_random_scalars_are_reduced_and_differ() -> None:
    drawn = [ristretto.random_scalar() for _ in range(50)]
    assert len(set(drawn)) == 50
    assert all(0 < int.from_bytes(value, "little") < ORDER for value in drawn)


def test_lists_that_are_not_whole_points_or_not_alike_are_refused() -> None:
    for call in (ristretto.require_valid, ristretto.point_count):
        assert code_of(call, GENERATOR[:-1]) == "linkage.wrong_count"
    assert code_of(ristretto.multiply, GENERATOR + b"\x00", scalar(1)) == "linkage.wrong_count"
    for lists in ([], [GENERATOR, GENERATOR * 2], [GENERATOR[:5], GENERATOR[:5]]):
        assert code_of(ristretto.add, lists) == "linkage.wrong_count"


def test_empty_lists_stay_empty() -> None:
    assert ristretto.multiply(b"", scalar(1)) == ristretto.add([b"", b""]) == b""
    ristretto.require_valid(b"")


def test_random_bytes_raise_only_our_error() -> None:
    # About one in sixteen random strings is a valid encoding: all eight are with 2^-32, so one run in 10^8 fails.
    for _ in range(50):
        assert code_of(ristretto.require_valid, os.urandom(32 * 8)) == "linkage.invalid_point"


def test_only_a_library_copy_in_the_temporary_directory_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    copy, system = tmp_path / "temporary" / "copy.so", tmp_path / "libsodium.so"
    for path in (copy, system):
        path.touch()
        ristretto._remove_unpacked_copy(path)
    ristretto._remove_unpacked_copy(copy)  # A file that is gone already is no error.
    assert (copy.exists(), system.exists()) == (False, True)
