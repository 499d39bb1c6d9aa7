"""Making, changing, ending and resetting accounts: `coordinator/accounts/register.py`."""

import pytest
from people import DEPARTMENT
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from coordinator.accounts.models import AccountRow, EnrolmentRow, RecoveryCodeRow
from coordinator.accounts.records import HOST, Actor
from coordinator.accounts.register import (
    NewAccount,
    add_account,
    disable_account,
    get_account,
    require_login_name,
    reset_account,
    set_roles,
)
from coordinator.accounts.sessions import find_session
from coordinator.accounts.tokens import find_token, make_token
from crypto.errors import DoudiError

OFFICER = Actor("centre", 7)
ISSUER = "https://provider.example"


def refusal(town, act, *arguments):
    with pytest.raises(DoudiError) as caught, town.context.begin() as session:
        act(session, OFFICER, *arguments)
    return caught.value.code


def do(town, act, number, *arguments):
    with town.context.begin() as session:
        return act(session, OFFICER, get_account(session, number), *arguments)


def give_token(town, person):
    with town.context.begin() as session:
        account = get_account(session, person.number)
        return make_token(session, account, "nightly", ["read"], 30, two_factor=True)[0]


def alive(town, person, token):
    """Return whether the person's session and token still act."""
    with town.context.begin() as session:
        return find_session(session, person.token) is not None, find_token(session, token) is not None


def test_a_new_account_is_invited_and_can_do_nothing_yet(town):
    with town.context.begin() as session:
        account, code = add_account(session, OFFICER, NewAccount("li.wei", "centre", {"centre_approver"}))
    found = town.account(account.number)
    assert (found.number, found.state, found.roles, found.party) == (1, "invited", ["centre_approver"], "centre")
    assert (found.password_hash, found.totp_sealed) == (None, None)
    assert code is not None
    (event,) = town.events("account.created")
    assert (event.actor, event.account, event.subject, event.counts) == ("centre", 7, None, {"about_account": 1})


def test_an_account_of_a_department_is_recorded_as_about_that_department(town):
    town.invite("wang.fang", DEPARTMENT, "scheduler")
    (event,) = town.events("account.created")
    assert (event.actor, event.account, event.subject) == ("coordinator", None, DEPARTMENT)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (NewAccount("Li Wei", "centre", {"auditor"}), "account.bad_login_name"),
        (NewAccount("li", "centre", {"auditor"}), "account.bad_login_name"),
        (NewAccount("1li", "centre", {"auditor"}), "account.bad_login_name"),
        (NewAccount("l" * 64, "centre", {"auditor"}), "account.bad_login_name"),
        (NewAccount("li.wei\n", "centre", {"auditor"}), "account.bad_login_name"),
        (NewAccount("li.wei", "nowhere", {"auditor"}), "party.unknown"),
        (NewAccount("li.wei", "centre", {"department_it"}), "account.role_of_other_party"),
        (NewAccount("li.wei", "centre", {"centre_officer", "centre_approver"}), "account.roles_not_segregated"),
        (NewAccount("li.wei", "centre", set()), "account.unknown_role"),
        (NewAccount("taken", "centre", {"auditor"}), "account.name_in_use"),
        (NewAccount("li.wei", "centre", {"auditor"}, None, "subject"), "account.bad_subject"),
        (NewAccount("li.wei", "centre", {"auditor"}, ISSUER, "two words"), "account.bad_subject"),
        (NewAccount("li.wei", "centre", {"auditor"}, ISSUER, ""), "account.bad_subject"),
    ],
)
def test_accounts_that_must_not_be_are_refused(town, wanted, expected):
    town.invite("taken")
    assert refusal(town, add_account, wanted) == expected
    with town.context.begin() as session:
        assert len(session.scalars(select(AccountRow)).all()) == 1


def test_one_person_at_the_provider_is_one_account(town):
    with town.context.begin() as session:
        add_account(session, HOST, NewAccount("li.wei", "centre", {"auditor"}, ISSUER, "subject"))
    assert refusal(town, add_account, NewAccount("li.wei.2", "centre", {"auditor"}, ISSUER, "subject")) == (
        "account.subject_in_use"
    )


def test_the_database_refuses_a_password_beside_the_provider_and_a_party_that_is_none(town):
    number, _ = town.invite()
    for change in (
        f"oidc_issuer = '{ISSUER}', password_hash = 'x'",
        "oidc_subject = 'x'",
        "state = 'root'",
        "party = 'nowhere'",
        "number = 0",
        "failed_attempts = -1",
    ):
        with pytest.raises(IntegrityError), town.context.begin() as session:
            session.execute(text(f"UPDATE accounts SET {change} WHERE number = {number}"))  # noqa: S608


