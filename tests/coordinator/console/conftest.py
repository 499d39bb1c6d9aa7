"""Fixtures of the console's tests: somebody with a browser that keeps cookies, over the real application in this process."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from console_people import ROLES, Person, enrolled, session_token
from coordinator_world import World
from ledgered import Ledgered
from operation import Operation
from screenless_browser import HOST, Browser

from coordinator.context import AppContext
from coordinator.ledger.models import LedgerTimestampRow

CHEAP_PASSWORDS = {"password_memory_kib": 19_456, "password_passes": 2}


@dataclass
class AtWork:
    """What `operation.py` makes, and browsers of its people. `people`: by role."""

    world: Any
    people: dict[str, Person] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.operation = Operation(self.world).everything()
        self.runs = self.operation.runs
        for role, party in ROLES.items():
            self.people[role] = enrolled(self.world.context, role.replace("_", "-"), party, role)

    def at(self, role: str) -> Browser:
        """Return the browser of the role's person; a new session each time."""
        return self.of(self.people[role])

    def of(self, person: Person) -> Browser:
        """Return the browser of a person who is signed in; its pages are English."""
        browser = Browser(self.world.app)
        browser.cookies.set("__Host-doudi", session_token(self.world.context, person), domain=HOST, path="/")
        browser.cookies.set("doudi-lang", "en", domain=HOST, path="/")
        return browser


@pytest.fixture
def context(cheap_world: Any) -> AppContext:
    found: AppContext = cheap_world.app.state.context
    return found


@pytest.fixture
def cheap_world(world: Any) -> Any:
    """The coordinator's world, with passwords that cost little to check."""
    accounts = world.config.accounts.model_copy(update=CHEAP_PASSWORDS)
    config = world.config.model_copy(update={"accounts": accounts}).at_home(world.config.home)
    return replace(world, config=config)


@pytest.fixture(scope="session")
def at_work(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> AtWork:
    """A coordinator at work, with one person of each role; one for all tests, which read it and may add to it."""
    world = World.in_folder(tmp_path_factory.mktemp("at-work"), migrated)
    accounts = world.config.accounts.model_copy(update=CHEAP_PASSWORDS)
    cheap = replace(world, config=world.config.model_copy(update={"accounts": accounts}).at_home(world.config.home))
    return AtWork(cheap)


@pytest.fixture(scope="session")
def ledgered(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Ledgered:
    """A ledger at work, with one person of each role; one for all tests, which only read it."""
    world = World.in_folder(tmp_path_factory.mktemp("ledgered"), migrated)
    accounts = world.config.accounts.model_copy(update=CHEAP_PASSWORDS)
    cheap = replace(world, config=world.config.model_copy(update={"accounts": accounts}).at_home(world.config.home))
    made = Ledgered(cheap).everything().enrol()
    made.record_waiting()
    with cheap.begin() as session:
        session.add(LedgerTimestampRow(size=made.size, token=b"a stamp"))
    return made


@pytest.fixture
def browser(cheap_world: Any) -> Browser:
    """The browser of somebody who is not signed in."""
    return Browser(cheap_world.app)


@pytest.fixture
def person(context: AppContext) -> Person:
    return enrolled(context, "li-na", "centre", "centre_officer")


@pytest.fixture
def signed_in(cheap_world: Any, context: AppContext) -> Callable[[Person], Browser]:
    """Return a function that gives the browser of a person who is signed in."""

    def browser_of(person: Person) -> Browser:
        browser = Browser(cheap_world.app)
        browser.cookies.set("__Host-doudi", session_token(context, person), domain=HOST, path="/")
        return browser

    return browser_of
