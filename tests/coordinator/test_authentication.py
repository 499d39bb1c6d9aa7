"""Who may send a request: `coordinator/parties/authentication.py` and the border in front of it."""

import pytest
from coordinator_world import LEAD
from sqlalchemy import event, func, select

from coordinator.accounts.models import AccountRow
from coordinator.accounts.tokens import revoke_token
from coordinator.parties.authentication import NONCE_KEPT_S
from coordinator.parties.models import PartyRow, RequestNonceRow
from coordinator.parties.request_bound import RequestBound
from crypto.canonical import canonical_json
from crypto.signing import generate_signing_key
from policies.contracts.requests import CLOCK_TOLERANCE_S, sign_request

HASH = "ab" * 32
UNSIGNED = [
    ("GET", "/v1/accounts"),
    ("POST", "/v1/accounts"),
    ("GET", "/v1/accounts/1"),
    ("POST", "/v1/accounts/1/roles"),
    ("POST", "/v1/accounts/1/disable"),
    ("POST", "/v1/accounts/1/reset"),
    ("GET", "/v1/account/tokens"),
    ("POST", "/v1/account/tokens"),
    ("POST", "/v1/account/tokens/1/revoke"),
    ("GET", "/v1/parties"),
    ("POST", "/v1/parties"),
    ("GET", "/v1/projects"),
    ("POST", "/v1/projects"),
    ("GET", "/v1/projects/p"),
    ("GET", "/v1/projects/p/grant"),
    ("PUT", "/v1/assets/tax/tax"),
    ("POST", "/v1/assets/tax/tax/withdraw"),
    ("GET", "/v1/assets"),
    ("GET", "/v1/assets/tax/tax"),
    ("POST", "/v1/requests"),
    ("GET", "/v1/requests"),
    ("GET", "/v1/requests/1"),
    ("GET", "/v1/requests/1/grant"),
    ("POST", "/v1/requests/1/submit"),
    ("POST", "/v1/requests/1/withdraw"),
    ("POST", "/v1/requests/1/decisions"),
    ("PUT", "/v1/requests/1/signatures"),
    ("PUT", "/v1/revocations/tax"),
    ("GET", "/v1/revocations"),
    ("PUT", "/v1/parties/tax/report"),
    ("GET", "/v1/parties/tax/report"),
    ("GET", "/v1/reports"),
    ("GET", "/v1/queue"),
    ("POST", "/v1/projects/p/runs"),
    ("GET", "/v1/runs"),
    ("GET", "/v1/runs/r"),
    ("GET", "/v1/runs/r/offers"),
    ("PUT", "/v1/runs/r/offers/tax"),
    ("PUT", "/v1/runs/r/manifest"),
    ("POST", "/v1/runs/r/stop"),
    ("POST", "/v1/runs/r/restart"),
    ("GET", "/v1/runs/r/results"),
    ("GET", "/v1/decisions"),
    ("POST", "/v1/ledger/batches"),
    ("GET", "/v1/ledger/checkpoint"),
    ("GET", "/v1/ledger/consistency"),
    ("POST", "/v1/ledger/proofs"),
    ("POST", "/v1/ledger/cosignatures"),
    ("GET", "/v1/ledger/entries"),
    ("GET", "/v1/ledger/status"),
    ("POST", "/v1/ledger/terms"),
    ("POST", "/v1/ledger/shred"),
    ("POST", "/v1/ledger/wraps"),
    ("GET", "/log/checkpoint"),
    ("GET", "/log/checkpoint/witnessed"),
    ("GET", "/log/checkpoint/7"),
    ("GET", "/log/summary"),
    ("GET", "/log/tile/0/000"),
    ("GET", "/log/tile/entries/000"),
    ("GET", "/log/batches/000"),
    ("GET", "/log/terms/newest"),
    ("GET", "/log/terms/1"),
    ("GET", "/log/timestamps/7"),
    ("GET", "/v1/policy"),
    ("GET", "/v1/policy/changes"),
    ("POST", "/v1/policy/changes"),
    ("GET", f"/v1/policy/changes/{HASH}"),
    ("POST", f"/v1/policy/changes/{HASH}/approve"),
    ("POST", f"/v1/policy/changes/{HASH}/withdraw"),
    ("GET", "/v1/openapi.json"),
]


