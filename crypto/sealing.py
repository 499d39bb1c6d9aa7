"""Sealing: to a receiver's public key (HPKE with X-Wing), and at rest under a storage key (AES-256-GCM).

HPKE is RFC 9180 in base mode with KEM MLKEM768_X25519 (X-Wing, draft-connolly-cfrg-xwing-kem: safe while either
ML-KEM-768 or X25519 is), HKDF-SHA256 and AES-256-GCM. Base mode authenticates no sender: `envelope` adds a signature.
Imports `cryptography`, `domains` and `errors`. Python cannot wipe keys from memory; a process that ends does.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto import domains
from crypto.errors import CryptoError

VERSION = b"\x01"
MLKEM_SEED_BYTES = 64
MLKEM_PUBLIC_BYTES = 1184
X25519_BYTES = 32
PRIVATE_KEY_BYTES = 1 + MLKEM_SEED_BYTES + X25519_BYTES
PUBLIC_KEY_BYTES = 1 + MLKEM_PUBLIC_BYTES + X25519_BYTES
STORAGE_KEY_BYTES = 32
_SALT_BYTES = 16
_NONCE_BYTES = 12

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def generate_sealing_key() -> bytes:
    """Return a fresh private key: version byte ‖ ML-KEM-768 seed (64) ‖ X25519 key (32)."""
    mlkem = MLKEM768PrivateKey.generate().private_bytes_raw()
    return VERSION + mlkem + X25519PrivateKey.generate().private_bytes_raw()


def sealing_public_key(private: bytes) -> bytes:
    """Return the public key: version byte ‖ ML-KEM-768 (1184) ‖ X25519 (32). Raises `CryptoError` "crypto.bad_key"."""
    mlkem, x25519 = _private_halves(private)
    return VERSION + mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def seal(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Return version byte ‖ encapsulation ‖ ciphertext, to be opened by the private key under the same info only.

    1137 bytes longer than `plaintext`. Raises `CryptoError` "crypto.bad_key".
    """
    try:
        return VERSION + _SUITE.encrypt(plaintext, _public_key(public), domains.SEAL + info)
    except ValueError:
        # A low-order X25519 half is the only way here: the length and the ML-KEM half were checked when parsing.
        raise CryptoError("crypto.bad_key", "the public sealing key has a weak half") from None


def open_sealed(private: bytes, info: bytes, ciphertext: bytes) -> bytes:
    """Return the plaintext of untrusted bytes that were sealed to this key under this info. It does not say by whom.

    Raises `CryptoError`: "crypto.cannot_open" whatever the reason, "crypto.bad_key" for an own key that is malformed.
    """
    key = MLKEM768X25519PrivateKey(*_private_halves(private))
    if ciphertext[:1] != VERSION:
        raise _cannot_open()
    try:
        return _SUITE.decrypt(ciphertext[1:], key, domains.SEAL + info)
    except (InvalidTag, ValueError):
        raise _cannot_open() from None


def generate_storage_key() -> bytes:
    """Return a fresh 32-byte key for `seal_at_rest`."""
    return os.urandom(STORAGE_KEY_BYTES)


def seal_at_rest(key: bytes, context: bytes, plaintext: bytes) -> bytes:
    """Return version byte ‖ salt (16) ‖ nonce (12) ‖ ciphertext ‖ tag (16), 45 bytes longer than `plaintext`.

    `context` names the place (table, row, column; use `domains.frame`), so that a value moved elsewhere does not open.
    The random salt gives every value its own AES key: random nonces under one long-lived key would meet after 2^32
    values. Replacing a value by an older one of the same place is not noticed. Raises `CryptoError` "crypto.bad_key".
    """
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    cipher = _at_rest_cipher(key, salt)
    return VERSION + salt + nonce + cipher.encrypt(nonce, plaintext, domains.AT_REST + context)


def open_at_rest(key: bytes, context: bytes, data: bytes) -> bytes:
    """Return the plaintext that was sealed for this place.

    Raises `CryptoError` "crypto.cannot_open", "crypto.bad_key".
    """
    salt, nonce = data[1 : 1 + _SALT_BYTES], data[1 + _SALT_BYTES : 1 + _SALT_BYTES + _NONCE_BYTES]
    cipher = _at_rest_cipher(key, salt)
    if data[:1] != VERSION or len(nonce) != _NONCE_BYTES:
        raise _cannot_open()
    try:
        return cipher.decrypt(nonce, data[1 + _SALT_BYTES + _NONCE_BYTES :], domains.AT_REST + context)
    except InvalidTag:
        raise _cannot_open() from None


def _at_rest_cipher(key: bytes, salt: bytes) -> AESGCM:
    if len(key) != STORAGE_KEY_BYTES:
        raise CryptoError("crypto.bad_key", f"a storage key has {STORAGE_KEY_BYTES} bytes, got {len(key)}")
    return AESGCM(HKDF(SHA256(), 32, salt=salt, info=domains.AT_REST).derive(key))


def _private_halves(private: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    if len(private) != PRIVATE_KEY_BYTES or private[:1] != VERSION:
        raise CryptoError("crypto.bad_key", "the private sealing key has the wrong length or version")
    seed, x25519 = private[1 : 1 + MLKEM_SEED_BYTES], private[1 + MLKEM_SEED_BYTES :]
    return MLKEM768PrivateKey.from_seed_bytes(seed), X25519PrivateKey.from_private_bytes(x25519)


def _public_key(public: bytes) -> MLKEM768X25519PublicKey:
    if len(public) != PUBLIC_KEY_BYTES or public[:1] != VERSION:
        raise CryptoError("crypto.bad_key", "the public sealing key has the wrong length or version")
    mlkem, x25519 = public[1 : 1 + MLKEM_PUBLIC_BYTES], public[1 + MLKEM_PUBLIC_BYTES :]
    try:
        return MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(mlkem), X25519PublicKey.from_public_bytes(x25519)
        )
    except ValueError:
        raise CryptoError("crypto.bad_key", "the public sealing key is not a valid key") from None


def _cannot_open() -> CryptoError:
    return CryptoError(
        "crypto.cannot_open", "the sealed bytes do not open: wrong key, other context, damaged, or an unknown version"
    )
