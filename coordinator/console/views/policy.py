"""/console/policy…: the rules in force, and changes of them: propose, compare, approve, withdraw.

One person of the centre proposes, two others approve, and the second approval puts the change in force. People stand here by the
numbers of their accounts.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from coordinator.accounts.sessions import SignedIn
from coordinator.authorization import changes
from coordinator.authorization.differences import difference
from coordinator.authorization.resources import policy_change_resource, system_resource
from coordinator.authorization.services import authorise, may
from coordinator.console.addresses import CONSOLE, with_query
from coordinator.console.errors import RefusedForm, refused_form
from coordinator.console.filters import HashInPath
from coordinator.console.languages import N_, choose_language
from coordinator.console.permission import require_offered
from coordinator.console.rendering import page
from coordinator.console.rule_texts import Finding, checked, lines_of, shown_rules
from coordinator.console.security import CheckedForm, ConsoleUser
from coordinator.context import AppContext, Context
from coordinator.paging import PageQuery
from crypto.errors import DoudiError
from policies.authorization.coordinator_rules import shipped_cases
from policies.authorization.engine import MAXIMUM_CHARACTERS, canonical_text

POLICY = f"{CONSOLE}/policy"
DONE: Mapping[str, str] = {
    "proposed": N_("The change is proposed. It changes nothing until two other people approved it."),
    "again": N_("You have proposed these rules already; this is the open change."),
    "approved": N_("Your approval is recorded. One more is needed."),
    "in_force": N_("Your approval was the second one: these rules are in force."),
    "withdrawn": N_("The change is withdrawn."),
}

router = APIRouter(prefix=POLICY, include_in_schema=False)


@router.get("")
def policy_page(request: Request, user: ConsoleUser, context: Context, wanted: PageQuery) -> HTMLResponse:
    """Show which rules decide, and the changes that were ever proposed."""
    with context.read() as session:
        authorise(session, context, user.principal, "policy.read", system_resource())
        engine, row = context.rules.engine(session), changes.active_version(session)
        found = changes.list_changes(session, wanted)
        return page(
            request,
            "policy.html.j2",
            user,
            engine=engine,
            active=row,
            changes=found,
            approvers=changes.approvals_of(session, found.rows),
            approvals_needed=changes.APPROVALS_NEEDED,
            cursor=wanted.cursor,
            may_propose=may(context, user.principal, "policy.propose", system_resource()),
        )


@router.get("/rules")
def rules_page(request: Request, user: ConsoleUser, context: Context) -> HTMLResponse:
    """Show the rules in force, one by one."""
    with context.read() as session:
        authorise(session, context, user.principal, "policy.read", system_resource())
        engine = context.rules.engine(session)
    return page(request, "policy_rules.html.j2", user, engine=engine, rules=shown_rules(engine))


@router.get("/propose")
def propose_page(request: Request, user: ConsoleUser, context: Context) -> HTMLResponse:
    """Show the rules in force as text to be changed."""
    require_offered(context, user, "policy.propose", system_resource())
    with context.read() as session:
        text = context.rules.engine(session).text
    return page(request, "policy_propose.html.j2", user, given={"rules": text}, finding=None, lines=[])


@router.post("/propose")
def propose(request: Request, user: ConsoleUser, form: CheckedForm, context: Context) -> Response:
    """Check the text, and propose it unless only the check was asked for."""
    require_offered(context, user, "policy.propose", system_resource())
    text = canonical_text(form.text("rules", MAXIMUM_CHARACTERS))
    finding = checked(text)
    if form.ticked("check") or finding.code:
        return _proposal(request, user, context, text, finding)
    try:
        with context.begin() as session:
            row, is_new = changes.propose(session, context, user.principal, text)
    except DoudiError as error:
        return _proposal(request, user, context, text, finding, refused_form(choose_language(request), error))
    return RedirectResponse(with_query(_address(row.policy_hash), done="proposed" if is_new else "again"), 303)


@router.get("/changes/{policy_hash}")
def change_page(
    request: Request, user: ConsoleUser, context: Context, policy_hash: HashInPath, done: str = ""
) -> HTMLResponse:
    """Show a change: who proposed and approved it, what it changes, and whether it fits."""
    with context.read() as session:
        row = changes.get_change(session, policy_hash)
        approvers = changes.approvers(session, row)
        resource = policy_change_resource(policy_hash, proposer=row.proposer, approvers=approvers)
        authorise(session, context, user.principal, "policy.read", resource)
        is_open = row.state == "proposed"
        return page(
            request,
            "policy_change.html.j2",
            user,
            change=row,
            approvers=approvers,
            approvals_needed=changes.APPROVALS_NEEDED,
            lines=lines_of(changes.change_difference(session, context, row)),
            finding=checked(row.rules),
            cases=sum(1 for one in shipped_cases() if one.case.invariant),
            may_approve=is_open and may(context, user.principal, "policy.approve", resource),
            may_withdraw=is_open and may(context, user.principal, "policy.withdraw", resource),
            done=DONE.get(done, ""),
        )


@router.post("/changes/{policy_hash}/approve")
def approve(user: ConsoleUser, form: CheckedForm, context: Context, policy_hash: HashInPath) -> Response:
    """Record the person's approval; the second one puts the change in force."""
    with context.begin() as session:
        row = changes.approve(session, context, user.principal, policy_hash)
        done = "in_force" if row.state == "active" else "approved"
    return RedirectResponse(with_query(_address(policy_hash), done=done), 303)


@router.post("/changes/{policy_hash}/withdraw")
def withdraw(user: ConsoleUser, form: CheckedForm, context: Context, policy_hash: HashInPath) -> Response:
    """Take the person's own proposal back."""
    with context.begin() as session:
        changes.withdraw(session, context, user.principal, policy_hash)
    return RedirectResponse(with_query(_address(policy_hash), done="withdrawn"), 303)


def _proposal(
    request: Request,
    user: SignedIn,
    context: AppContext,
    text: str,
    finding: Finding,
    refused: RefusedForm | None = None,
) -> Response:
    """Return the form again, with what the check found and how the text differs from the rules in force."""
    with context.read() as session:
        lines = lines_of(difference(context.rules.engine(session).text, text))
    status = refused.status if refused else 422 if finding.code else 200
    values: dict[str, Any] = {"errors": refused.errors if refused else {}, "given": {"rules": text}}
    return page(
        request,
        "policy_propose.html.j2",
        user,
        status,
        finding=None if refused else finding,
        lines=lines,
        here=f"{POLICY}/propose",
        **values,
    )


def _address(policy_hash: str) -> str:
    return f"{POLICY}/changes/{policy_hash}"
