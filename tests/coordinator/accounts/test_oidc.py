"""Sign-in through a real identity provider (npm `oidc-provider`): `coordinator/accounts/oidc.py`."""

import base64
from urllib.parse import parse_qs, urlsplit

import pytest
from people import ADDRESS, DEPARTMENT
from sqlalchemy import select

from coordinator.accounts.models import AccountRow
from coordinator.accounts.oidc import KEPT_S, begin_oidc, finish_oidc
from coordinator.accounts.oidc_provider import Question
from coordinator.accounts.records import HOST
from coordinator.accounts.register import NewAccount, add_account, disable_account, reset_account
from coordinator.accounts.sessions import find_session
from coordinator.accounts.sign_in import give_password
from crypto.errors import DoudiError

pytestmark = [pytest.mark.processes]
REFUSED = "account.oidc_refused"


def register(town, provider, name="li.wei", subject=None, party=DEPARTMENT, roles=("department_it",)):
    wanted = NewAccount(name, party, roles, provider.issuer, subject)
    with town.context.begin() as session:
        row, code = add_account(session, HOST, wanted)
        assert code is None
        return row.number


def sign_in(town, provider, name="li.wei", **asserted):
    """Go through the whole flow; `asserted`: what the provider says about factors."""
    url, kept = begin_oidc(town.context, provider.redirect, language="en")
    answer = provider.sign_in(url, name, **(asserted or {"amr": "pwd mfa"}))
    return finish_oidc(town.context, kept, answer, address=ADDRESS)


def refusal(function, *arguments, **options):
    with pytest.raises(DoudiError) as caught:
        function(*arguments, **options)
    return caught.value.code


def test_a_registered_person_signs_in_and_is_bound_to_the_subject(provided_town, identity_provider):
    town = provided_town()
    number = register(town, identity_provider)
    token = sign_in(town, identity_provider)
    with town.context.begin() as session:
        found = find_session(session, token)
    assert (found.account_number, found.language, found.principal.two_factor) == (number, "en", True)
    assert found.principal.roles == {"department_it"}
    bound = town.account(number)
    assert (bound.state, bound.oidc_subject) == ("active", "person-li.wei")
    assert [row.type for row in town.events()][-2:] == ["account.enrolled", "account.signed_in"]
    assert sign_in(town, identity_provider)
    assert len(town.events("account.enrolled")) == 1


def test_a_client_with_a_secret_signs_people_in(provided_town, identity_provider):
    town = provided_town(client_id="doudi-secret", client_secret_file="client.secret")
    register(town, identity_provider)
    assert sign_in(town, identity_provider)


def test_the_question_carries_pkce_state_and_nonce(provided_town, identity_provider):
    town = provided_town()
    asked = [begin_oidc(town.context, identity_provider.redirect, language="en") for _ in range(2)]
    queries = [parse_qs(urlsplit(url).query) for url, _ in asked]
    for query in queries:
        assert query["response_type"] == ["code"]
        assert query["code_challenge_method"] == ["S256"]
        assert query["redirect_uri"] == [identity_provider.redirect]
    for name in ("state", "nonce", "code_challenge"):
        assert queries[0][name] != queries[1][name]
        assert len(queries[0][name][0]) >= 43


def test_what_the_browser_keeps_shows_nothing(provided_town, identity_provider):
    town = provided_town()
    url, kept = begin_oidc(town.context, identity_provider.redirect, language="en")
    query = parse_qs(urlsplit(url).query)
    opened = base64.urlsafe_b64decode(kept)
    for name in ("state", "nonce"):
        assert query[name][0].encode() not in opened


def test_nobody_is_given_an_account_by_the_provider(provided_town, identity_provider):
    town = provided_town()
    register(town, identity_provider)
    assert refusal(sign_in, town, identity_provider, "stranger") == REFUSED
    with town.context.begin() as session:
        assert len(session.scalars(select(AccountRow)).all()) == 1