@pytest.mark.parametrize(("method", "path"), UNSIGNED)
def test_every_endpoint_refuses_an_unsigned_request(world, code, method, path):
    answer = world.raw(method, path, b"not even JSON")
    assert (answer.status_code, code(answer)) == (401, "request.unauthenticated")


def test_the_list_above_names_every_endpoint_but_the_health_check(world):
    described = {(method.upper(), path) for path, methods in world.app.openapi()["paths"].items() for method in methods}
    names = {"{project_id}": "p", "{run_id}": "r", "{department}": "tax", "{policy_hash}": HASH, "{number}": "1"}
    names |= {"{owner}": "tax", "{dataset}": "tax", "{party}": "tax", "{name}": "tax"}
    names |= {"{size}": "7", "{level}": "0", "{path}": "000"}
    concrete = set()
    for method, path in described:
        for placeholder, value in names.items():
            path = path.replace(placeholder, value)
        concrete.add((method, path))
    assert concrete - {("GET", "/v1/health")} == set(UNSIGNED)


def test_the_health_check_answers_strangers_and_no_page_of_the_framework_is_served(world, code):
    assert world.raw("GET", "/v1/health").json() == {"status": "ok", "api_version": "1"}
    for path in ("/openapi.json", "/docs", "/redoc"):
        assert code(world.raw("GET", path)) == "request.not_found"


def test_a_signed_request_is_accepted_and_counts_as_seen(world):
    world.register_all()
    world.now += 50
    assert world.send("tax", "GET", "/v1/parties").status_code == 200
    with world.begin() as session:
        assert session.get_one(PartyRow, "tax").last_seen_at == int(world.now)


def test_a_replayed_request_is_refused(world, code):
    headers = sign_request(world.api_key, "centre", "GET", "/v1/parties", b"", int(world.now))
    assert world.raw("GET", "/v1/parties", headers=headers).status_code == 200
    answer = world.raw("GET", "/v1/parties", headers=headers)
    assert (answer.status_code, code(answer)) == (401, "request.replayed")


def test_a_replay_is_refused_for_as_long_as_its_time_is_accepted(world, code):
    """A nonce is only forgotten when the clock alone refuses the request."""
    signed_for = int(world.now) + CLOCK_TOLERANCE_S
    headers = sign_request(world.api_key, "centre", "GET", "/v1/parties", b"", signed_for)
    assert world.raw("GET", "/v1/parties", headers=headers).status_code == 200
    world.now += 2 * CLOCK_TOLERANCE_S
    world.send("centre", "GET", "/v1/parties")
    assert code(world.raw("GET", "/v1/parties", headers=headers)) == "request.replayed"
    world.now += 1
    assert code(world.raw("GET", "/v1/parties", headers=headers)) == "request.clock"


def test_old_nonces_are_purged(world):
    for _ in range(3):
        world.send("centre", "GET", "/v1/parties")
    world.now += NONCE_KEPT_S + 1
    world.send("centre", "GET", "/v1/parties")
    with world.begin() as session:
        assert session.scalar(select(func.count()).select_from(RequestNonceRow)) == 1


@pytest.mark.parametrize("seconds", [-CLOCK_TOLERANCE_S - 1, CLOCK_TOLERANCE_S + 1])
def test_a_request_from_another_time_is_refused(world, code, seconds):
    answer = world.send("centre", "GET", "/v1/parties", now=world.now + seconds)
    assert (answer.status_code, code(answer)) == (401, "request.clock")


@pytest.mark.parametrize("seconds", [-CLOCK_TOLERANCE_S, CLOCK_TOLERANCE_S])
def test_a_request_at_the_edge_of_the_tolerance_is_accepted(world, seconds):
    assert world.send("centre", "GET", "/v1/parties", now=world.now + seconds).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"key": generate_signing_key()},
        {"signed_path": "/v1/projects"},
        {"signed_body": b"another body"},
        {"signed_path": "/v1/parties?replace=true"},
    ],
)
def test_a_signature_over_something_else_is_refused(world, code, changes):
    answer = world.send("centre", "GET", "/v1/parties", **changes)
    assert (answer.status_code, code(answer)) == (401, "request.unauthenticated")


