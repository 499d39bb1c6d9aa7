"""Requests and grants in a real browser: accessible at every width, by keyboard, without a script, in both languages."""

from collections.abc import Iterator

import pytest
from console_server import ConsoleServer
from governed_server import Requests, governed_server
from pictures import screenshot

OTHERS = ("health", "housing", "tax")


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    """In the place of the console that all tests share: these make requests, and `open_page` opens this one's pages."""
    server = governed_server(tmp_path_factory.mktemp("governed"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def governed(console: ConsoleServer) -> Requests:
    """What stands behind the pages."""
    requests: Requests = console.prepared
    return requests


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/console/requests", "centre_approver"),
        ("/console/requests?view=all", "auditor"),
        ("/console/requests?view=waiting", "department_approver"),
        ("/console/requests?view=own", "department_it"),
        ("/console/requests/new", "lead_it"),
        ("/console/requests/new", "department_it"),
        ("/console/grants", "centre_officer"),
        ("/console/grants?view=ended", "auditor"),
        ("/console", "department_approver"),
        ("/console", "lead_it"),
    ],
)
def test_a_list_is_accessible(open_page, check_accessible, path, role):
    name = path.strip("/").replace("/", "-").replace("?view=", "-")
    check_accessible(open_page(path, role=role), f"{name}-{role}")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("draft", "lead_it"),
        ("submitted", "centre_approver"),
        ("signed", "department_approver"),
        ("refused", "auditor"),
        ("active", "scheduler"),
    ],
)
def test_a_request_is_accessible(open_page, check_accessible, governed, name, role):
    page = open_page(f"/console/requests/{governed.numbers[name]}", role=role)
    check_accessible(page, f"request-{name}")


@pytest.mark.parametrize(("name", "role"), [("active", "department_approver"), ("revoked", "auditor")])
def test_a_grant_is_accessible(open_page, check_accessible, governed, name, role):
    check_accessible(open_page(f"/console/grants/{governed.numbers[name]}", role=role), f"grant-{name}")


def test_open_questions_and_tables_are_accessible(open_page, check_accessible, governed):
    page = open_page(f"/console/requests/{governed.numbers['submitted']}", role="centre_approver")
    for summary in page.locator("details:not([open]) > summary").all():
        if summary.is_visible():
            summary.click()
    check_accessible(page, "request-all-open", here=True)


def test_a_command_is_selected_with_one_click(open_page, governed):
    page = open_page(f"/console/requests/{governed.numbers['submitted']}", role="centre_approver")
    page.locator(".commands .command").last.click()
    assert page.evaluate("getSelection().toString()") == f"doudi centre approve {governed.numbers['submitted']}"


def test_the_keyboard_alone_is_enough_to_refuse(open_page, governed):
    number = governed.submitted("grant-by-keyboard")
    page = open_page(f"/console/requests/{number}", role="centre_approver")
    page.locator("#refuse summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("Not within the purpose.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**?done=refused")
    assert page.get_by_text("“Not within the purpose.”").is_visible()
    assert page.locator(".head .badge").inner_text() == "Refused"


@pytest.mark.parametrize("script", [True, False])
def test_a_request_is_made_corrected_compared_and_submitted(open_page, check_accessible, script):
    page = open_page("/console/requests/new", role="lead_it", java_script_enabled=script)
    for name in OTHERS:
        page.locator(f'input[name=supporting][value="{name}"]').check()
    page.get_by_label("Number of runs").fill("500")
    page.get_by_label("Monday").first.check()
    page.get_by_label("Begins at").first.fill("22:00")
    page.get_by_label("Ends at").first.fill("06:00")
    page.get_by_role("button", name="Compare with the rules").click()
    # The windows are wrong in themselves; the rules are asked once everything can be read.
    assert page.locator("#error-window_1").is_visible()
    page.get_by_label("Ends at").first.fill("24:00")
    page.get_by_role("button", name="Compare with the rules").click()
    assert "at most 50" in page.locator("#error-runs").inner_text()
    if script:
        check_accessible(page, "request-form-refused", here=True)
    # The summary leads to the field.
    page.get_by_role("alert").first.get_by_role("link").first.click()
    assert page.url.endswith("#field-runs")
    page.get_by_label("Number of runs").fill("5")
    page.get_by_role("button", name="Compare with the rules").click()
    assert page.get_by_text("Monday, 22:00 to 24:00 (UTC+08:00)").is_visible()
    if script:
        check_accessible(page, "request-preview", here=True)
    page.get_by_role("button", name="Store as a draft").first.click()
    page.wait_for_url("**?done=drafted")
    page.get_by_role("button", name="Submit to owners and centre").click()
    page.wait_for_url("**?done=submitted")
    screenshot(page, f"request-submitted-script-{script}")
    assert page.locator(".head .badge").inner_text() == "Submitted"


def test_the_language_is_switched_on_a_request(open_page, governed):
    page = open_page(f"/console/requests/{governed.numbers['submitted']}", role="department_approver", language="zh")
    assert page.get_by_text("授权只有经签署才会生效").is_visible()
    page.get_by_role("link", name="English").click()
    assert page.get_by_text("The grant becomes active only with signatures").is_visible()


def test_a_person_asks_to_take_a_grant_back_and_gets_the_command(open_page, governed, check_accessible):
    number = governed.numbers["active"]
    page = open_page(f"/console/grants/{number}", role="department_approver")
    page.locator("#revoke summary").click()
    check_accessible(page, "grant-take-back", here=True)
    # Without a reason the browser itself does not send it.
    page.get_by_role("button", name="Record that we want to take it back").click()
    assert page.url.endswith(f"/grants/{number}")
    page.locator("#field-why").select_option("purpose_ended")
    page.get_by_role("button", name="Record that we want to take it back").click()
    page.wait_for_url("**?done=wished")
    assert page.get_by_text(f"doudi node revoke {number} --reason purpose_ended").is_visible()
    assert page.locator(".head .badge").inner_text() == "Active"
    screenshot(page, "grant-wished")
