"""A person's own open sessions, to be looked through and ended. Called within a transaction that the caller opens."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from coordinator.accounts.models import SessionRow
from coordinator.accounts.secret_codes import same, token_hash
from coordinator.accounts.sessions import IDLE_S
from coordinator.db.session import now_s


@dataclass(frozen=True)
class OpenSession:
    """A session in which somebody is signed in. `is_this`: the one that asks."""

    number: int
    created_at: int
    last_seen_at: int
    expires_at: int
    is_this: bool


def list_sessions(session: Session, account: int, token: str) -> Sequence[OpenSession]:
    """Return the account's sessions that sign somebody in now, the newest first. `token`: of the session that asks."""
    now, wanted = now_s(session), token_hash(token)
    query = select(SessionRow).where(
        SessionRow.account == account,
        SessionRow.two_factor.is_(True),
        SessionRow.expires_at > now,
        SessionRow.last_seen_at > now - IDLE_S,
    )
    return [
        OpenSession(
            row.number,
            row.created_at,
            row.last_seen_at,
            row.expires_at,
            same(row.token_hash, wanted) or same(row.previous_hash, wanted),
        )
        for row in session.scalars(query.order_by(SessionRow.number.desc()))
    ]


def end_numbered_session(session: Session, account: int, number: int) -> None:
    """End one session of an account. A number that is none of its own ends nothing."""
    session.execute(delete(SessionRow).where(SessionRow.account == account, SessionRow.number == number))
