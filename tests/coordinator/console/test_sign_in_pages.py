"""Signing in and enrolling through the pages, without a browser's screen: `views/sign_in.py`, `views/enrolment.py`."""

import re

import pyotp
import pytest
from console_people import PASSWORD, enrolled, invite
from screenless_browser import Browser

from coordinator.accounts.attempts import LOCK_AFTER_FAILURES
from coordinator.accounts.sessions import PENDING_S
from coordinator.accounts.settings import OidcSettings

NEXT_CODE_S = 30
EN = {"accept-language": "en"}


def give_password(browser, person, password=PASSWORD, **more):
    browser.get("/console/sign-in")
    return browser.post("/console/sign-in", {"login_name": person.login_name, "password": password, **more}, **EN)


def give_code(world, browser, person, page="code", code=None, **more):
    world.now += NEXT_CODE_S
    browser.get(f"/console/sign-in/{page}")
    return browser.post(f"/console/sign-in/{page}", {"code": code or person.code(world.now), **more}, **EN)


def test_password_and_second_factor_sign_in(cheap_world, browser, person):
    assert give_password(browser, person).headers["location"] == "/console/sign-in/code"
    # Until both were right nobody is signed in.
    assert browser.get("/console").status_code == 303
    pending = browser.cookies["__Host-doudi"]
    assert give_code(cheap_world, browser, person).headers["location"] == "/console"
    assert browser.cookies["__Host-doudi"] != pending
    assert person.login_name in browser.get("/console").text


def test_one_comes_back_to_the_page_that_was_asked_for(cheap_world, browser, person):
    back = "/console/standards?x=1"
    answer = give_password(browser, person, back=back)
    assert answer.headers["location"] == "/console/sign-in/code?back=%2Fconsole%2Fstandards%3Fx%3D1"
    assert 'name="back" value="/console/standards?x=1"' in browser.get(answer.headers["location"]).text
    assert give_code(cheap_world, browser, person, back=back).headers["location"] == back


def test_whoever_is_signed_in_is_not_asked_again(signed_in, person):
    assert signed_in(person).get("/console/sign-in?back=/console/standards").headers["location"] == "/console/standards"


@pytest.mark.parametrize(
    ("name", "password"), [("li-na", "wrong"), ("nobody", PASSWORD), ("", ""), ("LI-NA ", "other words")]
)
def test_a_refusal_never_says_what_was_wrong(browser, person, name, password):
    browser.get("/console/sign-in")
    answer = browser.post("/console/sign-in", {"login_name": name, "password": password}, **EN)
    assert answer.status_code == 403
    assert "Name, password or code are not right, or the account is locked." in answer.text
    assert "__Host-doudi" not in browser.cookies
    assert not password or password not in answer.text


def test_a_wrong_code_signs_nobody_in_and_may_be_tried_again(cheap_world, browser, person):
    give_password(browser, person)
    assert give_code(cheap_world, browser, person, code="000000").status_code == 403
    assert browser.get("/console").status_code == 303
    assert give_code(cheap_world, browser, person).status_code == 303


def test_too_many_wrong_codes_end_the_sign_in(cheap_world, browser, person):
    give_password(browser, person)
    for _ in range(LOCK_AFTER_FAILURES):
        give_code(cheap_world, browser, person, code="000000")
    assert browser.get("/console/sign-in/code").headers["location"] == "/console/sign-in"
    assert give_password(browser, person).status_code == 403


def test_a_flood_is_told_when_to_come_again(browser):
    for _ in range(20):
        browser.get("/console/sign-in")
        browser.post("/console/sign-in", {"login_name": "nobody", "password": "x"})
    answer = browser.post("/console/sign-in", {"login_name": "nobody", "password": "x"}, **EN)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert "Time to wait: 15 minutes." in answer.text


def test_the_second_page_needs_the_first(browser):
    for page in ("code", "recovery"):
        assert browser.get(f"/console/sign-in/{page}").headers["location"] == "/console/sign-in"
    browser.get("/console/sign-in")
    answer = browser.post("/console/sign-in/code", {"code": "123456"}, **EN)
    assert (answer.status_code, "No sign-in waits for a second factor." in answer.text) == (403, True)


def test_the_second_factor_is_awaited_for_five_minutes(cheap_world, browser, person):
    give_password(browser, person)
    cheap_world.now += PENDING_S
    assert browser.get("/console/sign-in/code").headers["location"] == "/console/sign-in"


def test_a_recovery_code_counts_once(cheap_world, browser, person):
    give_password(browser, person)
    first = person.recovery_codes[0]
    assert give_code(cheap_world, browser, person, "recovery", first.lower()).status_code == 303
    other = Browser(cheap_world.app)
    give_password(other, person)
    assert give_code(cheap_world, other, person, "recovery", first).status_code == 403
    assert give_code(cheap_world, other, person, "recovery", person.recovery_codes[1]).status_code == 303


# Enrolling


