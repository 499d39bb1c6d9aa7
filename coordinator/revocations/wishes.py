"""What people ask for at the console: that their party take a grant back. A record and an order to act, and no revocation.

A grant ends with the party's next revocation list, signed with a key that the coordinator does not have.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.authorization.services import authorise
from coordinator.context import AppContext
from coordinator.db.session import now_s
from coordinator.events import Event, EventType, record
from coordinator.requests.models import AccessRequestRow
from coordinator.requests.reading import get_visible_request, grant_of
from coordinator.requests.services import grant_resource_of
from coordinator.requests.states import LEGAL, RequestState, require_transition
from coordinator.revocations.models import RevocationWishRow, RevokedGrantRow
from crypto.errors import DoudiError
from policies.contracts.revocations import RevocationReason


@dataclass(frozen=True)
class OpenWish:
    """A wish that no revocation list has followed yet."""

    number: int
    reason: str
    at: int


def wish_revocation(
    session: Session, context: AppContext, principal: Principal, number: int, reason: RevocationReason, note: str
) -> RevocationWishRow:
    """Record that a person wants the own party to take a grant back. The party's first wish stands; a second changes nothing.

    Raises `request.unknown`, `request.illegal_transition`, `authorization.denied`.
    """
    row = get_visible_request(session, principal, number)
    require_transition(RequestState(row.state), RequestState.REVOKED)
    if principal.number is None:
        raise DoudiError("authorization.denied", "a node or a device revokes with its list and wishes for nothing")
    authorise(session, context, principal, "grant.revoke", grant_resource_of(row, grant_of(row)))
    known = session.get(RevocationWishRow, (number, principal.party))
    if known is not None:
        return known
    wish = RevocationWishRow(
        number=number,
        party=principal.party,
        account=principal.number,
        reason=reason,
        note=note.strip(),
        at=now_s(session),
    )
    session.add(wish)
    event = Event(
        EventType.REVOCATION_WISHED,
        principal.party,
        project_id=row.project_id,
        grant_hash=row.grant_hash,
        code=reason,
        counts={"request": number},
        account=principal.number,
    )
    record(session, event)
    return wish


def wishes_of(session: Session, number: int) -> Sequence[RevocationWishRow]:
    """Return who asked to take a request's grant back, oldest first."""
    query = select(RevocationWishRow).where(RevocationWishRow.number == number)
    return session.scalars(query.order_by(RevocationWishRow.at, RevocationWishRow.party)).all()


def open_wishes(session: Session, party: str, most: int) -> list[OpenWish]:
    """Return what a party's people asked for and its revocation key has not done, oldest first, at most `most`."""
    done = exists().where(
        RevokedGrantRow.party == RevocationWishRow.party, RevokedGrantRow.grant_hash == AccessRequestRow.grant_hash
    )
    revocable = [state.value for state, following in LEGAL.items() if RequestState.REVOKED in following]
    query = (
        select(RevocationWishRow)
        .join(AccessRequestRow, AccessRequestRow.number == RevocationWishRow.number)
        .where(RevocationWishRow.party == party, AccessRequestRow.state.in_(revocable), ~done)
        .order_by(RevocationWishRow.number)
        .limit(most)
    )
    return [OpenWish(row.number, row.reason, row.at) for row in session.scalars(query)]
