"""Sums over the parties that stayed, without anybody seeing one party's vector: double masks with recovery.

Bonawitz et al. 2017 ("Practical Secure Aggregation", CCS), the variant against an active coordinator, on a complete
graph of at most 32 parties. The network is not here: this module masks, removes masks and commits to seeds; the round
is the callers', and rests on them for what is marked (caller). Imports `cryptography`, `numpy`, `domains`, `errors`.

A round: (1) each party sends a fresh X25519 mask key, signed. (2) It deals shares (`shamir`, threshold
`recovery_threshold`) of its private mask key and of its self seed, sealed per holder, with a commitment to the seed.
(3) `mask_update`. (4) The survivors sign one set of survivors. (5) Each gives its share of the seed of every survivor
and its share of the mask key of every dropped party, and the coordinator runs `unmask_sum`.

    masked = values + stream(self seed) + Σ over larger names stream(pair) − Σ over smaller names stream(pair)  mod 2^64

Who learns what: the coordinator learns the sum over the survivors, the other parties nothing. Parties that collude with
it, up to a third of them, learn the sum over the others. What a compromised coordinator could try:

- Declare a live party dropped and so get its mask key: its vector stays under the self mask, whose seed nobody gives.
- Ask some parties for the seed and others for the key of one party: honest ones give shares for one signed set of
  survivors only (caller), and two sets with a threshold of signers each need more than a third that signed both.
- Ask for two sums and subtract: the same; and a party masks one vector per context (caller).
- Send different models, or repeat a round: the context binds both (caller), so the masks do not cancel.
- Invent parties: the keys of a roster are signed by pinned identities (caller). Keys of low order, in a second form, or
  given twice are refused here.
- Sum fewer than three parties: refused at the parties, which do not consent (caller), and here.

What is NOT stopped: a party that adds a wrong vector, scaled or with its sign turned, within the range or
(`fixed_point`) within the room that the others leave. **Of three parties each can subtract its own vector and learns the
sum of the other two.** One party can end a round by wrong shares or silence beyond the threshold. Masks are not
post-quantum, though the shares are sealed with X-Wing: a coordinator that kept masked vectors and the recovered seeds
reads every survivor's vector once somebody breaks X25519.
"""

import hmac
import os
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto import domains
from crypto.errors import CryptoError

KEY_BYTES = 32
SEED_BYTES = 32
COMMITMENT_BYTES = 32
MIN_PARTIES = 3
MAX_PARTIES = 32
_FIELD = 2**255 - 19
_ENTRY_BYTES = 8
# 1 MiB: the buffer and its part of the sum stay in the processor's cache while one stream after the other is added.
_CHUNK_ENTRIES = 2**17
_BLOCK_BYTES = 16

Ring = npt.NDArray[np.uint64]


class _Stream(NamedTuple):
    """A key stream and whether it is subtracted."""

    cipher: CipherContext
    subtract: bool


def recovery_threshold(parties: int) -> int:
    """Return how many shares recover a secret among `parties` holders, and how many must consent: ⌊2n/3⌋ + 1.

    Two sets of that many signers share more than a third of all. Of three parties none may be lost, of four to six
    one, of seven to nine two. Raises `CryptoError` "aggregation.too_few_parties", "aggregation.too_many_parties".
    """
    _require_party_count(parties)
    return 2 * parties // 3 + 1


def generate_self_seed() -> bytes:
    """Return a fresh 32-byte seed, for one vector of one round only."""
    return os.urandom(SEED_BYTES)


def commit_to_seed(seed: bytes, context: bytes) -> bytes:
    """Return 32 bytes that fix the seed without showing it; `context` names round and party.

    Hiding because the seed is uniform, binding because SHA-256 has no known collisions. Raises `CryptoError`
    "aggregation.bad_seed".
    """
    _require_seed(seed)
    return _derive(seed, domains.AGGREGATION_COMMITMENT + domains.frame(context))


def verify_seed(seed: bytes, commitment: bytes, context: bytes) -> None:
    """Return nothing if `seed`, recovered from shares, is the one its party committed to.

    Without it a holder of one share could shift the seed, and with it the sum, unseen. Raises `CryptoError`
    "aggregation.wrong_seed", "aggregation.bad_seed".
    """
    if not hmac.compare_digest(commit_to_seed(seed, context), commitment):
        raise CryptoError(
            "aggregation.wrong_seed",
            "the recovered seed is not the one its party committed to",
            "Abort the round: the dealer or a holder sent a wrong share.",
        )


