"""/console/requests…: the inbox, a request with everything that was decided about it, and the decisions of people.

A decision here is a record and an order to act. What makes a grant active are signatures, which no page can give: the page of a
request says so, and shows the commands that sign.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from coordinator.accounts.sessions import SignedIn
from coordinator.authorization.principals import CENTRE
from coordinator.authorization.resources import request_resource, system_resource
from coordinator.authorization.services import authorise, may
from coordinator.console.addresses import CONSOLE, with_query
from coordinator.console.errors import RefusedForm, refused_form
from coordinator.console.filters import wanted_choice
from coordinator.console.grants_in_words import purpose_title
from coordinator.console.languages import N_, choose_language
from coordinator.console.rendering import page
from coordinator.console.request_values import request_values
from coordinator.console.security import CheckedForm, ConsoleUser
from coordinator.context import AppContext, Context
from coordinator.paging import PageQuery, Slice
from coordinator.requests import services
from coordinator.requests.models import AccessRequestRow
from coordinator.requests.reading import decided_by, list_requests, parties_of
from coordinator.requests.services import MAXIMUM_REASON_CHARACTERS
from coordinator.requests.states import OPEN, RequestState
from crypto.errors import DoudiError

REQUESTS = f"{CONSOLE}/requests"
# What the address may say was done; anything else in its place says nothing.
DONE: Mapping[str, str] = {
    "drafted": N_("The draft is stored. Nobody has been asked yet: check it, then submit it."),
    "submitted": N_("The request is submitted. Owners and centre decide now."),
    "withdrawn": N_("The request is withdrawn."),
    "approved": N_("Your approval is recorded. What is still to be signed stands below."),
    "refused": N_("Your refusal is recorded; the request has ended."),
}
# Refusals that are about the person or the address and not about the form.
_NOT_THE_FORM = frozenset({"authorization.denied", "request.unknown"})
_DECIDING_ROLES = frozenset({"centre_approver", "centre_officer", "department_approver"})

router = APIRouter(prefix=REQUESTS, include_in_schema=False)
NumberPath = Annotated[int, Path(ge=1, le=2**53)]


@dataclass(frozen=True)
class _View:
    """One of the inbox's lists."""

    name: str
    label: str


_WAITING = _View("waiting", N_("To decide or sign"))
_OWN = _View("own", N_("Own requests"))
_ALL_CONCERNED = _View("all", N_("All that concern us"))
_ALL = _View("all", N_("All"))


@router.get("")
def inbox(request: Request, user: ConsoleUser, context: Context, wanted: PageQuery) -> HTMLResponse:
    """List requests: those that wait for the own party, the own ones, or all."""
    views = _views_for(user)
    chosen = wanted_choice(request, "view", [view.name for view in views]) or _first_view(user).name
    state = wanted_choice(request, "state", [one.value for one in RequestState])
    with context.read() as session:
        authorise(session, context, user.principal, "request.read", system_resource())
        found = list_requests(
            session,
            user.principal,
            wanted,
            state=RequestState(state) if state and chosen != _WAITING.name else None,
            waits_for=user.principal.party if chosen == _WAITING.name else None,
            lead=user.principal.party if chosen == _OWN.name else None,
        )
        return page(
            request,
            "requests.html.j2",
            user,
            views=views,
            chosen=chosen,
            found=found,
            cursor=wanted.cursor,
            parties=parties_of(session, found.rows),
            still_to_decide=_still_to_decide(session, user, found),
            states=[one.value for one in RequestState],
            given={"state": state},
            purpose_title=partial(purpose_title, choose_language(request)),
            may_draft=may_draft(context, user),
        )


@router.get("/{number}")
def request_page(
    request: Request, user: ConsoleUser, context: Context, number: NumberPath, done: str = ""
) -> HTMLResponse:
    """Show a request. One that does not concern the own party is unknown."""
    return _request_page(request, user, context, number, done=DONE.get(done, ""))


@router.post("/{number}/submit")
def submit(request: Request, user: ConsoleUser, form: CheckedForm, context: Context, number: NumberPath) -> Response:
    """Put a draft before its approvers."""
    try:
        with context.begin() as session:
            services.submit_request(session, context, user.principal, number)
    except DoudiError as error:
        return _refused(request, user, context, number, error)
    return _done(number, "submitted")


