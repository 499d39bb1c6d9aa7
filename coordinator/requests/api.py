"""The endpoints of requests for access: /v1/requests."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise
from coordinator.context import Context
from coordinator.idempotency import OnlyOnce
from coordinator.openapi import operation
from coordinator.paging import Page, PageQuery
from coordinator.parties.authentication import Authenticated, parsed
from coordinator.requests import reading, services
from coordinator.requests.answers import (
    DecisionRequest,
    RequestDraft,
    RequestSummary,
    RequestView,
    Withdrawal,
    request_view,
    summaries,
)
from coordinator.requests.states import RequestState
from policies.contracts.grant import SignedGrant

router = APIRouter(prefix="/v1/requests", tags=["requests"])

NumberPath = Annotated[int, Path(ge=1, le=2**53, description="the request's number")]
_SLUG = r"^[a-z][a-z0-9_-]{0,62}$"
# What a draft can be refused for, when it is stored and again when it is submitted.
_OF_DRAFTS = (
    "project.unknown",
    "project.closed",
    "grant.other_project",
    "party.unknown",
    "grant.key_mismatch",
    "grant.unknown_purpose",
    "grant.wrong_tier",
    "grant.expired",
    "grant.revoked",
    "tier.never_federates",
    "tier.operation",
    "tier.parties",
    "tier.runs",
    "tier.duration",
    "tier.epsilon",
    "tier.evidence_bits",
    "request.asset_not_registered",
    "request.asset_withdrawn",
    "request.purpose_not_allowed",
    "request.wrong_tier",
    "request.wrong_standard",
    "request.wrong_region",
    "request.column_not_registered",
)
_CREATED: dict[int | str, dict[str, Any]] = {201: {"model": RequestView, "description": "The request is new"}}
_SIGNED: dict[int | str, dict[str, Any]] = {201: {"model": RequestView, "description": "A signature was new"}}


@router.post(
    "",
    summary="Draft a request",
    openapi_extra=operation("request.too_many_open", *_OF_DRAFTS),
    response_model=RequestView,
    responses=_CREATED,
)
def draft_request(
    principal: Authenticated,
    once: OnlyOnce,
    draft: Annotated[RequestDraft, Depends(parsed(RequestDraft))],
    context: Context,
) -> Response:
    """Store a draft: the lead's node, or an operator of the lead. The same draft again finds the request."""
    with context.begin() as session:
        row, is_new = services.draft_request(session, context, principal, draft.grant)
        return once.answer(session, request_view(session, row), 201 if is_new else 200)


@router.get("", summary="List the requests")
def list_requests(
    principal: Authenticated,
    context: Context,
    wanted: PageQuery,
    state: Annotated[RequestState | None, Query(description="only requests in this state")] = None,
    grant_hash: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$", description="the request of this grant")] = None,
    project_id: Annotated[str | None, Query(pattern=_SLUG, description="only requests of this project")] = None,
    waits_for: Annotated[
        str | None, Query(pattern=_SLUG, description="only those where people of this party have still to sign")
    ] = None,
) -> Page[RequestSummary]:
    """Return the requests that name the own party, newest first; the centre and auditors see all."""
    with context.read() as session:
        authorise(session, context, principal, "request.read", system_resource())
        found = reading.list_requests(
            session,
            principal,
            wanted,
            state=state,
            grant_hash=grant_hash,
            project_id=project_id,
            waits_for=waits_for,
        )
        return Page(items=summaries(session, found.rows), next_cursor=found.next_cursor)


@router.get("/{number}", summary="Show a request", openapi_extra=operation("request.unknown"))
def get_request(principal: Authenticated, number: NumberPath, context: Context) -> RequestView:
    """Return what is asked against the rules, who must sign, and what was decided. Somebody else's is unknown."""
    with context.read() as session:
        return request_view(session, services.read_request(session, context, principal, number))


@router.get(
    "/{number}/grant",
    summary="Fetch a request's grant",
    openapi_extra=operation("request.unknown"),
    response_model=None,
    responses={200: {"model": SignedGrant, "description": "The grant with the signatures so far, as it is signed"}},
)
def get_request_grant(principal: Authenticated, number: NumberPath, context: Context) -> Response:
    """Return the document that approvers sign. Verify it, and decide from it alone."""
    with context.read() as session:
        row = services.read_request(session, context, principal, number)
        return Response(reading.signed_grant_of(session, row).to_bytes(), 200, media_type="application/json")


@router.post(
    "/{number}/submit",
    summary="Submit a request",
    openapi_extra=operation("request.unknown", "request.illegal_transition", *_OF_DRAFTS),
    response_model=RequestView,
)
def submit_request(principal: Authenticated, once: OnlyOnce, number: NumberPath, context: Context) -> Response:
    """Put a draft before its approvers: the lead's node, or an operator of the lead."""
    with context.begin() as session:
        row = services.submit_request(session, context, principal, number)
        return once.answer(session, request_view(session, row))


@router.post(
    "/{number}/withdraw",
    summary="Withdraw a request",
    openapi_extra=operation("request.unknown", "request.illegal_transition"),
    response_model=RequestView,
)
def withdraw_request(
    principal: Authenticated,
    once: OnlyOnce,
    number: NumberPath,
    wanted: Annotated[Withdrawal, Depends(parsed(Withdrawal))],
    context: Context,
) -> Response:
    """Take a request back before its grant is in force; after that, a party revokes it."""
    with context.begin() as session:
        row = services.withdraw_request(session, context, principal, number, wanted.reason)
        return once.answer(session, request_view(session, row))


@router.post(
    "/{number}/decisions",
    summary="Decide on a request",
    openapi_extra=operation(
        "request.unknown",
        "request.illegal_transition",
        "request.sign_instead",
        "request.reason_missing",
        "request.already_decided",
    ),
    response_model=RequestView,
)
def decide(
    principal: Authenticated,
    once: OnlyOnce,
    number: NumberPath,
    wanted: Annotated[DecisionRequest, Depends(parsed(DecisionRequest))],
    context: Context,
) -> Response:
    """Record a person's decision. A refusal ends the request; an approval replaces no signature."""
    with context.begin() as session:
        row = services.decide(session, context, principal, number, wanted.decision, wanted.reason)
        return once.answer(session, request_view(session, row))


@router.put(
    "/{number}/signatures",
    summary="Sign a request's grant",
    openapi_extra=operation(
        "request.unknown",
        "request.illegal_transition",
        "request.other_grant",
        "party.unknown",
        "grant.key_mismatch",
        "grant.unsigned",
        "grant.bad_signature",
    ),
    response_model=RequestView,
    responses=_SIGNED,
)
def put_signatures(
    principal: Authenticated,
    once: OnlyOnce,
    number: NumberPath,
    signed: Annotated[SignedGrant, Depends(parsed(SignedGrant))],
    context: Context,
) -> Response:
    """Add the own party's signatures: its node, or the centre's device. Each is its person's approval."""
    with context.begin() as session:
        row, is_new = services.add_signatures(session, context, principal, number, signed)
        return once.answer(session, request_view(session, row), 201 if is_new else 200)
