"""Ed25519 signatures with a domain."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from crypto import signing
from crypto.errors import CryptoError

# RFC 8032 section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_the_public_key_follows_rfc_8032() -> None:
    assert signing.signing_public_key(SEED) == PUBLIC


def test_the_signed_bytes_are_the_stated_ones() -> None:
    signature = signing.sign(SEED, "grant", b"message")
    Ed25519PublicKey.from_public_bytes(PUBLIC).verify(signature, b"doudi-signature\x01\x00\x05grantmessage")


def test_a_signature_verifies_under_key_domain_and_message() -> None:
    private = signing.generate_signing_key()
    signing.verify(signing.signing_public_key(private), "grant", b"m", signing.sign(private, "grant", b"m"))


def test_another_key_message_domain_or_signature_is_refused() -> None:
    signature = signing.sign(SEED, "grant", b"m")
    other = signing.signing_public_key(signing.generate_signing_key())
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    for arguments in (
        (other, "grant", b"m", signature),
        (PUBLIC, "grant", b"n", signature),
        (PUBLIC, "manifest", b"m", signature),
        (PUBLIC, "gran", b"tm", signature),
        (PUBLIC, "grant", b"m", flipped),
        (PUBLIC, "grant", b"m", signature[:-1]),
        (PUBLIC, "grant", b"m", signature + b"\x00"),
        (PUBLIC, "grant", b"m", b""),
    ):
        assert code_of(signing.verify, *arguments) == "crypto.bad_signature"


def test_keys_of_the_wrong_length_are_refused() -> None:
    assert code_of(signing.sign, SEED[:-1], "d", b"m") == "crypto.bad_key"
    assert code_of(signing.signing_public_key, SEED + b"\x00") == "crypto.bad_key"
    assert code_of(signing.verify, PUBLIC[:-1], "d", b"m", bytes(64)) == "crypto.bad_key"


@pytest.mark.parametrize("domain", ["", "d" * 256, "领域"])
def test_a_domain_outside_its_form_is_refused(domain: str) -> None:
    assert code_of(signing.sign, SEED, domain, b"m") == "crypto.bad_domain"
    assert code_of(signing.verify, PUBLIC, domain, b"m", bytes(64)) == "crypto.bad_domain"


def test_every_refused_small_order_key_has_an_order_that_divides_eight() -> None:
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    for encoded in signing._SMALL_ORDER_Y:
        y = int.from_bytes(encoded, "little") % p
        for _ in range(3):
            # The y coordinate of 2P from that of P alone: x² follows from the curve equation.
            x2 = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
            y = (y * y + x2) * pow(1 - d * x2 * y * y, -1, p) % p
        assert y == 1


@pytest.mark.parametrize("encoded", sorted(signing._SMALL_ORDER_Y))
def test_a_public_key_of_small_order_is_refused(encoded: bytes) -> None:
    for public in (encoded, encoded[:31] + bytes([encoded[31] | 0x80])):
        assert code_of(signing.verify, public, "d", b"m", public + bytes(32)) == "crypto.bad_key"


def test_a_key_id_is_sixteen_hexadecimal_characters_and_differs_by_key() -> None:
    other = signing.signing_public_key(signing.generate_signing_key())
    assert signing.key_id(PUBLIC) == signing.key_id(PUBLIC) != signing.key_id(other)
    assert len(bytes.fromhex(signing.key_id(PUBLIC))) == 8


@given(st.binary(max_size=40) | st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.binary(max_size=8))
def test_random_bytes_raise_only_our_error(public: bytes, signature: bytes, message: bytes) -> None:
    assert code_of(signing.verify, public, "d", message, signature) in ("crypto.bad_signature", "crypto.bad_key")
