"""GET /v1/decisions and /v1/policy, and the endpoints that change the rules."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy.orm import Session

from coordinator.authorization import changes, services
from coordinator.authorization.differences import Hunk
from coordinator.authorization.models import PolicyVersionRow
from coordinator.authorization.resources import policy_change_resource, system_resource
from coordinator.authorization.services import authorise
from coordinator.context import AppContext, Context
from coordinator.idempotency import OnlyOnce
from coordinator.openapi import operation
from coordinator.paging import Page, PageQuery
from coordinator.parties.authentication import Authenticated, parsed
from policies.authorization.engine import MAXIMUM_CHARACTERS
from policies.contracts.base import Document

router = APIRouter(prefix="/v1", tags=["authorization"])

HashPath = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="the change's policy hash")]
ActionQuery = Query(pattern=r"^[a-z]+\.[a-z_]+$", max_length=40, description="only this action")


class RulesProposal(Document):
    """A whole text of rules in Cedar, in the place of those in force."""

    rules: Annotated[str, StringConstraints(min_length=1, max_length=MAXIMUM_CHARACTERS)]


class DecisionView(BaseModel):
    """One decision of the rules. People are known by the number of their account only."""

    model_config = ConfigDict(from_attributes=True)

    sequence: int
    at: int
    principal_kind: str
    party: str
    account: int | None
    action: str
    resource_type: str
    resource_id: str
    allowed: bool
    rules: list[str]
    errors: int
    policy_hash: str


class PolicyView(BaseModel):
    """The rules that decide now. `version` 0: those that came with the program, which has no `activated_at`."""

    policy_hash: str
    version: int
    activated_at: int | None
    rules: str
    policy_schema: str


class ChangeSummary(BaseModel):
    """A version of the rules that somebody proposed. `proposer` and `approvers` are numbers of accounts."""

    number: int
    policy_hash: str
    base_hash: str
    state: str
    proposer: int
    approvers: list[int]
    approvals_needed: int
    proposed_at: int
    activated_at: int | None
    ended_at: int | None


class ChangeView(ChangeSummary):
    """A change with its whole text, and how it differs from the rules in force now."""

    rules: str
    difference: list[Hunk]


@router.get("/decisions", summary="Read the record of decisions")
def list_decisions(
    principal: Authenticated,
    context: Context,
    wanted: PageQuery,
    allowed: Annotated[bool | None, Query(description="only what was allowed, or only what was denied")] = None,
    action: Annotated[str | None, ActionQuery] = None,
) -> Page[DecisionView]:
    """Return what the rules decided, newest first: denials, and what was allowed except reading and nodes' part in the ledger."""
    with context.read() as session:
        authorise(session, context, principal, "decision.read", system_resource())
        found = services.list_decisions(session, wanted, allowed=allowed, action=action)
        return Page(items=[DecisionView.model_validate(row) for row in found.rows], next_cursor=found.next_cursor)


@router.get("/policy", summary="Read the rules in force")
def get_policy(principal: Authenticated, context: Context) -> PolicyView:
    """Return rules and schema, and the hash that stands in each decision; any party."""
    with context.read() as session:
        authorise(session, context, principal, "policy.read", system_resource())
        engine, row = context.rules.engine(session), changes.active_version(session)
        return PolicyView(
            policy_hash=engine.policy_hash,
            version=row.number if row else 0,
            activated_at=row.activated_at if row else None,
            rules=engine.text,
            policy_schema=engine.schema_text,
        )


@router.get("/policy/changes", summary="List changes of the rules")
def list_changes(principal: Authenticated, context: Context, wanted: PageQuery) -> Page[ChangeSummary]:
    """Return every version that was ever proposed, newest first; any party."""
    with context.read() as session:
        authorise(session, context, principal, "policy.read", system_resource())
        found = changes.list_changes(session, wanted)
        items = [_summary(session, row) for row in found.rows]
        return Page(items=items, next_cursor=found.next_cursor)


@router.post(
    "/policy/changes",
    status_code=201,
    summary="Propose other rules",
    openapi_extra=operation(
        "policy.invalid",
        "policy.breaks_invariant",
        "policy.unchanged",
        "policy.already_proposed",
        "policy.too_many_changes",
    ),
    response_model=ChangeView,
    responses={200: {"model": ChangeView, "description": "The same person proposed the same rules already"}},
)
def propose_change(
    principal: Authenticated,
    once: OnlyOnce,
    proposal: Annotated[RulesProposal, Depends(parsed(RulesProposal))],
    context: Context,
) -> Response:
    """Propose a whole text of rules. It is checked against schema and invariants, and changes nothing until two approved it."""
    with context.begin() as session:
        row, new = changes.propose(session, context, principal, proposal.rules)
        return once.answer(session, _view(session, context, row), 201 if new else 200)


@router.get(
    "/policy/changes/{policy_hash}",
    summary="Show a change of the rules",
    openapi_extra=operation("policy.unknown_change"),
)
def get_change(principal: Authenticated, policy_hash: HashPath, context: Context) -> ChangeView:
    """Return a change with its difference from the rules in force; any party."""
    with context.read() as session:
        row = changes.get_change(session, policy_hash)
        resource = policy_change_resource(policy_hash, proposer=row.proposer, approvers=changes.approvers(session, row))
        authorise(session, context, principal, "policy.read", resource)
        return _view(session, context, row)


@router.post(
    "/policy/changes/{policy_hash}/approve",
    summary="Approve a change of the rules",
    openapi_extra=operation(
        "policy.unknown_change", "policy.not_proposed", "policy.invalid", "policy.breaks_invariant"
    ),
    response_model=ChangeSummary,
)
def approve_change(principal: Authenticated, once: OnlyOnce, policy_hash: HashPath, context: Context) -> Response:
    """Add one's approval; the second one puts the rules in force. Only an approver of the centre, never the proposer."""
    with context.begin() as session:
        row = changes.approve(session, context, principal, policy_hash)
        return once.answer(session, _summary(session, row))


@router.post(
    "/policy/changes/{policy_hash}/withdraw",
    summary="Withdraw a change of the rules",
    openapi_extra=operation("policy.unknown_change", "policy.not_proposed"),
    response_model=ChangeSummary,
)
def withdraw_change(principal: Authenticated, once: OnlyOnce, policy_hash: HashPath, context: Context) -> Response:
    """Take one's own proposal back."""
    with context.begin() as session:
        row = changes.withdraw(session, context, principal, policy_hash)
        return once.answer(session, _summary(session, row))


def _summary(session: Session, row: PolicyVersionRow) -> ChangeSummary:
    return ChangeSummary(
        number=row.number,
        policy_hash=row.policy_hash,
        base_hash=row.base_hash,
        state=row.state,
        proposer=row.proposer,
        approvers=list(changes.approvers(session, row)),
        approvals_needed=changes.APPROVALS_NEEDED,
        proposed_at=row.proposed_at,
        activated_at=row.activated_at,
        ended_at=row.ended_at,
    )


def _view(session: Session, context: AppContext, row: PolicyVersionRow) -> ChangeView:
    hunks = list(changes.change_difference(session, context, row))
    return ChangeView(**_summary(session, row).model_dump(), rules=row.rules, difference=hunks)
