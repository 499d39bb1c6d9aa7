"""The cards of the home page: what waits for a person, and where to go.

`CARDS` has a line for each feature that has something to say. A card's loader reads within the transaction that the home page
opens, and returns words in the person's language.
"""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from coordinator.accounts.sessions import SignedIn
from coordinator.console.home_content import HomeCard, HomeContent
from coordinator.console.languages import N_, Language
from coordinator.console.ledger_cards import LEDGER_CARDS
from coordinator.console.operation_cards import OPERATION_CARDS
from coordinator.console.request_cards import REQUEST_CARDS
from policies.standards.loader import available_standards
from policies.standards.purpose_loader import available_purposes
from policies.standards.tier_loader import available_tiers


def _standards(_session: Session, _user: SignedIn, language: Language) -> HomeContent:
    texts = {
        "datasets": len(available_standards()),
        "tiers": len(available_tiers()),
        "purposes": len(available_purposes()),
    }
    text = language.gettext("Published: %(datasets)s data standards, %(tiers)s tiers, %(purposes)s purposes.") % texts
    return HomeContent(text, link=("/console/standards", language.gettext("Look them up")))


# In the order of the page, after those where something waits.
CARDS: tuple[HomeCard, ...] = (
    *REQUEST_CARDS,
    *OPERATION_CARDS,
    *LEDGER_CARDS,
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
