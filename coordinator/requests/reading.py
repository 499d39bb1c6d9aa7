"""Finding requests and showing how they stand. Reads only."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.grants.models import GrantRow
from coordinator.paging import Order, PageRequest, Slice, page_of
from coordinator.requests.models import (
    AccessRequestRow,
    RequestDecisionRow,
    RequestPartyRow,
    RequestTransitionRow,
)
from coordinator.requests.states import RequestState
from coordinator.runs.models import RunRow
from crypto.errors import DoudiError
from policies.contracts.grant import Grant, LineGrant, SignedGrant

NEWEST_FIRST = Order("requests", (AccessRequestRow.number,), newest_first=True)


def get_visible_request(session: Session, principal: Principal, number: int) -> AccessRequestRow:
    """Return a request that names the principal's party, or any for the centre and auditors.

    Raises `request.unknown` also for others' requests, so that numbers cannot be tried out.
    """
    row = session.get(AccessRequestRow, number)
    concerned = principal.reads_all or session.get(RequestPartyRow, (number, principal.party)) is not None
    if row is None or not concerned:
        raise DoudiError("request.unknown", "there is no such request for this party", "List the requests.")
    return row


def list_requests(
    session: Session,
    principal: Principal,
    wanted: PageRequest,
    *,
    state: RequestState | None = None,
    grant_hash: str | None = None,
    project_id: str | None = None,
    waits_for: str | None = None,
    states: Collection[RequestState] | None = None,
    lead: str | None = None,
) -> Slice[AccessRequestRow]:
    """Return a page of the requests that the principal may see, newest first.

    `waits_for`: only those that are decided on now and where people of this party have still to sign. `states`: only those
    in one of them. `lead`: only what this department asks for.
    """
    query = select(AccessRequestRow)
    if not principal.reads_all:
        own = select(RequestPartyRow.number).where(RequestPartyRow.party == principal.party)
        query = query.where(AccessRequestRow.number.in_(own))
    if state is not None:
        query = query.where(AccessRequestRow.state == state.value)
    if states is not None:
        query = query.where(AccessRequestRow.state.in_([one.value for one in states]))
    if lead is not None:
        query = query.where(AccessRequestRow.lead == lead)
    if grant_hash is not None:
        query = query.where(AccessRequestRow.grant_hash == grant_hash)
    if project_id is not None:
        query = query.where(AccessRequestRow.project_id == project_id)
    if waits_for is not None:
        query = query.where(*_waiting_for(waits_for))
    return page_of(session, query, NEWEST_FIRST, wanted)


def count_waiting(session: Session, party: str) -> int:
    """Return how many requests wait for signatures of a party's people: for a home page."""
    return session.scalar(select(func.count()).select_from(AccessRequestRow).where(*_waiting_for(party))) or 0


def count_in_state(session: Session, principal: Principal, state: RequestState, *, lead: str | None = None) -> int:
    """Return how many requests that the principal may see are in a state: for a home page."""
    query = select(func.count()).select_from(AccessRequestRow).where(AccessRequestRow.state == state.value)
    if not principal.reads_all:
        own = select(RequestPartyRow.number).where(RequestPartyRow.party == principal.party)
        query = query.where(AccessRequestRow.number.in_(own))
    if lead is not None:
        query = query.where(AccessRequestRow.lead == lead)
    return session.scalar(query) or 0


def decided_by(session: Session, person: str, rows: Sequence[AccessRequestRow]) -> frozenset[int]:
    """Return which of these requests a person (`Principal.id`) has decided on."""
    query = select(RequestDecisionRow.number).where(
        RequestDecisionRow.person == person, RequestDecisionRow.number.in_([row.number for row in rows])
    )
    return frozenset(session.scalars(query))


def grant_of(row: AccessRequestRow) -> Grant | LineGrant:
    """Return the grant that a request asks for. Its document was parsed when it came."""
    return SignedGrant.parse(b'{"grant":' + row.document + b',"signatures":[]}').grant


def signed_grant_of(session: Session, row: AccessRequestRow) -> SignedGrant:
    """Return the grant with the signatures so far; a draft has none."""
    stored = session.get(GrantRow, row.grant_hash)
    return SignedGrant(grant=grant_of(row)) if stored is None else SignedGrant.parse(stored.document)


def parties_of(session: Session, rows: Sequence[AccessRequestRow]) -> Mapping[int, list[RequestPartyRow]]:
    """Return whose people must sign each request: the lead first, then departments by name, the centre last."""
    order = {"lead": 0, "supporting": 1, "centre": 2}
    numbers = [row.number for row in rows]
    found: dict[int, list[RequestPartyRow]] = {number: [] for number in numbers}
    query = select(RequestPartyRow).where(RequestPartyRow.number.in_(numbers))
    for party in sorted(session.scalars(query), key=lambda one: (order[one.role], one.party)):
        found[party.number].append(party)
    return found


def decisions_of(session: Session, number: int) -> Sequence[RequestDecisionRow]:
    """Return what people decided about a request, oldest first."""
    query = select(RequestDecisionRow).where(RequestDecisionRow.number == number)
    return session.scalars(query.order_by(RequestDecisionRow.at, RequestDecisionRow.person)).all()


def people_who_decided(session: Session, number: int) -> frozenset[str]:
    """Return who has decided about a request: `Principal.id`, or `key:` and the key of a signature."""
    return frozenset(session.scalars(select(RequestDecisionRow.person).where(RequestDecisionRow.number == number)))


def transitions_of(session: Session, number: int) -> Sequence[RequestTransitionRow]:
    """Return the changes of a request's state, oldest first."""
    query = select(RequestTransitionRow).where(RequestTransitionRow.number == number)
    return session.scalars(query.order_by(RequestTransitionRow.sequence)).all()


def runs_used(session: Session, rows: Sequence[AccessRequestRow]) -> Mapping[str, int]:
    """Return how many runs each request's grant has had, by grant hash; those without one are left out."""
    hashes = [row.grant_hash for row in rows]
    query = select(RunRow.grant_hash, func.count()).where(RunRow.grant_hash.in_(hashes)).group_by(RunRow.grant_hash)
    return {grant_hash: count for grant_hash, count in session.execute(query)}


def _waiting_for(party: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    waiting = select(RequestPartyRow.number).where(
        RequestPartyRow.party == party, RequestPartyRow.gathered < RequestPartyRow.needed
    )
    open_states = [RequestState.SUBMITTED.value, RequestState.GRANTED.value]
    return AccessRequestRow.state.in_(open_states), AccessRequestRow.number.in_(waiting)
