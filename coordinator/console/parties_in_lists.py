"""The departments' names for the choices of forms and filters. Reads only."""

from sqlalchemy.orm import Session

from coordinator.paging import HIGHEST_LIMIT, PageRequest
from coordinator.parties.services import CENTRE, list_parties


def department_names(session: Session) -> list[str]:
    """Return the names of the registered departments, sorted."""
    rows = list_parties(session, PageRequest(limit=HIGHEST_LIMIT)).rows
    return [row.name for row in rows if row.name != CENTRE]
