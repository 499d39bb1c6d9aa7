"""Signing in, as people do it: with the mouse, with the keyboard alone, in both languages."""

import re

from console_people import PASSWORD, invite
from console_server import fresh_code
from navigation import follow, send_by_key
from pictures import screenshot
from playwright.sync_api import expect

from coordinator.accounts.totp import matching_step


def test_a_person_signs_in_and_sees_the_home_page(open_page, sign_in, console):
    page = open_page("/console")
    expect(page).to_have_url(f"{console.url}/console/sign-in")
    sign_in(page, "centre_officer")
    expect(page).to_have_url(f"{console.url}/console")
    expect(page.locator("h1")).to_have_text("Home")
    expect(page.locator(".who a")).to_have_text("centre-officer")
    follow(page, page.get_by_role("button", name="Sign out"))
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.goto("/console")
    expect(page).to_have_url(f"{console.url}/console/sign-in")


def test_signing_in_leads_to_the_page_that_was_asked_for(open_page, sign_in, console):
    page = open_page("/console/standards/tiers/core/1")
    sign_in(page, "auditor")
    expect(page).to_have_url(f"{console.url}/console/standards/tiers/core/1")


def test_the_keyboard_alone_is_enough_to_sign_in(open_page, console):
    page = open_page("/console/sign-in")
    person = console.people["department_it"]
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    # Where a link or `autofocus` puts the focus it is only once the browser draws: after the key, and after the page has loaded.
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Login name")).to_be_focused()
    page.keyboard.type(person.login_name)
    page.keyboard.press("Tab")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    send_by_key(page)
    expect(page).to_have_url(f"{console.url}/console/sign-in/code")
    # The only thing that this page is for has the focus without a key.
    expect(page.locator("#field-code")).to_be_focused()
    page.keyboard.type(fresh_code(console, "department_it"))
    send_by_key(page)
    expect(page).to_have_url(f"{console.url}/console")
    expect(page.locator("h1")).to_have_text("Home")


def test_the_focus_can_be_seen_on_every_stop(open_page):
    page = open_page("/console/sign-in")
    stops = 0
    for _ in range(12):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() == 0:
            break
        stops += 1
        assert focused.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        assert focused.bounding_box()["x"] >= 0
    assert stops >= 7


def test_a_wrong_password_is_told_once_and_for_the_whole_form(open_page, check_accessible):
    page = open_page("/console/sign-in", language="zh")
    page.get_by_label("登录名").fill("nobody")
    page.get_by_label("密码").fill("wrong password here")
    follow(page, page.locator("main button"))
    expect(page.get_by_role("alert").get_by_text("登录名、密码或验证码有误，或账户已被锁定。")).to_be_visible()
    expect(page).to_have_title(re.compile("^有误："))
    expect(page.get_by_label("登录名")).to_have_value("nobody")
    expect(page.get_by_label("密码")).to_have_value("")
    check_accessible(page, "sign-in-refused", here=True)


def test_the_language_is_switched_and_stays(open_page, console):
    page = open_page("/console/standards/tiers/important/1", role="auditor", language="zh")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.locator("h1")).to_have_text("重要数据")
    follow(page, page.get_by_role("link", name="English"))
    expect(page).to_have_url(f"{console.url}/console/standards/tiers/important/1")
    expect(page.locator("h1")).to_have_text("Important data")
    page.goto("/console")
    expect(page.locator("h1")).to_have_text("Home")
    follow(page, page.get_by_role("link", name="中文"))
    expect(page.locator("h1")).to_have_text("首页")


def test_everything_works_without_a_script(open_page, sign_in):
    page = open_page("/console", java_script_enabled=False)
    sign_in(page, "scheduler")
    expect(page.locator("h1")).to_have_text("Home")
    follow(page, page.get_by_role("link", name="中文"))
    expect(page.locator("h1")).to_have_text("首页")


def test_a_new_person_sets_password_and_second_factor(open_page, console, check_accessible):
    code = invite(console.context, "newcomer", "tax", "department_it")
    page = open_page("/console/sign-in", language="zh")
    follow(page, page.get_by_role("link", name="我有一次性代码"))
    expect(page).to_have_url(f"{console.url}/console/enrol")
    check_accessible(page, "enrol")
    page.goto("/console/enrol?lang=zh")
    page.get_by_label("一次性代码").fill(code.lower().replace("-", " "))
    follow(page, page.locator("main button"))
    expect(page.locator("#field-totp_code")).to_be_visible()
    check_accessible(page, "enrol-set-up", here=True)
    secret = page.locator(".secret").inner_text().replace(" ", "")
    page.locator("#field-password").fill("short")
    page.locator("#field-password_again").fill("short")
    page.locator("#field-totp_code").fill(_code_now(secret, console))
    follow(page, page.locator("main button"))
    expect(page.locator("#error-password")).to_be_visible()
    # The secret that the app may hold already is still the same.
    assert page.locator(".secret").inner_text().replace(" ", "") == secret
    check_accessible(page, "enrol-weak-password", here=True)
    page.locator("#field-password").fill(PASSWORD)
    page.locator("#field-password_again").fill(PASSWORD)
    page.locator("#field-totp_code").fill(_code_now(secret, console))
    follow(page, page.locator("main button"))
    expect(page.locator(".codes li")).to_have_count(10)
    check_accessible(page, "recovery-codes", here=True)
    follow(page, page.get_by_role("link", name="已妥善保管，继续"))
    expect(page.locator("h1")).to_have_text("首页")


def test_a_recovery_code_stands_for_the_app(open_page, console):
    person = console.people["scheduler"]
    page = open_page("/console/sign-in")
    page.get_by_label("Login name").fill(person.login_name)
    page.get_by_label("Password").fill(PASSWORD)
    follow(page, page.locator("main button"))
    follow(page, page.get_by_role("link", name="recovery code"))
    page.get_by_label("Recovery code").fill(person.recovery_codes[0])
    screenshot(page, "sign-in-recovery")
    follow(page, page.locator("main button"))
    expect(page.locator("h1")).to_have_text("Home")


def _code_now(secret, console):
    import pyotp

    code = pyotp.TOTP(secret).at(int(console.clock()))
    assert matching_step(secret, code, int(console.clock()), None) is not None
    return code
