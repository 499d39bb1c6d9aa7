"""The endpoints of the catalogue: /v1/assets."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from coordinator.authorization.resources import asset_resource, system_resource
from coordinator.authorization.services import authorise
from coordinator.catalogue import services
from coordinator.catalogue.models import AssetRow
from coordinator.catalogue.services import AssetFilter
from coordinator.context import Context
from coordinator.idempotency import OnlyOnce
from coordinator.openapi import operation
from coordinator.paging import Page, PageQuery
from coordinator.parties.authentication import Authenticated, parsed
from policies.contracts.assets import SignedAsset
from policies.standards.tier_loader import load_tier

router = APIRouter(prefix="/v1/assets", tags=["catalogue"])

_SLUG = r"^[a-z][a-z0-9_-]{0,62}$"
OwnerPath = Annotated[str, Path(pattern=_SLUG, description="the department that owns the asset")]
DatasetPath = Annotated[str, Path(pattern=_SLUG, description="the data set, by its standard's name")]


class AssetView(BaseModel):
    """A data asset as its newest registration has it. `columns`: how many. Times are seconds since 1970 UTC.

    `federates`: whether its tier takes part in any federation; core data are shown and never do.
    """

    owner: str
    dataset: str
    revision: int
    region: str
    standard_version: int
    tier: str
    tier_version: int
    federates: bool
    people: int
    columns: int
    steward: str
    allowed_purposes: list[str]
    withdrawn: bool
    registered_at: int
    stored_at: int


class AssetDetail(AssetView):
    """An asset with its registration, as the owner's node signed it. Compare it with the owner's card."""

    signed: SignedAsset


_REGISTERED: dict[int | str, dict[str, Any]] = {201: {"model": AssetDetail, "description": "The revision is new"}}


@router.put(
    "/{owner}/{dataset}",
    summary="Register a data asset",
    openapi_extra=operation(
        "asset.wrong_owner",
        "asset.bad_signature",
        "asset.from_the_future",
        "asset.rollback",
        "asset.unknown_standard",
        "asset.unknown_column",
        "asset.unknown_tier",
        "asset.unknown_purpose",
    ),
    response_model=AssetDetail,
    responses=_REGISTERED,
)
def register_asset(
    principal: Authenticated,
    once: OnlyOnce,
    owner: OwnerPath,
    dataset: DatasetPath,
    signed: Annotated[SignedAsset, Depends(parsed(SignedAsset))],
    context: Context,
) -> Response:
    """Store a revision of an asset: the owner's node alone, and nobody else in its name. The newest again is accepted."""
    with context.begin() as session:
        row, changed = services.register_asset(session, context, principal, owner, dataset, signed)
        return once.answer(session, _detail(session, row), 201 if changed else 200)


@router.get("", summary="List the data assets")
def list_assets(
    principal: Authenticated,
    context: Context,
    wanted: PageQuery,
    owner: Annotated[str | None, Query(pattern=_SLUG, description="only this department's")] = None,
    region: Annotated[str | None, Query(pattern=_SLUG, description="only of this region")] = None,
    tier: Annotated[str | None, Query(pattern=_SLUG, description="only of this tier")] = None,
    purpose: Annotated[str | None, Query(pattern=_SLUG, description="only those allowed for this purpose")] = None,
    dataset: Annotated[
        str | None, Query(pattern=r"^[a-z0-9_-]{1,63}$", description="a part of the data set's name")
    ] = None,
) -> Page[AssetView]:
    """Return the catalogue by owner and data set: every registered party may read it, to know what it may ask for."""
    with context.read() as session:
        authorise(session, context, principal, "asset.read", system_resource())
        found = services.list_assets(session, wanted, AssetFilter(owner, region, tier, purpose, dataset))
        return Page(items=_views(session, found.rows), next_cursor=found.next_cursor)


@router.get("/{owner}/{dataset}", summary="Show a data asset", openapi_extra=operation("asset.unknown"))
def get_asset(principal: Authenticated, owner: OwnerPath, dataset: DatasetPath, context: Context) -> AssetDetail:
    """Return an asset with its signed registration."""
    with context.read() as session:
        row = services.get_asset(session, owner, dataset)
        name = services.asset_name(owner, dataset)
        authorise(session, context, principal, "asset.read", asset_resource(owner, name))
        return _detail(session, row)


@router.post(
    "/{owner}/{dataset}/withdraw",
    summary="Withdraw a data asset",
    openapi_extra=operation("asset.unknown"),
    response_model=AssetDetail,
)
def withdraw_asset(
    principal: Authenticated, once: OnlyOnce, owner: OwnerPath, dataset: DatasetPath, context: Context
) -> Response:
    """Take an asset out of the catalogue until its node registers the next revision: the owner's node or operators."""
    with context.begin() as session:
        row = services.withdraw_asset(session, context, principal, owner, dataset)
        return once.answer(session, _detail(session, row))


def _views(session: Session, rows: Sequence[AssetRow]) -> list[AssetView]:
    purposes = services.purposes_of(session, rows)
    return [
        AssetView(
            owner=row.owner,
            dataset=row.dataset,
            revision=row.revision,
            region=row.region,
            standard_version=row.standard_version,
            tier=row.tier,
            tier_version=row.tier_version,
            federates=load_tier(row.tier, row.tier_version).federates,
            people=row.people,
            columns=row.columns,
            steward=row.steward,
            allowed_purposes=purposes[row.owner, row.dataset],
            withdrawn=row.withdrawn,
            registered_at=row.registered_at,
            stored_at=row.stored_at,
        )
        for row in rows
    ]


def _detail(session: Session, row: AssetRow) -> AssetDetail:
    (view,) = _views(session, [row])
    return AssetDetail(**view.model_dump(), signed=services.load_asset(session, row))
