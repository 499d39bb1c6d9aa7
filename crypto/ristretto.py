"""The group ristretto255 (RFC 9496) over contiguous buffers: 32 bytes per point, many points per call.

libsodium does the arithmetic, in constant time for the scalar; `rbcl` ships it. The public functions of rbcl copy and
check in Python for each point, so this module calls the same library through its own ctypes handle with plain
addresses: two integers and a scalar per call. Each call releases the interpreter lock, so threads scale.
Imports `rbcl` and `errors`; `pseudonyms` is the only caller.
"""

import contextlib
import ctypes
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import rbcl

from crypto.errors import CryptoError

POINT_BYTES = 32
SCALAR_BYTES = 32
UNIFORM_BYTES = 64
IDENTITY = bytes(POINT_BYTES)
_GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


def _library() -> ctypes.CDLL:
    # A second handle on the loaded library: argument types set here do not change what rbcl's own functions see.
    loaded = rbcl.rbcl._sodium
    library = ctypes.CDLL(loaded._name, handle=loaded._handle)
    address, data = ctypes.c_void_p, ctypes.c_char_p
    for name, types in {
        "crypto_core_ristretto255_from_hash": [address, data],
        "crypto_core_ristretto255_is_valid_point": [address],
        "crypto_core_ristretto255_add": [address, address, address],
        "crypto_scalarmult_ristretto255": [address, data, address],
    }.items():
        function = getattr(library, name)
        function.argtypes = types
        function.restype = ctypes.c_int
    _remove_unpacked_copy(Path(loaded._name))
    return library


def _remove_unpacked_copy(path: Path) -> None:
    # rbcl unpacks libsodium (2.8 MB) into the temporary directory at each import and leaves it there; commands that run
    # often would fill it. The loaded library stays mapped. Only a file of that very directory is removed, in case
    # another version of rbcl loads the system's library; where a loaded file cannot be removed, it stays.
    if path.parent == Path(tempfile.gettempdir()):
        with contextlib.suppress(OSError):
            path.unlink()


_LIBRARY = _library()
_from_hash = _LIBRARY.crypto_core_ristretto255_from_hash
_is_valid_point = _LIBRARY.crypto_core_ristretto255_is_valid_point
_add = _LIBRARY.crypto_core_ristretto255_add
_multiply = _LIBRARY.crypto_scalarmult_ristretto255


def random_scalar() -> bytes:
    """Return a uniform scalar, not zero, canonical, from the operating system's randomness."""
    while True:
        # 64 bytes reduced modulo the group order: the bias is below 2^-250.
        scalar: bytes = rbcl.crypto_core_ristretto255_scalar_reduce(os.urandom(UNIFORM_BYTES))
        if any(scalar):
            return scalar


def inverse(scalar: bytes) -> bytes:
    """Return 1/scalar. Raises `CryptoError` "linkage.bad_scalar"."""
    _require_scalar(scalar)
    inverted: bytes = rbcl.crypto_core_ristretto255_scalar_invert(scalar)
    return inverted


def points_from_uniform(uniform: Callable[[int, int], Iterable[bytes]], count: int, threads: int) -> bytes:
    """Return `count` points, each by the element derivation of RFC 9496 section 4.3.4 from 64 uniform bytes.

    `uniform(start, end)` yields the 64-byte strings of one range of points; every thread asks for its own range.
    """
    output = ctypes.create_string_buffer(max(1, count * POINT_BYTES))
    base = ctypes.addressof(output)

    def derive(start: int, end: int) -> int:
        target, derivation, failures = base + start * POINT_BYTES, _from_hash, 0
        for block in uniform(start, end):
            failures |= derivation(target, block)
            target += POINT_BYTES
        return failures

    failures = _in_chunks(derive, count, threads)
    return _finished(output, count, failures)


def multiply(points: bytes, scalar: bytes, threads: int = 1) -> bytes:
    """Return scalar · point for every point, in order.

    Raises `CryptoError`: "linkage.bad_scalar" (zero or not reduced), "linkage.wrong_count" (not whole points),
    "linkage.invalid_point" (a point is not canonical, or the identity).
    """
    _require_scalar(scalar)
    points, count = bytes(points), point_count(points)
    output = ctypes.create_string_buffer(max(1, len(points)))
    base, source_base = ctypes.addressof(output), _address(points)

    def multiply_range(start: int, end: int) -> int:
        target, source, product, failures = base + start * POINT_BYTES, source_base + start * POINT_BYTES, _multiply, 0
        for _ in range(end - start):
            failures |= product(target, scalar, source)
            target += POINT_BYTES
            source += POINT_BYTES
        return failures

    return _finished(output, count, _in_chunks(multiply_range, count, threads))


