"""live.js with the real file and the console's policy; page and stream are the test's own."""

from playwright.sync_api import expect

from coordinator.console.security import HEADERS
from coordinator.console.static_files import static_address

PAGE = """<!DOCTYPE html><html lang="en"><title>Live</title><script src="{script}" defer></script>
<div data-live-url="/console/live-stream"><span id="steps" data-live="steps">1</span>
<progress id="bar" max="6" value="1" data-live="steps" data-live-attribute="value"></progress>
<a id="link" href="/console" data-live="address" data-live-attribute="href">x</a>
<span id="text" data-live="text"></span><p id="end" data-live-end hidden>ended</p></div>
<span id="outside" data-live="steps">1</span></html>"""
STREAM = (
    'data: {"steps": 3, "address": "javascript:alert(1)", "text": "<img src=x onerror=alert(1)>"}\n\n'
    "data: not json\n\ndata: null\n\nevent: end\ndata: {}\n\n"
)


def test_values_change_as_text_and_nothing_else_does(open_page):
    page = open_page("/console/sign-in")
    page.route("**/console/live-stream", lambda route: route.fulfill(content_type="text/event-stream", body=STREAM))
    shown = PAGE.format(script=static_address("live.js"))
    page.route(
        "**/console/live-page",
        lambda route: route.fulfill(content_type="text/html", body=shown, headers=dict(HEADERS)),
    )
    page.goto("/console/live-page")
    # Everything before the end has come when the end is shown.
    expect(page.locator("#end")).to_be_visible()
    expect(page.locator("#steps")).to_have_text("3")
    expect(page.locator("#bar")).to_have_attribute("value", "3")
    expect(page.locator("#outside")).to_have_text("1")
    # A stream can change what a page says, and never where it leads or what it runs.
    expect(page.locator("#link")).to_have_attribute("href", "/console")
    expect(page.locator("#text")).to_have_text("<img src=x onerror=alert(1)>")
    expect(page.locator("img")).to_have_count(0)