def test_a_local_account_of_the_same_name_is_not_taken_over(provided_town, identity_provider):
    town = provided_town()
    person = town.move_in("li.wei")
    assert refusal(sign_in, town, identity_provider) == REFUSED
    assert town.account(person.number).oidc_subject is None


def test_a_bound_account_counts_by_subject_and_not_by_name(provided_town, identity_provider):
    """A name that the provider gives to somebody else later opens nothing."""
    town = provided_town()
    number = register(town, identity_provider)
    with town.context.begin() as session:
        row = session.get_one(AccountRow, number)
        row.oidc_subject, row.state = "somebody-before", "active"
    assert refusal(sign_in, town, identity_provider) == REFUSED


def test_an_explicit_subject_is_bound_whatever_the_name(provided_town, identity_provider):
    town = provided_town(login_name_claim="")
    number = register(town, identity_provider, "wang.fang", "person-li.wei")
    assert sign_in(town, identity_provider)
    assert town.account(number).state == "active"


def test_without_a_claim_names_bind_nobody(provided_town, identity_provider):
    town = provided_town(login_name_claim="")
    register(town, identity_provider)
    assert refusal(sign_in, town, identity_provider) == REFUSED


def test_an_account_of_another_issuer_is_another_account(provided_town, identity_provider):
    town = provided_town()
    wanted = NewAccount("li.wei", DEPARTMENT, ["department_it"], "https://elsewhere.example", "person-li.wei")
    with town.context.begin() as session:
        add_account(session, HOST, wanted)
    assert refusal(sign_in, town, identity_provider) == REFUSED


def test_a_disabled_account_is_refused(provided_town, identity_provider):
    town = provided_town()
    number = register(town, identity_provider)
    sign_in(town, identity_provider)
    with town.context.begin() as session:
        disable_account(session, HOST, session.get_one(AccountRow, number))
    assert refusal(sign_in, town, identity_provider) == REFUSED


def test_a_reset_ends_the_sessions_and_leaves_the_provider_in_charge(provided_town, identity_provider):
    town = provided_town()
    number = register(town, identity_provider)
    token = sign_in(town, identity_provider)
    with town.context.begin() as session:
        assert reset_account(session, HOST, session.get_one(AccountRow, number)) is None
    with town.context.begin() as session:
        assert find_session(session, token) is None
    assert sign_in(town, identity_provider)


def test_an_account_of_the_provider_has_no_password(provided_town, identity_provider):
    town = provided_town()
    register(town, identity_provider)
    sign_in(town, identity_provider)
    code = refusal(give_password, town.context, "li.wei", "", address=ADDRESS, language="en")
    assert code == "account.sign_in_refused"


@pytest.mark.parametrize(
    ("changes", "asserted", "accepted"),
    [
        ({}, {"amr": "pwd mfa"}, True),
        ({}, {"amr": "pwd"}, False),
        ({}, {"amr": "", "acr": "gold"}, False),
        ({"accepted_acr": ["gold"]}, {"acr": "gold"}, True),
        ({"accepted_acr": ["gold"]}, {"acr": "silver", "amr": "pwd"}, False),
        ({"accepted_amr": ["otp", "hwk"]}, {"amr": "pwd hwk"}, True),
        ({"accepted_amr": ["otp"]}, {"amr": "mfa"}, False),
        ({"counts_as_two_factors": True}, {"amr": "pwd"}, True),
    ],
)
def test_two_factors_must_be_asserted_or_be_the_providers_rule(
    provided_town, identity_provider, changes, asserted, accepted
):
    town = provided_town(**changes)
    number = register(town, identity_provider)
    if accepted:
        assert sign_in(town, identity_provider, **asserted)
    else:
        assert refusal(sign_in, town, identity_provider, **asserted) == "account.second_factor_missing"
        assert town.account(number).state == "invited"


def test_a_refusal_at_the_provider_is_one_here(provided_town, identity_provider):
    town = provided_town()
    register(town, identity_provider)
    assert refusal(sign_in, town, identity_provider, password="wrong", amr="mfa") == REFUSED