def test_a_number_is_never_given_twice(town):
    first, _ = town.invite("li.wei")
    with town.context.begin() as session:
        session.execute(text("DELETE FROM enrolments"))
        session.execute(text("DELETE FROM accounts"))
    second, _ = town.invite("li.wei")
    assert second == first + 1


def test_changing_roles_ends_the_sessions_and_is_recorded(town):
    person = town.move_in("wang.fang", DEPARTMENT, "department_it")
    token = give_token(town, person)
    do(town, set_roles, person.number, {"scheduler", "department_approver"})
    assert town.account(person.number).roles == ["department_approver", "scheduler"]
    # A token is narrower than its person, and acts with the roles of now.
    assert alive(town, person, token) == (False, True)
    (event,) = town.events("account.roles_changed")
    assert (event.account, event.subject, event.counts) == (7, DEPARTMENT, {"about_account": person.number})


def test_the_same_roles_change_nothing(town):
    person = town.move_in("wang.fang", DEPARTMENT, "department_it")
    token = give_token(town, person)
    do(town, set_roles, person.number, {"department_it"})
    assert alive(town, person, token) == (True, True)
    assert town.events("account.roles_changed") == []


@pytest.mark.parametrize("roles", [{"department_it", "department_approver"}, {"centre_officer"}, {"root"}, set()])
def test_roles_that_must_not_be_change_nothing(town, roles):
    person = town.move_in("wang.fang", DEPARTMENT, "department_it")
    with pytest.raises(DoudiError):
        do(town, set_roles, person.number, roles)
    assert town.account(person.number).roles == ["department_it"]


def test_disabling_ends_everything_at_once_and_for_good(town):
    person = town.move_in()
    token = give_token(town, person)
    do(town, disable_account, person.number)
    assert alive(town, person, token) == (False, False)
    account = town.account(person.number)
    assert (account.state, account.password_hash, account.totp_sealed) == ("disabled", None, None)
    with town.context.begin() as session:
        assert session.scalars(select(RecoveryCodeRow)).all() == []
    with pytest.raises(DoudiError) as caught:
        town.give_password(person)
    assert caught.value.code == "account.sign_in_refused"
    for act, arguments in ((reset_account, ()), (set_roles, ({"auditor"},))):
        with pytest.raises(DoudiError) as caught:
            do(town, act, person.number, *arguments)
        assert caught.value.code == "account.disabled"
    do(town, disable_account, person.number)
    assert len(town.events("account.disabled")) == 1
    assert refusal(town, add_account, NewAccount(person.login_name, "centre", {"auditor"})) == "account.name_in_use"


def test_disabling_an_invited_account_makes_its_code_void(town):
    number, code = town.invite()
    do(town, disable_account, number)
    with town.context.begin() as session:
        assert session.scalars(select(EnrolmentRow)).all() == []
    with pytest.raises(DoudiError) as caught:
        town.enrol(code)
    assert caught.value.code == "account.bad_enrolment_code"


def test_a_reset_makes_the_old_factors_void_and_new_ones_possible(town):
    person = town.move_in()
    token = give_token(town, person)
    code = do(town, reset_account, person.number)
    assert alive(town, person, token) == (False, False)
    with pytest.raises(DoudiError):
        town.give_password(person)
    again = town.enrol(code, "nine loud umbrellas")
    town.now += 30
    assert again.secret != person.secret
    assert town.sign_in(again)
    assert [row.account for row in town.events("account.reset")] == [7]


def test_a_reset_ends_a_lock(town):
    person = town.move_in()
    for _ in range(5):
        with pytest.raises(DoudiError):
            town.give_password(person, "wrong password!")
    again = town.enrol(do(town, reset_account, person.number))
    town.now += 30
    assert town.sign_in(again)


def test_an_unknown_account_is_refused(town):
    with pytest.raises(DoudiError) as caught, town.context.begin() as session:
        get_account(session, 99)
    assert caught.value.code == "account.unknown"


@pytest.mark.parametrize("name", ["li.wei", "abc", "a-b_c.9", "l" * 63])
def test_login_names_that_are_accepted(name):
    require_login_name(name)


def test_no_event_holds_a_login_name(town):
    person = town.move_in("unmistakable.name")
    town.sign_in(person)
    do(town, set_roles, person.number, {"auditor"})
    do(town, reset_account, person.number)
    do(town, disable_account, person.number)
    assert len(town.events()) >= 6
    assert all("unmistakable" not in str(vars(row)) for row in town.events())
