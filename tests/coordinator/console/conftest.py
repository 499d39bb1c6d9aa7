"""Fixtures of the console's tests: somebody with a browser that keeps cookies, over the real application in this process."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_people import ROLES, Person, enrolled, session_token
from coordinator_world import World
from operation import Operation

from coordinator.context import AppContext

HOST = "coordinator.example"
ORIGIN = f"https://{HOST}"
CHEAP_PASSWORDS = {"password_memory_kib": 19_456, "password_passes": 2}
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Browser:
    """A browser without a screen: keeps cookies, and fills in the secret field of the page that it saw last."""

    app: Any
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)
    seen: str = ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, fields: Mapping[str, Any] | None = None, **headers: str) -> httpx.Response:
        """Send a form as the page that was seen last would."""
        found = _CSRF.search(self.seen)
        secret = {"csrf": found[1]} if found else {}
        return self.ask("POST", path, headers=headers, data={**secret, **(fields or {})})

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=self.cookies) as client:
                answer = await client.request(method, path, **options)
                self.cookies = client.cookies
                return answer

        answer = asyncio.run(call())
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.seen = answer.text
        return answer


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
