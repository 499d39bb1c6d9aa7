"""What a person sees and changes about the own account: `views/account.py`."""

import re

import pytest
from console_people import PASSWORD, enrolled, session_token

from coordinator.accounts.own_sessions import list_sessions
from coordinator.accounts.tokens import find_token

EN = {"accept-language": "en"}
NEW = "another five words entirely"


def sessions_of(context, person, token=""):
    with context.read() as session:
        return list_sessions(session, person.number, token)


def make_token(world, home, person, **changes):
    world.now += 30
    home.get("/console/account/tokens/new")
    given = {"label": "nightly", "scopes": "read", "days": "7", "code": person.code(world.now), **changes}
    return home.post("/console/account/tokens/new", given, **EN)


def test_the_account_shows_who_one_is(signed_in, person):
    page = signed_in(person).get("/console/account", **EN).text
    assert "Centre officer" in page
    assert "Data-management centre" in page
    assert f"<dd>{person.number}</dd>" in page


def test_a_new_password_ends_every_other_session(cheap_world, context, signed_in, person):
    home, elsewhere = signed_in(person), signed_in(person)
    home.get("/console/account/password")
    given = {"password": PASSWORD, "new_password": NEW, "password_again": NEW}
    answer = home.post("/console/account/password", given)
    assert answer.headers["location"] == "/console/account?done=password"
    assert "Your password is changed." in home.get("/console/account?done=password", **EN).text
    assert elsewhere.get("/console").status_code == 303
    assert [one.is_this for one in sessions_of(context, person, home.cookies["__Host-doudi"])] == [True]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"password": "wrong"}, "Name, password or code are not right"),
        ({"new_password": "short", "password_again": "short"}, "A password has at least 12 characters"),
        ({"password_again": "x"}, "The two passwords differ."),
    ],
)
def test_a_password_is_not_changed_otherwise(signed_in, person, changed, told):
    home = signed_in(person)
    home.get("/console/account/password")
    given = {"password": PASSWORD, "new_password": NEW, "password_again": NEW, **changed}
    answer = home.post("/console/account/password", given, **EN)
    assert answer.status_code in (403, 422)
    assert told in answer.text
    assert NEW not in answer.text
    assert home.get("/console").status_code == 200


def test_one_ends_a_session_of_ones_own(context, signed_in, person):
    home, elsewhere = signed_in(person), signed_in(person)
    home.get("/console/account")
    found = sessions_of(context, person, elsewhere.cookies["__Host-doudi"])
    number = next(one.number for one in found if one.is_this)
    answer = home.post(f"/console/account/sessions/{number}/end")
    assert answer.headers["location"] == "/console/account?done=session"
    assert elsewhere.get("/console").status_code == 303
    assert home.get("/console").status_code == 200


def test_somebody_elses_session_cannot_be_ended(context, signed_in, person):
    other = enrolled(context, "wang-wei", "tax", "department_it")
    theirs, home = signed_in(other), signed_in(person)
    home.get("/console/account")
    for one in sessions_of(context, other):
        home.post(f"/console/account/sessions/{one.number}/end")
    assert theirs.get("/console").status_code == 200


def test_a_token_is_shown_once_and_acts_for_its_person(cheap_world, context, signed_in, person):
    home = signed_in(person)
    page = make_token(cheap_world, home, person).text
    token = re.search(r"doudi_[A-Za-z0-9_-]{43}", page)[0]
    with context.begin() as session:
        principal = find_token(session, token)
    assert (principal.number, principal.scopes) == (person.number, {"read"})
    assert token not in home.get("/console/account").text
    assert "nightly" in home.seen


def test_a_token_is_revoked(cheap_world, context, signed_in, person):
    home = signed_in(person)
    token = re.search(r"doudi_[A-Za-z0-9_-]{43}", make_token(cheap_world, home, person).text)[0]
    home.get("/console/account")
    action = re.search(r'action="(/console/account/tokens/\d+/revoke)"', home.seen)[1]
    assert home.post(action).headers["location"] == "/console/account?done=revoked"
    with context.begin() as session:
        assert find_token(session, token) is None
    assert "revoked" in home.get("/console/account", **EN).text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"code": "000000"}, "Name, password or code are not right"),
        ({"label": "Nightly Report"}, "A label has small letters"),
        ({"days": "91"}, "A token lives 1 to 90 days."),
        ({"days": ""}, "A token lives 1 to 90 days."),
        ({"scopes": "write"}, "A token may read, or read and write."),
        ({"scopes": ""}, "A token may read, or read and write."),
    ],
)
def test_no_token_is_made_otherwise(cheap_world, signed_in, person, changes, told):
    home = signed_in(person)
    answer = make_token(cheap_world, home, person, **changes)
    assert answer.status_code in (403, 422)
    assert told in answer.text
    assert "doudi_" not in answer.text
    # What was typed is still there, the code is not.
    assert f'value="{changes.get("label", "nightly")}"' in answer.text
    assert 'name="code" type="text" size="28" autocomplete="one-time-code" required' in answer.text


def test_new_recovery_codes_need_a_second_factor(cheap_world, signed_in, person):
    home = signed_in(person)
    home.get("/console/account/recovery-codes")
    assert home.post("/console/account/recovery-codes", {"code": "000000"}).status_code == 403
    cheap_world.now += 30
    answer = home.post("/console/account/recovery-codes", {"code": person.code(cheap_world.now)})
    codes = re.findall(r"<li><code>([A-Z2-9-]{23})</code></li>", answer.text)
    assert len(codes) == 10
    assert not set(codes) & set(person.recovery_codes)


def test_an_address_says_only_what_is_on_its_list(signed_in, person):
    page = signed_in(person).get("/console/account?done=<script>alert(1)</script>", **EN).text
    assert "alert(1)" not in page.replace("%3Cscript%3Ealert%281%29", "")
    assert 'class="notice good"' not in page


def test_only_sessions_that_are_open_are_listed(cheap_world, context, person):
    token = session_token(context, person)
    assert [one.is_this for one in sessions_of(context, person, token)] == [True, False]
    cheap_world.now += 31 * 60
    assert sessions_of(context, person, token) == []
