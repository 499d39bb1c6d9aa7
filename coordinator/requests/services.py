"""What people and nodes do with requests: draft, submit, withdraw, decide, sign. Each act is authorised, then recorded.

The order in every function: the request is one that the principal may see; its state allows the act, so that who comes too late
learns that and not "not allowed"; the rules allow the act to this principal; it is done; what follows by itself follows.
"""

from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import grant_resource, request_resource
from coordinator.authorization.services import authorise
from coordinator.context import AppContext
from coordinator.db.session import now_s
from coordinator.events import EventType
from coordinator.grants.keys import compare_keys, merge_signatures, verify_each_signature
from coordinator.grants.models import GrantRow
from coordinator.grants.services import store_grant
from coordinator.parties.services import department_cards
from coordinator.requests.drafts import verify_draft
from coordinator.requests.models import AccessRequestRow, RequestDecisionRow, RequestPartyRow
from coordinator.requests.progress import advance, is_fully_signed, move, note_transition, record_request, signed_people
from coordinator.requests.reading import get_visible_request, grant_of, people_who_decided
from coordinator.requests.states import OPEN, RequestState, require_transition
from crypto.errors import DoudiError
from policies.authorization.engine import Entity
from policies.contracts.grant import Grant, GrantSignature, LineGrant, SignedGrant, required_signatures

MAXIMUM_REASON_CHARACTERS = 500
Decision = Literal["approve", "refuse"]
Way = Literal["console", "node", "signature"]


def draft_request(
    session: Session, context: AppContext, principal: Principal, grant: Grant | LineGrant
) -> tuple[AccessRequestRow, bool]:
    """Store a draft of the lead's; return the request and whether it is new. The same draft again finds it.

    Raises `authorization.denied`, `request.too_many_open` and what `verify_draft` raises.
    """
    row = session.scalar(select(AccessRequestRow).where(AccessRequestRow.grant_hash == grant.digest()))
    authorise(session, context, principal, "request.draft", _draft_resource(principal, grant))
    if row is not None:
        return row, False
    verify_draft(session, context.config, grant)
    _require_room(session, context, grant.project_id)
    now = now_s(session)
    row = AccessRequestRow(
        grant_hash=grant.digest(),
        grant_id=grant.grant_id,
        kind=grant.kind,
        project_id=grant.project_id,
        purpose=grant.purpose,
        lead=grant.lead_department,
        state=RequestState.DRAFTED.value,
        drafter=principal.id,
        drafted_at=now,
        changed_at=now,
        not_before=grant.not_before,
        expires_at=grant.expires_at,
        runs_allowed=grant.runs_allowed,
        document=grant.to_bytes(),
    )
    session.add(row)
    session.flush()
    for needed in required_signatures(grant):
        role = {"centre": "centre", "lead": "lead"}.get(needed.role, "supporting")
        session.add(RequestPartyRow(number=row.number, party=needed.party, role=role, needed=needed.count, gathered=0))
    note_transition(session, row, None, RequestState.DRAFTED, principal)
    return row, True


def submit_request(session: Session, context: AppContext, principal: Principal, number: int) -> AccessRequestRow:
    """Put a draft before its approvers. It is checked again: cards, assets and the time may have changed.

    Raises `request.unknown`, `request.illegal_transition`, `authorization.denied` and what `verify_draft` raises.
    """
    row = get_visible_request(session, principal, number)
    require_transition(RequestState(row.state), RequestState.SUBMITTED)
    authorise(session, context, principal, "request.submit", resource_of(session, row))
    grant = grant_of(row)
    verify_draft(session, context.config, grant)
    store_grant(session, principal, grant)
    row.submitter, row.submitted_at = principal.id, now_s(session)
    move(session, row, RequestState.SUBMITTED, principal)
    return row


def withdraw_request(
    session: Session, context: AppContext, principal: Principal, number: int, reason: str
) -> AccessRequestRow:
    """Take a request back before it is in force. Only the lead.

    Raises `request.unknown`, `request.illegal_transition`, `authorization.denied`.
    """
    row = get_visible_request(session, principal, number)
    require_transition(RequestState(row.state), RequestState.WITHDRAWN)
    _require_unfinished(session, row)
    authorise(session, context, principal, "request.withdraw", resource_of(session, row))
    move(session, row, RequestState.WITHDRAWN, principal, reason=reason.strip())
    return row


def decide(
    session: Session, context: AppContext, principal: Principal, number: int, decision: Decision, reason: str
) -> AccessRequestRow:
    """Record what a person decided, for an owner or for the centre. One refusal ends the request.

    An approval is a record; for the centre, enough of them make the request *granted*. What binds nodes are signatures
    alone, so a node or a device approves by `add_signatures`.

    Raises `request.unknown`, `request.illegal_transition`, `request.sign_instead`, `request.reason_missing`,
    `request.already_decided`, `authorization.denied`.
    """
    row = get_visible_request(session, principal, number)
    advance(session, row)
    refusing = decision == "refuse"
    if refusing:
        require_transition(RequestState(row.state), RequestState.REFUSED)
        _require_unfinished(session, row)
    elif row.state != RequestState.SUBMITTED:
        raise DoudiError("request.illegal_transition", f"a request that is {row.state} is not decided on")
    if not refusing and principal.kind != "account":
        raise DoudiError("request.sign_instead", "a node or a device approves with a signature")
    reason = reason.strip()
    if refusing and not reason:
        raise DoudiError("request.reason_missing", "a refusal needs a reason")
    if principal.id in people_who_decided(session, number):
        raise DoudiError("request.already_decided", "this person has decided on the request")
    side = "centre" if principal.is_centre else "owner"
    authorise(session, context, principal, f"request.{side}_{decision}", resource_of(session, row))
    way: Way = "console" if principal.kind == "account" else "node"
    _store_decision(session, row, principal, principal.id, decision, way, reason)
    if refusing:
        move(session, row, RequestState.REFUSED, principal, reason=reason)
    else:
        record_request(session, EventType.REQUEST_APPROVED, principal, row)
        advance(session, row, principal)
    return row


