"""API tokens: `coordinator/accounts/tokens.py`."""

import pytest
from sqlalchemy import select

from coordinator.accounts.models import AccountRow, ApiTokenRow
from coordinator.accounts.tokens import (
    MAXIMUM_LIVE_TOKENS,
    find_token,
    list_tokens,
    make_token,
    revoke_all_tokens,
    revoke_token,
)
from crypto.errors import DoudiError

DAY_S = 24 * 3600


def make(town, person, label="nightly", scopes=("read",), days=30):
    with town.context.begin() as session:
        account = session.get_one(AccountRow, person.number)
        token, row = make_token(session, account, label, scopes, days, two_factor=True)
        return token, row.number


def find(town, token):
    with town.context.begin() as session:
        return find_token(session, token)


def test_a_token_acts_for_its_person_within_its_scopes(town):
    person = town.move_in()
    token, _ = make(town, person)
    assert token.startswith("doudi_")
    principal = find(town, token)
    assert (principal.number, principal.party, principal.roles) == (person.number, "centre", {"centre_officer"})
    assert (principal.scopes, principal.may_write, principal.two_factor) == ({"read"}, False, True)
    token, _ = make(town, person, scopes=("write", "read"))
    assert find(town, token).may_write


@pytest.mark.parametrize("scopes", [(), ("write",), ("read", "admin"), ("read", "read", "write", "x")])
def test_other_scopes_are_refused(town, scopes):
    with pytest.raises(DoudiError) as caught:
        make(town, town.move_in(), scopes=scopes)
    assert caught.value.code == "token.bad_scopes"


@pytest.mark.parametrize("days", [0, -1, 91, 10**9])
def test_other_lifetimes_are_refused(town, days):
    with pytest.raises(DoudiError) as caught:
        make(town, town.move_in(), days=days)
    assert caught.value.code == "token.bad_expiry"


@pytest.mark.parametrize("label", ["", "Nightly", "1st", "two words", "x" * 64, "li\n"])
def test_other_labels_are_refused(town, label):
    with pytest.raises(DoudiError) as caught:
        make(town, town.move_in(), label=label)
    assert caught.value.code == "token.bad_label"


def test_a_token_expires_on_its_day(town):
    token, _ = make(town, town.move_in(), days=90)
    town.now += 90 * DAY_S - 1
    assert find(town, token)
    town.now += 1
    assert find(town, token) is None


def test_a_revoked_token_is_void_and_the_others_are_not(town):
    person = town.move_in()
    (first, number), (second, _) = make(town, person), make(town, person, "daily")
    with town.context.begin() as session:
        assert revoke_token(session, person.number, number)
        assert not revoke_token(session, person.number, number)
    assert find(town, first) is None
    assert find(town, second)


def test_nobody_revokes_somebody_elses_token(town):
    person, other = town.move_in(), town.move_in("wang.fang")
    token, number = make(town, person)
    for wanted in (number, number + 1):
        with pytest.raises(DoudiError) as caught, town.context.begin() as session:
            revoke_token(session, other.number, wanted)
        assert caught.value.code == "token.unknown"
    assert find(town, token)


def test_revoking_all_leaves_those_of_others(town):
    person, other = town.move_in(), town.move_in("wang.fang")
    mine, theirs = make(town, person)[0], make(town, other)[0]
    with town.context.begin() as session:
        revoke_all_tokens(session, person.number)
    assert find(town, mine) is None
    assert find(town, theirs)


@pytest.mark.parametrize(
    "token", ["", "doudi_", "doudi_" + "A" * 43, "doudi_" + "A" * 42, "A" * 43, "doudi_" + "é" * 43]
)
def test_what_is_no_token_finds_nobody(town, token):
    make(town, town.move_in())
    assert find(town, token) is None


def test_a_changed_character_finds_nobody(town):
    token, _ = make(town, town.move_in())
    assert find(town, token[:-1] + ("A" if token[-1] != "A" else "B")) is None


def test_a_token_of_an_account_that_is_not_active_is_void(town):
    person = town.move_in()
    token, _ = make(town, person)
    with town.context.begin() as session:
        session.get_one(AccountRow, person.number).state = "disabled"
    assert find(town, token) is None


def test_a_token_gives_the_roles_of_now_and_not_those_of_its_making(town):
    person = town.move_in()
    token, _ = make(town, person)
    with town.context.begin() as session:
        session.get_one(AccountRow, person.number).roles = ["auditor"]
    assert find(town, token).roles == {"auditor"}


def test_the_use_of_a_token_is_noted_to_the_minute(town):
    person = town.move_in()
    token, number = make(town, person)
    find(town, token)
    first = int(town.now)
    town.now += 59
    find(town, token)
    with town.context.begin() as session:
        assert session.get_one(ApiTokenRow, number).last_used_at == first
    town.now += 1
    find(town, token)
    with town.context.begin() as session:
        assert session.get_one(ApiTokenRow, number).last_used_at == first + 60


def test_a_token_is_kept_as_a_hash_and_listed_without_it(town):
    person = town.move_in()
    token, _ = make(town, person)
    with town.context.begin() as session:
        (row,) = session.scalars(select(ApiTokenRow)).all()
        assert [found.number for found in list_tokens(session, person.number)] == [row.number]
    assert token.removeprefix("doudi_") not in str(vars(row))


def test_the_number_of_tokens_in_force_is_bounded(town):
    person = town.move_in()
    for number in range(MAXIMUM_LIVE_TOKENS):
        make(town, person, f"t{number}", days=1)
    with pytest.raises(DoudiError) as caught:
        make(town, person, "one-more")
    assert caught.value.code == "token.too_many"
    town.now += DAY_S
    assert make(town, person, "one-more")
