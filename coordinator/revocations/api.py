"""The endpoints of the revocation lists: /v1/revocations."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel

from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise
from coordinator.context import Context
from coordinator.idempotency import OnlyOnce
from coordinator.openapi import operation
from coordinator.paging import Page, PageQuery
from coordinator.parties.authentication import Authenticated, parsed
from coordinator.revocations import services
from policies.contracts.revocations import SignedRevocationList

router = APIRouter(prefix="/v1/revocations", tags=["revocations"])

PartyPath = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="a department's name, or `centre`")]


class Published(BaseModel):
    """The number of the newest list that is known of the party."""

    number: int


_PUBLISHED: dict[int | str, dict[str, Any]] = {201: {"model": Published, "description": "The list is new"}}


@router.put(
    "/{party}",
    summary="Publish a revocation list",
    openapi_extra=operation(
        "revocation.wrong_party",
        "revocation.bad_signature",
        "revocation.from_the_future",
        "revocation.rollback",
        "revocation.fork",
        "revocation.dropped",
    ),
    response_model=Published,
    responses=_PUBLISHED,
)
def put_list(
    principal: Authenticated,
    once: OnlyOnce,
    party: PartyPath,
    signed: Annotated[SignedRevocationList, Depends(parsed(SignedRevocationList))],
    context: Context,
) -> Response:
    """Store a party's next list: its own node, or the centre's device. The grants that it names end at once."""
    with context.begin() as session:
        is_new = services.put_list(session, context, principal, party, signed)
        return once.answer(session, Published(number=signed.content.number), 201 if is_new else 200)


@router.get("", summary="Fetch the revocation lists")
def list_newest(principal: Authenticated, context: Context, wanted: PageQuery) -> Page[SignedRevocationList]:
    """Return the newest list of every party, by party. Verify each with the key that you pinned, and mind its time."""
    with context.read() as session:
        # Which grants are revoked concerns everybody who might work under one; asking for lists is open to every party.
        authorise(session, context, principal, "grant.read", system_resource())
        found = services.list_newest(session, wanted)
        items = [SignedRevocationList.parse(row.document) for row in found.rows]
        return Page(items=items, next_cursor=found.next_cursor)
