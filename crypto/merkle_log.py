"""The growing Merkle tree of a log: its right edge, its root, and proofs between its sizes. RFC 9162 section 2.1.

Works over leaf hashes; `merkle.leaf_hash` makes them from data. A perfect subtree is named by (level, index): it covers
the leaves [index·2^level, (index+1)·2^level), so whoever can read those by any means (`HashReader`) can make every
proof. Hashes are 32 bytes. Pure: no storage, no clock. Imports `merkle`, `errors`.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from crypto import merkle
from crypto.errors import CryptoError
from crypto.merkle import HASH_BYTES, NODE_PREFIX, node_hash

HashReader = Callable[[int, int], bytes]
"""(level, index) to the root of that perfect subtree. Raises for a subtree that it does not have."""

EMPTY_ROOT = hashlib.sha256(b"").digest()

_CHUNK_LEAVES = 1 << 12


class Frontier:
    """The right edge of a tree: all that is needed to append to it and to know its root.

    `size`: leaves. `hashes`: roots of the perfect subtrees, one per set bit of `size`, largest first.
    """

    __slots__ = ("_hashes", "_size")

    def __init__(self, size: int, hashes: Iterable[bytes]) -> None:
        """Raise `CryptoError` "merkle.bad_frontier" unless there is one 32-byte hash per set bit of the size."""
        self._size = size
        self._hashes = list(hashes)
        if size < 0 or len(self._hashes) != size.bit_count() or any(len(one) != HASH_BYTES for one in self._hashes):
            raise CryptoError(
                "merkle.bad_frontier",
                f"a tree's right edge has one {HASH_BYTES}-byte hash for each set bit of its size",
            )

    @classmethod
    def empty(cls) -> "Frontier":
        """Return the edge of the tree without leaves."""
        return cls(0, ())

    @property
    def size(self) -> int:
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(self._hashes)

    def copy(self) -> "Frontier":
        return Frontier(self._size, self._hashes)

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf. Raises `CryptoError` "merkle.bad_hash" for another length than 32 bytes."""
        if len(leaf_hash) != HASH_BYTES:
            raise _bad_hash()
        size, node = self._size, leaf_hash
        while size & 1:
            node, size = node_hash(self._hashes.pop(), node), size >> 1
        self._hashes.append(node)
        self._size += 1

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add the leaves in order, in constant memory. After an error the edge is what it was before.

        Raises `CryptoError` "merkle.bad_hash" for another length than 32 bytes.
        """
        size, hashes = self._size, list(self._hashes)
        leaves = iter(leaf_hashes)
        while nodes := list(islice(leaves, _CHUNK_LEAVES)):
            if set(map(len, nodes)) != {HASH_BYTES}:
                raise _bad_hash()
            added = len(nodes)
            _merge(hashes, size, nodes)
            size += added
        self._size, self._hashes = size, hashes

    def root(self) -> bytes:
        """Return the tree's root hash; of the empty tree: the hash of nothing, as the RFC says."""
        return _fold(self._hashes) if self._hashes else EMPTY_ROOT

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frontier):
            return NotImplemented
        return self._size == other._size and self._hashes == other._hashes

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Frontier(size={self._size})"


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree over these leaf hashes. Raises `CryptoError` "merkle.bad_hash"."""
    frontier = Frontier.empty()
    frontier.extend(leaf_hashes)
    return frontier.root()


def leaves_reader(leaf_hashes: Sequence[bytes]) -> HashReader:
    """Return a reader that hashes each subtree anew from the leaves: for small trees.

    The reader raises `CryptoError` "merkle.bad_index" for a subtree that is not wholly in the tree.
    """

    def read(level: int, index: int) -> bytes:
        if level < 0 or index < 0 or (index + 1) << level > len(leaf_hashes):
            raise CryptoError("merkle.bad_index", "the subtree lies outside the tree")
        return root_of(leaf_hashes[index << level : (index + 1) << level])

    return read


def inclusion_proof(read: HashReader, index: int, size: int) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree of `size` leaves: at most ⌈log2 size⌉ hashes, bottom first.

    PATH of RFC 9162 section 2.1.3.1 without its recursion. Raises `CryptoError` "merkle.bad_index", and what `read` does.
    """
    if not 0 <= index < size:
        raise CryptoError("merkle.bad_index", "the leaf index lies outside the tree")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_root(read, middle, end))
            end = middle
        else:
            proof.append(_range_root(read, start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(read: HashReader, old_size: int, new_size: int) -> list[bytes]:
    """Return the proof that the tree of `new_size` leaves begins with the tree of `old_size`: at most ⌈log2 new⌉ + 1.

    Empty for equal sizes and for the empty old tree. SUBPROOF of RFC 9162 section 2.1.4.1 without its recursion.
    Raises `CryptoError` "merkle.bad_index" unless 0 ≤ old ≤ new, and what `read` does.
    """
    if not 0 <= old_size <= new_size:
        raise CryptoError("merkle.bad_index", "a consistency proof leads from a size to one that is not smaller")
    proof: list[bytes] = []
    if old_size == 0:
        return proof
    start, end = 0, new_size
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            proof.append(_range_root(read, middle, end))
            end = middle
        else:
            proof.append(_range_root(read, start, middle))
            start = middle
    # The old tree is itself a subtree of the new one when start is 0: the verifier has its root already.
    if start:
        proof.append(_range_root(read, start, end))
    return proof[::-1]


def verify_inclusion(root: bytes, leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]) -> None:
    """Return nothing if the leaf with this hash is at `index` of the tree with this root and size.

    RFC 9162 section 2.1.3.2; `root` and `size` must come from a verified checkpoint.
    Raises `CryptoError` "merkle.bad_index", "merkle.bad_proof" (also for missing, trailing, wrong-length hashes).
    """
    merkle.verify_leaf_hash(root, leaf_hash, index, size, proof)


def verify_consistency(old_root: bytes, old_size: int, new_root: bytes, new_size: int, proof: Sequence[bytes]) -> None:
    """Return nothing if the first `old_size` leaves of the new tree are those of the old tree.

    RFC 9162 section 2.1.4.2, whose steps number the comments. The empty old tree is the start of every tree: its root
    must be the hash of nothing and its proof empty. Both roots and sizes must come from verified checkpoints.
    Raises `CryptoError` "merkle.bad_proof" (also for missing, trailing, wrong-length hashes and old > new).
    """
    lengths_fit = all(len(one) == HASH_BYTES for one in (old_root, new_root, *proof))
    if not lengths_fit or not 0 <= old_size <= new_size:
        raise _inconsistent()
    if old_size == 0:
        empty_trees_agree = new_size > 0 or hmac.compare_digest(new_root, EMPTY_ROOT)
        if proof or not hmac.compare_digest(old_root, EMPTY_ROOT) or not empty_trees_agree:
            raise _inconsistent()
        return
    if old_size == new_size:
        if proof or not hmac.compare_digest(old_root, new_root):
            raise _inconsistent()
        return
    # 1. A proof between two different sizes is never empty.
    if not proof:
        raise _inconsistent()
    # 2. An old tree that is perfect is a node of the new one.
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    # 3., 4. The old tree's last leaf, moved up to the perfect subtree that ends the old tree.
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    # 5.
    old_seen = new_seen = path[0]
    # 6.
    for sibling in path[1:]:
        if last == 0:
            raise _inconsistent()
        if position & 1 or position == last:
            old_seen, new_seen = node_hash(sibling, old_seen), node_hash(sibling, new_seen)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new_seen = node_hash(new_seen, sibling)
        position, last = position >> 1, last >> 1
    # 7.
    fits = hmac.compare_digest(old_seen, old_root) and hmac.compare_digest(new_seen, new_root)
    if last != 0 or not fits:
        raise _inconsistent()


def _merge(hashes: list[bytes], size: int, nodes: list[bytes]) -> None:
    # Level by level: the edge's node of this level goes before the new ones, an odd last one becomes the new edge, the
    # rest are paired. Inlined hashing: one call less per node is a third of the time.
    sha256, prefix = hashlib.sha256, NODE_PREFIX
    edge: list[bytes] = []
    while nodes:
        if size & 1:
            nodes.insert(0, hashes.pop())
        if len(nodes) & 1:
            edge.append(nodes.pop())
        pairs = iter(nodes)
        nodes = [sha256(prefix + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
        size >>= 1
    hashes.extend(reversed(edge))


def _fold(hashes: Sequence[bytes]) -> bytes:
    current = hashes[-1]
    for left in reversed(hashes[:-1]):
        current = node_hash(left, current)
    return current


def _range_root(read: HashReader, start: int, end: int) -> bytes:
    # The root over leaves [start, end), where `start` is a multiple of the smallest power of two that is not less than
    # the length: true for every range of the RFC's recursion, so each piece is a perfect subtree.
    hashes: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        hashes.append(read(level, start >> level))
        start += 1 << level
    return _fold(hashes)


def _split(length: int) -> int:
    # The largest power of two smaller than the length.
    return 1 << ((length - 1).bit_length() - 1)


def _bad_hash() -> CryptoError:
    return CryptoError("merkle.bad_hash", f"a leaf hash has {HASH_BYTES} bytes")


def _inconsistent() -> CryptoError:
    return CryptoError(
        "merkle.bad_proof",
        "the consistency proof does not lead from the old root to the new one",
        "Keep both signed roots and report the log to the auditors: it may have changed its past.",
    )
