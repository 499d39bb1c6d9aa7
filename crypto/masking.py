"""Sum-only mode: pairwise masks that cancel in the sum over the exact set of parties and in nothing else.

Each pair of parties agrees on a key by X25519 (RFC 7748), HKDF-SHA256 (RFC 5869) bound to context, names and public
keys, and AES-256-CTR as the stream; the party with the smaller name adds the stream, the other subtracts it, in
Z_2^16. The pairwise masking of Bonawitz et al. 2017 without its recovery from lost parties: a missing party makes the
sum unreadable on purpose, since a second sum over another set would be a difference attack.

Who is protected from whom: the receiver of the masked vectors learns their sum only. Parties that collude with it learn
the sum of the others, so two honest parties are needed for anything to stay hidden, and of three parties no two may
collude with the receiver. Nothing here notices a party that adds a wrong vector. Not post-quantum: vectors travel
sealed as well. Imports `cryptography`, `numpy`, `domains` and `errors`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto import domains
from crypto.errors import CryptoError

KEY_BYTES = 32
MAX_ABSOLUTE_VALUE = 2000
MIN_PARTIES = 3
# 16 · 2000 = 32000 still fits the signed range of 16 bits, 17 · 2000 does not: a sum that wrapped would look plausible.
MAX_PARTIES = 16


def generate_mask_key() -> bytes:
    """Return a fresh 32-byte private key, for one run only."""
    return X25519PrivateKey.generate().private_bytes_raw()


def mask_public_key(private: bytes) -> bytes:
    """Return the 32-byte public key. Raises `CryptoError` "masking.bad_key"."""
    return _private_key(private).public_key().public_bytes_raw()


def mask_vector(
    values: npt.NDArray[np.int16] | npt.NDArray[np.int64],
    own_name: str,
    own_private: bytes,
    peers: Mapping[str, bytes],
    context: bytes,
) -> npt.NDArray[np.uint16]:
    """Return the values under this party's masks, uint16 [n]: uniform to everybody who lacks one of its pair keys.

    `values`: integers within ±2000, clipped by the caller beforehand, so that the range error cannot depend on a
    person. `peers`: every other party's name and per-run public key, authenticated by the run's manifest. `context`:
    names grant, run, target and model version; **one vector per context**, because the same context gives the same
    masks, and two vectors under the same masks give away their difference.

    Raises `CryptoError`: "masking.value_out_of_range", "masking.wrong_shape", "masking.too_few_parties" (fewer than two
    peers), "masking.too_many_parties", "masking.bad_peer" (own name or own key among the peers, an empty name),
    "masking.bad_key" (also a low-order public key).
    """
    if values.ndim != 1 or values.dtype not in (np.int16, np.int64):
        raise CryptoError("masking.wrong_shape", "values are a one-dimensional int16 or int64 array")
    # Both ends are compared: the absolute value of the smallest integer is negative.
    if values.size and (int(values.min()) < -MAX_ABSOLUTE_VALUE or int(values.max()) > MAX_ABSOLUTE_VALUE):
        raise CryptoError("masking.value_out_of_range", f"a value lies beyond ±{MAX_ABSOLUTE_VALUE}")
    _require_party_count(len(peers) + 1)
    if not own_name or own_name in peers or "" in peers:
        raise CryptoError("masking.bad_peer", "names must not be empty, and the own name must not be among the peers")

    masked = values.astype(np.uint16)
    for peer_name, peer_public in peers.items():
        mask = _pair_mask(own_name, own_private, peer_name, peer_public, context, values.size)
        # numpy's unsigned arithmetic is the ring Z_2^16.
        masked = masked + mask if own_name < peer_name else masked - mask
    return masked


def unmask_sum(vectors: Sequence[npt.NDArray[np.uint16]]) -> npt.NDArray[np.int64]:
    """Return the sum of all parties' values, int64 [n] within ±32000, from every party's masked vector exactly once.

    A missing, repeated or foreign vector gives a uniformly random sum: mostly outside the range, which is refused, and
    for a few entries plausible nonsense. The caller checks senders and contexts by their envelopes.

    Raises `CryptoError`: "masking.too_few_parties", "masking.too_many_parties", "masking.wrong_shape",
    "masking.sum_out_of_range" if a sum exceeds 2000 times the number of parties.
    """
    _require_party_count(len(vectors))
    first = vectors[0]
    if any(vector.dtype != np.uint16 or vector.ndim != 1 or vector.shape != first.shape for vector in vectors):
        raise CryptoError("masking.wrong_shape", "masked vectors are one-dimensional uint16 arrays of the same length")
    total = np.zeros(first.shape, dtype=np.uint16)
    for vector in vectors:
        total = total + vector
    signed = total.astype(np.int16).astype(np.int64)
    if signed.size and int(np.abs(signed).max()) > MAX_ABSOLUTE_VALUE * len(vectors):
        raise CryptoError(
            "masking.sum_out_of_range",
            "the sum is larger than the values allow, so the vectors do not belong together",
            "Abort the run: nothing may be summed again over another set.",
        )
    return signed


def _pair_mask(
    own_name: str, own_private: bytes, peer_name: str, peer_public: bytes, context: bytes, length: int
) -> npt.NDArray[np.uint16]:
    own_key = _private_key(own_private)
    own_public = own_key.public_key().public_bytes_raw()
    if len(peer_public) != KEY_BYTES:
        raise CryptoError("masking.bad_key", f"a public mask key has {KEY_BYTES} bytes, got {len(peer_public)}")
    if peer_public == own_public:
        raise CryptoError("masking.bad_peer", "a peer has this party's own public key")
    try:
        shared = own_key.exchange(X25519PublicKey.from_public_bytes(peer_public))
    except ValueError:
        # RFC 7748 section 6.1: an all-zero result means a low-order key, whose masks anybody could compute.
        raise CryptoError("masking.bad_key", "a public mask key has low order") from None
    # Both sides list the smaller name first, so that they derive the same key.
    low, high = sorted([(own_name, own_public), (peer_name, peer_public)])
    info = domains.PAIRWISE_MASK + domains.frame(context, low[0].encode(), high[0].encode(), low[1], high[1])
    key = HKDF(SHA256(), 32, salt=None, info=info).derive(shared)
    # A constant counter start is safe, because the key belongs to this pair and this context only.
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(2 * length))
    return np.frombuffer(stream, dtype="<u2").astype(np.uint16)


def _require_party_count(parties: int) -> None:
    if parties < MIN_PARTIES:
        raise CryptoError("masking.too_few_parties", f"a sum needs at least {MIN_PARTIES} parties, got {parties}")
    if parties > MAX_PARTIES:
        raise CryptoError("masking.too_many_parties", f"a sum holds at most {MAX_PARTIES} parties, got {parties}")


def _private_key(private: bytes) -> X25519PrivateKey:
    if len(private) != KEY_BYTES:
        raise CryptoError("masking.bad_key", f"a private mask key has {KEY_BYTES} bytes, got {len(private)}")
    return X25519PrivateKey.from_private_bytes(private)