def add_signatures(
    session: Session, context: AppContext, principal: Principal, number: int, signed: SignedGrant
) -> tuple[AccessRequestRow, bool]:
    """Store the principal's party's signatures beside those already there; return whether any was new.

    (1) The document is the request's. (2) Its keys are still those on the registered cards. (3) Each signature of this party is
    one that the grant needs, and verifies; those of other parties are not taken from here. (4) Each new one is that person's
    approval.

    Raises `request.unknown`, `request.other_grant`, `authorization.denied`, `party.unknown`, `grant.key_mismatch`,
    `grant.unsigned`, `grant.bad_signature`, `request.illegal_transition`.
    """
    row = get_visible_request(session, principal, number)
    advance(session, row)
    grant = signed.grant
    # (1)
    if signed.grant_hash != row.grant_hash:
        raise DoudiError("request.other_grant", "the signatures belong to another grant than the request's")
    authorise(session, context, principal, "grant.sign", grant_resource_of(row, grant))
    # (2)
    compare_keys(grant, department_cards(session, grant.departments), context.config.centre_keys)
    # (3)
    own = tuple(signature for signature in signed.signatures if signature.party == principal.party)
    verify_each_signature(SignedGrant(grant=grant, signatures=own))
    grant_row = session.get(GrantRow, row.grant_hash)
    stored = SignedGrant.parse(grant_row.document) if grant_row is not None else SignedGrant(grant=grant)
    merged = merge_signatures(stored, SignedGrant(grant=grant, signatures=own))
    added = [signature for signature in merged.signatures if signature not in stored.signatures]
    if not added:
        return row, False
    if grant_row is None or row.state not in OPEN:
        raise DoudiError("request.illegal_transition", f"a request that is {row.state} takes no signatures")
    grant_row.document = merged.to_bytes()
    # (4)
    _store_approvals(session, row, principal, merged, added)
    record_request(session, EventType.GRANT_SIGNATURES_ADDED, principal, row, counts={"added": len(added)})
    if not grant_row.fully_signed and is_fully_signed(merged):
        grant_row.fully_signed = True
        record_request(session, EventType.GRANT_FULLY_SIGNED, principal, row)
    advance(session, row, principal)
    return row, True


def read_request(session: Session, context: AppContext, principal: Principal, number: int) -> AccessRequestRow:
    """Return a request for reading. Raises `request.unknown` or `authorization.denied`."""
    row = get_visible_request(session, principal, number)
    authorise(session, context, principal, "request.read", resource_of(session, row))
    return row


def resource_of(session: Session, row: AccessRequestRow) -> Entity:
    """Return a request as the rules see it, with who has decided."""
    return request_resource(
        row.number,
        lead=row.lead,
        owners=grant_of(row).departments,
        drafter=row.drafter,
        submitter=row.submitter or "",
        deciders=people_who_decided(session, row.number),
        state=row.state,
    )


def grant_resource_of(row: AccessRequestRow, grant: Grant | LineGrant) -> Entity:
    """Return the grant of a request as the rules see it; its state is the request's."""
    return grant_resource(
        row.grant_hash,
        parties=grant.departments,
        lead=row.lead,
        scheduler=grant.scheduler.department,
        state=row.state,
    )


def _draft_resource(principal: Principal, grant: Grant | LineGrant) -> Entity:
    return request_resource(
        "new",
        lead=grant.lead_department,
        owners=grant.departments,
        drafter=principal.id,
        state=RequestState.DRAFTED.value,
    )


def _require_room(session: Session, context: AppContext, project_id: str) -> None:
    unfinished = [state.value for state in (RequestState.DRAFTED, *OPEN)]
    query = select(func.count()).where(
        AccessRequestRow.project_id == project_id, AccessRequestRow.state.in_(unfinished)
    )
    if (session.scalar(query) or 0) >= context.config.limits.max_draft_grants_per_project:
        raise DoudiError("request.too_many_open", "the project has too many requests that nobody finished")


def _require_unfinished(session: Session, row: AccessRequestRow) -> None:
    """Raise `request.illegal_transition` when every signature is there: nodes would accept the grant on its first day.

    A word in this database ends nothing then. A revocation does.
    """
    stored = session.get(GrantRow, row.grant_hash)
    if stored is not None and stored.fully_signed:
        raise DoudiError("request.illegal_transition", "everybody has signed: what ends the grant is a revocation")


def _store_approvals(
    session: Session, row: AccessRequestRow, principal: Principal, merged: SignedGrant, added: list[GrantSignature]
) -> None:
    for signature in added:
        _store_decision(session, row, principal, f"key:{signature.key}", "approve", "signature", "", signature.key)
    for needed in required_signatures(merged.grant):
        if needed.party == principal.party:
            session.get_one(RequestPartyRow, (row.number, needed.party)).gathered = signed_people(merged, needed)


def _store_decision(
    session: Session,
    row: AccessRequestRow,
    principal: Principal,
    person: str,
    decision: Decision,
    way: Way,
    reason: str,
    signing_key: str | None = None,
) -> None:
    session.add(
        RequestDecisionRow(
            number=row.number,
            person=person,
            party=principal.party,
            decision=decision,
            way=way,
            account=principal.number if way == "console" else None,
            signing_key=signing_key,
            reason=reason,
            at=now_s(session),
        )
    )
    session.flush()
