"""Sessions of browsers: who is signed in, for how long, and with which token.

A token is what the cookie holds: 32 random bytes that change at sign-in, at the second factor and every 15 minutes, and 16 that
stay for the session. The form secret (CSRF) is derived from the latter, so that it survives the change of the former and lies
nowhere in the database. The database keeps hashes.

Reading (`find_session`) changes nothing. A request calls `keep_session` in a writing transaction when `SignedIn.keeping_due` says
so, and gives the browser the new token if there is one. Called within a transaction that the caller opens.
"""

import base64
import hmac
import re
import secrets
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from coordinator.accounts.models import AccountRow, SessionRow
from coordinator.accounts.principals import principal_of
from coordinator.accounts.secret_codes import same, token_hash
from coordinator.authorization.principals import Principal
from coordinator.db.session import now_s
from crypto.errors import DoudiError

LONGEST_S = 8 * 3600
IDLE_S = 30 * 60
ROTATION_S = 15 * 60
# Requests that a page sends side by side bear the old token for a moment after one of them got the new one.
OLD_TOKEN_S = 30
PENDING_S = 5 * 60
# "Last seen" is kept to the minute, so that not every page has to write.
SEEN_S = 60
LANGUAGES = ("zh", "en")
_SECRET_BYTES = 32
_SEED_BYTES = 16
_TOKEN = re.compile(r"[A-Za-z0-9_-]{64}")


@dataclass(frozen=True)
class SignedIn:
    """Somebody who is signed in. `csrf_token`: what every form of this session must bear.

    `keeping_due`: call `keep_session` in a writing transaction, now.
    """

    principal: Principal
    csrf_token: str
    account_number: int
    login_name: str
    language: str
    expires_at: int
    keeping_due: bool


def open_session(session: Session, account: AccountRow, *, language: str, two_factor: bool) -> str:
    """Return the token of a new session. Without the second factor it is pending: it lives five minutes and signs nobody in."""
    now = now_s(session)
    # Old rows are forgotten here, where rows are added anyhow.
    session.execute(delete(SessionRow).where(SessionRow.expires_at <= now))
    token = _new_token(secrets.token_bytes(_SEED_BYTES))
    session.add(
        SessionRow(
            token_hash=token_hash(token),
            account=account.number,
            two_factor=two_factor,
            language=language if language in LANGUAGES else LANGUAGES[0],
            created_at=now,
            rotated_at=now,
            last_seen_at=now,
            expires_at=now + (LONGEST_S if two_factor else PENDING_S),
        )
    )
    session.flush()
    return token


def find_session(session: Session, token: str) -> SignedIn | None:
    """Return who is signed in with a token; `None` for one that is unknown, too old, or waits for its second factor."""
    row = _live_row(session, token, two_factor=True)
    account = session.get(AccountRow, row.account) if row is not None else None
    if row is None or account is None or account.state != "active":
        return None
    now = now_s(session)
    return SignedIn(
        principal=principal_of(account, two_factor=row.two_factor),
        csrf_token=_csrf_token(token),
        account_number=account.number,
        login_name=account.login_name,
        language=row.language,
        expires_at=row.expires_at,
        keeping_due=now - row.last_seen_at >= SEEN_S or _rotation_due(row, token, now),
    )


def keep_session(session: Session, token: str) -> str | None:
    """Note that a session is in use; return its new token if it got one, which the browser must be given.

    The token before counts for 30 seconds more. Two requests that come together get one new token between them.
    """
    row = _live_row(session, token, two_factor=True)
    if row is None:
        return None
    now = now_s(session)
    row.last_seen_at = now
    if not _rotation_due(row, token, now):
        return None
    fresh = _new_token(_seed(token))
    row.previous_hash, row.previous_until = row.token_hash, now + OLD_TOKEN_S
    row.token_hash, row.rotated_at = token_hash(fresh), now
    return fresh


def find_pending(session: Session, token: str) -> SessionRow | None:
    """Return the session that waits for its second factor, if this is its token."""
    return _live_row(session, token, two_factor=False)


def end_session(session: Session, token: str) -> None:
    """End the session of a token, pending or not. A token that is none ends nothing."""
    row = _row(session, token)
    if row is not None:
        session.delete(row)
        session.flush()


def end_all_sessions(session: Session, account: int) -> None:
    """End every session of an account: its roles, its state or its factors have changed."""
    session.execute(delete(SessionRow).where(SessionRow.account == account))


def set_language(session: Session, token: str, language: str) -> None:
    """Show this session's pages in another language. Raises `account.unknown_language`."""
    if language not in LANGUAGES:
        raise DoudiError("account.unknown_language", "there are no pages in this language")
    row = _live_row(session, token, two_factor=True)
    if row is not None:
        row.language = language


def _row(session: Session, token: str) -> SessionRow | None:
    if not _TOKEN.fullmatch(token):
        return None
    wanted = token_hash(token)
    query = select(SessionRow).where(or_(SessionRow.token_hash == wanted, SessionRow.previous_hash == wanted))
    row = session.scalars(query).one_or_none()
    # The database compared hashes to find the row; here they are compared again, in constant time.
    return row if row is not None and (same(row.token_hash, wanted) or same(row.previous_hash, wanted)) else None


def _live_row(session: Session, token: str, *, two_factor: bool) -> SessionRow | None:
    row, now = _row(session, token), now_s(session)
    if row is None or row.two_factor is not two_factor or now >= row.expires_at or now >= row.last_seen_at + IDLE_S:
        return None
    is_old = not same(row.token_hash, token_hash(token))
    if is_old and (row.previous_until is None or now >= row.previous_until):
        return None
    return row


def _rotation_due(row: SessionRow, token: str, now: int) -> bool:
    return now >= row.rotated_at + ROTATION_S and same(row.token_hash, token_hash(token))


def _new_token(seed: bytes) -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES) + seed).decode("ascii")


def _seed(token: str) -> bytes:
    return base64.urlsafe_b64decode(token)[_SECRET_BYTES:]


def _csrf_token(token: str) -> str:
    digest = hmac.digest(_seed(token), b"doudi-csrf\x01", sha256)
    return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")
