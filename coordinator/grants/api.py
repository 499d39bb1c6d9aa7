"""GET and PUT /v1/projects/{project_id}/grant. The body is exactly the SignedGrant; its standing is in the headers."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from coordinator.context import Context
from coordinator.grants import services
from coordinator.grants.models import GrantRow
from coordinator.idempotency import OnlyOnce
from coordinator.openapi import documented_body
from coordinator.parties.authentication import Authenticated, parsed
from coordinator.projects.api import ProjectPath
from coordinator.projects.services import get_visible_project
from policies.contracts.grant import SignedGrant

router = APIRouter(prefix="/v1/projects", tags=["grants"])

HEADER_GRANT_HASH = "Doudi-Grant-Hash"
HEADER_FULLY_SIGNED = "Doudi-Fully-Signed"

_SIGNED_GRANT: dict[int | str, dict[str, Any]] = {
    200: {"description": "SignedGrant, canonical JSON; header Doudi-Fully-Signed is true or false"}
}


@router.put(
    "/{project_id}/grant",
    summary="Send a grant, or add a signature to it",
    openapi_extra=documented_body(SignedGrant),
    responses={**_SIGNED_GRANT, 201: {"description": "A signature was new"}},
)
def put_grant(
    principal: Authenticated,
    once: OnlyOnce,
    project_id: ProjectPath,
    signed: Annotated[SignedGrant, Depends(parsed(SignedGrant))],
    context: Context,
) -> Response:
    """Store the grant's valid signatures beside those already there; the centre or any party that the grant names."""
    with context.begin() as session:
        row, changed = services.put_grant(session, context.config, principal, project_id, signed)
        return once.answer(session, row.document, 201 if changed else 200, _standing(row))


@router.get("/{project_id}/grant", summary="Fetch the project's grant", responses={**_SIGNED_GRANT})
def get_grant(
    principal: Authenticated,
    project_id: ProjectPath,
    context: Context,
    grant_hash: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$", description="a certain grant")] = None,
) -> Response:
    """Return the newest fully signed grant, else the newest draft. Verify it: the coordinator is not trusted for it."""
    with context.read() as session:
        get_visible_project(session, principal, project_id)
        row = services.find_grant(session, project_id, grant_hash)
        return Response(row.document, 200, _standing(row), "application/json")


def _standing(row: GrantRow) -> dict[str, str]:
    return {HEADER_GRANT_HASH: row.grant_hash, HEADER_FULLY_SIGNED: str(row.fully_signed).lower()}
