"""Sessions of browsers: `coordinator/accounts/sessions.py`."""

import pytest
from people import DEPARTMENT
from sqlalchemy import select

from coordinator.accounts.models import AccountRow, SessionRow
from coordinator.accounts.sessions import (
    IDLE_S,
    LONGEST_S,
    OLD_TOKEN_S,
    ROTATION_S,
    end_all_sessions,
    end_session,
    find_session,
    keep_session,
    open_session,
    set_language,
)
from crypto.errors import DoudiError


def find(town, token):
    with town.context.begin() as session:
        return find_session(session, token)


def keep(town, token):
    with town.context.begin() as session:
        return keep_session(session, token)


def test_a_session_says_who_is_signed_in(town):
    person = town.move_in("wang.fang", DEPARTMENT, "department_it", "scheduler")
    found = find(town, person.token)
    assert (found.login_name, found.language, found.account_number) == ("wang.fang", "zh", person.number)
    assert found.principal.id == str(person.number)
    assert (found.principal.party, found.principal.roles) == (DEPARTMENT, {"department_it", "scheduler"})
    assert (found.principal.two_factor, found.principal.scopes) == (True, None)
    assert found.expires_at == int(town.now) - 30 + LONGEST_S


@pytest.mark.parametrize("token", ["", "x", "A" * 64, "A" * 63, "A" * 65, "'" * 64, "é" * 64])
def test_what_is_no_token_finds_nobody(town, token):
    town.move_in()
    assert find(town, token) is None
    assert keep(town, token) is None


def test_a_session_ends_after_half_an_hour_of_silence(town):
    person = town.move_in()
    town.now += IDLE_S - 31
    assert find(town, person.token)
    town.now += 1
    assert find(town, person.token) is None
    assert keep(town, person.token) is None


def test_a_session_ends_after_eight_hours_however_busy(town):
    person = town.move_in()
    token, start = person.token, town.now - 30
    while town.now < start + LONGEST_S - 600:
        town.now += 600
        assert find(town, token)
        token = keep(town, token) or token
    town.now = start + LONGEST_S - 1
    assert find(town, token)
    town.now += 1
    assert find(town, token) is None


def test_keeping_is_due_after_a_minute_and_not_before(town):
    person = town.move_in()
    assert not find(town, person.token).keeping_due
    town.now += 30
    assert find(town, person.token).keeping_due
    assert keep(town, person.token) is None
    assert not find(town, person.token).keeping_due


def test_the_token_changes_every_fifteen_minutes(town):
    person = town.move_in()
    town.now += ROTATION_S - 31
    assert keep(town, person.token) is None
    town.now += 1
    assert find(town, person.token).keeping_due
    fresh = keep(town, person.token)
    assert fresh not in (None, person.token)
    assert find(town, fresh).account_number == person.number


def test_the_old_token_counts_for_half_a_minute_more(town):
    person = town.move_in()
    town.now += ROTATION_S
    fresh = keep(town, person.token)
    # Requests that were sent side by side: they are answered, and get no third token.
    assert find(town, person.token)
    assert keep(town, person.token) is None
    town.now += OLD_TOKEN_S - 1
    assert find(town, person.token)
    town.now += 1
    assert find(town, person.token) is None
    assert find(town, fresh)


def test_after_two_changes_the_first_token_is_gone(town):
    person = town.move_in()
    town.now += ROTATION_S
    second = keep(town, person.token)
    town.now += ROTATION_S
    third = keep(town, second)
    assert find(town, person.token) is None
    assert find(town, second)
    assert find(town, third)


def test_the_form_secret_survives_a_change_of_the_token(town):
    person = town.move_in()
    before = find(town, person.token).csrf_token
    town.now += ROTATION_S
    assert find(town, keep(town, person.token)).csrf_token == before


def test_two_sessions_of_one_person_have_different_form_secrets(town):
    person = town.move_in()
    other = town.sign_in(person)
    assert find(town, person.token).csrf_token != find(town, other).csrf_token


def test_the_database_holds_neither_token_nor_form_secret(town):
    person = town.move_in()
    found = find(town, person.token)
    with town.context.begin() as session:
        (row,) = session.scalars(select(SessionRow)).all()
    kept = str(vars(row))
    assert person.token not in kept
    assert found.csrf_token not in kept


def test_ending_a_session_ends_that_one_only(town):
    person = town.move_in()
    other = town.sign_in(person)
    with town.context.begin() as session:
        end_session(session, person.token)
    assert find(town, person.token) is None
    assert find(town, other)


def test_the_old_token_ends_the_session_too(town):
    """Signing out in a second window must not leave the first one signed in."""
    person = town.move_in()
    town.now += ROTATION_S
    fresh = keep(town, person.token)
    with town.context.begin() as session:
        end_session(session, person.token)
    assert find(town, fresh) is None


def test_ending_all_sessions_spares_those_of_others(town):
    person, other = town.move_in(), town.move_in("wang.fang")
    second = town.sign_in(person)
    with town.context.begin() as session:
        end_all_sessions(session, person.number)
    assert find(town, person.token) is None
    assert find(town, second) is None
    assert find(town, other.token)


def test_an_account_that_is_not_active_is_signed_in_nowhere(town):
    person = town.move_in()
    with town.context.begin() as session:
        session.get_one(AccountRow, person.number).state = "disabled"
    assert find(town, person.token) is None


def test_roles_are_those_of_now(town):
    person = town.move_in("wang.fang", DEPARTMENT, "department_it")
    with town.context.begin() as session:
        session.get_one(AccountRow, person.number).roles = ["scheduler"]
    assert find(town, person.token).principal.roles == {"scheduler"}


def test_rows_of_ended_sessions_are_forgotten(town):
    person = town.move_in()
    town.now += LONGEST_S
    with town.context.begin() as session:
        open_session(session, session.get_one(AccountRow, person.number), language="zh", two_factor=True)
    with town.context.begin() as session:
        assert len(session.scalars(select(SessionRow)).all()) == 1


def test_the_language_of_a_session_can_be_changed_to_one_that_exists(town):
    person = town.move_in()
    with town.context.begin() as session:
        set_language(session, person.token, "en")
    assert find(town, person.token).language == "en"
    with pytest.raises(DoudiError) as caught, town.context.begin() as session:
        set_language(session, person.token, "fr")
    assert caught.value.code == "account.unknown_language"