def mask_update(
    values: Ring, own_name: str, own_private: bytes, peers: Mapping[str, bytes], self_seed: bytes, context: bytes
) -> Ring:
    """Return the values under this party's self mask and all its pair masks, uint64 [n].

    Uniform to everybody who lacks the self seed or the key of one pair. `peers`: name and public mask key of every
    *other* party whose shares arrived, authenticated by its identity key. `context`: project,
    grant, run, attempt, round, roster and model. **One vector per seed and context**, stored and sent again as it is: two
    vectors under the same masks give away their difference.

    Raises `CryptoError`: "aggregation.wrong_shape" unless uint64 in one dimension, "aggregation.too_few_parties" (fewer
    than two peers), "aggregation.too_many_parties", "aggregation.bad_peer" (own name or own key among the peers, an
    empty name, a key given twice), "aggregation.bad_key" (also of low order), "aggregation.bad_seed".
    """
    _require_vector(values)
    _require_seed(self_seed)
    if own_name in peers:
        raise CryptoError("aggregation.bad_peer", "the own name is among the peers")
    own_key = _private_key(own_private)
    own_public = own_key.public_key().public_bytes_raw()
    _require_roster({**peers, own_name: own_public})

    streams = [_self_stream(own_name, self_seed, context, subtract=False)]
    for peer_name, peer_public in peers.items():
        subtract = own_name > peer_name
        streams.append(_pair_stream((own_name, own_public), own_key, (peer_name, peer_public), context, subtract))
    masked = values.copy()
    _add_streams(masked, streams)
    return masked


def unmask_sum(
    masked: Mapping[str, Ring],
    roster: Mapping[str, bytes],
    self_seeds: Mapping[str, bytes],
    dropped_privates: Mapping[str, bytes],
    minimum: int,
    context: bytes,
) -> Ring:
    """Return the sum of the survivors' values mod 2^64, uint64 [n].

    `masked`: name and masked vector of each survivor. `roster`: name and public mask key of every party whose shares
    arrived, the set all survivors masked over. `self_seeds`: the survivors', each checked by `verify_seed` (caller).
    `dropped_privates`: the recovered mask keys of the others. `minimum`: how many survivors the grant asks for; never
    fewer than three.

    (1) Survivors and seeds are the same names, and with the dropped ones exactly the roster: else
        "aggregation.wrong_set". Of no party both secrets may be here.
    (2) Enough survived: else "aggregation.too_few_survivors".
    (3) The roster's keys are distinct, canonical and of three to 32 parties; vectors are uint64 of the same length.
    (4) Each recovered private key belongs to its public key: else "aggregation.wrong_mask_key".

    A vector or a seed that does not belong here gives uniform nonsense, which only `fixed_point.decode_sum` can notice.
    Raises `CryptoError` with these codes, "aggregation.wrong_shape" and those of `mask_update` for the roster.
    """
    # (1)
    survivors = set(masked)
    if (
        survivors != set(self_seeds)
        or survivors & set(dropped_privates)
        or survivors | set(dropped_privates) != set(roster)
    ):
        raise CryptoError(
            "aggregation.wrong_set",
            "expected one seed per survivor and one mask key per dropped party, together exactly the roster",
        )

    # (2)
    if len(survivors) < max(minimum, MIN_PARTIES):
        raise CryptoError(
            "aggregation.too_few_survivors",
            f"the sum needs at least {max(minimum, MIN_PARTIES)} parties, got {len(survivors)}",
            "Abort the round and start the next one with fresh keys.",
        )

    # (3)
    _require_roster(roster)
    vectors = list(masked.values())
    for vector in vectors:
        _require_vector(vector)
    if len({vector.size for vector in vectors}) != 1:
        raise CryptoError("aggregation.wrong_shape", "the masked vectors have different lengths")

    # (4)
    streams = []
    for name, private in dropped_privates.items():
        key = _private_key(private)
        if key.public_key().public_bytes_raw() != roster[name]:
            raise CryptoError(
                "aggregation.wrong_mask_key",
                "a recovered mask key does not belong to the public key of the roster",
                "Abort the round: the dealer or a holder sent a wrong share.",
            )
        for survivor in survivors:
            # The survivor with the smaller name added the stream, so it is subtracted here.
            peer = (survivor, roster[survivor])
            streams.append(_pair_stream((name, roster[name]), key, peer, context, subtract=survivor < name))
    for survivor, seed in self_seeds.items():
        _require_seed(seed)
        streams.append(_self_stream(survivor, seed, context, subtract=True))

    total = vectors[0].copy()
    _add_streams(total, streams, vectors[1:])
    return total