def add(lists: Sequence[bytes], threads: int = 1) -> bytes:
    """Return the pointwise sums of lists of the same length.

    Raises `CryptoError`: "linkage.wrong_count" (no list, lists of different length, not whole points),
    "linkage.invalid_point" (a point is not canonical, or a sum is the identity).
    """
    if not lists or len({len(points) for points in lists}) != 1:
        raise CryptoError("linkage.wrong_count", "pointwise addition needs one or more lists of the same length")
    points, count = bytes(lists[0]), point_count(lists[0])
    if len(lists) == 1 or _has_identity(points):
        require_valid(points, threads)
        return points
    output = ctypes.create_string_buffer(points, max(1, len(points)))
    base = ctypes.addressof(output)
    for other in map(bytes, lists[1:]):
        other_base = _address(other)

        def add_range(start: int, end: int, other_base: int = other_base) -> int:
            target, source, total, failures = base + start * POINT_BYTES, other_base + start * POINT_BYTES, _add, 0
            for _ in range(end - start):
                failures |= total(target, target, source)
                target += POINT_BYTES
                source += POINT_BYTES
            return failures

        if _in_chunks(add_range, count, threads) or _has_identity(other):
            raise invalid_point()
    return _finished(output, count, failures=0)


def require_valid(points: bytes, threads: int = 1) -> None:
    """Raise `CryptoError` "linkage.invalid_point" if a point is no canonical encoding, or the identity."""
    points, count = bytes(points), point_count(points)
    base = _address(points)

    def check_range(start: int, end: int) -> int:
        source, is_valid, valid = base + start * POINT_BYTES, _is_valid_point, 0
        for _ in range(end - start):
            valid += is_valid(source)
            source += POINT_BYTES
        return end - start - valid

    if _in_chunks(check_range, count, threads) or _has_identity(points):
        raise invalid_point()


def point_count(points: bytes) -> int:
    """Return how many points these bytes are.

    Raises `CryptoError` "linkage.wrong_count" unless they are whole points.
    """
    count, rest = divmod(len(points), POINT_BYTES)
    if rest:
        raise CryptoError("linkage.wrong_count", f"a list of points is a multiple of {POINT_BYTES} bytes")
    return count


def split(points: bytes) -> list[bytes]:
    """Return the points one by one."""
    return [points[start : start + POINT_BYTES] for start in range(0, len(points), POINT_BYTES)]


def invalid_point() -> CryptoError:
    """Return the error for a point that is not canonical, or is the identity."""
    return CryptoError(
        "linkage.invalid_point",
        "a point is not a canonical ristretto255 element, or is the identity",
        "Refuse the whole list: an honest party never sends such a point.",
    )


def _in_chunks(work: Callable[[int, int], int], count: int, threads: int) -> int:
    """Return the bitwise or of what `work(start, end)` returns over consecutive ranges, one per thread."""
    workers = max(1, min(threads, count))
    if workers == 1:
        return work(0, count)
    edges = [count * worker // workers for worker in range(workers + 1)]
    failures = 0
    with ThreadPoolExecutor(workers) as pool:
        for failed in pool.map(work, edges[:-1], edges[1:]):
            failures |= failed
    return failures


def _finished(output: ctypes.Array[ctypes.c_char], count: int, failures: int) -> bytes:
    # libsodium leaves zeros or garbage where a call failed, so nothing of a list with a failure is returned.
    points = output.raw[: count * POINT_BYTES]
    if failures or _has_identity(points):
        raise invalid_point()
    return points


def _has_identity(points: bytes) -> bool:
    # The byte search is only a fast filter: 32 zero bytes may also lie across two points.
    return IDENTITY in points and IDENTITY in split(points)


def _address(points: bytes) -> int:
    # The caller keeps `points` alive while the address is in use; libsodium only reads it.
    return ctypes.cast(ctypes.c_char_p(points), ctypes.c_void_p).value or 0


def _require_scalar(scalar: bytes) -> None:
    if len(scalar) != SCALAR_BYTES or not 0 < int.from_bytes(scalar, "little") < _GROUP_ORDER:
        raise CryptoError("linkage.bad_scalar", "a scalar is 32 bytes, reduced and not zero")
