"""Registering parties and looking them up. Called within a transaction that the caller opens."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.db.session import now_s
from coordinator.events import COORDINATOR, Event, EventType, record
from coordinator.paging import Order, PageRequest, Slice, page_of
from coordinator.parties.models import PartyRow
from crypto.errors import DoudiError
from policies.contracts.cards import DepartmentCard

CENTRE = "centre"
# Names that stand for somebody else in signatures, requests or events.
RESERVED_NAMES = frozenset({CENTRE, COORDINATOR})
BY_NAME = Order("parties", (PartyRow.name,))


def ensure_centre(session: Session, api_key: str) -> None:
    """Make the centre a party, with the key of the configuration, so that it can be seen and its nonces stored."""
    row = session.get(PartyRow, CENTRE)
    if row is None:
        session.add(PartyRow(name=CENTRE, role="centre", identity_key=api_key, registered_at=now_s(session)))
    elif row.identity_key != api_key:
        row.identity_key = api_key
        record(session, Event(EventType.PARTY_KEYS_REPLACED, COORDINATOR, subject=CENTRE))


def require_registrable(session: Session, card: DepartmentCard, *, replace: bool) -> None:
    """Raise unless the card may be registered.

    Raises `party.reserved_name`, `party.bad_keys`, `party.key_in_use`, or `party.keys_changed` without `replace`.
    """
    if card.department in RESERVED_NAMES:
        raise DoudiError("party.reserved_name", "a department cannot have this name")
    keys = card.signing_keys()
    if len(set(keys)) != len(keys):
        # The identity key lies on the node's host; if it also approved, taking the host would be taking the approval. And
        # one key that is listed for two approvers would let one person be two.
        raise DoudiError("party.bad_keys", "every key of the card must be a different one")
    holder = session.scalar(select(PartyRow).where(PartyRow.identity_key == card.identity_key))
    if holder is not None and holder.name != card.department:
        raise DoudiError("party.key_in_use", "another party has this identity key")
    row = session.get(PartyRow, card.department)
    if row is not None and row.card is not None and not replace:
        stored = DepartmentCard.parse(row.card)
        if stored.fingerprint() != card.fingerprint():
            raise DoudiError("party.keys_changed", "the department is registered with other keys")


def store_party(session: Session, card: DepartmentCard, account: int | None = None, *, replace: bool) -> bool:
    """Store a department's card; return whether anything changed. `account`: the centre's person who asked for it, if one did.

    Raises what `require_registrable` raises.
    """
    require_registrable(session, card, replace=replace)
    document = card.to_bytes()
    row = session.get(PartyRow, card.department)
    if row is not None and row.card == document:
        return False
    kind = EventType.PARTY_REGISTERED
    if row is None:
        row = PartyRow(name=card.department, role="department", registered_at=now_s(session))
        session.add(row)
    elif row.card is not None and DepartmentCard.parse(row.card).fingerprint() != card.fingerprint():
        # Grants pin keys: those signed before still name the old ones, and nodes refuse the new ones under them.
        kind = EventType.PARTY_KEYS_REPLACED
    row.card, row.identity_key, row.flower_key = document, card.identity_key, card.flower_key
    event = Event(
        kind,
        CENTRE,
        subject=card.department,
        assets=(f"{card.department}/{card.dataset}",),
        counts={"people": card.people, "columns": len(card.columns)},
        hashes={"card": card.digest()},
        account=account,
    )
    record(session, event)
    return True


def list_parties(session: Session, wanted: PageRequest) -> Slice[PartyRow]:
    """Return a page of the parties, by name."""
    return page_of(session, select(PartyRow), BY_NAME, wanted)


def department_cards(session: Session, names: Iterable[str] | None = None) -> Mapping[str, DepartmentCard]:
    """Return the registered cards by department: all of them, or those of `names` that there are."""
    query = select(PartyRow).order_by(PartyRow.name)
    if names is not None:
        query = query.where(PartyRow.name.in_(list(names)))
    return {row.name: DepartmentCard.parse(row.card) for row in session.scalars(query) if row.card is not None}
