"""How acts on accounts are recorded: parties, numbers and codes; never a login name."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from coordinator.accounts.models import AccountRow
from coordinator.authorization.principals import Principal
from coordinator.events import COORDINATOR, Event, EventType, record


@dataclass(frozen=True)
class Actor:
    """Who acts on an account. `account`: the acting person's number; none for the host and for the centre's device."""

    party: str
    account: int | None = None


# Whoever administers the host acts for the coordinator itself.
HOST = Actor(COORDINATOR)


def actor_of(principal: Principal) -> Actor:
    """Return a principal as the actor of an event."""
    return Actor(principal.party, principal.number)


def oneself(account: AccountRow) -> Actor:
    """Return the account as the actor of what its person does with it."""
    return Actor(account.party, account.number)


def record_act(session: Session, kind: EventType, actor: Actor, account: AccountRow, code: str = "") -> None:
    """Record an act on an account in the session's transaction."""
    subject = account.party if account.party != actor.party else None
    counts = {"about_account": account.number}
    record(session, Event(kind, actor.party, account=actor.account, subject=subject, code=code, counts=counts))
