"""GET /console/ledger: the headers of the audit ledger's entries. What an entry says is sealed to the auditors."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise
from coordinator.console.addresses import CONSOLE
from coordinator.console.rendering import page
from coordinator.console.security import ConsoleUser
from coordinator.context import Context
from coordinator.ledger.log_reader import headers
from coordinator.paging import PageQuery

router = APIRouter(include_in_schema=False)


@router.get(f"{CONSOLE}/ledger")
def ledger_page(request: Request, user: ConsoleUser, context: Context, wanted: PageQuery) -> HTMLResponse:
    """List the published entries, newest first."""
    with context.read() as session:
        authorise(session, context, user.principal, "ledger.read_headers", system_resource())
        found = headers(session, 0, wanted, newest_first=True)
        return page(request, "ledger.html.j2", user, entries=found, cursor=wanted.cursor)
