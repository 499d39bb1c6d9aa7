"""How a request changes its state: one function for every change, and what follows from time and signatures by itself.

Every change writes its transition and its event in the transaction of the act. What ends a grant stops its runs with it.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.db.session import now_s
from coordinator.events import COORDINATOR, Event, EventType, record
from coordinator.grants.models import GrantRow
from coordinator.parties.services import CENTRE
from coordinator.requests.models import AccessRequestRow, RequestDecisionRow, RequestTransitionRow
from coordinator.requests.reading import grant_of
from coordinator.requests.states import MOVING, RequestState, Standing, next_state, require_transition
from coordinator.runs.models import RunRow
from coordinator.runs.services import stop_runs_of_grant
from coordinator.runs.states import RunState
from crypto.errors import DoudiError
from policies.contracts.grant import RequiredSignatures, SignedGrant, required_signatures, verify_grant_signatures

log = logging.getLogger(__name__)

REVOKED_CODE = "grant.revoked"
EXPIRED_CODE = "grant.expired"
_EVENTS: Mapping[RequestState, EventType] = {
    RequestState.DRAFTED: EventType.REQUEST_DRAFTED,
    RequestState.SUBMITTED: EventType.REQUEST_SUBMITTED,
    RequestState.GRANTED: EventType.REQUEST_GRANTED,
    RequestState.ACTIVE: EventType.REQUEST_ACTIVATED,
    RequestState.EXPIRED: EventType.REQUEST_EXPIRED,
    RequestState.REVOKED: EventType.REQUEST_REVOKED,
    RequestState.EXHAUSTED: EventType.REQUEST_EXHAUSTED,
    RequestState.WITHDRAWN: EventType.REQUEST_WITHDRAWN,
    RequestState.REFUSED: EventType.REQUEST_DECLINED,
}
_NAMING_ASSETS = frozenset(
    {EventType.REQUEST_DRAFTED, EventType.REQUEST_SUBMITTED, EventType.REQUEST_GRANTED, EventType.REQUEST_ACTIVATED}
)
# What stops the runs that are under way, and with which code.
_STOPS: Mapping[RequestState, str] = {RequestState.REVOKED: REVOKED_CODE, RequestState.EXPIRED: EXPIRED_CODE}


def move(
    session: Session,
    row: AccessRequestRow,
    wanted: RequestState,
    actor: Principal | None,
    *,
    code: str = "",
    reason: str = "",
) -> None:
    """Change a request's state, with its transition, its event, and the stop of its runs if it ends them.

    `actor`: whose act led to it; `None` when only time passed. Raises `request.illegal_transition`.
    """
    current = RequestState(row.state)
    require_transition(current, wanted)
    row.state, row.changed_at = wanted.value, now_s(session)
    note_transition(session, row, current, wanted, actor, code=code, reason=reason)
    if wanted in _STOPS:
        stop_runs_of_grant(session, row.grant_hash, _STOPS[wanted], actor or COORDINATOR)


def note_transition(
    session: Session,
    row: AccessRequestRow,
    current: RequestState | None,
    wanted: RequestState,
    actor: Principal | None,
    *,
    code: str = "",
    reason: str = "",
) -> None:
    """Write the row and the event of a change of state; `current` is `None` for a new request."""
    party = actor.party if actor is not None else COORDINATOR
    session.add(
        RequestTransitionRow(
            number=row.number,
            from_state=current.value if current is not None else None,
            to_state=wanted.value,
            actor=actor.id if actor is not None else COORDINATOR,
            party=party,
            account=actor.number if actor is not None else None,
            code=code,
            reason=reason,
            at=now_s(session),
        )
    )
    record_request(session, _EVENTS[wanted], actor, row, code=code)


def record_request(
    session: Session,
    kind: EventType,
    actor: Principal | None,
    row: AccessRequestRow,
    *,
    code: str = "",
    counts: Mapping[str, int] | None = None,
) -> None:
    """Record an event about a request, by its number. Reasons are people's words and stay out."""
    event = Event(
        kind,
        actor.party if actor is not None else COORDINATOR,
        project_id=row.project_id,
        grant_hash=row.grant_hash,
        purpose=row.purpose,
        # Acts that end a request name it by its grant.
        assets=_assets(row) if kind in _NAMING_ASSETS else (),
        code=code,
        counts={"request": row.number, **(counts or {})},
        account=actor.number if actor is not None else None,
    )
    record(session, event)


