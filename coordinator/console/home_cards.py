"""The cards of the home page: what waits for a person, and where to go.

`CARDS` has one line for each feature that has something to say. A card's loader reads within the transaction that the home page
opens, and returns words in the person's language.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.accounts.sessions import SignedIn
from coordinator.console.languages import N_, Language
from coordinator.parties.models import PartyRow
from policies.standards.loader import available_standards
from policies.standards.purpose_loader import available_purposes
from policies.standards.tier_loader import available_tiers


@dataclass(frozen=True)
class HomeContent:
    """What a card shows. `count`: large; `items`, `link`: (address, text). `waiting`: somebody has to act, so it stands first."""

    text: str
    count: int | None = None
    items: Sequence[tuple[str, str]] = ()
    link: tuple[str, str] | None = None
    waiting: bool = False


@dataclass(frozen=True)
class HomeCard:
    """One card. `roles`: who sees it; `None`: everybody. `load` returns `None` when there is nothing to say."""

    title: str
    load: Callable[[Session, SignedIn, Language], HomeContent | None]
    roles: frozenset[str] | None = None


def _departments(session: Session, _user: SignedIn, language: Language) -> HomeContent:
    departments = select(func.count()).select_from(PartyRow).where(PartyRow.role == "department")
    count = session.scalar(departments) or 0
    if not count:
        text = language.gettext("No department is registered. Next: “doudi centre register” on the officer's device.")
        return HomeContent(text, waiting=True)
    text = language.ngettext("department is registered.", "departments are registered.", count)
    return HomeContent(text, count=count)


def _standards(_session: Session, _user: SignedIn, language: Language) -> HomeContent:
    texts = {
        "datasets": len(available_standards()),
        "tiers": len(available_tiers()),
        "purposes": len(available_purposes()),
    }
    text = language.gettext("Published: %(datasets)s data standards, %(tiers)s tiers, %(purposes)s purposes.") % texts
    return HomeContent(text, link=("/console/standards", language.gettext("Look them up")))


_OVERSEERS = frozenset({"centre_officer", "centre_approver", "auditor"})

# In the order of the page, after those where something waits.
CARDS: tuple[HomeCard, ...] = (
    HomeCard(N_("Departments"), _departments, _OVERSEERS),
    HomeCard(N_("Standards and tiers"), _standards),
)


def cards_for(
    session: Session, user: SignedIn, language: Language, cards: Sequence[HomeCard] = CARDS
) -> list[tuple[str, HomeContent]]:
    """Return title and content of each card of a person, those that wait first."""
    shown = []
    for card in cards:
        content = (
            card.load(session, user, language) if card.roles is None or card.roles & user.principal.roles else None
        )
        if content is not None:
            shown.append((language.gettext(card.title), content))
    return sorted(shown, key=lambda one: not one[1].waiting)
