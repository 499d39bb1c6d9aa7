"""GET /console/standards…: what is published, for people to look up: data standards, tiers and purposes.

These are files of this installation and the same for everybody; nothing here depends on who asks.
"""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from coordinator.console.addresses import CONSOLE
from coordinator.console.rendering import page
from coordinator.console.security import ConsoleUser
from crypto.errors import DoudiError
from policies.standards.loader import available_standards, load_dataset_standard
from policies.standards.purpose_loader import available_purposes, load_purpose
from policies.standards.tier_loader import DERIVED_KINDS, available_tiers, load_tier

router = APIRouter(prefix=f"{CONSOLE}/standards", include_in_schema=False)


@router.get("")
def standards(request: Request, user: ConsoleUser) -> HTMLResponse:
    """Show everything that is published."""
    return page(
        request,
        "standards.html.j2",
        user,
        datasets=[load_dataset_standard(*found) for found in available_standards()],
        tiers=[load_tier(*found) for found in available_tiers()],
        purposes=[load_purpose(*found) for found in available_purposes()],
    )


@router.get("/datasets/{name}/{version}")
def dataset(request: Request, user: ConsoleUser, name: str, version: int) -> HTMLResponse:
    """Show one version of a data standard, column by column."""
    if (name, version) not in available_standards():
        raise _not_published()
    return page(request, "dataset.html.j2", user, standard=load_dataset_standard(name, version))


@router.get("/tiers/{name}/{version}")
def tier(request: Request, user: ConsoleUser, name: str, version: int) -> HTMLResponse:
    """Show one version of a tier: who approves, what is allowed, and what is derived from its data."""
    if (name, version) not in available_tiers():
        raise _not_published()
    return page(request, "tier.html.j2", user, tier=load_tier(name, version), derived_kinds=DERIVED_KINDS)


def _not_published() -> DoudiError:
    return DoudiError("console.no_such_page", "no such version is published")