def _assets(row: AccessRequestRow) -> tuple[str, ...]:
    return tuple(f"{share.department}/{share.dataset}" for share in grant_of(row).shares)


def advance(session: Session, row: AccessRequestRow, actor: Principal | None = None) -> None:
    """Move a request as far as time, signatures, decisions and runs take it. Called after every act that may matter.

    `actor`: whose act may have led to it.
    """
    while True:
        current = RequestState(row.state)
        wanted = next_state(current, _standing(session, row))
        if wanted is None:
            return
        move(session, row, wanted, actor, code=EXPIRED_CODE if wanted is RequestState.EXPIRED else "")


def advance_all(session: Session) -> int:
    """Move every request that time or its runs have made move; return how many. For housekeeping.

    Asks the database which ones may move, so that thousands that wait for people cost nothing.
    """
    now = now_s(session)
    ended = AccessRequestRow.state.in_([state.value for state in MOVING]) & (AccessRequestRow.expires_at <= now)
    signed = select(GrantRow.grant_hash).where(GrantRow.fully_signed)
    begun = (
        (AccessRequestRow.state == RequestState.GRANTED.value)
        & (AccessRequestRow.not_before <= now)
        & AccessRequestRow.grant_hash.in_(signed)
    )
    runs = (
        select(func.count())
        .select_from(RunRow)
        .where(RunRow.grant_hash == AccessRequestRow.grant_hash)
        .scalar_subquery()
    )
    used = (AccessRequestRow.state == RequestState.ACTIVE.value) & (runs >= AccessRequestRow.runs_allowed)
    moved = 0
    for row in session.scalars(select(AccessRequestRow).where(or_(ended, begun, used))).all():
        before = row.state
        try:
            advance(session, row)
        except DoudiError as error:
            # A document that somebody damaged, or whose tier this program does not know, stays as it is and holds up no other.
            log.warning("a request could not be moved: %s", error.code)
        moved += row.state != before
    return moved


def signed_people(signed: SignedGrant, needed: RequiredSignatures) -> int:
    """Return how many different people of a party have signed. Their signatures were verified when they came. Pure."""
    mine = (
        signature for signature in signed.signatures if (signature.party, signature.role) == (needed.party, needed.role)
    )
    return len({signature.key for signature in mine} & set(needed.keys))


def is_fully_signed(signed: SignedGrant) -> bool:
    """Return whether every signature that the nodes ask for is there. Raises `grant.bad_signature`."""
    try:
        verify_grant_signatures(signed)
    except DoudiError as error:
        if error.code != "grant.signature_missing":
            raise
        return False
    return True


def _standing(session: Session, row: AccessRequestRow) -> Standing:
    standing = Standing(now_s(session), row.not_before, row.expires_at)
    if standing.now >= standing.expires_at:
        # Time alone decides, whatever the documents say.
        return standing
    if row.state in (RequestState.SUBMITTED, RequestState.GRANTED):
        signed = SignedGrant.parse(session.get_one(GrantRow, row.grant_hash).document)
        needed = required_signatures(signed.grant)
        owners = all(signed_people(signed, one) >= one.count for one in needed if one.role != "centre")
        centre = next(one for one in needed if one.role == "centre")
        # As many people as the tier asks for, by their decisions or by their signatures. The two are not added up: nobody
        # knows whether an account and a key are one person.
        decided = max(_approving_accounts(session, row), signed_people(signed, centre)) >= centre.count
        return replace(standing, owners_signed=owners, centre_decided=decided, fully_signed=is_fully_signed(signed))
    return replace(standing, used_up=row.state == RequestState.ACTIVE and _used_up(session, row))


def _approving_accounts(session: Session, row: AccessRequestRow) -> int:
    query = select(func.count()).where(
        RequestDecisionRow.number == row.number,
        RequestDecisionRow.party == CENTRE,
        RequestDecisionRow.way == "console",
        RequestDecisionRow.decision == "approve",
    )
    return session.scalar(query) or 0


def _used_up(session: Session, row: AccessRequestRow) -> bool:
    runs = session.execute(select(RunRow.state, RunRow.attempt).where(RunRow.grant_hash == row.grant_hash)).all()
    if len(runs) < row.runs_allowed:
        return False
    grant = SignedGrant.parse(session.get_one(GrantRow, row.grant_hash).document).grant
    return all(
        state == RunState.FINISHED
        or (state in (RunState.FAILED, RunState.STOPPED) and attempt >= grant.attempts_allowed)
        for state, attempt in runs
    )
