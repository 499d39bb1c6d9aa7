"""GET /console/ledger: the coordinator's own record of what was done. It says of itself that it is not provable yet."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise
from coordinator.console.act_titles import ACT_TITLES
from coordinator.console.addresses import CONSOLE
from coordinator.console.filters import wanted_choice, wanted_name, wanted_number
from coordinator.console.languages import choose_language
from coordinator.console.parties_in_lists import department_names
from coordinator.console.rendering import page
from coordinator.console.security import ConsoleUser
from coordinator.console.titles import title_of
from coordinator.context import Context
from coordinator.events import COORDINATOR, search_events
from coordinator.paging import PageQuery
from coordinator.parties.services import CENTRE

router = APIRouter(include_in_schema=False)


@router.get(f"{CONSOLE}/ledger")
def ledger_page(request: Request, user: ConsoleUser, context: Context, wanted: PageQuery) -> HTMLResponse:
    """List the recorded events, newest first."""
    kind = wanted_choice(request, "type", ACT_TITLES["event"])
    actor, run_id = wanted_name(request, "actor"), wanted_name(request, "run")
    account = wanted_number(request, "account")
    language = choose_language(request)
    with context.read() as session:
        authorise(session, context, user.principal, "ledger.read_headers", system_resource())
        found = search_events(session, wanted, kind=kind, actor=actor, account=account, run_id=run_id)
        actors = [COORDINATOR, CENTRE, *department_names(session)]
        return page(
            request,
            "ledger.html.j2",
            user,
            events=found,
            cursor=wanted.cursor,
            types=[(name, title_of(language, "event", name)) for name in ACT_TITLES["event"]],
            actors=[(name, title_of(language, "party", name)) for name in actors],
            given={"type": kind, "actor": actor, "account": account, "run": run_id},
            narrowed=any(value is not None for value in (kind, actor, account, run_id)),
        )
