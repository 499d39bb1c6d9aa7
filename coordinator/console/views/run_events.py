"""GET /console/runs/{id}/events: what changes on a run's page, as server-sent events."""

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from coordinator.console.filters import NameInPath
from coordinator.console.languages import choose_language
from coordinator.console.live_streams import Look, changes_of
from coordinator.console.parts import Parts
from coordinator.console.run_progress import RunNow, frame_of, live_values, look_at
from coordinator.console.security import Watcher
from coordinator.console.views.runs import RUNS, visible_run
from coordinator.context import Context
from coordinator.runs.services import get_run

router = APIRouter(prefix=RUNS, include_in_schema=False)


@router.get("/{run_id}/events")
def follow_run(
    request: Request, user: Watcher, context: Context, parts: Parts, run_id: NameInPath
) -> StreamingResponse:
    """Stream where the run stands, until it ends or two minutes are over."""
    language = choose_language(request)
    with context.read() as session:
        row, _resource = visible_run(session, context, user, run_id)
        frame = frame_of(session, row)

    def load() -> RunNow:
        with context.read() as session:
            return look_at(session, get_run(session, run_id))

    def seen() -> Look:
        now = parts.run_looks.get(run_id, load)
        return Look(live_values(language, frame, now), now.ended)

    async def look() -> Look:
        return await run_in_threadpool(seen)

    return parts.live_streams.response(user.account_number, changes_of(look))
