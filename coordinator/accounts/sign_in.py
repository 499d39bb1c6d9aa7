"""Signing in: the password first, then the second factor. Also signing out and what a person changes about the own sign-in.

Every refusal of a password looks the same and takes the same time: unknown name, wrong password, account locked, invited or
disabled. The steps of `give_password`, in two transactions, because the check takes long: (1) the attempt is counted, durably;
(2) the password is checked; (3) a right one is taken out of the counts. An attempt that dies in between stays counted.
"""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.accounts.attempts import (
    Attempt,
    TooManyAttempts,
    count_failure,
    forget_failures,
    is_locked,
    take_back_failure,
)
from coordinator.accounts.models import AccountRow
from coordinator.accounts.passwords import require_good_password
from coordinator.accounts.records import oneself, record_act
from coordinator.accounts.second_factor import replace_recovery_codes, spend_code
from coordinator.accounts.sessions import end_all_sessions, end_session, find_pending, open_session
from coordinator.accounts.tokens import revoke_all_tokens
from coordinator.context import AppContext
from coordinator.db.session import now_s
from coordinator.events import EventType
from crypto.errors import DoudiError


@dataclass(frozen=True)
class _Judged:
    """What step (1) found. Without a `number` there is nothing to judge, and a dummy takes the password's place."""

    number: int | None = None
    password_hash: str | None = None
    locked_by_this: bool = False


def give_password(context: AppContext, login_name: str, password: str, *, address: str, language: str) -> str:
    """Return the token of a pending session, which lives five minutes and waits for `give_second_factor`.

    Raises `account.sign_in_refused`, `account.busy` or `account.too_many_attempts`.
    """
    attempt = Attempt(address, login_name.strip().casefold())
    # (1)
    with context.begin() as session:
        wait_s = context.accounts.limits.count(session, attempt)
        judged = _Judged() if wait_s else _count(session, _local_account(session, attempt.login_name))
    if wait_s:
        raise TooManyAttempts(wait_s)
    # (2)
    right, newer_hash = _check(context, judged, password)
    # (3)
    with context.begin() as session:
        account = _settle(session, judged, right=right)
        if account is not None:
            account.password_hash = newer_hash or account.password_hash
            return open_session(session, account, language=language, two_factor=False)
    raise sign_in_refused()


def give_second_factor(context: AppContext, pending_token: str, code: str, *, address: str) -> str:
    """Return the token of the session in which the person is signed in now. The pending session is over.

    `code`: six digits of the app, or a recovery code. Raises `account.sign_in_expired` without a pending session, or
    `account.sign_in_refused`.
    """
    with context.begin() as session:
        pending = find_pending(session, pending_token)
        account = session.get(AccountRow, pending.account) if pending is not None else None
        if pending is None or account is None:
            raise DoudiError("account.sign_in_expired", "no sign-in waits for a second factor", "Begin again.")
        if _is_open(account, now_s(session)) and _second_factor(session, context, account, code):
            language = pending.language
            end_session(session, pending_token)
            forget_failures(account)
            context.accounts.limits.give_back(session, Attempt(address, account.login_name))
            record_act(session, EventType.ACCOUNT_SIGNED_IN, oneself(account), account)
            return open_session(session, account, language=language, two_factor=True)
        if is_locked(account, now_s(session)):
            end_session(session, pending_token)
    raise sign_in_refused()


def sign_out(context: AppContext, token: str) -> None:
    """End the session of a token, if it is one."""
    with context.begin() as session:
        end_session(session, token)


def change_password(context: AppContext, number: int, old: str, new: str, *, language: str) -> str:
    """Replace the password of somebody who is signed in; return the token of the only session that is left. API tokens end too.

    Raises `account.weak_password`, `account.sign_in_refused` for a wrong old one, which counts as a failed sign-in, or
    `account.busy`.
    """
    with context.begin() as session:
        account = session.get(AccountRow, number)
        require_good_password(new, account.login_name if account is not None else "")
        judged = _count(session, account)
    right, _ = _check(context, judged, old)
    new_hash = context.accounts.passwords.hash(new) if right else ""
    with context.begin() as session:
        account = _settle(session, judged, right=right)
        if account is not None:
            account.password_hash, account.changed_at = new_hash, now_s(session)
            end_all_sessions(session, number)
            # Somebody changes a password because somebody else may know it: what was made with it must not live on.
            if revoke_all_tokens(session, number):
                record_act(session, EventType.TOKEN_REVOKED, oneself(account), account)
            record_act(session, EventType.ACCOUNT_PASSWORD_CHANGED, oneself(account), account)
            return open_session(session, account, language=language, two_factor=True)
    raise sign_in_refused()


def new_recovery_codes(context: AppContext, number: int, code: str) -> tuple[str, ...]:
    """Return ten new recovery codes, for a second factor. Raises `account.sign_in_refused`, which counts as a failed sign-in."""
    with context.begin() as session:
        account = session.get(AccountRow, number)
        if account is not None and confirm_presence(session, context, account, code):
            record_act(session, EventType.ACCOUNT_RECOVERY_CODES_REPLACED, oneself(account), account)
            return replace_recovery_codes(session, account)
    raise sign_in_refused()


def confirm_presence(session: Session, context: AppContext, account: AccountRow, code: str) -> bool:
    """Return whether the account's person is there now: a second factor, counted like one at sign-in.

    The caller commits in either case, so that a failure stays counted.
    """
    if not _is_open(account, now_s(session)) or not _second_factor(session, context, account, code):
        return False
    take_back_failure(account)
    return True


def _local_account(session: Session, login_name: str) -> AccountRow | None:
    return session.scalar(select(AccountRow).where(AccountRow.login_name == login_name))


def _is_open(account: AccountRow, now: int) -> bool:
    """Return whether factors of this account are looked at: it is active, local and not locked."""
    return account.state == "active" and account.password_hash is not None and not is_locked(account, now)


def _count(session: Session, account: AccountRow | None) -> _Judged:
    if account is None or not _is_open(account, now_s(session)):
        return _Judged()
    locked = count_failure(account, now_s(session))
    return _Judged(account.number, account.password_hash, locked)


def _check(context: AppContext, judged: _Judged, password: str) -> tuple[bool, str | None]:
    try:
        return context.accounts.passwords.matches(judged.password_hash, password)
    except DoudiError:
        # Nothing was looked at, so nothing failed.
        with context.begin() as session:
            account = session.get(AccountRow, judged.number) if judged.number is not None else None
            if account is not None:
                take_back_failure(account)
        raise


def _settle(session: Session, judged: _Judged, *, right: bool) -> AccountRow | None:
    """Return the account if its password was right and is still the same; else the attempt stays counted."""
    account = session.get(AccountRow, judged.number) if judged.number is not None else None
    if account is None:
        return None
    if right and account.state == "active" and account.password_hash == judged.password_hash:
        take_back_failure(account)
        return account
    if judged.locked_by_this:
        record_act(session, EventType.ACCOUNT_LOCKED, oneself(account), account)
    return None


def _second_factor(session: Session, context: AppContext, account: AccountRow, code: str) -> bool:
    locked = count_failure(account, now_s(session))
    if spend_code(session, context.accounts.keys, account, code):
        return True
    account.failed_second_factors += 1
    if locked:
        record_act(session, EventType.ACCOUNT_LOCKED, oneself(account), account)
    return False


def sign_in_refused() -> DoudiError:
    """Return the one refusal of a name, a password or a code."""
    return DoudiError("account.sign_in_refused", "name, password or code are not right, or the account is locked")
