"""GET and POST /v1/projects."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from coordinator.authorization.resources import project_resource, system_resource
from coordinator.authorization.services import authorise
from coordinator.context import Context
from coordinator.idempotency import OnlyOnce
from coordinator.openapi import operation
from coordinator.paging import Page, PageQuery
from coordinator.parties.authentication import Authenticated, parsed
from coordinator.projects import services
from policies.contracts.base import Document, Slug

router = APIRouter(prefix="/v1/projects", tags=["projects"])

ProjectPath = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="the project's name")]


class ProjectRequest(Document):
    """A new project. `title` is for people and may hold any text but a person's name."""

    project_id: Slug
    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    purpose: Slug
    region: Slug
    lead: Slug


class ProjectView(BaseModel):
    """A project as its parties see it."""

    model_config = ConfigDict(from_attributes=True)

    project_id: str
    title: str
    purpose: str
    region: str
    lead: str
    created_at: int
    state: str


@router.post(
    "",
    summary="Open a project",
    openapi_extra=operation("party.unknown", "project.already_exists"),
    response_model=ProjectView,
    responses={201: {"model": ProjectView, "description": "Created"}},
)
def create_project(
    principal: Authenticated,
    once: OnlyOnce,
    wanted: Annotated[ProjectRequest, Depends(parsed(ProjectRequest))],
    context: Context,
) -> Response:
    """Open a project: the centre, or the department that will lead it. The same request again finds the project."""
    with context.begin() as session:
        resource = project_resource(wanted.project_id, wanted.lead)
        authorise(session, context, principal, "project.create", resource)
        row, created = services.create_project(
            session, principal, wanted.project_id, wanted.title, wanted.purpose, wanted.region, wanted.lead
        )
        return once.answer(session, ProjectView.model_validate(row), 201 if created else 200)


@router.get("", summary="List the own projects")
def list_projects(principal: Authenticated, context: Context, wanted: PageQuery) -> Page[ProjectView]:
    """Return the projects that the own party leads or takes part in; the centre and auditors see all."""
    with context.read() as session:
        authorise(session, context, principal, "project.read", system_resource())
        found = services.list_projects(session, principal, wanted)
        return Page(items=[ProjectView.model_validate(row) for row in found.rows], next_cursor=found.next_cursor)


@router.get("/{project_id}", summary="Show a project", openapi_extra=operation("project.unknown"))
def get_project(principal: Authenticated, project_id: ProjectPath, context: Context) -> ProjectView:
    """Return one project. Somebody else's is unknown."""
    with context.read() as session:
        row = services.get_visible_project(session, principal, project_id)
        resource = project_resource(project_id, row.lead, services.named_departments(session, project_id))
        authorise(session, context, principal, "project.read", resource)
        return ProjectView.model_validate(row)
