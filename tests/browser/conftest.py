"""Fixtures of the tests in a real browser: the coordinator with its console, Chromium, and what every page is checked for.

Chromium is the system's; where there is none, these tests are skipped by name. Screenshots go to `test-artefacts/`, which git
ignores; DOUDI_TEST_PICTURES=1 keeps one of every page at both widths and in both languages.

Hosts are busy and the browser works beside the tests: what a page shows is asked with `expect`, which waits for it, and what
leads to another page goes through `navigation.py`.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / "coordinator" / name) for name in ("", "console")]

from console_people import PASSWORD
from console_server import ConsoleServer, fresh_code
from navigation import follow
from pictures import screenshot
from working_server import working_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# As long as Playwright waits for everything else. What is there is found at once; only a failing test waits this long.
EXPECT_TIMEOUT_MS = 30_000
WIDTHS_PX = {360: 740, 1440: 900}
LANGUAGES = ("zh", "en")
# Pictures of every page at every width take a third of the time; the stations of the whole path are always kept.
PICTURES_VARIABLE = "DOUDI_TEST_PICTURES"
STANDARD = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and skip them by name where there is no browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="there is no Chromium on this host (apt-get install chromium)"))


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    """The coordinator, with one person of each role; one for all tests, which therefore do not change those people."""
    server = ConsoleServer(tmp_path_factory.mktemp("console"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def working_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    """A coordinator at work: nodes report, runs are in every state (`operation.py`). Tests read it and may add to it."""
    server = working_server(tmp_path_factory.mktemp("working"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The system's Chromium. It ends with the file: while it is open no other test of the process can run a loop of its own."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=EXPECT_TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What pages wrote into the browser's own console; empty at the end of every test."""
    return []


@pytest.fixture
def open_page(chromium: Any, console: ConsoleServer, complaints: list[str]) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a page: `open_page("/console", role="auditor", language="en", width_px=360)`.

    After the test, every page must have been free of errors in its own console: a violation of the content security policy is
    one.
    """
    contexts = []

    def opened(
        path: str = "/console", *, role: str | None = None, language: str = "en", width_px: int = 1440, **options: Any
    ) -> Any:
        context = chromium.new_context(
            base_url=console.url,
            ignore_https_errors=True,
            locale="zh-CN" if language == "zh" else "en-GB",
            viewport={"width": width_px, "height": WIDTHS_PX.get(width_px, 900)},
            **options,
        )
        contexts.append(context)
        if role is not None:
            context.add_cookies([console.session_cookie(role)])
        page = context.new_page()
        page.on("console", lambda message: _complain(complaints, message))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def sign_in(console: ConsoleServer) -> Callable[..., None]:
    """Return a function that signs a role's person in through the forms, on a page that shows the first of them.

    It returns when the page that the person came for is there.
    """

    def through_the_forms(page: Any, role: str) -> None:
        person = console.people[role]
        page.get_by_label(re.compile("Login name|登录名")).fill(person.login_name)
        page.get_by_label(re.compile("Password|密码")).fill(PASSWORD)
        follow(page, page.locator("main button"))
        # Only now: a code is worth nothing any more a minute after it was made, however long the password's page took.
        page.locator("#field-code").fill(fresh_code(console, role))
        follow(page, page.locator("main button"))

    return through_the_forms


@pytest.fixture
def check_accessible() -> Callable[..., None]:
    """Return a function that checks the page as it stands at both widths and in both languages: come to it with `follow`.

    No violation of WCAG 2.1 A and AA (axe), and nothing wider than the screen. `here=True`: the page answers a form and cannot be
    asked for again, so it is checked in the language it has.
    """
    from axe_playwright_python.sync_playwright import Axe

    def check(page: Any, name: str = "", *, here: bool = False) -> None:
        address = page.url
        shown = name or re.sub(r"[^a-z0-9]+", "-", urlsplit(address).path.strip("/")) or "root"
        for language in ("as-is",) if here else LANGUAGES:
            if not here:
                cookie = {"name": "doudi-lang", "value": language, "url": address}
                page.context.add_cookies([cookie])
                page.goto(address)
            for width_px, height_px in WIDTHS_PX.items():
                page.set_viewport_size({"width": width_px, "height": height_px})
                page.wait_for_function("width => window.innerWidth === width", arg=width_px)
                if os.environ.get(PICTURES_VARIABLE):
                    screenshot(page, f"{shown}-{language}-{width_px}")
                found = Axe().run(page, options={"runOnly": list(STANDARD)}).response["violations"]
                faults = [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found]
                assert faults == [], f"{shown} at {width_px} px, {language}"
                assert page.evaluate("document.documentElement.scrollWidth") <= width_px, (
                    f"{shown}: wider than {width_px}"
                )

    return check


def _complain(complaints: list[str], message: Any) -> None:
    # The browser reports every answer of 400 and above, which tests of refusals want to see.
    if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
        complaints.append(message.text)
