"""Ed25519 signatures (RFC 8032) with a domain, and short names of public keys.

What is signed is `"doudi-signature" 01 ‖ length of the domain, 2 bytes big-endian ‖ domain ‖ message`, so that a
signature made for one kind of document is never valid for another. The one exception are checkpoints, whose signed bytes
are those of public logs: `checkpoint` says why they cannot be taken for these. Imports `cryptography`, `domains` and `errors`.
"""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from crypto import domains
from crypto.errors import CryptoError

KEY_BYTES = 32
SIGNATURE_BYTES = 64

# The y coordinates of the eight points of small order, canonical and not, with the sign bit cleared. Under such a
# public key one signature fits many messages, so its holder could later deny what it signed.
_SMALL_ORDER_Y = frozenset(
    bytes.fromhex(text)
    for text in (
        "00" * 32,
        "01" + "00" * 31,
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)


def generate_signing_key() -> bytes:
    """Return a fresh private key from the operating system's randomness: the 32-byte seed of RFC 8032."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def signing_public_key(private: bytes) -> bytes:
    """Return the 32-byte public key. Raises `CryptoError` "crypto.bad_key"."""
    return load_private_key(private).public_key().public_bytes_raw()


def sign(private: bytes, domain: str, message: bytes) -> bytes:
    """Return the 64-byte signature of `message` in `domain`.

    Raises `CryptoError` "crypto.bad_key", "crypto.bad_domain".
    """
    return load_private_key(private).sign(_signed_bytes(domain, message))


def verify(public: bytes, domain: str, message: bytes, signature: bytes) -> None:
    """Return nothing if the holder of `public` signed `message` in `domain`.

    Raises `CryptoError`: "crypto.bad_signature" otherwise, "crypto.bad_key" for a public key that proves nothing (wrong
    length, small order), "crypto.bad_domain".
    """
    key = load_public_key(public)
    try:
        key.verify(bytes(signature), _signed_bytes(domain, message))
    except InvalidSignature:
        raise CryptoError(
            "crypto.bad_signature",
            f"the signature in the domain {domain} does not fit the message and the key {key_id(public)}",
            "Do not use the message; ask the signer's officer which key is in force.",
        ) from None


def key_id(public: bytes) -> str:
    """Return the name of a public key: 16 hexadecimal characters. For people and look-ups, never instead of the key."""
    return hashlib.sha256(domains.KEY_ID + public).hexdigest()[:16]


def _signed_bytes(domain: str, message: bytes) -> bytes:
    try:
        name = domain.encode("ascii")
    except UnicodeEncodeError:
        name = b""
    if not 1 <= len(name) <= 255:
        raise CryptoError("crypto.bad_domain", "a signature domain must be 1 to 255 ASCII characters")
    return domains.SIGNATURE + len(name).to_bytes(2, "big") + name + message


def load_private_key(private: bytes) -> Ed25519PrivateKey:
    """Return the key of a 32-byte seed, for formats with their own signed bytes; others call `sign`.

    Raises `CryptoError` "crypto.bad_key".
    """
    if len(private) != KEY_BYTES:
        raise CryptoError("crypto.bad_key", f"a private signing key has {KEY_BYTES} bytes, got {len(private)}")
    return Ed25519PrivateKey.from_private_bytes(private)


def load_public_key(public: bytes) -> Ed25519PublicKey:
    """Return the key, for formats with their own signed bytes; others call `verify`.

    Raises `CryptoError` "crypto.bad_key": wrong length, not on the curve, or of small order.
    """
    if len(public) != KEY_BYTES:
        raise CryptoError("crypto.bad_key", f"a public signing key has {KEY_BYTES} bytes, got {len(public)}")
    if bytes(public[:31]) + bytes([public[31] & 0x7F]) in _SMALL_ORDER_Y:
        raise CryptoError("crypto.bad_key", "the public signing key has small order and proves nothing")
    try:
        return Ed25519PublicKey.from_public_bytes(bytes(public))
    except ValueError:
        raise CryptoError("crypto.bad_key", "the public signing key is not a point of the curve") from None
