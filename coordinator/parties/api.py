"""GET and POST /v1/parties."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from coordinator.authorization.resources import party_resource, system_resource
from coordinator.authorization.services import authorise
from coordinator.context import Context
from coordinator.idempotency import OnlyOnce
from coordinator.openapi import operation
from coordinator.paging import Page, PageQuery
from coordinator.parties import services
from coordinator.parties.authentication import Authenticated, parsed
from coordinator.parties.models import PartyRow
from policies.contracts.cards import DepartmentCard

router = APIRouter(prefix="/v1/parties", tags=["parties"])


class PartyView(BaseModel):
    """A registered party. `card` is what officers compare by another channel; the centre has none."""

    name: str
    role: str
    card: DepartmentCard | None
    fingerprint: str
    registered_at: int
    last_seen_at: int | None


@router.get("", summary="List the registered parties")
def list_parties(principal: Authenticated, context: Context, wanted: PageQuery) -> Page[PartyView]:
    """Return every party with its public card. Do not trust a key because it stands here: compare the fingerprint."""
    with context.read() as session:
        authorise(session, context, principal, "party.read", system_resource())
        found = services.list_parties(session, wanted)
        return Page(items=[_view(row) for row in found.rows], next_cursor=found.next_cursor)


@router.post(
    "",
    summary="Register a department",
    openapi_extra=operation(
        "party.reserved_name",
        "party.bad_keys",
        "party.key_in_use",
        "party.keys_changed",
        "flower.unreachable",
        "flower.name_in_use",
        "flower.bad_key",
        "flower.refused",
    ),
    response_model=PartyView,
    responses={201: {"model": PartyView, "description": "Registered or updated"}},
)
def register_party(
    principal: Authenticated,
    once: OnlyOnce,
    card: Annotated[DepartmentCard, Depends(parsed(DepartmentCard))],
    context: Context,
    replace: Annotated[bool, Query(description="accept other keys than the registered ones")] = False,
) -> Response:
    """Store a department's card and let its Flower node connect. Only the centre; idempotent."""
    with context.begin() as session:
        authorise(session, context, principal, "party.register", party_resource(card.department))
        services.require_registrable(session, card, replace=replace)
    # Between two transactions: a slow SuperLink must not hold the database. A crash between the two leaves a Flower node
    # that may connect and gets no work; registering again completes it. It is repeated for a known card, so that a
    # SuperLink that lost its database can be filled again.
    context.register_flower_node(card.department, card.flower_key)
    with context.begin() as session:
        changed = services.store_party(session, card, principal.number, replace=replace)
        row = session.get_one(PartyRow, card.department)
        return once.answer(session, _view(row), 201 if changed else 200)


def _view(row: PartyRow) -> PartyView:
    card = DepartmentCard.parse(row.card) if row.card is not None else None
    return PartyView(
        name=row.name,
        role=row.role,
        card=card,
        fingerprint=card.fingerprint() if card else "",
        registered_at=row.registered_at,
        last_seen_at=row.last_seen_at,
    )
