"""Every page that needs no more than a person: accessible in both languages at both widths, and free of policy violations."""

import re

import pytest
from console_people import PASSWORD, ROLES
from navigation import follow
from playwright.sync_api import expect

PAGES = (
    "/console",
    "/console/standards",
    "/console/standards/datasets/housing/1",
    "/console/standards/tiers/core/1",
    "/console/standards/tiers/general_3/1",
    "/console/account",
    "/console/account/password",
    "/console/account/recovery-codes",
    "/console/account/tokens/new",
    "/console/nowhere",
)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible(open_page, check_accessible, path):
    check_accessible(open_page(path, role="centre_officer"))


@pytest.mark.parametrize("role", ROLES)
def test_the_home_page_of_each_role_is_accessible(open_page, check_accessible, role):
    check_accessible(open_page("/console", role=role), f"home-{role}")


def test_the_pages_before_signing_in_are_accessible(open_page, console, check_accessible):
    page = open_page("/console/sign-in")
    check_accessible(page)
    page.goto("/console/sign-in?lang=en")
    page.get_by_label("Login name").fill(console.people["auditor"].login_name)
    page.get_by_label("Password").fill(PASSWORD)
    follow(page, page.locator("main button"))
    expect(page).to_have_url(re.compile(r"/console/sign-in/code$"))
    check_accessible(page)
    page.goto("/console/sign-in/recovery")
    check_accessible(page)


def test_the_menu_opens_on_a_narrow_screen(open_page, check_accessible):
    page = open_page("/console", role="centre_officer", width_px=360)
    expect(page.locator(".menu summary")).to_be_visible()
    expect(page.get_by_role("link", name="Standards and tiers")).to_have_count(0)
    page.locator(".menu summary").click()
    check_accessible(page, "menu-open", here=True)
    page.set_viewport_size({"width": 360, "height": 740})
    follow(page, page.locator(".narrow-only").get_by_role("link", name="Standards and tiers"))
    expect(page).to_have_url(re.compile(r"/console/standards$"))


def test_a_table_becomes_cards_on_a_narrow_screen_and_stays_a_table_for_screen_readers(open_page):
    page = open_page("/console/standards", role="auditor", width_px=360)
    expect(page.get_by_role("table").first).to_be_visible()
    cell = page.get_by_role("cell").first
    assert cell.evaluate("element => getComputedStyle(element).display") == "grid"
    assert cell.evaluate("element => getComputedStyle(element, '::before').content") == '"Department"'


def test_a_script_in_a_page_does_not_run_and_the_tests_would_notice(open_page, complaints):
    page = open_page("/console/sign-in")
    # The browser writes its complaint beside the page's own work: it is waited for.
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate(
            """() => { const script = document.createElement("script"); script.textContent = "window.ran = true";
            document.body.append(script); }"""
        )
    assert page.evaluate("window.ran") is None
    assert ["Content Security Policy" in complaint for complaint in complaints] == [True]
    complaints.clear()
