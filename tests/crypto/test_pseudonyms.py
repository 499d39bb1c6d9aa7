"""Private linkage: published vectors and the laws of the oblivious pseudorandom function."""

import hashlib

import pytest
import rbcl
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import pseudonyms as ps
from crypto.errors import CryptoError

DST = ps.linkage_domain(b"grant")
IDS = st.lists(st.binary(min_size=1, max_size=24), min_size=1, max_size=6, unique=True)
few = settings(max_examples=25, deadline=None)


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


# RFC 9380 appendix K.3: expand_message_xmd with SHA-512.
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", "6b9a7312411d92f921c6f68ca0b6380730a1a4d982c507211a90964c394179ba"),
        (b"abc", "0da749f12fbe5483eb066a5f595055679b976e93abe9be6f0f6318bce7aca8dc"),
        (
            b"",
            "41b037d1734a5f8df225dd8c7de38f851efdb45c372887be655212d07251b921"
            "b052b62eaed99b46f72f2ef4cc96bfaf254ebbbec091e1a3b9e4fb5e5b619d2e"
            "0c5414800a1d882b62bb5cd1778f098b8eb6cb399d5d9d18f5d5842cf5d13d7e"
            "b00a7cff859b605da678b318bd0e65ebff70bec88c753b159a805d2c89c55961",
        ),
    ],
)
def test_expand_message_follows_rfc_9380(message: bytes, expected: str) -> None:
    dst = b"QUUX-V01-CS02-with-expander-SHA512-256"
    assert ps.expand_message_xmd(message, dst, len(expected) // 2).hex() == expected


def test_an_oversize_domain_is_hashed_first_as_rfc_9380_section_5_3_3_says() -> None:
    long = b"d" * 256
    short = hashlib.sha512(b"H2C-OVERSIZE-DST-" + long).digest()
    assert ps.expand_message_xmd(b"m", long, 64) == ps.expand_message_xmd(b"m", short, 64)
    assert ps.hash_to_group([b"m"], long) == ps.hash_to_group([b"m"], short)
    # 255 bytes are still used as they are.
    limit = b"d" * 255
    hashed = hashlib.sha512(b"H2C-OVERSIZE-DST-" + limit).digest()
    assert ps.expand_message_xmd(b"m", limit, 64) != ps.expand_message_xmd(b"m", hashed, 64)


@pytest.mark.parametrize("length", [0, -1, 255 * 64 + 1, 65536])
def test_an_impossible_output_length_is_refused(length: int) -> None:
    assert code_of(ps.expand_message_xmd, b"m", DST, length) == "linkage.bad_length"


def test_the_longest_output_and_an_empty_domain() -> None:
    assert len(ps.expand_message_xmd(b"m", DST, 255 * 64)) == 255 * 64
    assert code_of(ps.expand_message_xmd, b"m", b"", 64) == "linkage.bad_domain"
    assert code_of(ps.hash_to_group, [b"m"], b"") == "linkage.bad_domain"


def test_blinding_and_evaluation_follow_rfc_9497() -> None:
    # Appendix A.1.1, OPRF(ristretto255, SHA-512) in mode OPRF, test vector 1.
    dst = b"HashToGroup-OPRFV1-\x00-ristretto255-SHA512"
    key = bytes.fromhex("5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e")
    r = bytes.fromhex("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706")
    blinded = ps.blind(ps.hash_to_group([b"\x00"], dst), r)
    assert blinded.hex() == "609a0ae68c15a3cf6903766461307e5c8bb2f95e7e6550e1ffa2dc99e412803c"
    evaluated = ps.multiply(blinded, key)
    assert evaluated.hex() == "7ec6578ae5120958eb2db1745758ff379e77cb64fe77b0b2d8cc917ea0869c7e"


@given(IDS, st.binary(min_size=1, max_size=300))
@few
def test_hashing_to_the_group_is_the_general_expansion(ids: list[bytes], dst: bytes) -> None:
    expected = [rbcl.crypto_core_ristretto255_from_hash(ps.expand_message_xmd(one, dst, 64)) for one in ids]
    assert ps.hash_to_group(ids, dst) == ps.hash_to_group(ids, dst, threads=2) == b"".join(expected)


@given(IDS, st.integers(1, 4))
@few
def test_a_pseudonym_is_the_evaluation_under_the_sum_of_all_scalars(ids: list[bytes], holders: int) -> None:
    points = ps.hash_to_group(ids, DST)
    scalars = [ps.random_scalar() for _ in range(holders)]
    total = bytes(32)
    for scalar in scalars:
        total = rbcl.crypto_core_ristretto255_scalar_add(total, scalar)
    r = ps.random_scalar()
    blinded = ps.blind(points, r)
    answers = [ps.multiply(blinded, scalar) for scalar in scalars]
    assert ps.unblind(ps.add(answers), r) == ps.multiply(points, total)


@given(IDS)
@few
def test_owners_with_different_blinds_get_the_same_pseudonyms(ids: list[bytes]) -> None:
    points, key = ps.hash_to_group(ids, DST), ps.random_scalar()
    first, second = ps.random_scalar(), ps.random_scalar()
    assert ps.blind(points, first) != ps.blind(points, second)
    one = ps.unblind(ps.multiply(ps.blind(points, first), key), first)
    two = ps.unblind(ps.multiply(ps.blind(points, second), key, threads=2), second, threads=2)
    assert one == two == ps.multiply(points, key)


@given(IDS)
@few
def test_a_missing_or_foreign_scalar_gives_no_match(ids: list[bytes]) -> None:
    points = ps.hash_to_group(ids, DST)
    evaluations = [ps.multiply(points, ps.random_scalar()) for _ in range(3)]
    complete = pieces(ps.add(evaluations))
    assert not complete & pieces(ps.add(evaluations[:2]))
    assert not complete & pieces(ps.add([*evaluations[:2], ps.multiply(points, ps.random_scalar())]))


@given(IDS)
@few
def test_another_domain_gives_other_points(ids: list[bytes]) -> None:
    assert not pieces(ps.hash_to_group(ids, DST)) & pieces(ps.hash_to_group(ids, ps.linkage_domain(b"other grant")))


def pieces(points: bytes) -> set[bytes]:
    return {points[start : start + 32] for start in range(0, len(points), 32)}


def test_a_linkage_domain_is_readable_and_differs_by_section() -> None:
    assert b"doudi-linkage-v1-" + hashlib.sha256(b"grant").hexdigest().encode() == DST
    assert ps.linkage_domain(b"grant ") != DST


def test_good_points_pass_the_check() -> None:
    ps.check_points(ps.random_points(20), 20)
    ps.check_points(ps.random_points(20), 20, threads=2)
    ps.check_points(b"", 0)


def test_each_fault_of_a_received_list_has_its_code() -> None:
    points = ps.random_points(4)
    assert code_of(ps.check_points, points, 3) == "linkage.wrong_count"
    assert code_of(ps.check_points, points, 5) == "linkage.wrong_count"
    assert code_of(ps.check_points, points[:-1], 4) == "linkage.wrong_count"
    assert code_of(ps.check_points, points[:96] + bytes(32), 4) == "linkage.invalid_point"
    assert code_of(ps.check_points, points[:96] + b"\xff" * 32, 4) == "linkage.invalid_point"
    assert code_of(ps.check_points, points[:96] + points[:32], 4) == "linkage.duplicate_point"


@given(st.binary(max_size=200), st.integers(0, 6))
def test_random_bytes_raise_only_our_error(data: bytes, count: int) -> None:
    if not data:
        return
    assert code_of(ps.check_points, data + b"\xff" * 32, count).startswith("linkage.")
    assert code_of(ps.multiply, data + b"\xff" * 32, ps.random_scalar()).startswith("linkage.")


def test_sorting_returns_byte_order_and_the_permutation() -> None:
    points = ps.random_points(50)
    single = [points[start : start + 32] for start in range(0, len(points), 32)]
    in_order, permutation = ps.sort_points(points)
    assert in_order == b"".join(sorted(single)) == b"".join(single[index] for index in permutation)
    assert sorted(permutation) == list(range(50))
    assert ps.sort_points(b"") == (b"", [])
    assert code_of(ps.sort_points, points[:-1]) == "linkage.wrong_count"
