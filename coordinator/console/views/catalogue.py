"""/console/catalogue…: the registered data assets, and one asset with what its tier means for who wants to use it."""

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from coordinator.authorization.resources import asset_resource, system_resource
from coordinator.authorization.services import authorise, may
from coordinator.catalogue import services
from coordinator.catalogue.services import AssetFilter
from coordinator.console.addresses import CONSOLE, with_query
from coordinator.console.filters import NameInPath, wanted_choice, wanted_name, wanted_text
from coordinator.console.languages import N_, Language, choose_language
from coordinator.console.parties_in_lists import department_names
from coordinator.console.published import dataset_title, published_standard, published_tier, purpose_title
from coordinator.console.rendering import page
from coordinator.console.security import CheckedForm, ConsoleUser
from coordinator.console.titles import title_of
from coordinator.context import Context
from coordinator.paging import PageQuery
from policies.standards.purpose_loader import available_purposes
from policies.standards.tier_loader import TIER_NAMES

CATALOGUE = f"{CONSOLE}/catalogue"
DONE: Mapping[str, str] = {
    "withdrawn": N_("The asset is withdrawn. No new request may name it until its node registers the next revision."),
}

router = APIRouter(prefix=CATALOGUE, include_in_schema=False)


@router.get("")
def catalogue_page(request: Request, user: ConsoleUser, context: Context, wanted: PageQuery) -> HTMLResponse:
    """List the assets."""
    purposes = [name for name, _version in available_purposes()]
    only = AssetFilter(
        owner=wanted_name(request, "owner"),
        region=wanted_name(request, "region"),
        tier=wanted_choice(request, "tier", TIER_NAMES),
        purpose=wanted_choice(request, "purpose", purposes),
        dataset=wanted_text(request, "dataset"),
    )
    language = choose_language(request)
    with context.read() as session:
        authorise(session, context, user.principal, "asset.read", system_resource())
        found = services.list_assets(session, wanted, only)
        return page(
            request,
            "catalogue.html.j2",
            user,
            assets=found,
            purposes=services.purposes_of(session, found.rows),
            purpose_titles={name: purpose_title(language, name) for name in purposes},
            datasets={
                (row.dataset, row.standard_version): dataset_title(language, row.dataset, row.standard_version)
                for row in found.rows
            },
            owners=[(name, title_of(language, "party", name)) for name in department_names(session)],
            regions=[(name, name) for name in services.list_regions(session)],
            tiers=[(name, title_of(language, "tier", name)) for name in TIER_NAMES],
            cursor=wanted.cursor,
            given=vars(only),
            narrowed=only != AssetFilter(),
        )


@router.get("/{owner}/{dataset}")
def asset_page(
    request: Request,
    user: ConsoleUser,
    context: Context,
    owner: NameInPath,
    dataset: NameInPath,
    done: str = "",
) -> HTMLResponse:
    """Show one asset: what it is, what follows from its tier, and every registration of it."""
    language = choose_language(request)
    with context.read() as session:
        resource = asset_resource(owner, services.asset_name(owner, dataset))
        authorise(session, context, user.principal, "asset.read", resource)
        row = services.get_asset(session, owner, dataset)
        revisions = services.list_revisions(session, owner, dataset)
        asset = revisions[0].asset
        standard = published_standard(dataset, row.standard_version)
        return page(
            request,
            "asset.html.j2",
            user,
            asset=asset,
            row=row,
            revisions=[one.asset for one in revisions],
            title=dataset_title(language, dataset, row.standard_version),
            has_standard=standard is not None,
            columns={name: standard.column(name).title for name in asset.columns} if standard is not None else {},
            tier=published_tier(row.tier, row.tier_version),
            purposes=_purposes(language, asset.allowed_purposes),
            may_withdraw=not row.withdrawn and may(context, user.principal, "asset.withdraw", resource),
            own=user.principal.party == owner,
            done=DONE.get(done, ""),
        )


@router.post("/{owner}/{dataset}/withdraw")
def withdraw(
    user: ConsoleUser,
    form: CheckedForm,
    context: Context,
    owner: NameInPath,
    dataset: NameInPath,
) -> Response:
    """Take an asset out of the catalogue, until its node registers the next revision."""
    with context.begin() as session:
        services.withdraw_asset(session, context, user.principal, owner, dataset)
    return RedirectResponse(with_query(f"{CATALOGUE}/{owner}/{dataset}", done="withdrawn"), 303)


def _purposes(language: Language, names: tuple[str, ...]) -> list[str]:
    return [purpose_title(language, name) for name in names]
