"""The own account, as people use it."""

import re

from console_server import fresh_code
from navigation import follow
from playwright.sync_api import expect


def test_a_token_is_made_used_up_and_revoked(open_page, console, check_accessible):
    page = open_page("/console/account/tokens/new", role="department_approver")
    page.get_by_label("Label").fill("nightly-report")
    page.get_by_label("Read only").check()
    page.get_by_label("Valid for").select_option("7")
    page.get_by_label("Code of your authenticator app").fill("000000")
    follow(page, page.get_by_role("button", name="Make the token"))
    expect(page.get_by_role("alert")).to_be_visible()
    check_accessible(page, "token-refused", here=True)
    expect(page.get_by_label("Label")).to_have_value("nightly-report")
    expect(page.get_by_label("Read only")).to_be_checked()
    expect(page.get_by_label("Valid for")).to_have_value("7")
    page.get_by_label("Code of your authenticator app").fill(fresh_code(console, "department_approver"))
    follow(page, page.get_by_role("button", name="Make the token"))
    expect(page.locator(".secret")).to_have_text(re.compile(r"^doudi_"))
    check_accessible(page, "token-made", here=True)
    follow(page, page.get_by_role("link", name="I have kept it: continue"))
    check_accessible(page, "account-with-token")
    # The question opens in place, from the keyboard too.
    page.goto("/console/account?lang=en")
    page.locator("details.confirm summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Programs that use “nightly-report” stop working at once.")).to_be_visible()
    check_accessible(page, "account-revoke-question", here=True)
    follow(page, page.get_by_role("button", name="Revoke the token"))
    expect(page.get_by_text("The token is revoked.")).to_be_visible()
    expect(page.get_by_text("revoked", exact=True)).to_be_visible()


def test_another_session_is_ended(open_page, console):
    elsewhere = open_page("/console", role="auditor")
    page = open_page("/console/account", role="auditor")
    follow(page, page.get_by_role("button", name="End").first)
    expect(page.get_by_text("The session is ended.")).to_be_visible()
    elsewhere.reload()
    expect(elsewhere).to_have_url(re.compile(f"^{re.escape(console.url)}/console/sign-in"))