def test_a_party_cannot_speak_for_another(world, code):
    world.register_all()
    answer = world.send("tax", "GET", "/v1/parties", key=world.keys["health"].identity)
    assert code(answer) == "request.unauthenticated"


@pytest.mark.parametrize("name", ["Doudi-Party", "Doudi-Time", "Doudi-Nonce", "Doudi-Signature"])
@pytest.mark.parametrize("value", [None, "", "zz", "-1", "九"])
def test_missing_and_malformed_headers_are_refused(world, name, value):
    headers = sign_request(world.api_key, "centre", "GET", "/v1/parties", b"", int(world.now))
    del headers[name]
    encoded = {key.encode(): text.encode() for key, text in headers.items()}
    if value is not None:
        encoded[name.encode()] = value.encode()
    assert world.raw("GET", "/v1/parties", headers=encoded).status_code == 401


def test_the_centres_key_comes_from_the_configuration_and_not_from_the_database(world, code):
    other = generate_signing_key()
    with world.begin() as session:
        session.get_one(PartyRow, "centre").identity_key = "12" * 32
    assert world.send("centre", "GET", "/v1/parties").status_code == 200
    assert code(world.send("centre", "GET", "/v1/parties", key=other)) == "request.unauthenticated"


def test_an_oversized_body_is_refused_whatever_its_header_says(world, code):
    limit = world.config.limits.max_body_bytes
    answer = world.send("centre", "POST", "/v1/parties", b"x" * (limit + 1))
    assert (answer.status_code, code(answer)) == (413, "request.body_too_large")
    lying = world.raw("POST", "/v1/parties", b"x" * (limit + 1), {"content-length": "3"})
    assert code(lying) == "request.body_too_large"
    assert code(world.raw("POST", "/v1/parties", b"", {"content-length": "9" * 5000})) == "request.body_too_large"
    assert code(world.send("centre", "POST", "/v1/parties", b"x" * limit)) == "document.malformed"


def test_values_are_checked_only_after_the_signature(world, code):
    assert code(world.raw("GET", "/v1/runs?state=nonsense")) == "request.unauthenticated"
    answer = world.send("centre", "GET", "/v1/runs?state=nonsense")
    assert (answer.status_code, code(answer)) == (422, "request.malformed")
    assert b"nonsense" not in answer.content


def test_a_token_acts_for_its_person(world):
    world.register_all()
    token = world.token("centre", "centre_officer")
    body = canonical_json({"project_id": "p", "title": "t", "purpose": "aid", "region": "kentucky", "lead": LEAD})
    assert world.ask(token, "POST", "/v1/projects", body).status_code == 201
    (created,) = world.events("project.created")
    assert (created["actor"], created["account"]) == ("centre", 1)
    assert world.ask(token, "GET", "/v1/projects/p").json()["lead"] == LEAD


def test_a_persons_use_of_a_token_does_not_make_the_departments_node_seen(world):
    world.register_all()
    assert world.ask(world.token("tax", "department_it"), "GET", "/v1/parties").status_code == 200
    with world.begin() as session:
        assert session.get_one(PartyRow, "tax").last_seen_at is None


def test_a_token_for_reading_changes_nothing(world, code):
    world.register_all()
    token = world.token("centre", "centre_officer", write=False)
    assert world.ask(token, "GET", "/v1/parties").status_code == 200
    answer = world.ask(token, "POST", "/v1/parties", world.card("tax", people=1).to_bytes())
    assert (answer.status_code, code(answer)) == (403, "authorization.denied")
    assert [event["account"] for event in world.events("request.refused")] == [1]


