"""Canonical JSON: one value has exactly one sequence of bytes, so that it can be signed and hashed.

A subset of RFC 8785 (JSON Canonicalization Scheme) without floats: keys in code-point order (RFC 8785 sorts UTF-16
units; the two differ only for keys beyond U+FFFF), no whitespace, UTF-8, integers within ±2^53. Text is not
normalised: two Unicode spellings of a name are two values. Imports only `errors`.
"""

import json
from typing import Any, NoReturn

from crypto.errors import CryptoError

MAX_INTEGER = 2**53
MAX_DEPTH = 32
DEFAULT_MAX_BYTES = 1 << 20
_LISTS = (list, tuple)


def canonical_json(value: object) -> bytes:
    """Return the canonical bytes of null, booleans, integers, strings, lists (or tuples) and objects with string keys.

    Raises `CryptoError` "canonical.unsupported_value" for anything else: floats, integers beyond ±2^53, lone
    surrogates, nesting deeper than 32.
    """
    _require_supported(value, depth=0)
    text = _encode(value)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise _unsupported("a string holds a lone surrogate, expected valid Unicode") from None


def parse_canonical(data: bytes, max_bytes: int = DEFAULT_MAX_BYTES) -> Any:
    """Return the value of untrusted bytes that are exactly its canonical form.

    Comparing with the canonical form refuses duplicate keys, whitespace, other escapes and other key orders at once.
    Raises `CryptoError`: "canonical.too_large" above `max_bytes`, "canonical.not_canonical" for everything else.
    """
    if len(data) > max_bytes:
        raise CryptoError("canonical.too_large", f"the document has {len(data)} bytes, expected at most {max_bytes}")
    try:
        # RecursionError: a few thousand opening brackets fit into any reasonable size limit.
        value = _decode(bytes(data).decode("utf-8"))
        canonical = canonical_json(value)
    except (ValueError, RecursionError, CryptoError):
        raise _not_canonical() from None
    if canonical != data:
        raise _not_canonical()
    return value


def _require_supported(value: object, depth: int) -> None:
    # Exact types first, and strings passed over within lists and objects: most values of a document are strings, and this walk
    # is a tenth of what the verification of a grant costs.
    kind = type(value)
    if depth > MAX_DEPTH:
        raise _unsupported(f"the value is nested deeper than {MAX_DEPTH}")
    if kind is str or kind is bool or value is None:
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise _unsupported("an integer is beyond ±2^53, which other JSON readers cannot hold")
        return
    inner = depth + 1
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _unsupported("an object has a key that is not a string")
            if type(item) is not str or inner > MAX_DEPTH:
                _require_supported(item, inner)
        return
    if isinstance(value, _LISTS):
        for item in value:
            if type(item) is not str or inner > MAX_DEPTH:
                _require_supported(item, inner)
        return
    if isinstance(value, str):
        return
    raise _unsupported(f"a value has the type {kind.__name__}")


def _parse_integer(digits: str) -> int:
    # Bounding the length first keeps a long run of digits from costing quadratic time.
    if len(digits) > len(str(-MAX_INTEGER)):
        raise _not_canonical()
    return int(digits)


def _refuse(_text: str) -> NoReturn:
    raise _not_canonical()


def _unsupported(message: str) -> CryptoError:
    return CryptoError("canonical.unsupported_value", message)


def _not_canonical() -> CryptoError:
    return CryptoError(
        "canonical.not_canonical",
        "the bytes are not canonical JSON",
        "Ask the sender to write the document with canonical_json.",
    )


# Made once: making them anew for every document is a third of the cost of a small one.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode
_decode = json.JSONDecoder(parse_int=_parse_integer, parse_float=_refuse, parse_constant=_refuse).decode
