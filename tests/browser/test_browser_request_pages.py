"""Requests and grants in a real browser: accessible at every width, by keyboard, without a script, in both languages."""

import re
from collections.abc import Iterator

import pytest
from console_server import ConsoleServer
from governed_server import Requests, governed_server
from navigation import follow, send_by_key
from pictures import screenshot
from playwright.sync_api import expect

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
    # By their place among all of them: those that are closed get fewer with each one that is opened.
    for question in page.locator("main details").all():
        if question.get_attribute("open") is None:
            question.locator("> summary").click()
            expect(question).to_have_attribute("open", "")
    expect(page.locator("main details:not([open])")).to_have_count(0)
    check_accessible(page, "request-all-open", here=True)


def test_a_command_is_selected_with_one_click(open_page, governed):
    page = open_page(f"/console/requests/{governed.numbers['submitted']}", role="centre_approver")
    page.locator(".commands .command").last.click()
    command = f"doudi centre approve {governed.numbers['submitted']}"
    page.wait_for_function("command => getSelection().toString() === command", arg=command)


def test_the_keyboard_alone_is_enough_to_refuse(open_page, governed):
    number = governed.submitted("grant-by-keyboard")
    page = open_page(f"/console/requests/{number}", role="centre_approver")
    page.locator("#refuse summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#refuse")).to_have_attribute("open", "")
    page.keyboard.press("Tab")
    expect(page.locator("#refuse-reason")).to_be_focused()
    page.keyboard.type("Not within the purpose.")
    page.keyboard.press("Tab")
    send_by_key(page)
    expect(page).to_have_url(re.compile(r"\?done=refused$"))
    expect(page.get_by_text("“Not within the purpose.”")).to_be_visible()
    expect(page.locator(".head .badge")).to_have_text("Refused")


@pytest.mark.parametrize("script", [True, False])
def test_a_request_is_made_corrected_compared_and_submitted(open_page, check_accessible, script):
    page = open_page("/console/requests/new", role="lead_it", java_script_enabled=script)
    for name in OTHERS:
        page.locator(f'input[name=supporting][value="{name}"]').check()
    page.get_by_label("Number of runs").fill("500")
    page.get_by_label("Monday").first.check()
    page.get_by_label("Begins at").first.fill("22:00")
    page.get_by_label("Ends at").first.fill("06:00")
    compare = page.get_by_role("button", name="Compare with the rules")
    follow(page, compare)
    # The windows are wrong in themselves; the rules are asked once everything can be read.
    expect(page.locator("#error-window_1")).to_be_visible()
    page.get_by_label("Ends at").first.fill("24:00")
    follow(page, compare)
    expect(page.locator("#error-runs")).to_contain_text("at most 50")
    if script:
        check_accessible(page, "request-form-refused", here=True)
    # The summary leads to the field.
    page.get_by_role("alert").first.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(r"#field-runs$"))
    expect(page.get_by_label("Number of runs")).to_be_focused()
    page.get_by_label("Number of runs").fill("5")
    follow(page, compare)
    expect(page.get_by_text("Monday, 22:00 to 24:00 (UTC+08:00)")).to_be_visible()
    if script:
        check_accessible(page, "request-preview", here=True)
    follow(page, page.get_by_role("button", name="Store as a draft").first)
    expect(page).to_have_url(re.compile(r"\?done=drafted$"))
    follow(page, page.get_by_role("button", name="Submit to owners and centre"))
    expect(page).to_have_url(re.compile(r"\?done=submitted$"))
    screenshot(page, f"request-submitted-script-{script}")
    expect(page.locator(".head .badge")).to_have_text("Submitted")


def test_the_language_is_switched_on_a_request(open_page, governed):
    page = open_page(f"/console/requests/{governed.numbers['submitted']}", role="department_approver", language="zh")
    expect(page.get_by_text("授权只有经签署才会生效")).to_be_visible()
    follow(page, page.get_by_role("link", name="English"))
    expect(page.get_by_text("The grant becomes active only with signatures")).to_be_visible()


def test_a_person_asks_to_take_a_grant_back_and_gets_the_command(open_page, governed, check_accessible):
    number = governed.numbers["active"]
    page = open_page(f"/console/grants/{number}", role="department_approver")
    page.locator("#revoke summary").click()
    check_accessible(page, "grant-take-back", here=True)
    # Without a reason the browser itself does not send it: it leads to the field instead.
    record = page.get_by_role("button", name="Record that we want to take it back")
    record.click()
    expect(page.locator("#field-why")).to_be_focused()
    expect(page).to_have_url(re.compile(rf"/grants/{number}$"))
    page.locator("#field-why").select_option("purpose_ended")
    follow(page, record)
    expect(page).to_have_url(re.compile(r"\?done=wished$"))
    expect(page.get_by_text(f"doudi node revoke {number} --reason purpose_ended")).to_be_visible()
    expect(page.locator(".head .badge")).to_have_text("Active")
    screenshot(page, "grant-wished")
