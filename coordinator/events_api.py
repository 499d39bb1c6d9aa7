"""GET /v1/events: what was done, for the centre."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from coordinator import events
from coordinator.context import Context
from coordinator.parties.authentication import Authenticated, require_party
from coordinator.parties.services import CENTRE

router = APIRouter(prefix="/v1/events", tags=["events"])


class EventView(BaseModel):
    """One recorded event: names, codes and integers only."""

    model_config = ConfigDict(from_attributes=True)

    sequence: int
    at: int
    type: str
    actor: str
    project_id: str | None
    run_id: str | None
    grant_hash: str | None
    subject: str | None
    code: str
    counts: dict[str, int]


@router.get("", summary="Read the record of events")
def list_events(
    caller: Authenticated,
    context: Context,
    after: Annotated[int, Query(ge=0, le=2**53, description="only events with a higher sequence")] = 0,
    run_id: Annotated[str | None, Query(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="only one run's")] = None,
) -> list[EventView]:
    """Return events in the order of recording, at most the configured number; ask again after the last sequence."""
    require_party(caller, CENTRE)
    with context.read() as session:
        rows = events.list_events(session, after, context.config.limits.max_listed_rows, run_id)
        return [EventView.model_validate(row) for row in rows]
