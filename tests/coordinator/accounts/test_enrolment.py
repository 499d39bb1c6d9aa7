"""Enrolment with a one-time code: `coordinator/accounts/enrolment.py`."""

from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest
from people import ADDRESS, PASSWORD
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from coordinator.accounts.enrolment import CODE_LIVES_S, begin_enrolment, enrol, issue_code
from coordinator.accounts.models import EnrolmentRow
from coordinator.accounts.sessions import find_session
from coordinator.accounts.totp import new_totp_secret
from crypto.errors import DoudiError

SECRET = new_totp_secret()


def try_enrol(town, code, password=PASSWORD, secret=SECRET, totp_code=None, address=ADDRESS):
    shown = pyotp.TOTP(SECRET).at(int(town.now)) if totp_code is None else totp_code
    return enrol(town.context, code, password, secret, shown, address=address, language="en")


def refusal(function, *arguments, **options):
    with pytest.raises(DoudiError) as caught:
        function(*arguments, **options)
    return caught.value.code


def test_a_code_shows_whom_it_enrols_and_offers_a_fresh_secret(town):
    number, code = town.invite("li.wei")
    offers = [begin_enrolment(town.context, code, ADDRESS) for _ in range(2)]
    assert {(offer.login_name, offer.party, offer.purpose) for offer in offers} == {("li.wei", "centre", "enrol")}
    assert offers[0].totp_secret != offers[1].totp_secret
    assert town.account(number).state == "invited"


def test_enrolling_sets_both_factors_at_once_and_signs_in(town):
    number, code = town.invite()
    done = try_enrol(town, code)
    account = town.account(number)
    assert (account.state, done.account_number) == ("active", number)
    assert account.password_hash.startswith("$argon2id$")
    assert account.totp_last_step == int(town.now) // 30
    assert len(set(done.recovery_codes)) == 10
    with town.context.begin() as session:
        user = find_session(session, done.token)
    assert (user.account_number, user.login_name, user.language) == (number, "li.wei", "en")
    assert user.principal.two_factor
    assert [row.counts for row in town.events("account.enrolled")] == [{"about_account": number}]


def test_a_code_may_be_typed_in_small_letters_and_with_blanks(town):
    _, code = town.invite()
    assert try_enrol(town, f" {code.lower().replace('-', ' ')} ")


def test_a_code_counts_once(town):
    _, code = town.invite()
    try_enrol(town, code)
    town.now += 60
    assert refusal(try_enrol, town, code) == "account.bad_enrolment_code"
    assert refusal(begin_enrolment, town.context, code, ADDRESS) == "account.bad_enrolment_code"


def test_a_code_that_two_use_at_the_same_moment_counts_once(town):
    _, code = town.invite()

    def attempt(password):
        try:
            return try_enrol(town, code, password).account_number
        except DoudiError as error:
            return error.code

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(attempt, (PASSWORD, "nine loud umbrellas")))
    assert sorted(map(str, answers)) == ["1", "account.bad_enrolment_code"]


def test_a_code_expires_after_a_day(town):
    _, code = town.invite()
    town.now += CODE_LIVES_S - 1
    assert begin_enrolment(town.context, code, ADDRESS)
    town.now += 1
    assert refusal(begin_enrolment, town.context, code, ADDRESS) == "account.bad_enrolment_code"
    assert refusal(try_enrol, town, code) == "account.bad_enrolment_code"


def test_a_newer_code_makes_the_older_one_void(town):
    number, first = town.invite()
    with town.context.begin() as session:
        second = issue_code(session, town.account(number), "enrol")
    assert refusal(try_enrol, town, first) == "account.bad_enrolment_code"
    assert try_enrol(town, second)


@pytest.mark.parametrize("code", ["", "AAAAA-AAAAA-AAAAA-AAAAA", "' OR 1=1 --", "\u0000"])
def test_an_unknown_code_is_refused(town, code):
    town.invite()
    assert refusal(try_enrol, town, code) == "account.bad_enrolment_code"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"password": "short"}, "account.weak_password"),
        ({"password": "my name is li.wei"}, "account.weak_password"),
        ({"secret": "A"}, "account.bad_totp_secret"),
        ({"totp_code": ""}, "account.wrong_totp_code"),
        ({"totp_code": "12345"}, "account.wrong_totp_code"),
        ({"secret": new_totp_secret()}, "account.wrong_totp_code"),
    ],
)
def test_a_mistake_sets_nothing_and_leaves_the_code_in_force(town, changes, expected):
    number, code = town.invite()
    assert refusal(try_enrol, town, code, **changes) == expected
    account = town.account(number)
    assert (account.state, account.password_hash, account.totp_sealed) == ("invited", None, None)
    assert try_enrol(town, code)


def test_the_database_refuses_an_active_account_without_both_factors(town):

    number, _ = town.invite()
    for change in (
        "state = 'active'",
        "state = 'active', password_hash = 'x'",
        "state = 'active', totp_sealed = x'01'",
    ):
        with pytest.raises(IntegrityError), town.context.begin() as session:
            session.execute(text(f"UPDATE accounts SET {change} WHERE number = {number}"))  # noqa: S608


def test_only_a_hash_of_the_code_is_kept(town):
    _, code = town.invite()
    with town.context.begin() as session:
        (row,) = session.scalars(select(EnrolmentRow)).all()
    assert code not in str(vars(row))
    assert code.replace("-", "") not in str(vars(row))
    assert row.expires_at == int(town.now) + 24 * 3600


def test_trying_codes_from_one_address_is_bounded_and_says_when_to_come_again(town):
    _, code = town.invite()
    allowed = town.config.accounts.attempts_per_address
    for _ in range(allowed):
        assert (
            refusal(begin_enrolment, town.context, "AAAAA-AAAAA-AAAAA-AAAAA", ADDRESS) == "account.bad_enrolment_code"
        )
    town.now += 100
    with pytest.raises(DoudiError) as caught:
        begin_enrolment(town.context, code, ADDRESS)
    assert (caught.value.code, caught.value.retry_after_s) == ("account.too_many_attempts", 800)
    assert begin_enrolment(town.context, code, "198.51.100.1")
    town.now += 800
    assert begin_enrolment(town.context, code, ADDRESS)
