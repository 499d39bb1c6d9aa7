"""The API's description is complete: `coordinator/openapi.py`. `coordinator_world` holds the answers of all tests against it."""

import json
import re
from pathlib import Path

import pytest
from coordinator_world import documented
from fastapi.routing import iter_route_contexts
from typer.testing import CliRunner

from coordinator.cli import app as centre
from coordinator.openapi import EXAMPLES
from coordinator.parties.authentication import Parsed
from coordinator.problems import PROBLEMS
from crypto.canonical import canonical_json

PROBLEM = {"$ref": "#/components/schemas/Problem"}
OPERATIONS = [
    pytest.param(method, path, found, id=found.get("operationId", f"{method} {path}"))
    for path, operations in documented()["paths"].items()
    for method, found in operations.items()
]


def references(part):
    if isinstance(part, dict):
        yield from ([part["$ref"]] if "$ref" in part else [])
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from references(item)


@pytest.mark.parametrize(("method", "path", "found"), OPERATIONS)
def test_an_operation_says_everything(method, path, found):
    assert re.fullmatch(r"[a-z][a-z_]*", found["operationId"])
    assert found["summary"][0].isupper()
    assert found["description"].endswith(".")
    tags = {tag["name"] for tag in documented()["tags"]}
    assert len(found["tags"]) == 1
    assert set(found["tags"]) <= tags
    for parameter in found.get("parameters", []):
        assert parameter["description"], parameter["name"]
        # A parameter that is not sent is absent; null is no value of it.
        assert {"type": "null"} not in parameter["schema"].get("anyOf", [])
    named = {parameter["name"] for parameter in found.get("parameters", []) if parameter["in"] == "path"}
    assert named == set(re.findall(r"\{(\w+)\}", path))


@pytest.mark.parametrize(("method", "path", "found"), OPERATIONS)
def test_an_operation_documents_its_answers(method, path, found):
    responses = found["responses"]
    assert "default" not in responses
    successes = {status: answer for status, answer in responses.items() if status < "300"}
    assert successes
    for answer in successes.values():
        assert answer["description"]
        (content,) = answer["content"].values()
        assert content["schema"]
    for status in responses.keys() - successes.keys():
        content = responses[status]["content"]
        assert content.keys() == {"application/problem+json"}
        assert content["application/problem+json"]["schema"] == PROBLEM
        for code, example in content["application/problem+json"]["examples"].items():
            assert (PROBLEMS[code].status, example["value"]["type"]) == (int(status), f"urn:doudi:{code}")
    assert {"413", "500", "503"} <= responses.keys()
    assert "Retry-After" in responses["503"]["headers"]


@pytest.mark.parametrize(("method", "path", "found"), OPERATIONS)
def test_an_operation_names_who_may_call_it(method, path, found):
    if path == "/v1/health":
        assert "security" not in found
        return
    signed = {"Doudi-Party", "Doudi-Time", "Doudi-Nonce", "Doudi-Signature"}
    assert [set(way) for way in found["security"]] == [signed, {"Bearer"}]
    assert signed | {"Bearer"} == documented()["components"]["securitySchemes"].keys()
    assert {"401", "403", "422"} <= found["responses"].keys()
    assert "WWW-Authenticate" in found["responses"]["401"]["headers"]


@pytest.mark.parametrize(("method", "path", "found"), OPERATIONS)
def test_a_write_may_be_sent_again(method, path, found):
    names = {parameter["name"] for parameter in found.get("parameters", [])}
    codes = {code for answer in found["responses"].values() for code in _codes(answer)}
    writes = {"request.in_progress", "request.idempotency_mismatch", "request.answered_once"}
    assert ("Idempotency-Key" in names) == (writes <= codes) == (method != "get")


@pytest.mark.parametrize(("method", "path", "found"), OPERATIONS)
def test_a_body_has_its_model_and_an_example(method, path, found):
    if "requestBody" not in found:
        assert "415" not in found["responses"]
        return
    assert "415" in found["responses"]
    ((kind, content),) = found["requestBody"]["content"].items()
    if kind == "application/octet-stream":
        # Bytes are described in words, and bounded.
        assert found["requestBody"]["description"]
        assert (content["schema"]["format"], content["schema"]["maxLength"]) == ("binary", 4 * 1024 * 1024)
        return
    assert kind == "application/json"
    assert content["schema"]["$ref"].startswith("#/components/schemas/")
    assert "example" in content


def _codes(answer):
    return answer.get("content", {}).get("application/problem+json", {}).get("examples", {})


def test_names_of_operations_are_unique():
    names = [found.values[2]["operationId"] for found in OPERATIONS]
    assert len(set(names)) == len(names)


def test_no_reference_leads_nowhere_and_nothing_of_the_framework_is_left():
    schemas = documented()["components"]["schemas"]
    assert {name.rpartition("/")[2] for name in references(documented())} <= schemas.keys()
    assert not {"HTTPValidationError", "ValidationError"} & schemas.keys()
    assert "x-doudi" not in json.dumps(documented())


def test_examples_of_bodies_are_documents(world):
    routes = [found.original_route for found in iter_route_contexts(world.app.routes)]
    calls = [found.call for route in routes if hasattr(route, "dependant") for found in route.dependant.dependencies]
    models = {call.model.__name__: call.model for call in calls if isinstance(call, Parsed)}
    examples = {path.stem: path for path in EXAMPLES.glob("*.json")}
    assert examples.keys() >= models.keys()
    for name, model in models.items():
        model.parse(canonical_json(json.loads(examples[name].read_text("utf-8"))))


def test_the_description_is_served_to_principals_only(world, code):
    assert code(world.raw("GET", "/v1/openapi.json")) == "request.unauthenticated"
    answer = world.send("centre", "GET", "/v1/openapi.json")
    assert (answer.headers["content-type"], answer.json()) == ("application/json", documented())
    assert world.ask(world.token("centre", "auditor"), "GET", "/v1/openapi.json").json() == documented()


def test_the_centres_command_writes_the_description(tmp_path):
    shown = CliRunner().invoke(centre, ["openapi"])
    assert json.loads(shown.stdout) == documented()
    path: Path = tmp_path / "openapi.json"
    assert CliRunner().invoke(centre, ["openapi", "--out", str(path)]).exit_code == 0
    assert path.read_text("utf-8") == shown.stdout
