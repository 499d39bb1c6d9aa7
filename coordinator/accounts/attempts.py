"""Bounds on guessing: attempts by login name and by network address in a window, and the lock of one account.

An attempt counts before it is judged and is given back when it succeeds, so attempts that are made at the same moment all count.
The window by name exists for names that nobody has, too: that a name is refused says nothing about it.
"""

import ipaddress
from dataclasses import dataclass

from sqlalchemy import delete
from sqlalchemy.orm import Session

from coordinator.accounts.keys import AccountKeys
from coordinator.accounts.models import AccountRow, SignInAttemptRow
from coordinator.db.session import now_s
from crypto.errors import DoudiError

WINDOW_S = 15 * 60
ATTEMPTS_PER_NAME = 20
LOCK_AFTER_FAILURES = 5
LOCK_S = 15 * 60
# Who fails this often after a right password has somebody else's password, and a lock that ends would let them go on guessing.
SECOND_FACTORS_BEFORE_RESET = 30


class TooManyAttempts(DoudiError):
    """Refused without looking. `retry_after_s`: for the header `Retry-After`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("account.too_many_attempts", "too many attempts", "Wait and try again.")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Attempt:
    """Where an attempt came from. `login_name` is empty where none is typed, for example with a one-time code."""

    address: str
    login_name: str = ""


@dataclass(frozen=True)
class Limits:
    """The keys under which attempts are counted, and how many of one address are allowed in a window."""

    keys: AccountKeys
    attempts_per_address: int

    def count(self, session: Session, attempt: Attempt) -> int:
        """Count an attempt; return 0, or for how many seconds nothing more is looked at.

        Nothing is raised here: the count has to become durable.
        """
        now = now_s(session)
        session.execute(delete(SignInAttemptRow).where(SignInAttemptRow.window_at <= now - WINDOW_S))
        waits = [0]
        for row, most in self._windows(session, attempt, now):
            row.attempts += 1
            if row.attempts > most:
                waits.append(row.window_at + WINDOW_S - now)
        return max(waits)

    def give_back(self, session: Session, attempt: Attempt) -> None:
        """Take an attempt out of the counts, because it succeeded."""
        for row, _ in self._windows(session, attempt, now_s(session)):
            row.attempts = max(0, row.attempts - 1)

    def _windows(self, session: Session, attempt: Attempt, now: int) -> list[tuple[SignInAttemptRow, int]]:
        wanted = [("address", _network(attempt.address), self.attempts_per_address)]
        if attempt.login_name:
            wanted.append(("name", attempt.login_name, ATTEMPTS_PER_NAME))
        found = []
        for kind, subject, most in wanted:
            key = (kind, self.keys.subject_hash(kind, subject))
            row = session.get(SignInAttemptRow, key)
            if row is None:
                row = SignInAttemptRow(kind=kind, subject_hash=key[1], window_at=now, attempts=0)
                session.add(row)
            found.append((row, most))
        return found


def _network(address: str) -> str:
    """Return what counts as one address: of IPv6 the first 64 bits, because every line has all the others to itself."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped is not None else str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def is_locked(account: AccountRow, now: int) -> bool:
    """Return whether an account takes no attempt now."""
    locked = account.locked_until is not None and now < account.locked_until
    return locked or account.failed_second_factors >= SECOND_FACTORS_BEFORE_RESET


def count_failure(account: AccountRow, now: int) -> bool:
    """Count one attempt on an account as failed; return whether the account is locked by it.

    A lock ends by itself and is not made longer by attempts during it: otherwise whoever knows a name could keep its owner out
    for ever.
    """
    if account.locked_until is not None and now >= account.locked_until:
        account.locked_until, account.failed_attempts = None, 0
    account.failed_attempts += 1
    if account.failed_attempts < LOCK_AFTER_FAILURES:
        return False
    account.locked_until = now + LOCK_S
    return True


def take_back_failure(account: AccountRow) -> None:
    """Take back the attempt that `count_failure` counted last: it was right. Earlier failures stay until both factors were."""
    account.failed_attempts = max(0, account.failed_attempts - 1)
    if account.failed_attempts < LOCK_AFTER_FAILURES:
        account.locked_until = None


def forget_failures(account: AccountRow) -> None:
    """Begin anew: both factors were right, or the account got new ones."""
    account.failed_attempts, account.failed_second_factors, account.locked_until = 0, 0, None