def fields_of(page):
    return {name: re.search(rf'name="{name}" value="([^"]+)"', page)[1] for name in ("code", "totp_secret")}


def test_a_one_time_code_sets_both_factors_and_signs_in(cheap_world, context, browser):
    code = invite(context, "wang-wei", "tax", "department_it")
    browser.get("/console/enrol")
    page = browser.post("/console/enrol", {"code": code}, **EN).text
    kept = fields_of(page)
    assert "wang-wei" in page
    assert "<svg" in page
    assert "style=" not in page
    totp = pyotp.TOTP(kept["totp_secret"]).at(int(cheap_world.now))
    given = {**kept, "password": PASSWORD, "password_again": PASSWORD, "totp_code": totp}
    answer = browser.post("/console/enrol/finish", given, **EN)
    assert answer.status_code == 200
    assert len(re.findall(r"<li><code>[A-Z2-9-]{23}</code></li>", answer.text)) == 10
    assert PASSWORD not in answer.text
    assert "wang-wei" in browser.get("/console").text
    # The code is spent.
    other = Browser(cheap_world.app)
    other.get("/console/enrol")
    assert other.post("/console/enrol", {"code": code}, **EN).status_code == 403


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"password_again": "another one entirely"}, "The two passwords differ."),
        ({"password": "short", "password_again": "short"}, "A password has at least 12 characters"),
        ({"totp_code": "000000"}, "The code is not the one that the app shows."),
    ],
)
def test_what_is_wrong_is_told_and_the_secret_stays_the_same(cheap_world, context, browser, changed, told):
    code = invite(context, "wang-wei", "tax", "department_it")
    browser.get("/console/enrol")
    kept = fields_of(browser.post("/console/enrol", {"code": code}).text)
    totp = pyotp.TOTP(kept["totp_secret"]).at(int(cheap_world.now))
    given = {**kept, "password": PASSWORD, "password_again": PASSWORD, "totp_code": totp, **changed}
    answer = browser.post("/console/enrol/finish", given, **EN)
    assert answer.status_code == 422
    assert told in answer.text
    assert fields_of(answer.text) == kept
    assert browser.get("/console").status_code == 303
    again = {**kept, "password": PASSWORD, "password_again": PASSWORD, "totp_code": totp}
    assert browser.post("/console/enrol/finish", again).status_code == 200


@pytest.mark.parametrize("secret", ["", "A" * 31, "<script>", "a" * 32])
def test_a_secret_that_is_none_of_ours_begins_again(context, browser, secret):
    code = invite(context, "wang-wei", "tax", "department_it")
    browser.get("/console/enrol")
    given = {"code": code, "totp_secret": secret, "password": PASSWORD, "password_again": PASSWORD, "totp_code": "1"}
    answer = browser.post("/console/enrol/finish", given, **EN)
    assert answer.status_code == 422
    assert "Open the enrolment page again." in answer.text
    assert "<script>" not in answer.text


@pytest.mark.parametrize("code", ["", "AAAAA-AAAAA-AAAAA-AAAAA", "<b>", "x" * 300])
def test_an_unknown_code_enrols_nobody(browser, code):
    browser.get("/console/enrol")
    answer = browser.post("/console/enrol", {"code": code}, **EN)
    assert answer.status_code == 403
    assert "The code is unknown, used or expired." in answer.text


def test_a_code_never_stands_in_an_address(context, browser):
    code = invite(context, "wang-wei", "tax", "department_it")
    browser.get("/console/enrol")
    page = browser.post("/console/enrol", {"code": code}).text
    assert not re.search(rf'(?:href|action|src)="[^"]*{code[:5]}', page)


# The identity provider


def test_without_an_identity_provider_there_is_no_way_to_it(browser):
    assert "oidc" not in browser.get("/console/sign-in").text
    answer = browser.get("/console/sign-in/oidc")
    assert (answer.status_code, "<code>oidc.not_configured</code>" in answer.text) == (404, True)


def test_with_one_there_is_a_link_and_a_forged_return_is_refused(world, browser):
    settings = OidcSettings(issuer="http://127.0.0.1:1/", client_id="doudi")
    config = world.config.model_copy(update={"oidc": settings}).at_home(world.config.home)
    with_provider = Browser(type(world)(config, world.api_key, world.approval_key, world.keys).app)
    assert 'href="/console/sign-in/oidc"' in with_provider.get("/console/sign-in").text
    # Nobody answers at the provider's address.
    assert with_provider.get("/console/sign-in/oidc").status_code == 503
    answer = with_provider.get("/console/sign-in/oidc/callback?code=x&state=y")
    assert (answer.status_code, "<code>account.oidc_refused</code>" in answer.text) == (403, True)
    assert "__Host-doudi" not in with_provider.cookies


def test_two_people_are_two(cheap_world, context, signed_in, person):
    other = enrolled(context, "wang-wei", "tax", "department_it")
    assert "li-na" in signed_in(person).get("/console").text
    assert "wang-wei" in signed_in(other).get("/console").text