@router.post("/{number}/withdraw")
def withdraw(request: Request, user: ConsoleUser, form: CheckedForm, context: Context, number: NumberPath) -> Response:
    """Take a request back before it is in force."""
    reason = form.text("reason", MAXIMUM_REASON_CHARACTERS)
    try:
        if not reason:
            raise DoudiError("request.reason_missing", "a withdrawal at the console needs a reason")
        with context.begin() as session:
            services.withdraw_request(session, context, user.principal, number, reason)
    except DoudiError as error:
        return _refused(request, user, context, number, error, {"confirm": "withdraw", "reason": reason})
    return _done(number, "withdrawn")


@router.post("/{number}/approve")
def approve(request: Request, user: ConsoleUser, form: CheckedForm, context: Context, number: NumberPath) -> Response:
    """Record a person's approval. It replaces no signature."""
    reason = form.text("reason", MAXIMUM_REASON_CHARACTERS)
    try:
        with context.begin() as session:
            services.decide(session, context, user.principal, number, "approve", reason)
    except DoudiError as error:
        return _refused(request, user, context, number, error, {"confirm": "approve", "reason": reason})
    return _done(number, "approved")


@router.post("/{number}/refuse")
def refuse(request: Request, user: ConsoleUser, form: CheckedForm, context: Context, number: NumberPath) -> Response:
    """Record a person's refusal, which ends the request."""
    reason = form.text("reason", MAXIMUM_REASON_CHARACTERS)
    try:
        with context.begin() as session:
            services.decide(session, context, user.principal, number, "refuse", reason)
    except DoudiError as error:
        return _refused(request, user, context, number, error, {"confirm": "refuse", "reason": reason})
    return _done(number, "refused")


def may_draft(context: AppContext, user: SignedIn) -> bool:
    """Return whether a person may draft requests of the own department."""
    party = user.principal.party
    resource = request_resource("new", lead=party, owners=[party], drafter=user.principal.id, state="drafted")
    return party != CENTRE and may(context, user.principal, "request.draft", resource)


def _request_page(
    request: Request,
    user: SignedIn,
    context: AppContext,
    number: int,
    *,
    refused: RefusedForm | None = None,
    given: Mapping[str, Any] | None = None,
    done: str = "",
) -> HTMLResponse:
    with context.read() as session:
        row = services.read_request(session, context, user.principal, number)
        return page(
            request,
            "request.html.j2",
            user,
            refused.status if refused else 200,
            **request_values(session, context, user, choose_language(request), row),
            errors=refused.errors if refused else {},
            given=given or {},
            done=done,
            here=_address(number),
        )


def _refused(
    request: Request,
    user: SignedIn,
    context: AppContext,
    number: int,
    error: DoudiError,
    given: Mapping[str, Any] | None = None,
) -> Response:
    """Return the request as it stands now, with why the act was refused and what was typed."""
    if error.code in _NOT_THE_FORM:
        raise error
    refused = refused_form(choose_language(request), error, {"request.reason_missing": "reason"})
    return refused.on(_request_page(request, user, context, number, refused=refused, given=given))


def _views_for(user: SignedIn) -> list[_View]:
    principal = user.principal
    if principal.is_centre or principal.reads_all:
        return [_ALL] if "auditor" in principal.roles else [_WAITING, _ALL]
    return [_WAITING, _OWN, _ALL_CONCERNED]


def _first_view(user: SignedIn) -> _View:
    views = _views_for(user)
    if user.principal.roles & _DECIDING_ROLES:
        return views[0]
    return _OWN if _OWN in views and "department_it" in user.principal.roles else views[-1]


def _still_to_decide(session: Session, user: SignedIn, found: Slice[AccessRequestRow]) -> frozenset[int]:
    """Return the numbers of those that this person could still decide on."""
    if not user.principal.roles & {"centre_approver", "department_approver"}:
        return frozenset()
    done = decided_by(session, user.principal.id, found.rows)
    open_states = {state.value for state in OPEN}
    own = {user.principal.id}
    return frozenset(
        row.number
        for row in found.rows
        if row.state in open_states and row.number not in done and not own & {row.drafter, row.submitter}
    )


def _done(number: int, what: str) -> RedirectResponse:
    return RedirectResponse(with_query(_address(number), done=what), 303)


def _address(number: int) -> str:
    return f"{REQUESTS}/{number}"
