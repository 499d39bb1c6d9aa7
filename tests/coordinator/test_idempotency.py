"""Writes that are sent again: `coordinator/idempotency.py`."""

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from coordinator_world import DEPARTMENTS, LEAD, PROJECT
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy import func, select

from coordinator.authorization.principals import Principal
from coordinator.idempotency import KEPT_S, IdempotencyKeyRow, Once, only_once
from coordinator.projects.models import ProjectRow
from coordinator.projects.services import create_project
from coordinator.runs.models import RunRow
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from policies.contracts.requests import sign_request

KEY = "a-key-of-one-act"
RUNS = f"/v1/projects/{PROJECT}/runs"
EVIDENCE = canonical_json({"mode": "evidence"})
WRITING = {"POST", "PUT", "PATCH", "DELETE"}


class PowerCut(Exception):
    """Stands for anything that ends a process between an act and its commit."""


def send(world, party, method, path, body=b"", key=KEY):
    private = world.api_key if party == "centre" else world.keys[party].identity
    headers = sign_request(private, party, method, path, body, int(world.now))
    return world.raw(method, path, body, {**headers, "Idempotency-Key": key})


def start(world, party=LEAD, body=EVIDENCE, key=KEY):
    return send(world, party, "POST", RUNS, body, key)


def count(world, model):
    with world.begin() as session:
        return session.scalar(select(func.count()).select_from(model))


def is_replay(answer):
    return answer.headers.get("idempotency-replayed") == "true"


def test_a_client_that_was_killed_repeats_and_gets_its_first_answer(world):
    world.agree()
    first = start(world)
    world.now += 60
    again = start(world)
    assert (first.status_code, is_replay(first)) == (201, False)
    assert (again.status_code, again.content, is_replay(again)) == (201, first.content, True)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert count(world, RunRow) == 1
    assert len(world.events("run.created")) == 1


def test_without_a_key_each_call_acts(world):
    world.agree()
    assert [world.start_run()["run_number"] for _ in range(2)] == [1, 2]
    assert count(world, IdempotencyKeyRow) == 0


def test_two_keys_are_two_acts(world):
    world.agree()
    assert [start(world, key=f"{KEY}-{number}").json()["run_number"] for number in (1, 2)] == [1, 2]


def test_many_at_once_are_one_act(world):
    world.agree()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: start(world), range(8)))
    assert count(world, RunRow) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert sum(answer.status_code == 201 and not is_replay(answer) for answer in answers) == 1


def test_a_key_that_is_being_worked_on_is_told_to_wait(world, code):
    entered, go_on = threading.Event(), threading.Event()

    def slow(_name, _key):
        entered.set()
        assert go_on.wait(10)

    object.__setattr__(world.app.state.context, "register_flower_node", slow)
    body = world.card("tax").to_bytes()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, world, "centre", "POST", "/v1/parties", body)
        assert entered.wait(10)
        second = send(world, "centre", "POST", "/v1/parties", body)
        go_on.set()
        done = first.result()
    assert (second.status_code, code(second), second.headers["retry-after"]) == (409, "request.in_progress", "1")
    assert done.status_code == 201
    third = send(world, "centre", "POST", "/v1/parties", body)
    assert (third.content, is_replay(third)) == (done.content, True)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", RUNS, canonical_json({"mode": "sum_only"})),
        ("POST", RUNS + "?again=1", EVIDENCE),
        ("POST", "/v1/projects", EVIDENCE),
        ("PUT", "/v1/requests/1/signatures", EVIDENCE),
    ],
)
def test_a_key_of_another_request_is_refused(world, code, method, path, body):
    world.agree()
    start(world)
    answer = send(world, LEAD, method, path, body)
    assert (answer.status_code, code(answer)) == (422, "request.idempotency_mismatch")
    assert count(world, RunRow) == 1


def test_the_same_key_of_another_party_is_another_key(world, code):
    """Nobody is shown somebody else's answer, not even a refusal that says that there is one."""
    world.agree()
    start(world)
    for party in ("tax", "centre"):
        answer = start(world, party)
        assert (code(answer), is_replay(answer)) == ("authorization.denied", False)
    assert code(start(world, "tax", canonical_json({"mode": "sum_only"}))) == "authorization.denied"


def test_who_is_not_authenticated_finds_nothing(world, code):
    world.agree()
    start(world)
    forged = sign_request(world.keys["tax"].identity, LEAD, "POST", RUNS, EVIDENCE, int(world.now))
    for headers in ({}, forged):
        answer = world.raw("POST", RUNS, EVIDENCE, {**headers, "Idempotency-Key": KEY})
        assert code(answer) == "request.unauthenticated"


