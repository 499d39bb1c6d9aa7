"""Accounts, the rules, decisions and the record in a real browser."""

import pytest
from console_people import PASSWORD
from console_server import fresh_code

from policies.authorization.coordinator_rules import shipped_engine

EXTRA = """
// The centre's device may read the record too.
@id("extra.rule")
permit (principal is Device, action == Action::"event.read", resource is System);
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
        ("/console/ledger?limit=20", "auditor"),
        ("/console/ledger?account=9999", "auditor"),
    ],
)
def test_a_page_is_accessible(open_page, check_accessible, path, role):
    name = path.strip("/").replace("/", "-").replace("?", "-").replace("=", "-")
    check_accessible(open_page(path, role=role), f"{name}-{role}")


def test_an_account_is_made_by_keyboard_and_its_person_enrols(open_page, check_accessible, console):
    page = open_page("/console/accounts", role="centre_officer")
    page.get_by_role("link", name="New account").click()
    page.get_by_role("button", name="Make the account").click()
    assert page.title().startswith("Error:")
    check_accessible(page, "account-new-refused", here=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_label("Login name").focus()
    page.keyboard.type("zhang-min")
    page.keyboard.press("Tab")
    page.keyboard.type("Tax")
    page.get_by_label("Department IT").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/code")
    code = page.locator(".secret").inner_text()
    check_accessible(page, "account-code", here=True)
    page.reload()
    assert code not in page.content()
    assert page.get_by_text("The person has not enrolled yet.").is_visible()
    person = open_page("/console/enrol")
    person.get_by_label("One-time code").fill(code)
    person.locator("main button").click()
    assert person.get_by_text("zhang-min").is_visible()


def test_roles_that_do_not_go_together_are_said_at_their_field(open_page, check_accessible):
    page = open_page("/console/accounts/3", role="centre_officer", language="zh")
    page.get_by_label("部门审批人").check()
    page.get_by_role("button", name="变更角色").click()
    assert page.locator("#error-roles").is_visible()
    # What was ticked is still ticked.
    assert page.get_by_label("部门审批人").is_checked()
    check_accessible(page, "account-roles-refused", here=True)


def test_a_change_of_the_rules_is_checked_proposed_and_approved(open_page, check_accessible, console):
    page = open_page("/console/policy", role="centre_officer")
    page.get_by_role("link", name="Propose a change").first.click()
    rules = page.get_by_label("All rules, in Cedar")
    assert rules.input_value().strip() == shipped_engine().text.strip()
    rules.fill("permit (")
    page.get_by_role("button", name="Check").click()
    assert page.get_by_text("These rules cannot be put in force.").is_visible()
    check_accessible(page, "policy-check-refused", here=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    rules.fill(shipped_engine().text + EXTRA)
    page.get_by_role("button", name="Check").click()
    # A change is told by signs and words besides colours.
    added = page.locator("table.diff tr.added").first
    assert added.locator(".sign").inner_text().startswith("+")
    assert "added" in added.text_content()
    check_accessible(page, "policy-checked", here=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("button", name="Propose").click()
    page.get_by_text("The change is proposed.").wait_for()
    address = page.url.partition("?")[0]
    check_accessible(page, "policy-change-own")
    approver = open_page(address, role="centre_approver")
    check_accessible(approver, "policy-change")
    approver.goto(f"{address}?lang=en")
    approver.locator("#approve summary").click()
    approver.get_by_role("button", name="Approve the change").click()
    approver.get_by_text("Your approval is recorded. One more is needed.").wait_for()
    page.goto(f"{address}?lang=en")
    page.locator("#withdraw summary").click()
    page.get_by_role("button", name="Withdraw the change").click()
    page.get_by_text("The change is withdrawn.").first.wait_for()


def test_a_decision_leads_to_its_rule(open_page):
    page = open_page("/console/decisions?action=run.schedule", role="auditor")
    page.get_by_role("link", name="runs.schedule").first.click()
    assert page.url.endswith("/console/policy/rules#runs.schedule")
    assert page.get_by_role("heading", name="runs.schedule").is_visible()


def test_the_record_is_narrowed_by_keyboard(open_page):
    page = open_page("/console/ledger", role="auditor", java_script_enabled=False)
    assert page.get_by_text("It cannot be proved yet.").is_visible()
    page.get_by_label("What", exact=True).select_option("run.finished")
    page.get_by_label("What", exact=True).focus()
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**type=run.finished**")
    assert page.locator("main tbody tr").count() == 2


def test_whoever_is_signed_out_is_led_to_the_sign_in_page_and_back(open_page, console, sign_in):
    page = open_page("/console/ledger?type=run.finished")
    assert "/console/sign-in" in page.url
    sign_in(page, "auditor")
    assert page.url.endswith("/console/ledger?type=run.finished")
    assert fresh_code(console, "auditor") != PASSWORD
