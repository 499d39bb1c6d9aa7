"""GET /v1/projects/{project_id}/grant. The body is exactly the SignedGrant; its standing is in the headers.

Signatures come with a request for access: `PUT /v1/requests/{number}/signatures`.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from coordinator.authorization.services import authorise
from coordinator.context import Context
from coordinator.grants import services
from coordinator.grants.concerned import stored_grant_resource
from coordinator.grants.models import GrantRow
from coordinator.openapi import operation
from coordinator.parties.authentication import Authenticated
from coordinator.projects.api import ProjectPath
from coordinator.projects.services import get_visible_project
from policies.contracts.grant import SignedGrant

router = APIRouter(prefix="/v1/projects", tags=["grants"])

HEADER_GRANT_HASH = "Doudi-Grant-Hash"
HEADER_FULLY_SIGNED = "Doudi-Fully-Signed"

_STANDING = {
    HEADER_GRANT_HASH: {"description": "hash that signatures and runs name", "schema": {"type": "string"}},
    HEADER_FULLY_SIGNED: {"description": "every required signature is there", "schema": {"enum": ["true", "false"]}},
}
_SIGNED_GRANT: dict[int | str, dict[str, Any]] = {
    200: {"model": SignedGrant, "description": "The grant, byte for byte as it is signed", "headers": _STANDING}
}


@router.get(
    "/{project_id}/grant",
    summary="Fetch the project's grant",
    openapi_extra=operation("project.unknown", "grant.unknown"),
    response_model=None,
    responses=_SIGNED_GRANT,
)
def get_grant(
    principal: Authenticated,
    project_id: ProjectPath,
    context: Context,
    grant_hash: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$", description="a certain grant")] = None,
) -> Response:
    """Return the newest grant in force, else the newest one. Verify it: the coordinator is not trusted for it."""
    with context.read() as session:
        get_visible_project(session, principal, project_id)
        row = services.find_grant(session, project_id, grant_hash)
        authorise(session, context, principal, "grant.read", stored_grant_resource(session, row))
        return Response(row.document, 200, _standing(row), "application/json")


def _standing(row: GrantRow) -> dict[str, str]:
    return {HEADER_GRANT_HASH: row.grant_hash, HEADER_FULLY_SIGNED: str(row.fully_signed).lower()}
