"""The pages of accounts: made, shown, changed, reset and ended by the centre's officers, and by nobody else."""

import re

import pytest
from console_people import ROLES, enrolled, invite

from coordinator.accounts.enrolment import begin_enrolment
from coordinator.accounts.models import AccountRow

CODE = re.compile(r'<code class="secret">([A-Z0-9-]+)</code>')
NEW = {"login_name": "wang-wei", "party": "tax", "roles": ["department_it"], "signs_in": "here"}


@pytest.fixture
def officer(cheap_world, signed_in, person):
    cheap_world.register_all()
    page = signed_in(person)
    page.cookies.set("doudi-lang", "en", domain="coordinator.example", path="/")
    return page


def made(page, **changes):
    page.get("/console/accounts/new")
    return page.post("/console/accounts", {**NEW, **changes})


def account(world, login_name):
    with world.begin() as session:
        return session.query(AccountRow).filter_by(login_name=login_name).one_or_none()


def test_an_account_is_made_and_its_code_shown_exactly_once(officer, cheap_world):
    answer = made(officer)
    row = account(cheap_world, "wang-wei")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/accounts/{row.number}/code")
    shown = officer.get(answer.headers["location"])
    code = CODE.search(shown.text)[1]
    assert begin_enrolment(cheap_world.context, code, "127.0.0.1").login_name == "wang-wei"
    assert shown.headers["cache-control"] == "no-store"
    again = officer.get(answer.headers["location"])
    assert (again.status_code, again.headers["location"]) == (303, f"/console/accounts/{row.number}")
    assert code not in officer.get(f"/console/accounts/{row.number}").text


def test_the_code_is_shown_to_who_made_the_account_and_to_no_other_officer(officer, cheap_world, signed_in):
    address = made(officer).headers["location"]
    other = signed_in(enrolled(cheap_world.context, "other-officer", "centre", "centre_officer"))
    assert other.get(address).status_code == 303
    assert CODE.search(officer.get(address).text)


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"login_name": "Wang Wei"}, "login_name", "3 to 63 small letters"),
        ({"login_name": "li-na"}, "login_name", "has or had this login name"),
        ({"party": "nobody"}, "party", "not registered"),
        ({"roles": []}, "roles", "at least one known role"),
        ({"roles": ["centre_officer"]}, "roles", "does not belong to this kind of party"),
        ({"roles": ["department_it", "department_approver"]}, "roles", "must not have these roles together"),
        ({"roles": ["auditor", "scheduler"]}, "roles", "must not have these roles together"),
    ],
)
def test_what_is_wrong_with_the_form_stands_at_its_field_and_nothing_typed_is_lost(
    officer, cheap_world, changes, field, text
):
    answer = made(officer, **changes)
    assert answer.status_code in (404, 409, 422)
    assert f'id="error-{field}"' in answer.text
    assert text in answer.text
    assert f'value="{changes.get("login_name", NEW["login_name"])}"' in answer.text
    assert account(cheap_world, "wang-wei") is None


def test_roles_are_changed_and_the_person_signed_out(officer, cheap_world, signed_in):
    person = enrolled(cheap_world.context, "wang-wei", "tax", "department_it")
    theirs = signed_in(person)
    address = f"/console/accounts/{person.number}"
    assert 'value="department_it" checked' in officer.get(address).text
    answer = officer.post(f"{address}/roles", {"roles": ["department_it", "scheduler"]})
    assert answer.headers["location"] == f"{address}?done=roles"
    assert account(cheap_world, "wang-wei").roles == ["department_it", "scheduler"]
    assert theirs.get("/console").status_code == 303
    officer.get(address)
    assert (
        officer.post(f"{address}/roles", {"roles": ["scheduler", "department_it"]})
        .headers["location"]
        .endswith("done=same")
    )


