"""Enrolment: with a one-time code a person sets password and second factor together. Before that, an account can do nothing.

The code reaches the person by another channel than the login name, from whoever made the account. It lives 24 hours and counts
once. The functions that take a context open their own transactions: hashing a password must not hold the database.
"""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.accounts.attempts import Attempt, TooManyAttempts, forget_failures
from coordinator.accounts.models import AccountRow, EnrolmentRow
from coordinator.accounts.passwords import require_good_password
from coordinator.accounts.records import oneself, record_act
from coordinator.accounts.second_factor import replace_recovery_codes
from coordinator.accounts.secret_codes import code_hash, new_code, same
from coordinator.accounts.sessions import end_all_sessions, open_session
from coordinator.accounts.totp import matching_step, new_totp_secret, provisioning_uri, qr_svg, require_totp_secret
from coordinator.context import AppContext
from coordinator.db.session import now_s
from coordinator.events import EventType
from crypto.errors import DoudiError

CODE_LIVES_S = 24 * 3600


@dataclass(frozen=True)
class EnrolmentOffer:
    """What the enrolment page shows. `totp_secret` goes into the form and comes back with it; it is stored nowhere yet."""

    login_name: str
    party: str
    purpose: str
    totp_secret: str
    totp_uri: str
    totp_qr_svg: str


@dataclass(frozen=True)
class Enrolled:
    """A finished enrolment. `token`: of the new session. The recovery codes are shown this once."""

    account_number: int
    token: str
    recovery_codes: tuple[str, ...]


def issue_code(session: Session, account: AccountRow, purpose: str) -> str:
    """Return a one-time code, which is shown this once; an earlier one of the account is void. `purpose`: enrol or reset."""
    withdraw_code(session, account)
    code, now = new_code(), now_s(session)
    session.add(
        EnrolmentRow(
            account=account.number,
            code_hash=code_hash(code),
            purpose=purpose,
            created_at=now,
            expires_at=now + CODE_LIVES_S,
        )
    )
    session.flush()
    return code


def withdraw_code(session: Session, account: AccountRow) -> None:
    """Make the account's open code void, if there is one."""
    row = session.get(EnrolmentRow, account.number)
    if row is not None:
        session.delete(row)
        session.flush()


def begin_enrolment(context: AppContext, code: str, address: str) -> EnrolmentOffer:
    """Return whom a code enrols, and a fresh secret for the second factor.

    Raises `account.bad_enrolment_code` or `account.too_many_attempts`.
    """
    _count(context, address)
    with context.begin() as session:
        row, account = _open_enrolment(session, code)
        context.accounts.limits.give_back(session, Attempt(address))
        secret = new_totp_secret()
        uri = provisioning_uri(secret, account.login_name)
        return EnrolmentOffer(account.login_name, account.party, row.purpose, secret, uri, qr_svg(uri))


def enrol(
    context: AppContext, code: str, password: str, totp_secret: str, totp_code: str, *, address: str, language: str
) -> Enrolled:
    """Set password and second factor, make the account active and sign the person in.

    Raises `account.bad_enrolment_code`, `account.weak_password`, `account.bad_totp_secret`, `account.wrong_totp_code`,
    `account.busy` or `account.too_many_attempts`. All but the first leave the code in force.
    """
    _count(context, address)
    with context.begin() as session:
        _, account = _open_enrolment(session, code)
        context.accounts.limits.give_back(session, Attempt(address))
        login_name, now = account.login_name, now_s(session)
    require_good_password(password, login_name)
    require_totp_secret(totp_secret)
    _require_step(totp_secret, totp_code, now)
    password_hash = context.accounts.passwords.hash(password)
    with context.begin() as session:
        # Read again: of two requests with one code, the one that comes second finds it spent.
        row, account = _open_enrolment(session, code)
        session.delete(row)
        account.totp_last_step = _require_step(totp_secret, totp_code, now_s(session))
        account.password_hash = password_hash
        account.totp_sealed = context.accounts.keys.seal_totp(account.number, totp_secret)
        account.state, account.changed_at = "active", now_s(session)
        forget_failures(account)
        end_all_sessions(session, account.number)
        recovery_codes = replace_recovery_codes(session, account)
        record_act(session, EventType.ACCOUNT_ENROLLED, oneself(account), account)
        token = open_session(session, account, language=language, two_factor=True)
        return Enrolled(account.number, token, recovery_codes)


def _count(context: AppContext, address: str) -> None:
    with context.begin() as session:
        wait_s = context.accounts.limits.count(session, Attempt(address))
    if wait_s:
        raise TooManyAttempts(wait_s)


def _open_enrolment(session: Session, code: str) -> tuple[EnrolmentRow, AccountRow]:
    wanted = code_hash(code)
    row = session.scalar(select(EnrolmentRow).where(EnrolmentRow.code_hash == wanted))
    account = session.get(AccountRow, row.account) if row is not None else None
    if (
        row is None
        or account is None
        or not same(row.code_hash, wanted)
        or now_s(session) >= row.expires_at
        or account.state != "invited"
        or account.oidc_issuer is not None
    ):
        # One refusal for unknown, used and expired: a stranger learns nothing by trying.
        raise DoudiError("account.bad_enrolment_code", "the code is unknown, used or expired", "Ask for a new one.")
    return row, account


def _require_step(totp_secret: str, totp_code: str, now: int) -> int:
    step = matching_step(totp_secret, totp_code, now, None)
    if step is None:
        raise DoudiError("account.wrong_totp_code", "the code is not the one that the app shows", "Type the next one.")
    return step