def test_a_kept_answer_is_forgotten_after_a_day(world):
    world.agree(expires_at=int(world.now) + 10 * KEPT_S)
    first = start(world)
    world.now += KEPT_S - 1
    assert is_replay(start(world))
    world.now += 1
    again = start(world)
    assert (again.status_code, is_replay(again)) == (201, False)
    assert again.json()["run_number"] == first.json()["run_number"] + 1
    # The old row went when the new one came.
    assert count(world, IdempotencyKeyRow) == 1


def test_a_refusal_keeps_nothing_so_its_key_may_be_tried_again(world, code):
    world.prepare()
    assert code(start(world)) == "grant.unknown"
    assert code(start(world, body=b"{}")) == "document.malformed"
    assert count(world, IdempotencyKeyRow) == 0
    grant = world.grant()
    world.sign_all(world.request(grant), grant)
    assert start(world).status_code == 201


def test_a_failure_of_the_coordinator_keeps_nothing(world):
    def broken(_name, _key):
        raise RuntimeError

    object.__setattr__(world.app.state.context, "register_flower_node", broken)
    body = world.card("tax").to_bytes()
    assert send(world, "centre", "POST", "/v1/parties", body).status_code == 500
    object.__setattr__(world.app.state.context, "register_flower_node", lambda _name, _key: None)
    assert send(world, "centre", "POST", "/v1/parties", body).status_code == 201


def test_the_act_and_its_answer_are_durable_together(world):
    world.register_all()
    once = Once("device:centre", KEY, "ab" * 32)

    def act_in_a_power_cut():
        with world.begin() as session:
            create_project(session, Principal.of_party("centre"), PROJECT, "t", "aid", "kentucky", LEAD)
            once.answer(session, b"{}")
            assert session.get(IdempotencyKeyRow, ("device:centre", KEY)) is not None
            raise PowerCut

    with pytest.raises(PowerCut):
        act_in_a_power_cut()
    assert (count(world, ProjectRow), count(world, IdempotencyKeyRow)) == (0, 0)


def test_an_act_that_another_process_did_meanwhile_is_taken_back(world):
    world.register_all()
    once = Once("device:centre", KEY, "ab" * 32)
    with world.begin() as session:
        once.answer(session, b'"of the other process"')

    def second():
        with world.begin() as session:
            create_project(session, Principal.of_party("centre"), PROJECT, "t", "aid", "kentucky", LEAD)
            once.answer(session, b"{}")

    with pytest.raises(DoudiError) as caught:
        second()
    assert (caught.value.code, count(world, ProjectRow)) == ("request.in_progress", 0)
    with world.begin() as session:
        assert once.replay(session).body == b'"of the other process"'


def test_an_answer_with_a_secret_is_given_once_and_lies_nowhere(world):
    once = Once("12", KEY, "ab" * 32)
    with world.begin() as session:
        assert once.answer(session, b'{"token":"secret-token"}', 201, secret=True).body == b'{"token":"secret-token"}'
    with world.begin() as session:
        assert session.get_one(IdempotencyKeyRow, ("12", KEY)).answer is None
        with pytest.raises(DoudiError) as caught:
            once.replay(session)
    assert caught.value.code == "request.answered_once"
    assert b"secret-token" not in b"".join(path.read_bytes() for path in world.config.home.glob("coordinator.db*"))


@pytest.mark.parametrize("key", ["", "short", "x" * 15, "x" * 65, "with a space 1234", "semi;colon-123456", "键" * 16])
def test_a_key_of_another_form_is_refused_and_nothing_happens(world, code, key):
    world.agree()
    assert code(start(world, key=key.encode())) == "request.malformed"
    assert count(world, RunRow) == 0


@pytest.mark.parametrize("key", ["x" * 16, "x" * 64, "AZaz09_-AZaz09_-"])
def test_keys_at_the_edges_of_their_form_are_taken(world, key):
    world.agree()
    assert start(world, key=key).status_code == 201
    assert is_replay(start(world, key=key))


def test_a_repeated_answer_has_the_headers_of_the_first(world):
    world.prepare()
    grant = world.grant()
    body, path = world.signed(grant, "tax").to_bytes(), f"/v1/requests/{world.request(grant)}/signatures"
    first, again = (send(world, "tax", "PUT", path, body) for _ in range(2))
    assert (first.status_code, again.status_code, is_replay(again)) == (201, 201, True)
    assert (again.headers["content-type"], again.content) == (first.headers["content-type"], first.content)


def test_every_write_may_be_sent_again(world):
    """Each writing endpoint holds its key and keeps its answer; one that forgot it would ignore the header in silence."""
    routes = [found.original_route for found in iter_route_contexts(world.app.routes)]
    api = [route for route in routes if isinstance(route, APIRoute) and route.path.startswith("/v1/")]
    writing = [route for route in api if route.methods & WRITING]
    assert len(writing) >= len(DEPARTMENTS) + 4
    for route in writing:
        assert only_once in {found.call for found in route.dependant.dependencies}, route.path
        assert "once.answer(" in inspect.getsource(route.endpoint), route.path
