"""Whom a stored grant and its runs concern, as the rules see it. Read from the table of parties, so no document is parsed."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.authorization.resources import grant_resource, run_resource
from coordinator.grants.models import GrantPartyRow, GrantRow
from policies.authorization.engine import Entity

_NOBODY = ""


def stored_grant_resource(session: Session, row: GrantRow) -> Entity:
    """Return a stored grant as a resource of the rules."""
    parties, lead, scheduler = _roles(session, row.grant_hash)
    state = "signed" if row.fully_signed else "draft"
    return grant_resource(row.grant_hash, parties=parties, lead=lead, scheduler=scheduler, state=state)


def run_of_grant(session: Session, run_id: str, grant_hash: str) -> Entity:
    """Return a run as a resource of the rules: it concerns whom its grant concerns."""
    parties, lead, scheduler = _roles(session, grant_hash)
    return run_resource(run_id, parties=parties, lead=lead, scheduler=scheduler)


def _roles(session: Session, grant_hash: str) -> tuple[list[str], str, str]:
    rows = session.scalars(select(GrantPartyRow).where(GrantPartyRow.grant_hash == grant_hash)).all()
    lead = next((row.department for row in rows if row.role == "lead"), _NOBODY)
    scheduler = next((row.department for row in rows if row.scheduler), _NOBODY)
    return [row.department for row in rows], lead, scheduler
