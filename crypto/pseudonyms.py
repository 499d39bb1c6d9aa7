"""Private linkage: project pseudonyms from an oblivious pseudorandom function whose key is shared additively.

`P(id) = (k1 + k2 + … + kH) · hash_to_group(id)` in ristretto255 (RFC 9496), written additively here. Every department
that sends a list holds one scalar. An owner blinds its shuffled points once with a fresh scalar r; every other holder
multiplies the same blinded list by its own scalar; the owner adds the answers and its own, and unblinds with 1/r.
After Jarecki, Kiayias, Krawczyk 2014 (2HashDH), with additive key shares; hash to group as in RFC 9497 section 4.1.
There is no final hash, because the points go on: they are the pseudonyms.

Who is protected from whom. A holder sees r times the owner's points: under decisional Diffie-Hellman, with the hash
as a random oracle, these look like random points, so it learns the length of the list only. The owner learns
pseudonyms only of ids that it had evaluated, and nobody computes a pseudonym without every holder. Correct evaluation
is not proven: a holder that answers wrongly makes pseudonyms that match nobody. All holders together know the key and
can test any id.

Points travel as contiguous bytes, 32 per point, without a version byte: the message that carries them has one.
Imports `ristretto`, `domains` and `errors`.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence

from crypto import domains, ristretto
from crypto.errors import CryptoError

POINT_BYTES = ristretto.POINT_BYTES
_HASH_BYTES = 64  # SHA-512: b_in_bytes of RFC 9380
_BLOCK_BYTES = 128  # SHA-512: s_in_bytes of RFC 9380
_MAX_DST_BYTES = 255
_OVERSIZE_DST_PREFIX = b"H2C-OVERSIZE-DST-"


def linkage_domain(linkage_section: bytes) -> bytes:
    """Return the domain separation tag of a grant: ASCII, 81 bytes, another one for every other linkage section."""
    return domains.LINKAGE_PREFIX + hashlib.sha256(linkage_section).hexdigest().encode("ascii")


def expand_message_xmd(message: bytes, dst: bytes, length: int) -> bytes:
    """Return `length` uniform bytes: RFC 9380 section 5.3.1 with SHA-512, and section 5.3.3 for a long DST.

    Raises `CryptoError` "linkage.bad_domain" for an empty DST, "linkage.bad_length" unless 1 <= length <= 65535 and the
    RFC's limit of 255 blocks holds.
    """
    blocks = -(-length // _HASH_BYTES)
    if not 1 <= length <= 0xFFFF or blocks > 255:
        raise CryptoError("linkage.bad_length", "expand_message_xmd yields 1 to 16320 bytes")
    dst_prime = _dst_prime(dst)
    first = hashlib.sha512(bytes(_BLOCK_BYTES) + message + length.to_bytes(2, "big") + b"\x00" + dst_prime).digest()
    block = hashlib.sha512(first + b"\x01" + dst_prime).digest()
    output = [block]
    for number in range(2, blocks + 1):
        mixed = int.from_bytes(first, "big") ^ int.from_bytes(block, "big")
        block = hashlib.sha512(mixed.to_bytes(_HASH_BYTES, "big") + bytes([number]) + dst_prime).digest()
        output.append(block)
    return b"".join(output)[:length]


def hash_to_group(ids: Sequence[bytes], dst: bytes, threads: int = 1) -> bytes:
    """Return one point per id, in order: hash_to_ristretto255 of RFC 9380 appendix B with SHA-512.

    The ids must already be normalised and checked: two spellings give two points. Equal ids give equal points.
    Raises `CryptoError` "linkage.bad_domain".
    """
    # This is expand_message_xmd for exactly one block of output, with everything that does not depend on the id hashed
    # or joined beforehand: it runs once per person.
    dst_prime = _dst_prime(dst)
    start_state = hashlib.sha512(bytes(_BLOCK_BYTES))
    first_end = _HASH_BYTES.to_bytes(2, "big") + b"\x00" + dst_prime
    second_end = b"\x01" + dst_prime

    def uniform(start: int, end: int) -> Iterable[bytes]:
        sha512, copy = hashlib.sha512, start_state.copy
        for identity in ids[start:end]:
            state = copy()
            state.update(identity + first_end)
            yield sha512(state.digest() + second_end).digest()

    return ristretto.points_from_uniform(uniform, len(ids), threads)


def random_scalar() -> bytes:
    """Return a fresh scalar, uniform and not zero: a holder's key share, or an owner's blind."""
    return ristretto.random_scalar()


def multiply(points: bytes, scalar: bytes, threads: int = 1) -> bytes:
    """Return scalar · point for every point: a holder's evaluation of a list.

    Raises `CryptoError` "linkage.invalid_point", "linkage.wrong_count" (not whole points), "linkage.bad_scalar".
    """
    return ristretto.multiply(points, scalar, threads)


def add(lists: Sequence[bytes], threads: int = 1) -> bytes:
    """Return the pointwise sums: the holders' evaluations of one list make the evaluation under the sum of their keys.

    Raises `CryptoError` "linkage.invalid_point" (also if a sum is the identity), "linkage.wrong_count".
    """
    return ristretto.add(lists, threads)


def blind(points: bytes, r: bytes, threads: int = 1) -> bytes:
    """Return r · point for every point.

    A fresh r for every list that leaves: the same r twice shows what two lists share. Raises as `multiply`.
    """
    return ristretto.multiply(points, r, threads)


def unblind(points: bytes, r: bytes, threads: int = 1) -> bytes:
    """Return 1/r · point for every point: what `blind` with the same r has added is taken off. Raises as `multiply`."""
    return ristretto.multiply(points, ristretto.inverse(r), threads)


def check_points(points: bytes, expected_count: int, threads: int = 1) -> None:
    """Return nothing if untrusted bytes are `expected_count` different valid points.

    Raises `CryptoError`: "linkage.wrong_count", "linkage.invalid_point" (not canonical, or the identity),
    "linkage.duplicate_point" (a person twice in one list, or an attempt to weigh one person).
    """
    count = ristretto.point_count(points)
    if count != expected_count:
        raise CryptoError("linkage.wrong_count", f"the list has {count} points, expected {expected_count}")
    ristretto.require_valid(points, threads)
    if len(set(ristretto.split(points))) != count:
        raise CryptoError("linkage.duplicate_point", "the list holds a point twice")


def random_points(count: int) -> bytes:
    """Return uniformly random points, from the operating system's randomness: nobody tells them from pseudonyms."""
    return points_of(os.urandom(64 * count))


