"""Problem documents and the outermost border: `coordinator/problems.py`, `coordinator/border.py`."""

import ast
import asyncio
import importlib
import logging
from pathlib import Path

import httpx
import pytest
from sqlalchemy.exc import OperationalError

import coordinator
from coordinator.border import Border
from coordinator.problems import PROBLEMS, collect, problem_response, status_of
from crypto.errors import DoudiError

SECRET = "110101190001010019"
FOLDER = Path(coordinator.__file__).parent
# Raised where no request is: by configuration, start-up, the officer's side or the child process.
ELSEWHERE = {"config", "db", "file", "install", "event", "record", "timestamp"}
OFFICER_OR_START = {"ledger.bad_key", "ledger.bad_terms", "ledger.nothing_published", "ledger.unknown_auditor"}
CHILD_ONLY = {"run.wrong_attempt", "run.bad_step", "run.metrics_malformed", "run.metrics_too_large"}


def raise_in_handler(world, error):
    def broken():
        raise error

    world.app.add_api_route("/v1/broken", broken)
    return world.raw("GET", "/v1/broken")


def test_an_exception_ends_in_a_problem_without_its_text(world, code, caplog):
    with caplog.at_level(logging.DEBUG):
        answer = raise_in_handler(world, RuntimeError(SECRET))
    assert (answer.status_code, code(answer)) == (500, "coordinator.internal_error")
    assert SECRET not in answer.text
    assert SECRET not in caplog.text
    assert "RuntimeError" in caplog.text


def test_a_busy_database_ends_in_a_problem_that_may_be_repeated(world, code):
    answer = raise_in_handler(world, OperationalError(SECRET, {}, Exception(SECRET)))
    assert (answer.status_code, code(answer)) == (503, "coordinator.busy")
    assert SECRET not in answer.text


def test_the_message_of_a_refusal_stays_inside(world, code):
    answer = raise_in_handler(world, DoudiError("grant.expired", SECRET, SECRET))
    assert (answer.status_code, code(answer)) == (409, "grant.expired")
    assert SECRET not in answer.text


@pytest.mark.parametrize("unknown", ["brand.new_code", "Free Text " + SECRET])
def test_an_unknown_code_is_a_400_and_text_in_its_place_is_dropped(world, code, unknown):
    answer = raise_in_handler(world, DoudiError(unknown, "x"))
    assert answer.status_code == status_of(unknown) == 400
    assert code(answer) == (unknown if " " not in unknown else "coordinator.unknown_code")


def test_unknown_addresses_and_methods_are_problems(world, code):
    assert code(world.raw("GET", f"/v1/{SECRET}")) == "request.not_found"
    answer = world.raw("DELETE", "/v1/health")
    assert (answer.status_code, code(answer)) == (405, "request.method_not_allowed")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/health", "GET"),
        ("/v1/parties", "GET, POST"),
        ("/v1/projects/p/grant", "GET"),
        ("/v1/assets/tax/tax", "GET, PUT"),
        ("/v1/runs/r/stop", "POST"),
    ],
)
def test_a_wrong_method_is_told_every_right_one(world, code, path, allowed):
    answer = world.raw("PATCH", path)
    assert (answer.status_code, code(answer), answer.headers["allow"]) == (405, "request.method_not_allowed", allowed)


def test_an_address_with_another_end_is_another_address(world, code):
    for path in ("/v1/parties/", "/v1//parties", "/v1/health/"):
        assert code(world.raw("GET", path)) == "request.not_found"


def test_who_is_not_authenticated_is_told_how_and_who_may_repeat_when(world):
    assert world.raw("GET", "/v1/parties").headers["www-authenticate"] == "Doudi-Signature, Bearer"
    for name, problem in PROBLEMS.items():
        # Nothing passes by itself without saying when it may be tried again.
        assert (problem.retry_after_s is not None) or problem.status not in (429, 503), name
        answer = problem_response(name)
        assert answer.headers.get("retry-after") == (
            None if problem.retry_after_s is None else str(problem.retry_after_s)
        )
        assert ("www-authenticate" in answer.headers) == (problem.status == 401)


def test_no_refusal_echoes_what_was_sent(world):
    world.agree()
    for path in (
        f"/v1/runs/{SECRET}",
        f"/v1/runs?state={SECRET}",
        f"/v1/projects/{SECRET}",
        f"/v1/ledger/entries?after={SECRET}",
        f"/log/tile/0/{SECRET}",
        f"/log/batches/{SECRET}",
    ):
        assert SECRET not in world.send("centre", "GET", path).text
    for path in ("/v1/parties", "/v1/projects"):
        assert SECRET not in world.send("centre", "POST", path, f'{{"{SECRET}":"{SECRET}"}}'.encode()).text


