"""What the console's form offers for a new request: the lead's projects, and the assets of the project's region. Reads only.

A help for filling in: whether a draft may be asked for is decided by `drafts.verify_draft`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from coordinator.catalogue.models import AssetRow
from coordinator.catalogue.services import purposes_of
from coordinator.parties.services import department_cards
from coordinator.projects.models import ProjectRow
from crypto.errors import DoudiError
from policies.contracts.cards import DepartmentCard
from policies.standards.tier_loader import TierStandard, load_tier

MOST_PROJECTS = 200

Obstacle = Literal[
    "not_registered", "withdrawn", "purpose", "never_federates", "unknown_tier", "other_tier", "other_standard"
]


@dataclass(frozen=True)
class Candidate:
    """One department's asset. `obstacle`: why it cannot be asked for, or `None`; `tier` is `None` if not published here."""

    department: str
    dataset: str
    standard_version: int
    people: int
    purposes: Sequence[str]
    tier_name: str
    tier: TierStandard | None
    obstacle: Obstacle | None


def open_projects(session: Session, lead: str) -> Sequence[ProjectRow]:
    """Return the open projects that a department leads, by name."""
    query = select(ProjectRow).where(ProjectRow.lead == lead, ProjectRow.state == "open")
    return session.scalars(query.order_by(ProjectRow.project_id).limit(MOST_PROJECTS)).all()


def candidates_for(session: Session, project: ProjectRow) -> list[Candidate]:
    """Return the assets that a request of the project could name, the lead's own among them, by department.

    An asset is the one on its department's registered card, because a draft is made from cards.
    """
    owners = session.scalars(select(AssetRow.owner).where(AssetRow.region == project.region).distinct())
    cards = department_cards(session, {project.lead, *owners})
    here = {name: card for name, card in cards.items() if card.region == project.region}
    rows = _assets_on_cards(session, here)
    purposes = purposes_of(session, list(rows.values()))
    return [
        _candidate(project, card, rows.get(name), purposes.get((name, card.dataset), [])) for name, card in here.items()
    ]


def _assets_on_cards(session: Session, cards: Mapping[str, DepartmentCard]) -> dict[str, AssetRow]:
    names = [(name, card.dataset) for name, card in cards.items()]
    query = select(AssetRow).where(tuple_(AssetRow.owner, AssetRow.dataset).in_(names))
    return {row.owner: row for row in session.scalars(query)}


def _candidate(project: ProjectRow, card: DepartmentCard, row: AssetRow | None, purposes: Sequence[str]) -> Candidate:
    name, version = (card.tier, card.tier_version) if row is None else (row.tier, row.tier_version)
    try:
        tier = load_tier(name, version)
    except DoudiError:
        tier = None
    return Candidate(
        department=card.department,
        dataset=card.dataset,
        standard_version=card.standard_version,
        people=card.people if row is None else row.people,
        purposes=purposes,
        tier_name=name,
        tier=tier,
        obstacle=_obstacle(project, card, row, purposes, tier),
    )


def _obstacle(
    project: ProjectRow,
    card: DepartmentCard,
    row: AssetRow | None,
    purposes: Sequence[str],
    tier: TierStandard | None,
) -> Obstacle | None:
    if row is None or row.region != project.region:
        return "not_registered"
    if row.withdrawn:
        return "withdrawn"
    if tier is None:
        return "unknown_tier"
    if not tier.federates:
        return "never_federates"
    if project.purpose not in purposes:
        return "purpose"
    if (row.tier, row.tier_version) != (card.tier, card.tier_version):
        return "other_tier"
    return "other_standard" if row.standard_version != card.standard_version else None