def test_a_token_has_the_roles_of_its_person_and_no_more(world, code):
    world.register_all()
    for token in (world.token("tax", "department_it"), world.token("centre", "auditor"), world.token("centre")):
        assert code(world.ask(token, "POST", "/v1/parties", world.card("tax").to_bytes())) == "authorization.denied"
    assert world.ask(world.token("tax", "auditor"), "GET", "/v1/ledger/entries").status_code == 200
    assert code(world.ask(world.token("tax", "department_it"), "GET", "/v1/ledger/entries")) == "authorization.denied"


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dGF4OnRheA==",
        "Bearer doudi_short",
        "Bearer doudi_" + "A" * 43,
        "doudi_" + "A" * 43,
        "Bearer  {token}",
        "Bearer {token} ,",
        "Basic {token}",
        "Bearer {token}x",
    ],
)
def test_what_is_no_token_in_force_is_refused(world, code, shown):
    token = world.token("centre", "centre_officer")
    answer = world.raw("GET", "/v1/parties", headers={"Authorization": shown.replace("{token}", token)})
    assert (answer.status_code, code(answer)) == (401, "request.unauthenticated")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_name_of_the_scheme_is_written_as_one_likes(world, scheme):
    headers = {"Authorization": f"{scheme} {world.token('centre', 'auditor')}"}
    assert world.raw("GET", "/v1/parties", headers=headers).status_code == 200


def test_an_expired_and_a_revoked_token_and_a_disabled_person_are_refused(world, code):
    expired, revoked, disabled = (world.token("centre", "centre_officer", days=days) for days in (1, 2, 2))
    with world.begin() as session:
        assert revoke_token(session, 2, 2)
        session.get_one(AccountRow, 3).state = "disabled"
    world.now += 24 * 3600
    for token in (expired, revoked, disabled):
        assert code(world.ask(token, "GET", "/v1/parties")) == "request.unauthenticated"


def test_a_request_that_is_signed_and_shows_a_token_is_neither(world, code):
    token = world.token("centre", "centre_officer")
    headers = sign_request(world.api_key, "centre", "GET", "/v1/parties", b"", int(world.now))
    both = {**headers, "Authorization": f"Bearer {token}"}
    assert code(world.raw("GET", "/v1/parties", headers=both)) == "request.unauthenticated"
    half = {"Doudi-Party": "centre", "Authorization": f"Bearer {token}"}
    assert code(world.raw("GET", "/v1/parties", headers=half)) == "request.unauthenticated"
    assert world.raw("GET", "/v1/parties", headers=headers).status_code == 200


def test_strangers_with_made_up_tokens_write_nothing(world):
    statements = []

    def remember(_connection, _cursor, statement, *_):
        statements.append(statement)

    event.listen(world.app.state.context.engine, "before_cursor_execute", remember)
    world.raw("GET", "/v1/parties", headers={"Authorization": "Bearer doudi_" + "A" * 43})
    assert not [statement for statement in statements if statement.startswith(("INSERT", "UPDATE", "BEGIN IMMEDIATE"))]


def test_a_principal_that_sends_too_many_requests_is_refused_for_the_rest_of_the_minute(world, code):
    world.register_all()
    bound = RequestBound(3)
    world.app.state.request_bound = bound
    for _ in range(3):
        assert world.send("tax", "GET", "/v1/parties").status_code == 200
    answer = world.send("tax", "GET", "/v1/parties")
    assert (answer.status_code, code(answer), answer.headers["retry-after"]) == (429, "request.too_many", "60")
    # Others and tokens are counted by themselves.
    assert world.send("health", "GET", "/v1/parties").status_code == 200
    token = world.token("tax", "department_it")
    assert [world.ask(token, "GET", "/v1/parties").status_code for _ in range(4)] == [200, 200, 200, 429]
    world.now += 60
    assert world.send("tax", "GET", "/v1/parties").status_code == 200


def test_a_request_too_many_writes_nothing_and_strangers_use_up_nobodys_number(world, code):
    world.register_all()
    world.app.state.request_bound = RequestBound(1)
    stranger = generate_signing_key()
    for _ in range(3):
        assert code(world.send("tax", "GET", "/v1/parties", key=stranger)) == "request.unauthenticated"
    assert world.send("tax", "GET", "/v1/parties").status_code == 200
    with world.begin() as session:
        before = session.scalar(select(func.count()).select_from(RequestNonceRow))
    assert code(world.send("tax", "GET", "/v1/parties")) == "request.too_many"
    with world.begin() as session:
        assert session.scalar(select(func.count()).select_from(RequestNonceRow)) == before