def test_every_code_that_a_handler_raises_has_its_line_in_the_table():
    raised = set()
    for path in FOLDER.rglob("*.py"):
        if {"federation", "cli"} & set(path.parts) or path.name in ("supervisor.py", "officer.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DoudiError" and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    raised.add(str(first.value))
    expected = {code for code in raised if code.partition(".")[0] not in ELSEWHERE}
    expected -= CHILD_ONLY | OFFICER_OR_START
    assert expected <= set(PROBLEMS)


def test_every_features_table_is_collected():
    tables = {path.parent.name for path in FOLDER.glob("*/problems.py")}
    assert tables
    for feature in tables:
        table = importlib.import_module(f"coordinator.{feature}.problems").PROBLEMS
        assert table.items() <= PROBLEMS.items(), feature


def test_a_code_in_two_tables_is_refused_at_import():
    one = {"request.clock": PROBLEMS["request.clock"]}
    assert collect([one, {"grant.expired": PROBLEMS["grant.expired"]}]).keys() == {"request.clock", "grant.expired"}
    with pytest.raises(ValueError, match=r"request\.clock"):
        collect([one, one])


def test_a_problem_document_is_complete():
    for code, problem in PROBLEMS.items():
        assert 400 <= problem.status < 600
        assert problem.title
        assert problem.detail.endswith(".")
        assert problem_response(code).media_type == "application/problem+json"


def test_a_failure_after_the_answer_began_adds_no_second_answer(caplog):
    async def half_answer(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError(SECRET)

    sent = []

    async def call():
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message["type"])

        await Border(half_answer, 100)({"type": "http", "headers": []}, receive, send)

    asyncio.run(call())
    assert sent == ["http.response.start"]
    assert SECRET not in caplog.text


def test_a_body_in_many_pieces_is_bounded():
    async def echo(scope, receive, send):
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": message["body"]})

    async def pieces(count):
        for _ in range(count):
            yield b"0123456789"

    async def post(count):
        transport = httpx.ASGITransport(app=Border(echo, 100))
        async with httpx.AsyncClient(transport=transport, base_url="https://border") as client:
            return await client.post("/", content=pieces(count))

    assert asyncio.run(post(10)).content == b"0123456789" * 10
    assert asyncio.run(post(11)).status_code == 413


def test_a_larger_body_is_taken_at_its_own_address_only():
    larger = {("POST", "/v1/ledger/batches"): 300}
    assert [len_taken(larger, "POST", "/v1/ledger/batches", count) for count in (100, 300, 301)] == [100, 300, 413]
    for method, path in (("PUT", "/v1/ledger/batches"), ("POST", "/v1/ledger/batches/"), ("POST", "/v1/parties")):
        assert len_taken(larger, method, path, 101) == 413


def len_taken(larger, method, path, count):
    async def measure(scope, receive, send):
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(len(message["body"])).encode()})

    async def post():
        transport = httpx.ASGITransport(app=Border(measure, 100, larger=larger))
        async with httpx.AsyncClient(transport=transport, base_url="https://border") as client:
            return await client.request(method, path, content=b"x" * count)

    answer = asyncio.run(post())
    return int(answer.content) if answer.status_code == 200 else answer.status_code


def test_only_so_many_larger_bodies_are_read_at_once():
    larger = {("POST", "/big"): 300}
    statuses = []

    async def run():
        async def echo(scope, receive, send):
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        border, reading, go_on = Border(echo, 100, larger=larger, most_larger=1), asyncio.Event(), asyncio.Event()

        async def slow():
            yield b"x" * 150
            reading.set()
            await go_on.wait()
            yield b"x"

        transport = httpx.ASGITransport(app=border)
        async with httpx.AsyncClient(transport=transport, base_url="https://border") as client:
            first = asyncio.create_task(client.post("/big", content=slow()))
            await reading.wait()
            # httpx' transport hands a piece over when it is asked for: the border holds the first one now.
            statuses.append((await client.post("/big", content=b"x" * 150)).status_code)
            statuses.append((await client.post("/big", content=b"x" * 100)).status_code)
            go_on.set()
            statuses.append((await first).status_code)
            statuses.append((await client.post("/big", content=b"x" * 150)).status_code)

    asyncio.run(run())
    assert statuses == [503, 200, 200, 200]
