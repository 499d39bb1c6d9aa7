"""Sealing to a key, and at rest."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import sealing
from crypto.errors import CryptoError

PRIVATE = sealing.generate_sealing_key()
PUBLIC = sealing.sealing_public_key(PRIVATE)
STORAGE_KEY = sealing.generate_storage_key()


def code_of(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)
    return caught.value.code


def test_keys_have_the_stated_form() -> None:
    assert (len(PRIVATE), PRIVATE[:1], len(PUBLIC), PUBLIC[:1]) == (97, b"\x01", 1217, b"\x01")
    assert sealing.sealing_public_key(PRIVATE) == PUBLIC != sealing.sealing_public_key(sealing.generate_sealing_key())


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_what_is_sealed_opens_under_the_same_info(info: bytes, plaintext: bytes) -> None:
    sealed = sealing.seal(PUBLIC, info, plaintext)
    assert len(sealed) == len(plaintext) + 1137
    assert sealing.open_sealed(PRIVATE, info, sealed) == plaintext


def test_sealing_twice_gives_different_bytes() -> None:
    assert sealing.seal(PUBLIC, b"", b"same") != sealing.seal(PUBLIC, b"", b"same")


def test_another_key_info_version_or_length_does_not_open() -> None:
    sealed = sealing.seal(PUBLIC, b"info", b"plaintext")
    assert code_of(sealing.open_sealed, sealing.generate_sealing_key(), b"info", sealed) == "crypto.cannot_open"
    for info, data in ((b"infp", sealed), (b"info", b"\x02" + sealed[1:]), (b"info", sealed + b"\x00")):
        assert code_of(sealing.open_sealed, PRIVATE, info, data) == "crypto.cannot_open"
    for length in (0, 1, 2, 33, 1000, 1121, 1137, len(sealed) - 1):
        assert code_of(sealing.open_sealed, PRIVATE, b"info", sealed[:length]) == "crypto.cannot_open"


# One place in each part: ML-KEM ciphertext, X25519 share, ciphertext, tag.
@pytest.mark.parametrize("position", [1, 1088, 1089, 1120, 1121, -1])
def test_a_flipped_bit_does_not_open(position: int) -> None:
    sealed = bytearray(sealing.seal(PUBLIC, b"info", b"plaintext"))
    sealed[position] ^= 1
    assert code_of(sealing.open_sealed, PRIVATE, b"info", bytes(sealed)) == "crypto.cannot_open"


def test_malformed_keys_are_refused() -> None:
    for private in (b"", PRIVATE[:-1], PRIVATE + b"\x00", b"\x02" + PRIVATE[1:]):
        assert code_of(sealing.sealing_public_key, private) == "crypto.bad_key"
        assert code_of(sealing.open_sealed, private, b"", bytes(2000)) == "crypto.bad_key"
    weak_x25519 = PUBLIC[:-32] + bytes(32)
    bad_mlkem = PUBLIC[:1] + b"\xff" * 1184 + PUBLIC[-32:]
    for public in (b"", PUBLIC[:-1], b"\x02" + PUBLIC[1:], weak_x25519, bad_mlkem):
        assert code_of(sealing.seal, public, b"", b"x") == "crypto.bad_key"


@given(st.binary(max_size=1300), st.binary(max_size=1300))
def test_random_bytes_raise_only_our_errors(data: bytes, public: bytes) -> None:
    assert code_of(sealing.open_sealed, PRIVATE, b"", data) == "crypto.cannot_open"
    assert code_of(sealing.open_sealed, PRIVATE, b"", b"\x01" + data) == "crypto.cannot_open"
    assert code_of(sealing.open_at_rest, STORAGE_KEY, b"", data) == "crypto.cannot_open"
    assert code_of(sealing.open_at_rest, STORAGE_KEY, b"", b"\x01" + data) == "crypto.cannot_open"
    assert code_of(sealing.seal, b"\x01" + public[:1215], b"", b"x") == "crypto.bad_key"


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_what_is_sealed_at_rest_opens_at_the_same_place(context: bytes, plaintext: bytes) -> None:
    data = sealing.seal_at_rest(STORAGE_KEY, context, plaintext)
    assert len(data) == len(plaintext) + 45
    assert sealing.open_at_rest(STORAGE_KEY, context, data) == plaintext


def test_a_value_moved_changed_or_cut_does_not_open() -> None:
    data = sealing.seal_at_rest(STORAGE_KEY, b"cases/1/name", b"value")
    assert code_of(sealing.open_at_rest, STORAGE_KEY, b"cases/2/name", data) == "crypto.cannot_open"
    assert code_of(sealing.open_at_rest, sealing.generate_storage_key(), b"cases/1/name", data) == "crypto.cannot_open"
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x80
        assert code_of(sealing.open_at_rest, STORAGE_KEY, b"cases/1/name", bytes(changed)) == "crypto.cannot_open"
        assert code_of(sealing.open_at_rest, STORAGE_KEY, b"cases/1/name", data[:position]) == "crypto.cannot_open"


def test_a_storage_key_of_the_wrong_length_is_refused() -> None:
    assert code_of(sealing.seal_at_rest, bytes(31), b"", b"") == "crypto.bad_key"
    assert code_of(sealing.open_at_rest, bytes(33), b"", bytes(60)) == "crypto.bad_key"
