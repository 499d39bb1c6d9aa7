"""Creating projects and deciding who may see one."""

from sqlalchemy import ColumnElement, or_, select, true
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.db.session import now_s
from coordinator.events import Event, EventType, record
from coordinator.grants.models import GrantPartyRow, GrantRow
from coordinator.paging import Order, PageRequest, Slice, page_of
from coordinator.parties.models import PartyRow
from coordinator.parties.services import CENTRE
from coordinator.projects.models import ProjectRow
from crypto.errors import DoudiError

BY_NAME = Order("projects", (ProjectRow.project_id,))


def create_project(
    session: Session, principal: Principal, project_id: str, title: str, purpose: str, region: str, lead: str
) -> tuple[ProjectRow, bool]:
    """Return the project and whether it is new; the same request again finds it.

    Raises `authorization.denied` (only the centre or the lead), `party.unknown`, `project.already_exists`.
    """
    if principal.party not in (CENTRE, lead):
        raise DoudiError("authorization.denied", "only the centre or the lead opens a project")
    party = session.get(PartyRow, lead)
    if party is None or party.role != "department":
        raise DoudiError("party.unknown", "the lead is not registered")
    row = session.get(ProjectRow, project_id)
    if row is not None:
        if (row.title, row.purpose, row.region, row.lead) != (title, purpose, region, lead):
            raise DoudiError("project.already_exists", "another project has this name")
        return row, False
    row = ProjectRow(
        project_id=project_id,
        title=title,
        purpose=purpose,
        region=region,
        lead=lead,
        created_at=now_s(session),
        state="open",
    )
    session.add(row)
    event = Event(
        EventType.PROJECT_CREATED,
        principal.party,
        project_id=project_id,
        subject=lead,
        purpose=purpose,
        account=principal.number,
    )
    record(session, event)
    return row, True


def list_projects(session: Session, principal: Principal, wanted: PageRequest) -> Slice[ProjectRow]:
    """Return a page of the projects that the party leads or that a grant names it in; centre and auditors see all."""
    return page_of(session, select(ProjectRow).where(_visible_to(principal)), BY_NAME, wanted)


def get_project(session: Session, project_id: str) -> ProjectRow:
    """Return a project. Raises `project.unknown`."""
    row = session.get(ProjectRow, project_id)
    if row is None:
        raise DoudiError("project.unknown", "there is no such project")
    return row


def get_visible_project(session: Session, principal: Principal, project_id: str) -> ProjectRow:
    """Return a project that the principal may see.

    Raises `project.unknown` also for one that it may not see, so that names of projects cannot be tried out.
    """
    row = session.scalar(select(ProjectRow).where(ProjectRow.project_id == project_id, _visible_to(principal)))
    if row is None:
        raise DoudiError("project.unknown", "there is no such project for this party")
    return row


def named_departments(session: Session, project_id: str) -> set[str]:
    """Return the departments that the project's grants name, drafts included."""
    query = (
        select(GrantPartyRow.department)
        .join(GrantRow, GrantPartyRow.grant_hash == GrantRow.grant_hash)
        .where(GrantRow.project_id == project_id)
    )
    return set(session.scalars(query))


def _visible_to(principal: Principal) -> ColumnElement[bool]:
    if principal.reads_all:
        return true()
    named = (
        select(GrantRow.project_id)
        .join(GrantPartyRow, GrantPartyRow.grant_hash == GrantRow.grant_hash)
        .where(GrantPartyRow.department == principal.party)
    )
    return or_(ProjectRow.lead == principal.party, ProjectRow.project_id.in_(named))
