"""GET /console/queue: which runs wait and why, which are under way, and how busy each node is."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise
from coordinator.console.addresses import CONSOLE
from coordinator.console.rendering import page
from coordinator.console.security import ConsoleUser
from coordinator.context import Context
from coordinator.runs.queue_api import queue_view, visible_runs
from coordinator.runs.queueing import load_queue

router = APIRouter(include_in_schema=False)


@router.get(f"{CONSOLE}/queue")
def queue_page(request: Request, user: ConsoleUser, context: Context) -> HTMLResponse:
    """Show the queue: a department sees its own runs and the nodes that these need, the centre and auditors all."""
    with context.read() as session:
        authorise(session, context, user.principal, "run.read", system_resource())
        queue = load_queue(session)
        shown = queue_view(queue, visible_runs(session, user.principal, queue), user.principal)
    return page(request, "queue.html.j2", user, queue=shown, now=queue.now)
