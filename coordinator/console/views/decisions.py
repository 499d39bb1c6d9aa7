"""GET /console/decisions: what the rules decided, and which did: every denial, and what was allowed except for routine."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise, list_decisions
from coordinator.console.act_titles import ACT_TITLES
from coordinator.console.addresses import CONSOLE
from coordinator.console.filters import wanted_choice, wanted_number
from coordinator.console.languages import choose_language
from coordinator.console.rendering import page
from coordinator.console.security import ConsoleUser
from coordinator.console.titles import title_of
from coordinator.context import Context
from coordinator.paging import PageQuery

OUTCOMES = {"allowed": True, "denied": False}

router = APIRouter(include_in_schema=False)


@router.get(f"{CONSOLE}/decisions")
def decisions_page(request: Request, user: ConsoleUser, context: Context, wanted: PageQuery) -> HTMLResponse:
    """List the decisions, newest first."""
    outcome = wanted_choice(request, "outcome", OUTCOMES)
    action = wanted_choice(request, "action", ACT_TITLES["action"])
    account = wanted_number(request, "account")
    language = choose_language(request)
    with context.read() as session:
        authorise(session, context, user.principal, "decision.read", system_resource())
        found = list_decisions(
            session, wanted, allowed=None if outcome is None else OUTCOMES[outcome], action=action, account=account
        )
        in_force = {rule.id for rule in context.rules.engine(session).rules}
        return page(
            request,
            "decisions.html.j2",
            user,
            decisions=found,
            cursor=wanted.cursor,
            rules_in_force=in_force,
            actions=[(name, title_of(language, "action", name)) for name in ACT_TITLES["action"]],
            given={"outcome": outcome, "action": action, "account": account},
            narrowed=any(value is not None for value in (outcome, action, account)),
        )
