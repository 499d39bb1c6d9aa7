"""Accounts, the rules and decisions in a real browser."""

import re

import pytest
from navigation import follow, send_by_key
from playwright.sync_api import expect

from policies.authorization.coordinator_rules import shipped_engine

EXTRA = """
// The centre's device may read the record too.
@id("extra.rule")
permit (principal is Device, action == Action::"ledger.read_headers", resource is System);
"""


@pytest.fixture
def console(working_console):
    """In the place of the console that all tests share."""
    return working_console


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/console/accounts", "centre_officer"),
        ("/console/accounts/new", "centre_officer"),
        ("/console/accounts/1", "centre_officer"),
        ("/console/accounts/2", "centre_officer"),
        ("/console/accounts/3", "auditor"),
        ("/console/policy", "auditor"),
        ("/console/policy/rules", "department_it"),
        ("/console/policy/propose", "centre_officer"),
        ("/console/decisions?limit=20", "auditor"),
        ("/console/decisions?action=policy.reset", "auditor"),
    ],
)
def test_a_page_is_accessible(open_page, check_accessible, path, role):
    name = path.strip("/").replace("/", "-").replace("?", "-").replace("=", "-")
    check_accessible(open_page(path, role=role), f"{name}-{role}")


def test_an_account_is_made_by_keyboard_and_its_person_enrols(open_page, check_accessible):
    page = open_page("/console/accounts", role="centre_officer")
    follow(page, page.get_by_role("link", name="New account"))
    follow(page, page.get_by_role("button", name="Make the account"))
    expect(page).to_have_title(re.compile(r"^Error:"))
    check_accessible(page, "account-new-refused", here=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_label("Login name").focus()
    page.keyboard.type("zhang-min")
    page.keyboard.press("Tab")
    # One letter: a list begins to look anew when a second passes between two.
    page.keyboard.press("T")
    expect(page.get_by_label("Party")).to_have_value("tax")
    page.get_by_label("Department IT").focus()
    page.keyboard.press("Space")
    expect(page.get_by_label("Department IT")).to_be_checked()
    send_by_key(page)
    expect(page).to_have_url(re.compile(r"/code$"))
    code = page.locator(".secret").inner_text()
    check_accessible(page, "account-code", here=True)
    page.reload()
    expect(page.get_by_text("The person has not enrolled yet.")).to_be_visible()
    assert code not in page.content()
    person = open_page("/console/enrol")
    person.get_by_label("One-time code").fill(code)
    follow(person, person.locator("main button"))
    expect(person.get_by_text("zhang-min")).to_be_visible()


def test_roles_that_do_not_go_together_are_said_at_their_field(open_page, check_accessible):
    page = open_page("/console/accounts/3", role="centre_officer", language="zh")
    page.get_by_label("部门审批人").check()
    follow(page, page.get_by_role("button", name="变更角色"))
    expect(page.locator("#error-roles")).to_be_visible()
    # What was ticked is still ticked.
    expect(page.get_by_label("部门审批人")).to_be_checked()
    check_accessible(page, "account-roles-refused", here=True)


def test_a_change_of_the_rules_is_checked_proposed_and_approved(open_page, check_accessible):
    page = open_page("/console/policy", role="centre_officer")
    follow(page, page.get_by_role("link", name="Propose a change").first)
    rules = page.get_by_label("All rules, in Cedar")
    assert rules.input_value().strip() == shipped_engine().text.strip()
    rules.fill("permit (")
    follow(page, page.get_by_role("button", name="Check"))
    expect(page.get_by_text("These rules cannot be put in force.")).to_be_visible()
    check_accessible(page, "policy-check-refused", here=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    rules.fill(shipped_engine().text + EXTRA)
    follow(page, page.get_by_role("button", name="Check"))
    # A change is told by signs and words besides colours.
    added = page.locator("table.diff tr.added").first
    expect(added.locator(".sign")).to_have_text(re.compile(r"^\+"))
    expect(added).to_contain_text("added")
    check_accessible(page, "policy-checked", here=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    follow(page, page.get_by_role("button", name="Propose"))
    expect(page.get_by_text("The change is proposed.")).to_be_visible()
    address = page.url.partition("?")[0]
    check_accessible(page, "policy-change-own")
    approver = open_page(address, role="centre_approver")
    check_accessible(approver, "policy-change")
    approver.goto(f"{address}?lang=en")
    approver.locator("#approve summary").click()
    follow(approver, approver.get_by_role("button", name="Approve the change"))
    expect(approver.get_by_text("Your approval is recorded. One more is needed.")).to_be_visible()
    page.goto(f"{address}?lang=en")
    page.locator("#withdraw summary").click()
    follow(page, page.get_by_role("button", name="Withdraw the change"))
    expect(page.get_by_text("The change is withdrawn.").first).to_be_visible()


def test_a_decision_leads_to_its_rule(open_page):
    page = open_page("/console/decisions?action=run.schedule", role="auditor")
    follow(page, page.get_by_role("link", name="runs.schedule").first)
    expect(page).to_have_url(re.compile(r"/console/policy/rules#runs\.schedule$"))
    expect(page.get_by_role("heading", name="runs.schedule")).to_be_visible()


def test_whoever_is_signed_out_is_led_to_the_sign_in_page_and_back(open_page, sign_in):
    page = open_page("/console/ledger/entries?type=run.finished")
    expect(page).to_have_url(re.compile(r"/console/sign-in\?"))
    sign_in(page, "auditor")
    expect(page).to_have_url(re.compile(r"/console/ledger/entries\?type=run\.finished$"))
