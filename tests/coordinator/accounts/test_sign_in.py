"""Signing in with two factors, lock-out and attacks on both: `coordinator/accounts/sign_in.py`."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from people import ADDRESS, PASSWORD
from sqlalchemy import select

from coordinator.accounts.attempts import (
    ATTEMPTS_PER_NAME,
    LOCK_S,
    SECOND_FACTORS_BEFORE_RESET,
    Attempt,
    TooManyAttempts,
)
from coordinator.accounts.models import AccountRow, SessionRow, SignInAttemptRow
from coordinator.accounts.sessions import find_session
from coordinator.accounts.sign_in import (
    change_password,
    give_password,
    give_second_factor,
    new_recovery_codes,
    sign_out,
)
from coordinator.accounts.tokens import find_token, make_token
from crypto.errors import DoudiError

REFUSED = "account.sign_in_refused"


def refusal(function, *arguments, **options):
    with pytest.raises(DoudiError) as caught:
        function(*arguments, **options)
    return caught.value.code


def second(town, pending, code):
    return give_second_factor(town.context, pending, code, address=ADDRESS)


def user(town, token):
    with town.context.begin() as session:
        return find_session(session, token)


def test_both_factors_sign_in(town):
    person = town.move_in()
    token = town.sign_in(person)
    found = user(town, token)
    assert found.account_number == person.number
    assert found.principal.roles == {"centre_officer"}
    assert [(row.actor, row.account) for row in town.events("account.signed_in")] == [("centre", person.number)]


def test_a_name_may_be_typed_in_capitals_and_with_blanks(town):
    person = town.move_in()
    assert give_password(town.context, f" {person.login_name.upper()} ", PASSWORD, address=ADDRESS, language="zh")


def test_the_password_alone_signs_nobody_in(town):
    pending = town.give_password(town.move_in())
    assert user(town, pending) is None


def test_the_token_changes_at_the_second_factor_and_the_pending_one_is_over(town):
    person = town.move_in()
    pending = town.give_password(person)
    token = second(town, pending, town.code(person))
    assert token != pending
    assert user(town, pending) is None
    town.now += 30
    assert refusal(second, town, pending, town.code(person)) == "account.sign_in_expired"


def test_the_second_factor_is_awaited_for_five_minutes(town):
    person = town.move_in()
    pending = town.give_password(person)
    town.now += 5 * 60
    assert refusal(second, town, pending, town.code(person)) == "account.sign_in_expired"


def test_a_finished_session_is_no_pending_one(town):
    person = town.move_in()
    token = town.sign_in(person)
    assert refusal(second, town, token, town.code(person)) == "account.sign_in_expired"


def test_a_code_that_was_seen_is_worthless(town):
    """Somebody looks over a shoulder: password and code are known, and both are right."""
    person = town.move_in()
    code = town.code(person)
    second(town, town.give_password(person), code)
    assert refusal(second, town, town.give_password(person), code) == REFUSED
    town.now += 30
    # Still within the tolerated step, and still spent.
    assert refusal(second, town, town.give_password(person), code) == REFUSED
    assert second(town, town.give_password(person), town.code(person))


def test_one_code_signs_in_once_also_at_the_same_moment(town):
    person = town.move_in()
    pending = [town.give_password(person) for _ in range(3)]
    code = town.code(person)

    def attempt(token):
        try:
            return len(second(town, token, code))
        except DoudiError as error:
            return error.code

    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(attempt, pending))
    assert answers.count(64) == 1
    assert answers.count(REFUSED) == 2


def test_an_attempt_that_dies_before_its_answer_stays_counted(town):
    """The process ends while the password is being checked; whoever can cause that guesses no faster."""
    person = town.move_in()

    class PowerCut(BaseException):
        """Stands for the end of the process."""

    class Failing:
        def matches(self, *_):
            raise PowerCut

    dying = replace(town.context, accounts=replace(town.context.accounts, passwords=Failing()))
    for _ in range(5):
        with pytest.raises(PowerCut):
            give_password(dying, person.login_name, "guess", address=ADDRESS, language="zh")
    assert refusal(town.give_password, person) == REFUSED


def test_the_code_of_the_enrolment_is_spent(town):
    person = town.enrol(town.invite()[1])
    assert refusal(second, town, town.give_password(person), town.code(person)) == REFUSED


def test_a_recovery_code_stands_for_the_app_once(town):
    person = town.move_in()
    code = person.recovery_codes[3]
    assert second(town, town.give_password(person), code.lower())
    assert refusal(second, town, town.give_password(person), code) == REFUSED
    assert second(town, town.give_password(person), person.recovery_codes[4])
    assert len(town.events("account.recovery_code_used")) == 2


def test_a_recovery_code_of_somebody_else_is_refused(town):
    person, other = town.move_in(), town.move_in("wang.fang")
    assert refusal(second, town, town.give_password(person), other.recovery_codes[0]) == REFUSED


def test_every_way_to_fail_looks_the_same(town):
    person = town.move_in()
    invited, _ = town.invite("wang.fang")
    gone = town.move_in("zhao.min")
    with town.context.begin() as session:
        session.get_one(AccountRow, gone.number).state = "disabled"
    for name, password in (
        ("nobody", PASSWORD),
        ("", ""),
        (person.login_name, "seven quiet lantern"),
        ("wang.fang", PASSWORD),
        (gone.login_name, PASSWORD),
    ):
        with pytest.raises(DoudiError) as caught:
            give_password(town.context, name, password, address=ADDRESS, language="zh")
        assert caught.value.args == (
            REFUSED,
            "name, password or code are not right, or the account is locked",
            "",
        )
    assert town.account(invited).failed_attempts == 0


def test_five_failures_lock_for_fifteen_minutes_even_with_the_right_password(town):
    person = town.move_in()
    for _ in range(4):
        assert refusal(town.give_password, person, "wrong password!") == REFUSED
    assert town.give_password(person)
    assert refusal(town.give_password, person, "wrong password!") == REFUSED
    assert town.account(person.number).locked_until == int(town.now) + LOCK_S
    assert refusal(town.give_password, person) == REFUSED
    assert [row.counts for row in town.events("account.locked")] == [{"about_account": person.number}]
    town.now += LOCK_S - 1
    assert refusal(town.give_password, person) == REFUSED
    town.now += 1
    assert town.sign_in(person)
    account = town.account(person.number)
    assert (account.failed_attempts, account.locked_until) == (0, None)


def test_attempts_during_a_lock_do_not_make_it_longer(town):
    person = town.move_in()
    for _ in range(10):
        assert refusal(town.give_password, person, "wrong password!") == REFUSED
        town.now += 60
    # Locked at the fifth, ten minutes of which are over with the last ones.
    town.now += LOCK_S - 6 * 60
    assert town.give_password(person)


def test_a_lock_ends_a_sign_in_that_waits_for_its_second_factor(town):
    person = town.move_in()
    pending = town.give_password(person)
    for _ in range(5):
        assert refusal(second, town, pending, town.wrong_code(person)) == REFUSED
    assert refusal(second, town, pending, town.code(person)) == "account.sign_in_expired"
    assert refusal(town.give_password, person) == REFUSED


def test_a_right_password_does_not_clear_failures_of_the_second_factor(town):
    """Somebody who knows the password tries codes, with a new sign-in before each."""
    person = town.move_in()
    for _ in range(5):
        assert refusal(second, town, town.give_password(person), town.wrong_code(person)) == REFUSED
    assert refusal(town.give_password, person) == REFUSED
    assert len(town.events("account.locked")) == 1


def test_guessing_second_factors_for_hours_ends_in_a_lock_that_does_not_end(town):
    person = town.move_in()
    failed = 0
    while failed < SECOND_FACTORS_BEFORE_RESET:
        pending = town.give_password(person)
        for _ in range(5):
            assert refusal(second, town, pending, town.wrong_code(person)) == REFUSED
            failed += 1
        town.now += LOCK_S
    town.now += 365 * 24 * 3600
    assert refusal(town.give_password, person) == REFUSED


def test_a_password_list_against_one_account_reaches_five_passwords_of_it(town):
    """Brute force: the right password is the sixth of the list, and trying it does not help."""
    person = town.move_in()
    guesses = [f"guess number {number} of many" for number in range(5)] + [PASSWORD]
    for guess in guesses:
        assert refusal(town.give_password, person, guess) == REFUSED
    with town.context.begin() as session:
        waiting = session.scalars(select(SessionRow).where(SessionRow.two_factor.is_(False))).all()
    assert waiting == []


def test_a_password_list_in_parallel_reaches_no_more(town):
    """The attempt counts before it is checked, so those that are checked at the same moment all count."""
    person = town.move_in()
    guesses = [f"guess number {number} of many" for number in range(9)]

    def guess(password):
        try:
            return town.give_password(person, password)
        except DoudiError as error:
            return error.code

    with ThreadPoolExecutor(9) as threads:
        answers = list(threads.map(guess, guesses))
    assert set(answers) <= {REFUSED, "account.busy"}
    account = town.account(person.number)
    assert account.failed_attempts == 5
    assert account.locked_until is not None


def test_one_name_is_looked_at_twenty_times_in_a_window_whether_it_exists_or_not(town):
    person = town.move_in()
    for name in (person.login_name, "nobody"):
        for _ in range(ATTEMPTS_PER_NAME):
            assert refusal(give_password, town.context, name, "x", address="198.51.100.9", language="zh") == REFUSED
        with pytest.raises(TooManyAttempts) as caught:
            give_password(town.context, name, "x", address="198.51.100.10", language="zh")
        assert 0 < caught.value.retry_after_s <= 900
    town.now += 900
    assert town.give_password(person)


def test_one_address_cannot_try_one_password_on_every_name(town):
    allowed = town.config.accounts.attempts_per_address
    # The pool is left out: what is counted is not what is checked.
    for number in range(allowed):
        with town.context.begin() as session:
            assert town.context.accounts.limits.count(session, attempt(f"name-{number}")) == 0
    person = town.move_in()
    with pytest.raises(TooManyAttempts):
        town.give_password(person, address="203.0.113.5")
    assert town.give_password(person, address="203.0.113.6")


def attempt(name, address="203.0.113.5"):
    return Attempt(address, name)


@pytest.mark.parametrize(
    ("first", "second_address", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("testclient", "testclient", True),
    ],
)
def test_what_counts_as_one_address(town, first, second_address, same):
    for address in (first, second_address):
        with town.context.begin() as session:
            town.context.accounts.limits.count(session, attempt("", address))
    with town.context.begin() as session:
        rows = session.scalars(select(SignInAttemptRow)).all()
    assert len(rows) == (1 if same else 2)


def test_a_sign_in_that_succeeds_leaves_no_count(town):
    person = town.move_in()
    for _ in range(3):
        town.sign_in(person)
    with town.context.begin() as session:
        assert {row.attempts for row in session.scalars(select(SignInAttemptRow))} == {0}


def test_a_pool_that_is_busy_is_no_failure_of_the_person(town):
    person = town.move_in()
    places = town.context.accounts.passwords._places
    taken = 0
    while places.acquire(blocking=False):
        taken += 1
    for _ in range(6):
        assert refusal(town.give_password, person) == "account.busy"
    for _ in range(taken):
        places.release()
    assert town.account(person.number).failed_attempts == 0
    assert town.sign_in(person)


def test_signing_out_ends_the_session(town):
    person = town.move_in()
    token = town.sign_in(person)
    sign_out(town.context, token)
    assert user(town, token) is None
    sign_out(town.context, token)
    sign_out(town.context, "nonsense")


def test_a_new_password_replaces_the_old_one_and_ends_the_other_sessions(town):
    person = town.move_in()
    token = town.sign_in(person)
    fresh = change_password(town.context, person.number, PASSWORD, "nine loud umbrellas", language="en")
    assert user(town, token) is None
    assert user(town, fresh).language == "en"
    assert refusal(town.give_password, person) == REFUSED
    person.password = "nine loud umbrellas"
    assert town.sign_in(person)
    assert len(town.events("account.password_changed")) == 1


def test_a_new_password_ends_the_api_tokens_too(town):
    person = town.move_in()
    with town.context.begin() as session:
        account = session.get_one(AccountRow, person.number)
        token, _ = make_token(session, account, "nightly", ["read"], 1, two_factor=True)
    with town.context.read() as session:
        assert find_token(session, token) is not None
    change_password(town.context, person.number, PASSWORD, "nine loud umbrellas", language="en")
    with town.context.read() as session:
        assert find_token(session, token) is None
    assert len(town.events("token.revoked")) == 1


def test_a_stolen_session_does_not_change_the_password(town):
    """The old password is asked for, and guessing it locks the account."""
    person = town.move_in()
    for _ in range(5):
        assert (
            refusal(change_password, town.context, person.number, "guess", "nine loud umbrellas", language="en")
            == REFUSED
        )
    code = refusal(change_password, town.context, person.number, PASSWORD, "nine loud umbrellas", language="en")
    assert code == REFUSED
    assert user(town, person.token)


def test_a_weak_new_password_is_refused_and_counts_as_nothing(town):
    person = town.move_in()
    code = refusal(change_password, town.context, person.number, PASSWORD, "li.wei li.wei", language="en")
    assert code == "account.weak_password"
    assert town.account(person.number).failed_attempts == 0


def test_new_recovery_codes_need_the_app_and_make_the_old_ones_void(town):
    person = town.move_in()
    assert refusal(new_recovery_codes, town.context, person.number, town.wrong_code(person)) == REFUSED
    assert town.account(person.number).failed_attempts == 1
    codes = new_recovery_codes(town.context, person.number, town.code(person))
    assert len(set(codes)) == 10
    assert refusal(second, town, town.give_password(person), person.recovery_codes[0]) == REFUSED
    assert second(town, town.give_password(person), codes[0])
