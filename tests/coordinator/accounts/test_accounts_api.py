"""/v1/accounts and /v1/account/tokens: `coordinator/accounts/api.py`, `services.py`."""

import asyncio
import json

import httpx
import pytest
from people import DEPARTMENT, Town

from coordinator.accounts.models import AccountRow
from coordinator.accounts.records import HOST
from coordinator.accounts.register import NewAccount, add_account, get_account
from coordinator.accounts.tokens import make_token
from coordinator.app import create_app
from coordinator.authorization.models import DecisionRow
from crypto.canonical import canonical_json


class Office:
    """A served coordinator, with people who use API tokens."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.app = create_app(town.config, clock=lambda: town.now)

    def person(self, name="li.wei", party="centre", *roles, scopes=("read", "write")):
        """Return somebody who has enrolled, and a token of theirs."""
        person = self.town.move_in(name, party, *roles)
        with self.town.context.begin() as session:
            account = get_account(session, person.number)
            token, _ = make_token(session, account, "program", scopes, 90, two_factor=True)
        return person, token

    def ask(self, token, method, path, body=None, **headers):
        content = b"" if body is None else canonical_json(body)

        async def call():
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="https://coordinator") as client:
                given = {"Authorization": f"Bearer {token}", **headers}
                return await client.request(method, path, content=content, headers=given)

        return asyncio.run(call())

    def refusal(self, *arguments, **options):
        answer = self.ask(*arguments, **options)
        assert answer.status_code >= 400, answer.text
        return answer.status_code, json.loads(answer.content)["type"].removeprefix("urn:doudi:")

    def denials(self):
        with self.town.context.begin() as session:
            return [(row.account, row.action) for row in session.query(DecisionRow).filter_by(allowed=False)]


@pytest.fixture
def office(town):
    return Office(town)


def wanted(**changes):
    return {
        "login_name": "wang.fang",
        "party": DEPARTMENT,
        "roles": ["department_it"],
        "signs_in": "here",
        "subject": "",
        **changes,
    }


def token_request(code, **changes):
    return {"label": "nightly", "scopes": ["read"], "days": 30, "code": code, **changes}


def test_an_officer_makes_an_account_whose_code_enrols(office):
    officer, token = office.person()
    answer = office.ask(token, "POST", "/v1/accounts", wanted())
    assert answer.status_code == 201
    made = answer.json()
    assert made["account"]["state"] == "invited"
    assert made["account"]["roles"] == ["department_it"]
    assert made["expires_at"] == int(office.town.now) + 24 * 3600
    assert office.town.enrol(made["enrolment_code"]).number == made["account"]["number"]
    (event,) = [row for row in office.town.events("account.created") if row.account]
    assert (event.actor, event.account, event.subject) == ("centre", officer.number, DEPARTMENT)


def test_the_code_is_shown_once_also_under_an_idempotency_key(office):
    _, token = office.person()
    key = {"Idempotency-Key": "k" * 20}
    first = office.ask(token, "POST", "/v1/accounts", wanted(), **key)
    assert first.json()["enrolment_code"]
    assert office.refusal(token, "POST", "/v1/accounts", wanted(), **key)[1] == "request.answered_once"
    listed = office.ask(token, "GET", "/v1/accounts").text
    assert first.json()["enrolment_code"] not in listed


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"roles": ["centre_officer"]}, 403, "authorization.denied"),
        ({"roles": ["department_it", "department_approver"]}, 403, "authorization.denied"),
        ({"roles": ["auditor", "scheduler"]}, 403, "authorization.denied"),
        ({"roles": ["root"]}, 422, "account.unknown_role"),
        ({"party": "nowhere"}, 404, "party.unknown"),
        ({"login_name": "li.wei"}, 409, "account.name_in_use"),
        ({"login_name": "Li Wei"}, 422, "document.malformed"),
        ({"roles": []}, 422, "document.malformed"),
        ({"signs_in": "provider"}, 404, "oidc.not_configured"),
        ({"subject": "somebody"}, 422, "account.bad_subject"),
    ],
)
def test_accounts_that_must_not_be_are_refused(office, changes, status, code):
    _, token = office.person()
    assert office.refusal(token, "POST", "/v1/accounts", wanted(**changes)) == (status, code)


@pytest.mark.parametrize(
    ("party", "roles"),
    [
        ("centre", ["centre_approver"]),
        ("centre", ["auditor"]),
        (DEPARTMENT, ["department_it"]),
        (DEPARTMENT, ["department_approver", "scheduler"]),
    ],
)
def test_nobody_but_an_officer_administers_accounts(office, party, roles):
    officer, _ = office.person("officer")
    person, token = office.person("li.wei", party, *roles)
    for method, path, body in (
        ("POST", "/v1/accounts", wanted()),
        ("POST", f"/v1/accounts/{officer.number}/roles", {"roles": ["centre_approver"]}),
        ("POST", f"/v1/accounts/{officer.number}/disable", None),
        ("POST", f"/v1/accounts/{officer.number}/reset", None),
        ("POST", f"/v1/accounts/{person.number}/reset", None),
        ("POST", f"/v1/accounts/{person.number}/roles", {"roles": ["centre_officer"]}),
    ):
        assert office.refusal(token, method, path, body) == (403, "authorization.denied"), path
    assert len(office.denials()) == 6
    assert office.town.account(officer.number).state == "active"


def test_nobody_changes_their_own_rights(office):
    officer, token = office.person()
    path = f"/v1/accounts/{officer.number}"
    assert office.refusal(token, "POST", f"{path}/roles", {"roles": ["centre_approver"]})[1] == "authorization.denied"
    assert office.refusal(token, "POST", f"{path}/reset")[1] == "authorization.denied"
    assert office.town.account(officer.number).roles == ["centre_officer"]


def test_a_token_for_reading_changes_nothing(office):
    _, token = office.person(scopes=("read",))
    assert office.ask(token, "GET", "/v1/accounts").status_code == 200
    assert office.refusal(token, "POST", "/v1/accounts", wanted()) == (403, "authorization.denied")


def test_an_auditor_reads_all_accounts_and_changes_none(office):
    officer, _ = office.person("officer")
    _, token = office.person("li.wei", "centre", "auditor")
    names = [row["login_name"] for row in office.ask(token, "GET", "/v1/accounts").json()["items"]]
    assert names == ["officer", "li.wei"]
    assert office.refusal(token, "POST", f"/v1/accounts/{officer.number}/disable")[1] == "authorization.denied"


def test_others_see_their_own_account_and_no_other_one(office):
    officer, _ = office.person("officer")
    person, token = office.person("li.wei", DEPARTMENT)
    assert office.ask(token, "GET", f"/v1/accounts/{person.number}").json()["login_name"] == "li.wei"
    # Existing or not, the answer is the same.
    for number in (officer.number, 999):
        assert office.refusal(token, "GET", f"/v1/accounts/{number}") == (403, "authorization.denied")
    assert office.refusal(token, "GET", "/v1/accounts") == (403, "authorization.denied")


def test_an_unknown_account_is_unknown_to_an_officer(office):
    _, token = office.person()
    for method, path, body in (
        ("GET", "/v1/accounts/99", None),
        ("POST", "/v1/accounts/99/roles", {"roles": ["auditor"]}),
        ("POST", "/v1/accounts/99/disable", None),
        ("POST", "/v1/accounts/99/reset", None),
    ):
        assert office.refusal(token, method, path, body) == (404, "account.unknown")


def test_the_list_comes_in_pages_and_shows_no_factor(office):
    person, token = office.person()
    for number in range(4):
        office.town.invite(f"person-{number}")
    first = office.ask(token, "GET", "/v1/accounts?limit=3").json()
    rest = office.ask(token, "GET", f"/v1/accounts?limit=3&cursor={first['next_cursor']}").json()
    assert [row["number"] for row in first["items"] + rest["items"]] == [1, 2, 3, 4, 5]
    assert rest["next_cursor"] is None
    shown = json.dumps(first)
    assert "argon2" not in shown
    assert person.secret not in shown
    assert not {"password_hash", "totp_sealed"} & set(first["items"][0])


def test_an_officer_changes_roles_resets_and_ends_accounts(office):
    _, token = office.person()
    person, other = office.person("wang.fang", DEPARTMENT)
    path = f"/v1/accounts/{person.number}"
    changed = office.ask(token, "POST", f"{path}/roles", {"roles": ["scheduler"]})
    assert changed.json()["roles"] == ["scheduler"]
    reset = office.ask(token, "POST", f"{path}/reset").json()
    assert reset["account"]["state"] == "invited"
    assert office.refusal(other, "GET", f"{path}") == (401, "request.unauthenticated")
    again = office.town.enrol(reset["enrolment_code"], "nine loud umbrellas")
    assert again.number == person.number
    assert office.ask(token, "POST", f"{path}/disable").json()["state"] == "disabled"
    assert office.refusal(token, "POST", f"{path}/reset") == (409, "account.disabled")
    assert office.refusal(token, "POST", f"{path}/roles", {"roles": ["auditor"]}) == (409, "account.disabled")
    kinds = [row.type for row in office.town.events() if row.account == 1 and row.counts]
    assert kinds[-3:] == ["account.roles_changed", "account.reset", "account.disabled"]


def test_a_token_is_made_with_a_second_factor_shown_once_and_listed_without_it(office):
    person, token = office.person()
    answer = office.ask(token, "POST", "/v1/account/tokens", token_request(office.town.code(person)))
    assert answer.status_code == 201
    made = answer.json()
    assert made["facts"]["scopes"] == ["read"]
    assert office.ask(made["token"], "GET", f"/v1/accounts/{person.number}").status_code == 200
    listed = office.ask(token, "GET", "/v1/account/tokens")
    assert [row["label"] for row in listed.json()["items"]] == ["nightly", "program"]
    assert made["token"] not in listed.text
    assert [(row.account, row.counts) for row in office.town.events("token.created")] == [
        (person.number, {"about_account": person.number})
    ]


def test_a_stolen_token_makes_no_other_token(office):
    """Without the app it is tried five times, and then the account is locked."""
    person, token = office.person()
    wrong = token_request(office.town.wrong_code(person))
    for _ in range(5):
        assert office.refusal(token, "POST", "/v1/account/tokens", wrong) == (403, "account.sign_in_refused")
    assert office.town.account(person.number).locked_until is not None
    right = token_request(office.town.code(person))
    assert office.refusal(token, "POST", "/v1/account/tokens", right) == (403, "account.sign_in_refused")
    assert office.town.events("token.created") == []


def test_a_code_makes_one_token(office):
    person, token = office.person()
    request = token_request(office.town.code(person))
    assert office.ask(token, "POST", "/v1/account/tokens", request).status_code == 201
    assert office.refusal(token, "POST", "/v1/account/tokens", request)[1] == "account.sign_in_refused"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"scopes": ["write"]}, "token.bad_scopes"),
        ({"scopes": ["admin"]}, "document.malformed"),
        ({"days": 91}, "document.malformed"),
        ({"days": 0}, "document.malformed"),
        ({"label": "Two Words"}, "document.malformed"),
    ],
)
def test_other_tokens_are_refused(office, changes, code):
    person, token = office.person()
    request = token_request(office.town.code(person), **changes)
    assert office.refusal(token, "POST", "/v1/account/tokens", request) == (422, code)


def test_a_token_of_the_providers_person_makes_no_other_one(office):
    with office.town.context.begin() as session:
        wanted_account = NewAccount("li.wei", "centre", ["centre_officer"], "https://provider.example", "subject")
        account, _ = add_account(session, HOST, wanted_account)
        account.state = "active"
        token, _ = make_token(session, account, "program", ["read", "write"], 1, two_factor=True)
    request = token_request("")
    assert office.refusal(token, "POST", "/v1/account/tokens", request) == (403, "token.needs_session")


def test_a_token_can_revoke_itself_and_then_does_nothing(office):
    _, token = office.person()
    (row,) = office.ask(token, "GET", "/v1/account/tokens").json()["items"]
    answer = office.ask(token, "POST", f"/v1/account/tokens/{row['number']}/revoke")
    assert answer.json()["revoked_at"] == int(office.town.now)
    assert office.refusal(token, "GET", "/v1/account/tokens") == (401, "request.unauthenticated")
    assert len(office.town.events("token.revoked")) == 1


def test_somebody_elses_token_is_unknown(office):
    _, token = office.person("officer")
    _, other = office.person("li.wei", DEPARTMENT)
    (row,) = office.ask(other, "GET", "/v1/account/tokens").json()["items"]
    for number in (row["number"], 99):
        path = f"/v1/account/tokens/{number}/revoke"
        assert office.refusal(token, "POST", path) == (404, "token.unknown")
    assert office.ask(other, "GET", "/v1/account/tokens").status_code == 200


def test_a_device_and_a_node_have_no_account_and_administer_none(world, code):
    world.register_all()
    with world.begin() as session:
        add_account(session, HOST, NewAccount("li.wei", "centre", ["centre_officer"]))
    for party in ("centre", "tax"):
        for method, path, body in (
            ("GET", "/v1/accounts", b""),
            ("GET", "/v1/accounts/1", b""),
            ("POST", "/v1/accounts", canonical_json(wanted())),
            ("POST", "/v1/accounts/1/reset", b""),
            ("GET", "/v1/account/tokens", b""),
            ("POST", "/v1/account/tokens", canonical_json(token_request("000000"))),
            ("POST", "/v1/account/tokens/1/revoke", b""),
        ):
            answer = world.send(party, method, path, body)
            assert (answer.status_code, code(answer)) == (403, "authorization.denied"), (party, path)
    with world.begin() as session:
        assert session.get_one(AccountRow, 1).state == "invited"