def _add_streams(total: Ring, streams: Collection[_Stream], vectors: Collection[Ring] = ()) -> None:
    """Add the vectors and add or subtract the streams, in place and chunk by chunk: memory is read once."""
    chunk_bytes = _ENTRY_BYTES * min(_CHUNK_ENTRIES, total.size)
    zeros = memoryview(bytes(chunk_bytes))
    # A cipher context wants room for one block more than it writes.
    buffer = bytearray(chunk_bytes + _BLOCK_BYTES)
    # The ring is little-endian on every machine.
    stream = np.frombuffer(buffer, dtype="<u8", count=chunk_bytes // _ENTRY_BYTES)
    for start in range(0, total.size, _CHUNK_ENTRIES):
        part = total[start : start + _CHUNK_ENTRIES]
        for vector in vectors:
            np.add(part, vector[start : start + _CHUNK_ENTRIES], out=part)
        for cipher, subtract in streams:
            cipher.update_into(zeros[: _ENTRY_BYTES * part.size], buffer)
            # numpy's unsigned arithmetic is the ring Z_2^64.
            combine: Callable[..., Ring] = np.subtract if subtract else np.add
            combine(part, stream[: part.size], out=part)


def _pair_stream(
    own: tuple[str, bytes], own_key: X25519PrivateKey, peer: tuple[str, bytes], context: bytes, subtract: bool
) -> _Stream:
    shared = _exchange(own_key, peer[1])
    # Both sides list the smaller name first, so that they derive the same key.
    low, high = sorted([own, peer])
    info = domains.AGGREGATION_PAIR + domains.frame(context, low[0].encode(), high[0].encode(), low[1], high[1])
    return _Stream(_key_stream(_derive(shared, info)), subtract)


def _self_stream(name: str, seed: bytes, context: bytes, subtract: bool) -> _Stream:
    info = domains.AGGREGATION_SELF + domains.frame(context, name.encode())
    return _Stream(_key_stream(_derive(seed, info)), subtract)


def _derive(secret: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret)


def _key_stream(key: bytes) -> CipherContext:
    # A constant counter start is safe, because the key belongs to this pair or seed and this context only.
    return Cipher(algorithms.AES256(key), modes.CTR(bytes(_BLOCK_BYTES))).encryptor()


def _require_party_count(parties: int) -> None:
    if parties < MIN_PARTIES:
        raise CryptoError("aggregation.too_few_parties", f"a sum needs at least {MIN_PARTIES} parties, got {parties}")
    if parties > MAX_PARTIES:
        raise CryptoError("aggregation.too_many_parties", f"a sum holds at most {MAX_PARTIES} parties, got {parties}")


def _require_roster(roster: Mapping[str, bytes]) -> None:
    _require_party_count(len(roster))
    if "" in roster:
        raise CryptoError("aggregation.bad_peer", "a name is empty")
    for public in roster.values():
        _require_canonical(public)
    if len(set(roster.values())) != len(roster):
        raise CryptoError("aggregation.bad_peer", "two parties have the same public mask key")


def verify_mask_key(public: bytes) -> None:
    """Raise `CryptoError` "aggregation.bad_key" for a public mask key that no mask can be made with.

    Another length or form than the canonical one, or low order: found before anybody works with it.
    """
    _require_canonical(public)
    _exchange(X25519PrivateKey.generate(), public)


def _require_canonical(public: bytes) -> None:
    # X25519 takes every number of 256 bits, so one key has several forms: only the canonical one can be compared.
    if len(public) != KEY_BYTES or int.from_bytes(public, "little") >= _FIELD:
        raise CryptoError("aggregation.bad_key", f"a public mask key is not {KEY_BYTES} bytes in canonical form")


def _exchange(own_key: X25519PrivateKey, public: bytes) -> bytes:
    try:
        return own_key.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        # RFC 7748 section 6.1: an all-zero result means a low-order key, whose masks anybody could compute.
        raise CryptoError("aggregation.bad_key", "a public mask key has low order") from None


def _require_vector(values: Ring) -> None:
    if values.ndim != 1 or values.dtype != np.uint64:
        raise CryptoError("aggregation.wrong_shape", "a vector is a one-dimensional uint64 array")


def _require_seed(seed: bytes) -> None:
    if len(seed) != SEED_BYTES:
        raise CryptoError("aggregation.bad_seed", f"a self seed has {SEED_BYTES} bytes, got {len(seed)}")


def _private_key(private: bytes) -> X25519PrivateKey:
    if len(private) != KEY_BYTES:
        raise CryptoError("aggregation.bad_key", f"a private mask key has {KEY_BYTES} bytes, got {len(private)}")
    return X25519PrivateKey.from_private_bytes(private)