@pytest.mark.parametrize("roles", [[], ["centre_officer"], ["department_it", "department_approver"], ["king"]])
def test_roles_that_nobody_may_have_are_refused(officer, cheap_world, roles):
    person = enrolled(cheap_world.context, "wang-wei", "tax", "department_it")
    officer.get(f"/console/accounts/{person.number}")
    answer = officer.post(f"/console/accounts/{person.number}/roles", {"roles": roles})
    assert answer.status_code in (403, 422)
    assert account(cheap_world, "wang-wei").roles == ["department_it"]


def test_a_reset_ends_the_factors_and_shows_a_new_code_once(officer, cheap_world, signed_in):
    person = enrolled(cheap_world.context, "wang-wei", "tax", "department_it")
    theirs = signed_in(person)
    officer.get(f"/console/accounts/{person.number}")
    address = officer.post(f"/console/accounts/{person.number}/reset").headers["location"]
    assert theirs.get("/console").status_code == 303
    code = CODE.search(officer.get(address).text)[1]
    assert begin_enrolment(cheap_world.context, code, "127.0.0.1").purpose == "reset"
    assert officer.get(address).status_code == 303


def test_an_account_is_ended_for_good(officer, cheap_world, signed_in):
    person = enrolled(cheap_world.context, "wang-wei", "tax", "department_it")
    theirs = signed_in(person)
    address = f"/console/accounts/{person.number}"
    officer.get(address)
    assert officer.post(f"{address}/disable").headers["location"] == f"{address}?done=disabled"
    assert theirs.get("/console").status_code == 303
    shown = officer.get(address).text
    assert "ended" in shown
    for act in ("roles", "reset", "disable"):
        assert f"{address}/{act}" not in shown


def test_nobody_changes_or_resets_the_own_account(officer, cheap_world, person):
    address = f"/console/accounts/{person.number}"
    shown = officer.get(address).text
    assert f"{address}/roles" not in shown
    assert f"{address}/reset" not in shown
    assert "another officer does" in shown
    for act, fields in (("roles", {"roles": ["centre_officer"]}), ("reset", {})):
        assert officer.post(f"{address}/{act}", fields).status_code == 403
    row = account(cheap_world, person.login_name)
    assert (row.state, row.roles) == ("active", ["centre_officer"])


@pytest.mark.parametrize("role", [role for role in ROLES if role != "centre_officer"])
def test_whoever_is_no_officer_does_none_of_it(cheap_world, signed_in, role):
    page = signed_in(enrolled(cheap_world.context, "somebody", ROLES[role], role))
    invite(cheap_world.context, "wang-wei", "tax", "department_it")
    number = account(cheap_world, "wang-wei").number
    page.get("/console")
    assert page.post("/console/accounts", {**NEW, "login_name": "mine"}).status_code == 403
    for act in ("roles", "reset", "disable"):
        assert page.post(f"/console/accounts/{number}/{act}", {"roles": ["scheduler"]}).status_code == 403
    assert account(cheap_world, "mine") is None
    row = account(cheap_world, "wang-wei")
    assert (row.state, row.roles) == ("invited", ["department_it"])


def test_the_own_account_may_be_looked_at(cheap_world, signed_in):
    person = enrolled(cheap_world.context, "wang-wei", "tax", "department_it")
    other = enrolled(cheap_world.context, "li-na", "tax", "department_it")
    page = signed_in(person)
    assert page.get(f"/console/accounts/{person.number}").status_code == 200
    assert page.get(f"/console/accounts/{other.number}").status_code == 403


def test_a_locked_account_says_until_when(officer, cheap_world):
    person = enrolled(cheap_world.context, "wang-wei", "tax", "department_it")
    with cheap_world.begin() as session:
        session.get_one(AccountRow, person.number).locked_until = int(cheap_world.now) + 600
    assert "locked for now" in officer.get("/console/accounts").text
    assert "The account can sign in again from" in officer.get(f"/console/accounts/{person.number}").text
