"""What a card of the home page is. The cards themselves: `home_cards.py`, and `<feature>_cards.py` of features with several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from coordinator.accounts.sessions import SignedIn
from coordinator.console.languages import Language


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
