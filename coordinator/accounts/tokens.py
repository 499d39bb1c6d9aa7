"""API tokens: what a program shows as `Authorization: Bearer doudi_…` to act for a person.

A token is narrower than the person: scopes `read` or `read` and `write`, at most 90 days. Roles are the person's present ones.
Called within a transaction that the caller opens.
"""

import re
import secrets
from collections.abc import Collection, Sequence

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from coordinator.accounts.models import AccountRow, ApiTokenRow
from coordinator.accounts.principals import principal_of
from coordinator.accounts.secret_codes import same, token_hash
from coordinator.authorization.principals import Principal
from coordinator.db.session import now_s
from crypto.errors import DoudiError

PREFIX = "doudi_"
LONGEST_DAYS = 90
MAXIMUM_LIVE_TOKENS = 20
SEEN_S = 60
READ, WRITE = "read", "write"
_DAY_S = 24 * 3600
_TOKEN = re.compile(r"doudi_[A-Za-z0-9_-]{43}")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def make_token(
    session: Session, account: AccountRow, label: str, scopes: Collection[str], days: int, *, two_factor: bool
) -> tuple[str, ApiTokenRow]:
    """Return a new token, which is shown this once, and its row.

    Raises `token.bad_scopes`, `token.bad_expiry`, `token.bad_label` or `token.too_many`.
    """
    if set(scopes) not in ({READ}, {READ, WRITE}):
        raise DoudiError("token.bad_scopes", "a token has the scope read, or read and write")
    if not 1 <= days <= LONGEST_DAYS:
        raise DoudiError("token.bad_expiry", f"a token lives 1 to {LONGEST_DAYS} days")
    if not _LABEL.fullmatch(label):
        raise DoudiError("token.bad_label", "a label has small letters, digits, - and _, and begins with a letter")
    now = now_s(session)
    live = select(func.count()).select_from(ApiTokenRow).where(ApiTokenRow.account == account.number)
    live = live.where(ApiTokenRow.revoked_at.is_(None), ApiTokenRow.expires_at > now)
    if (session.scalar(live) or 0) >= MAXIMUM_LIVE_TOKENS:
        raise DoudiError("token.too_many", f"an account has at most {MAXIMUM_LIVE_TOKENS} tokens in force")
    token = PREFIX + secrets.token_urlsafe(32)
    row = ApiTokenRow(
        token_hash=token_hash(token),
        account=account.number,
        label=label,
        scopes=" ".join(sorted(scopes)),
        two_factor=two_factor,
        created_at=now,
        expires_at=now + days * _DAY_S,
    )
    session.add(row)
    session.flush()
    return token, row


def find_token(session: Session, token: str) -> Principal | None:
    """Return for whom a token acts; `None` for one that is unknown, expired or revoked, or of an account that is not active.

    In a writing transaction the use is noted, to the minute.
    """
    if not _TOKEN.fullmatch(token):
        return None
    wanted, now = token_hash(token), now_s(session)
    row = session.scalar(select(ApiTokenRow).where(ApiTokenRow.token_hash == wanted))
    if row is None or not same(row.token_hash, wanted) or row.revoked_at is not None or now >= row.expires_at:
        return None
    account = session.get(AccountRow, row.account)
    if account is None or account.state != "active":
        return None
    if row.last_used_at is None or now - row.last_used_at >= SEEN_S:
        row.last_used_at = now
    return principal_of(account, two_factor=row.two_factor, scopes=frozenset(row.scopes.split()))


def list_tokens(session: Session, account: int) -> Sequence[ApiTokenRow]:
    """Return an account's tokens, newest first, also those that are void."""
    query = select(ApiTokenRow).where(ApiTokenRow.account == account).order_by(ApiTokenRow.number.desc())
    return session.scalars(query).all()


def revoke_token(session: Session, account: int, number: int) -> bool:
    """Make an account's token void; return whether it was not before. Raises `token.unknown`, also for somebody else's."""
    row = session.get(ApiTokenRow, number)
    if row is None or row.account != account:
        raise DoudiError("token.unknown", "the account has no such token")
    if row.revoked_at is not None:
        return False
    row.revoked_at = now_s(session)
    return True


def revoke_all_tokens(session: Session, account: int) -> bool:
    """Make every token of an account void; return whether one was not before."""
    query = update(ApiTokenRow).where(ApiTokenRow.account == account, ApiTokenRow.revoked_at.is_(None))
    revoked = session.scalars(query.values(revoked_at=now_s(session)).returning(ApiTokenRow.number)).all()
    return bool(revoked)