def points_of(uniform: bytes) -> bytes:
    """Return a point for each 64 bytes, uniformly random if they are; the same bytes give the same points.

    Raises `CryptoError` "linkage.wrong_count" unless these are whole blocks of 64 bytes.
    """
    count, rest = divmod(len(uniform), 64)
    if rest:
        raise CryptoError("linkage.wrong_count", "points are derived from 64 bytes each")
    return ristretto.points_from_uniform(
        lambda start, end: (uniform[at * 64 : at * 64 + 64] for at in range(start, end)), count, threads=1
    )


def sort_points(points: bytes) -> tuple[bytes, list[int]]:
    """Return the points in byte order, and the permutation: the sorted list's entry i was at `permutation[i]`.

    Raises `CryptoError` "linkage.wrong_count" unless these are whole points.
    """
    ristretto.point_count(points)
    single = ristretto.split(bytes(points))
    permutation = sorted(range(len(single)), key=single.__getitem__)
    return b"".join([single[index] for index in permutation]), permutation


def _dst_prime(dst: bytes) -> bytes:
    if not dst:
        raise CryptoError("linkage.bad_domain", "the domain separation tag is empty")
    if len(dst) > _MAX_DST_BYTES:
        dst = hashlib.sha512(_OVERSIZE_DST_PREFIX + dst).digest()
    return dst + bytes([len(dst)])
