"""Storing grants and finding the one that counts. This verifies to refuse early; every node verifies for itself.

A grant comes from a request for access (`coordinator/requests`), which gathers its signatures and knows whether it is in force.
"""

from collections.abc import Mapping

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.db.session import now_s
from coordinator.events import Event, EventType, record
from coordinator.grants.models import GrantPartyRow, GrantRow
from coordinator.projects.models import ProjectRow
from coordinator.requests.models import AccessRequestRow
from coordinator.requests.progress import advance
from coordinator.requests.states import RequestState
from crypto.errors import DoudiError
from policies.contracts.grant import Grant, LineGrant, SignedGrant, verify_grant_signatures
from policies.contracts.grant_terms import GrantBase

# Why nothing runs under a request that is not active.
_NOT_IN_FORCE: Mapping[RequestState, tuple[str, str]] = {
    RequestState.DRAFTED: ("grant.signature_missing", "nobody has been asked to sign the grant"),
    RequestState.SUBMITTED: ("grant.signature_missing", "not every required person has signed the grant"),
    RequestState.GRANTED: ("grant.signature_missing", "the centre has not signed the grant"),
    RequestState.EXPIRED: ("grant.expired", "the grant has expired"),
    RequestState.REVOKED: ("grant.revoked", "a party has revoked the grant"),
    RequestState.EXHAUSTED: ("grant.runs_exhausted", "all runs of the grant are used"),
    RequestState.WITHDRAWN: ("grant.not_granted", "the request was withdrawn"),
    RequestState.REFUSED: ("grant.not_granted", "the request was refused"),
}


def store_grant(session: Session, principal: Principal, grant: Grant | LineGrant) -> GrantRow:
    """Store the grant of a request that was submitted, without a signature, and whom it names."""
    signed = SignedGrant(grant=grant)
    row = GrantRow(
        grant_hash=signed.grant_hash,
        project_id=grant.project_id,
        document=signed.to_bytes(),
        fully_signed=False,
        stored_at=now_s(session),
    )
    session.add(row)
    session.flush()
    for share in grant.shares:
        session.add(
            GrantPartyRow(
                grant_hash=row.grant_hash,
                department=share.department,
                role=share.role,
                scheduler=share.department == grant.scheduler.department,
            )
        )
    event = Event(
        EventType.GRANT_STORED,
        principal.party,
        project_id=row.project_id,
        grant_hash=row.grant_hash,
        purpose=grant.purpose,
        account=principal.number,
    )
    record(session, event)
    return row


def find_grant(session: Session, project_id: str, grant_hash: str | None = None) -> GrantRow:
    """Return the grant that counts: the named one, else the newest one in force, else the newest.

    A newer grant in force replaces an older one: the same parties agreed to it. Raises `grant.unknown`.
    """
    query = select(GrantRow).where(GrantRow.project_id == project_id)
    if grant_hash is not None:
        query = query.where(GrantRow.grant_hash == grant_hash)
    in_force = case((AccessRequestRow.state == RequestState.ACTIVE.value, 1), else_=0)
    query = query.outerjoin(AccessRequestRow, AccessRequestRow.grant_hash == GrantRow.grant_hash)
    # The number of the request and not the time: two that were submitted in one second have an order too.
    query = query.order_by(in_force.desc(), AccessRequestRow.number.desc(), GrantRow.grant_hash)
    row = session.scalars(query.limit(1)).first()
    if row is None:
        raise DoudiError("grant.unknown", "the project has no such grant", "Have the lead ask for one.")
    return row


def require_in_force(session: Session, row: GrantRow) -> Grant | LineGrant:
    """Return the grant if its request is active, every party signed it and it is valid now.

    Raises `grant.signature_missing`, `grant.bad_signature`, `grant.not_yet_valid`, `grant.expired`, `grant.revoked`,
    `grant.runs_exhausted` or `grant.not_granted`.
    """
    signed = SignedGrant.parse(row.document)
    state = _state(session, row)
    if state is RequestState.GRANTED and row.fully_signed and now_s(session) < signed.grant.not_before:
        raise DoudiError("grant.not_yet_valid", "the grant is not valid yet", "Wait for its first day.")
    if state is not RequestState.ACTIVE:
        raise DoudiError(*_NOT_IN_FORCE[state])
    # Verified again from the document: a column that says "active" is no signature.
    verify_grant_signatures(signed)
    return signed.grant


def require_same_project(project: ProjectRow, grant: GrantBase) -> None:
    """Raise `project.closed` or `grant.other_project` unless a grant may belong to the project."""
    if project.state != "open":
        raise DoudiError("project.closed", "the project is closed")
    # A line's region is the area that it spans; its lead is the department that leads it, in whatever region.
    named = (grant.project_id, grant.purpose, grant.region, grant.lead_department)
    if named != (project.project_id, project.purpose, project.region, project.lead):
        raise DoudiError("grant.other_project", "project, purpose, region or lead differ from the project's")


def _state(session: Session, row: GrantRow) -> RequestState:
    request = session.scalar(select(AccessRequestRow).where(AccessRequestRow.grant_hash == row.grant_hash))
    if request is None:
        # A grant from before there were requests: its parties never saw the tiers of its assets.
        raise DoudiError(
            "grant.signature_missing", "the grant comes from no request", "Have the lead ask for a new one."
        )
    # Housekeeping may be seconds behind the clock.
    advance(session, request)
    return RequestState(request.state)
