"""Merkle tree hashing and inclusion proofs, and salted commitments as leaves. RFC 9162 section 2.1 with SHA-256.

A leaf is hashed behind 00 and a node behind 01, so neither can stand for the other. The tree itself has no version
byte: it is the RFC's, so that other tools verify it; commitments carry theirs. Pure: no storage, no clock. Imports
`domains`, `errors`.
"""

import hashlib
import hmac
import os
from collections.abc import Sequence

from crypto import domains
from crypto.errors import CryptoError

HASH_BYTES = 32
SALT_BYTES = 32
COMMITMENT_VERSION = b"\x01"
_LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of one leaf's data."""
    return hashlib.sha256(_LEAF_PREFIX + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node over the hashes of its two children, 32 bytes each."""
    return hashlib.sha256(NODE_PREFIX + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the tree's root hash. `leaves` are data, not yet hashed.

    No leaves: the hash of nothing, as the RFC says.
    """
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = [leaf_hash(leaf) for leaf in leaves]
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof that the leaf at `index` is in the tree of `leaves`: at most ⌈log2 n⌉ hashes, bottom first.

    Hashes the whole tree; use `inclusion_proofs` for several leaves. Raises `CryptoError` "merkle.bad_index".
    """
    return inclusion_proofs(leaves, [index])[0]


def inclusion_proofs(leaves: Sequence[bytes], indices: Sequence[int]) -> list[list[bytes]]:
    """Return one inclusion proof per index, while the tree is hashed only once.

    Raises `CryptoError` "merkle.bad_index".
    """
    if any(not 0 <= index < len(leaves) for index in indices):
        raise CryptoError("merkle.bad_index", "the leaf index lies outside the tree")
    proofs: list[list[bytes]] = [[] for _ in indices]
    positions = list(indices)
    level = [leaf_hash(leaf) for leaf in leaves]
    while len(level) > 1:
        for number, position in enumerate(positions):
            sibling = position ^ 1
            # The last node of an odd level has no sibling and moves up as it is.
            if sibling < len(level):
                proofs[number].append(level[sibling])
            positions[number] = position >> 1
        level = _next_level(level)
    return proofs


def verify_inclusion(root: bytes, leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> None:
    """Return nothing if the leaf's data is at `index` of the tree with this root and `size` leaves.

    The algorithm of RFC 9162 section 2.1.3.2; `root` and `size` must come from a verified commitment or checkpoint.
    Raises `CryptoError` "merkle.bad_index", "merkle.bad_proof" (also for missing or trailing hashes).
    """
    verify_leaf_hash(root, leaf_hash(leaf), index, size, proof)


def verify_leaf_hash(root: bytes, leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]) -> None:
    """Return nothing if the leaf with this hash is at `index`: `verify_inclusion` for those who hold no leaf data.

    It proves that this hash stands there, not that somebody knows data for it.
    Raises `CryptoError` "merkle.bad_index", "merkle.bad_proof" (also for missing, trailing, wrong-length hashes).
    """
    if not 0 <= index < size:
        raise CryptoError("merkle.bad_index", "the leaf index lies outside the tree")
    if len(leaf_hash) != HASH_BYTES:
        raise _bad_proof()
    position, last = index, size - 1
    current = leaf_hash
    for sibling in proof:
        if last == 0 or len(sibling) != HASH_BYTES:
            raise _bad_proof()
        if position & 1 or position == last:
            current = node_hash(sibling, current)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            current = node_hash(current, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or not hmac.compare_digest(current, root):
        raise _bad_proof()


def commitment_salt() -> bytes:
    """Return a fresh 32-byte salt. Each leaf needs its own: a salt that is disclosed must open one leaf only."""
    return os.urandom(SALT_BYTES)


def commitment_leaf(salt: bytes, payload: bytes) -> bytes:
    """Return a leaf that commits to the payload: version byte ‖ HMAC-SHA256 of the payload under the salt, 33 bytes.

    Hiding while the salt is secret, even if the payload is one bit; binding because SHA-256 has no known collisions
    and the salt's length is fixed. To open it, disclose salt and payload. Raises `CryptoError` "merkle.bad_salt".
    """
    if len(salt) != SALT_BYTES:
        raise CryptoError("merkle.bad_salt", f"a commitment salt has {SALT_BYTES} bytes, got {len(salt)}")
    return COMMITMENT_VERSION + hmac.digest(salt, domains.COMMITMENT + payload, "sha256")


def _next_level(level: list[bytes]) -> list[bytes]:
    pairs = zip(level[0::2], level[1::2], strict=False)
    parents = [node_hash(left, right) for left, right in pairs]
    if len(level) & 1:
        parents.append(level[-1])
    return parents


def _bad_proof() -> CryptoError:
    return CryptoError(
        "merkle.bad_proof",
        "the inclusion proof does not lead from the leaf to the root",
        "Ask for the proof again; if it stays wrong, report the log to the auditors.",
    )
