"""GET /v1/events: what was done, for the centre."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from coordinator import events
from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise
from coordinator.context import Context
from coordinator.paging import Page, PageQuery
from coordinator.parties.authentication import Authenticated

router = APIRouter(prefix="/v1/events", tags=["events"])


class EventView(BaseModel):
    """One recorded event: names, codes and integers only."""

    model_config = ConfigDict(from_attributes=True)

    sequence: int
    at: int
    type: str
    actor: str
    account: int | None
    project_id: str | None
    run_id: str | None
    grant_hash: str | None
    subject: str | None
    code: str
    counts: dict[str, int]


@router.get("", summary="Read the record of events")
def list_events(
    principal: Authenticated,
    context: Context,
    wanted: PageQuery,
    after: Annotated[int, Query(ge=0, le=2**53, description="only events with a higher sequence")] = 0,
    run_id: Annotated[str | None, Query(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="only one run's")] = None,
) -> Page[EventView]:
    """Return events in the order of recording."""
    with context.read() as session:
        authorise(session, context, principal, "ledger.read_headers", system_resource())
        found = events.list_events(session, after, wanted, run_id)
        return Page(items=[EventView.model_validate(row) for row in found.rows], next_cursor=found.next_cursor)
