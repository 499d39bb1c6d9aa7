"""GET /v1/queue: which runs wait and why, which are under way, and how busy each node is."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise
from coordinator.context import Context
from coordinator.grants.models import GrantPartyRow
from coordinator.parties.authentication import Authenticated
from coordinator.runs.queueing import ActiveRun, Queue, load_queue

router = APIRouter(prefix="/v1", tags=["runs"])


class WaitingView(BaseModel):
    """A scheduled run that has not begun. `position`: in the whole queue, from 1. Times are seconds since 1970 UTC.

    `code`: why it waits: `queue.window` (`opens_at` says until when), `queue.order` (a run of its grant with a lower number
    has not ended), `queue.node_busy`; empty when it is about to start.
    """

    run_id: str
    project_id: str
    run_number: int
    attempt: int
    mode: str
    departments: list[str]
    scheduled_at: int | None
    position: int
    code: str
    opens_at: int | None


class RunningView(BaseModel):
    """A run that is under way."""

    run_id: str
    project_id: str
    run_number: int
    attempt: int
    mode: str
    departments: list[str]
    started_at: int | None


class OccupancyView(BaseModel):
    """How busy a node is: runs under way, runs that wait for it, and how many it takes at once."""

    model_config = ConfigDict(from_attributes=True)

    department: str
    running: int
    waiting: int
    max_concurrent_runs: int


class QueueView(BaseModel):
    """The queue, in its order. A department sees its own runs, and the nodes that these need."""

    waiting: list[WaitingView]
    running: list[RunningView]
    departments: list[OccupancyView]


@router.get("/queue", summary="Show the queue")
def get_queue(principal: Authenticated, context: Context) -> QueueView:
    """Return what waits, in the order in which runs were scheduled, and what is under way; centre and auditors see all."""
    with context.read() as session:
        authorise(session, context, principal, "run.read", system_resource())
        queue = load_queue(session)
        return queue_view(queue, visible_runs(session, principal, queue), principal)


def visible_runs(session: Session, principal: Principal, queue: Queue) -> frozenset[str]:
    """Return the runs of the queue that a principal may see."""
    runs = {**queue.waiting, **queue.running}
    if principal.reads_all:
        return frozenset(runs)
    own = frozenset(
        session.scalars(select(GrantPartyRow.grant_hash).where(GrantPartyRow.department == principal.party))
    )
    return frozenset(run_id for run_id, run in runs.items() if run.row.grant_hash in own)


def queue_view(queue: Queue, visible: frozenset[str], principal: Principal) -> QueueView:
    """Return the part of the queue that concerns a principal."""
    waiting = [
        WaitingView(
            **_facts(queue.waiting[place.run_id]),
            scheduled_at=queue.waiting[place.run_id].row.scheduled_at,
            position=place.position,
            code=place.code,
            opens_at=queue.opens_at(place.run_id),
        )
        for place in queue.places
        if place.run_id in visible
    ]
    running = [
        RunningView(**_facts(run), started_at=run.row.started_at)
        for run_id, run in queue.running.items()
        if run_id in visible
    ]
    shown = [*(queue.waiting[one.run_id] for one in waiting), *(queue.running[one.run_id] for one in running)]
    named = {name for run in shown for name in run.departments} | {principal.party}
    occupancy = [one for one in queue.occupancy if principal.reads_all or one.department in named]
    return QueueView(
        waiting=waiting,
        running=running,
        departments=[OccupancyView.model_validate(one) for one in occupancy],
    )


def _facts(run: ActiveRun) -> dict[str, object]:
    row = run.row
    return {
        "run_id": row.run_id,
        "project_id": row.project_id,
        "run_number": row.run_number,
        "attempt": row.attempt,
        "mode": row.mode,
        "departments": list(run.departments),
    }
