"""Passwords: argon2id (RFC 9106) in a bounded pool of threads, and which passwords are refused.

A check takes memory and time on purpose. The pool keeps a flood of sign-ins from taking all of both: what does not fit into its
queue is told to come again. May import pwdlib.
"""

import base64
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from crypto.errors import DoudiError

MINIMUM_CHARACTERS = 12
MAXIMUM_CHARACTERS = 1024
MINIMUM_DISTINCT = 5

Result = TypeVar("Result")


class PasswordPool:
    """Hashes and checks passwords, `threads` at a time, with at most `queue` more waiting."""

    def __init__(self, *, threads: int, queue: int, memory_kib: int, passes: int) -> None:
        self._hasher = PasswordHash((Argon2Hasher(time_cost=passes, memory_cost=memory_kib, parallelism=1),))
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._places = BoundedSemaphore(threads + queue)
        # For names that nobody has: no password has this hash, and refusing one costs what refusing any other costs.
        salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
        self._dummy_hash = f"$argon2id$v=19$m={memory_kib},t={passes},p=1${salt}${digest}"

    def hash(self, password: str) -> str:
        """Return the argon2id hash. Raises `account.busy`."""
        return self._run(lambda: self._hasher.hash(_normal(password)))

    def matches(self, kept_hash: str | None, password: str) -> tuple[bool, str | None]:
        """Return whether the password is right, and a new hash if the kept one was made at other costs.

        Takes the same time for `None`, the hash of an account that does not exist or has no password. Raises `account.busy`.
        """
        return self._run(lambda: self._hasher.verify_and_update(_normal(password), kept_hash or self._dummy_hash))

    def close(self) -> None:
        """End the threads after what they do now."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _run(self, work: Callable[[], Result]) -> Result:
        if not self._places.acquire(blocking=False):
            raise DoudiError("account.busy", "too many passwords are being checked at this moment")
        try:
            future: Future[Result] = self._threads.submit(work)
            return future.result()
        finally:
            self._places.release()


def require_good_password(password: str, login_name: str) -> None:
    """Raise `account.weak_password` for one that is short, too long, of few different characters, or has the name in it."""
    normal = _normal(password)
    if not MINIMUM_CHARACTERS <= len(normal) <= MAXIMUM_CHARACTERS:
        raise _weak("the password is too short or too long")
    if len(set(normal)) < MINIMUM_DISTINCT:
        raise _weak("the password has too few different characters")
    if login_name.casefold() in normal.casefold():
        raise _weak("the password contains the login name")


def _normal(password: str) -> str:
    # One form for what keyboards write in several ways (NIST SP 800-63B, 5.1.1.2). What is longer than any password that was ever
    # accepted is cut, so that its length costs nothing; it still differs from all of them.
    return unicodedata.normalize("NFKC", password[: MAXIMUM_CHARACTERS + 1])


def _weak(message: str) -> DoudiError:
    return DoudiError("account.weak_password", message, "Choose another one, for example five words.")
