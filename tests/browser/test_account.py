"""The own account, as people use it."""

from console_server import fresh_code


def test_a_token_is_made_used_up_and_revoked(open_page, console, check_accessible):
    page = open_page("/console/account/tokens/new", role="department_approver")
    page.get_by_label("Label").fill("nightly-report")
    page.get_by_label("Read only").check()
    page.get_by_label("Valid for").select_option("7")
    page.get_by_label("Code of your authenticator app").fill("000000")
    page.get_by_role("button", name="Make the token").click()
    check_accessible(page, "token-refused", here=True)
    assert page.get_by_label("Label").input_value() == "nightly-report"
    assert page.get_by_label("Read only").is_checked()
    assert page.get_by_label("Valid for").input_value() == "7"
    page.get_by_label("Code of your authenticator app").fill(fresh_code(console, "department_approver"))
    page.get_by_role("button", name="Make the token").click()
    assert page.locator(".secret").inner_text().startswith("doudi_")
    check_accessible(page, "token-made", here=True)
    page.get_by_role("link", name="I have kept it: continue").click()
    check_accessible(page, "account-with-token")
    # The question opens in place, from the keyboard too.
    page.goto("/console/account?lang=en")
    page.locator("details.confirm summary").focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("Programs that use “nightly-report” stop working at once.").is_visible()
    check_accessible(page, "account-revoke-question", here=True)
    page.get_by_role("button", name="Revoke the token").click()
    assert page.get_by_text("The token is revoked.").is_visible()
    assert page.get_by_text("revoked", exact=True).is_visible()


def test_another_session_is_ended(open_page, console):
    elsewhere = open_page("/console", role="auditor")
    page = open_page("/console/account", role="auditor")
    page.get_by_role("button", name="End").first.click()
    assert page.get_by_text("The session is ended.").is_visible()
    elsewhere.reload()
    assert elsewhere.url.startswith(f"{console.url}/console/sign-in")