def test_an_answer_to_another_question_is_refused(provided_town, identity_provider):
    """Somebody sends a victim the own answer, so that the victim works in the wrong account."""
    town = provided_town()
    register(town, identity_provider)
    url, _ = begin_oidc(town.context, identity_provider.redirect, language="en")
    answer = identity_provider.sign_in(url, "li.wei", amr="mfa")
    _, kept = begin_oidc(town.context, identity_provider.redirect, language="en")
    assert refusal(finish_oidc, town.context, kept, answer, address=ADDRESS) == REFUSED


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "x"},
        {"state": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"code": "x"},
        {"code": None},
        {"error": "access_denied"},
    ],
)
def test_a_changed_answer_is_refused(provided_town, identity_provider, changes):
    town = provided_town()
    register(town, identity_provider)
    url, kept = begin_oidc(town.context, identity_provider.redirect, language="en")
    answer = {**identity_provider.sign_in(url, "li.wei", amr="mfa"), **changes}
    answer = {name: value for name, value in answer.items() if value is not None}
    assert refusal(finish_oidc, town.context, kept, answer, address=ADDRESS) == REFUSED


def test_an_answer_counts_once(provided_town, identity_provider):
    town = provided_town()
    register(town, identity_provider)
    url, kept = begin_oidc(town.context, identity_provider.redirect, language="en")
    answer = identity_provider.sign_in(url, "li.wei", amr="mfa")
    assert finish_oidc(town.context, kept, answer, address=ADDRESS)
    assert refusal(finish_oidc, town.context, kept, answer, address=ADDRESS) == REFUSED


def test_a_stolen_code_is_worthless_without_the_verifier(provided_town, identity_provider):
    """The thief has the code and the state, and a question of the own with the same state."""
    town = provided_town()
    register(town, identity_provider)
    url, _ = begin_oidc(town.context, identity_provider.redirect, language="en")
    answer = identity_provider.sign_in(url, "li.wei", amr="mfa")
    provider = town.context.accounts.provider
    question = Question(answer["state"], "n" * 43, "v" * 43)
    assert refusal(provider.claims, question, identity_provider.redirect, answer, int(town.now)) == REFUSED


@pytest.mark.parametrize("kept", ["", "x", "AAAA", "é", base64.urlsafe_b64encode(b"\x01" * 80).decode()])
def test_what_the_browser_brings_back_must_be_ours(provided_town, identity_provider, kept):
    town = provided_town()
    assert refusal(finish_oidc, town.context, kept, {"state": "x", "code": "y"}, address=ADDRESS) == REFUSED


def test_a_sign_in_that_takes_too_long_is_refused(provided_town, identity_provider):
    town = provided_town()
    register(town, identity_provider)
    url, kept = begin_oidc(town.context, identity_provider.redirect, language="en")
    answer = identity_provider.sign_in(url, "li.wei", amr="mfa")
    town.now += KEPT_S
    assert refusal(finish_oidc, town.context, kept, answer, address=ADDRESS) == REFUSED


def test_state_of_another_installation_is_refused(provided_town, identity_provider):
    town, other = provided_town(), provided_town()
    register(town, identity_provider)
    url, kept = begin_oidc(other.context, identity_provider.redirect, language="en")
    answer = identity_provider.sign_in(url, "li.wei", amr="mfa")
    assert refusal(finish_oidc, town.context, kept, answer, address=ADDRESS) == REFUSED


def test_answers_from_one_address_are_bounded(provided_town, identity_provider):
    town = provided_town()
    for _ in range(town.config.accounts.attempts_per_address):
        assert refusal(finish_oidc, town.context, "x", {}, address=ADDRESS) == REFUSED
    assert refusal(finish_oidc, town.context, "x", {}, address=ADDRESS) == "account.too_many_attempts"


def test_without_a_provider_there_is_no_such_sign_in(town):
    assert refusal(begin_oidc, town.context, "https://x", language="en") == "oidc.not_configured"
    assert refusal(finish_oidc, town.context, "x", {}, address=ADDRESS) == "oidc.not_configured"
