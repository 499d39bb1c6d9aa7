"""One-time codes and tokens: made from the operating system's randomness, shown once, kept as hashes only.

Each has 100 bits or more, so that a plain SHA-256 of it cannot be tried out: what is slow on purpose is for passwords.
"""

import hashlib
import secrets
from hmac import compare_digest

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # nothing that is read as something else: no I, O, 0, 1
_GROUP = 5
_GROUPS = 4


def new_code() -> str:
    """Return a code that people type: four groups of five characters, 100 bits."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def code_hash(code: str) -> str:
    """Return what is kept of a code, as 64 hex characters; blanks, dashes and small letters make no difference."""
    letters = "".join(code.split()).replace("-", "").upper()
    return hashlib.sha256(b"doudi-code\x01" + letters.encode()).hexdigest()


def token_hash(token: str) -> str:
    """Return what is kept of a token, as 64 hex characters."""
    return hashlib.sha256(b"doudi-token\x01" + token.encode()).hexdigest()


def same(kept: str | None, found: str) -> bool:
    """Return whether two hashes are the same, in a time that says nothing about where they differ."""
    return kept is not None and compare_digest(kept.encode(), found.encode())
