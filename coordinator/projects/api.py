"""GET and POST /v1/projects."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from coordinator.context import Context
from coordinator.idempotency import OnlyOnce
from coordinator.openapi import documented_body
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
    openapi_extra=documented_body(ProjectRequest),
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
        row, created = services.create_project(
            session, principal, wanted.project_id, wanted.title, wanted.purpose, wanted.region, wanted.lead
        )
        return once.answer(session, ProjectView.model_validate(row), 201 if created else 200)


@router.get("", summary="List the own projects")
def list_projects(principal: Authenticated, context: Context, wanted: PageQuery) -> Page[ProjectView]:
    """Return the projects that the caller leads or takes part in; the centre sees all."""
    with context.read() as session:
        found = services.list_projects(session, principal, wanted)
        return Page(items=[ProjectView.model_validate(row) for row in found.rows], next_cursor=found.next_cursor)


@router.get("/{project_id}", summary="Show a project")
def get_project(principal: Authenticated, project_id: ProjectPath, context: Context) -> ProjectView:
    """Return one project that the caller may see."""
    with context.read() as session:
        return ProjectView.model_validate(services.get_visible_project(session, principal, project_id))
