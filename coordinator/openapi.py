"""The API's description (OpenAPI 3.1), complete: every operation says what it takes and every answer that it can give.

What the framework cannot know is added here. Handlers parse bodies after authentication, so their models are found in the
dependency that does it (`parsed`); refusals are raised in services, so each route names their codes (`operation`). A code becomes
an example of its status. Tests compare every answer that they get with this description.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic.json_schema import models_json_schema

from coordinator.parties.authentication import BEARER, BINARY_TYPE, JSON_TYPE, SIGNED_HEADERS, BinaryBody, Parsed
from coordinator.problem_types import Problem
from coordinator.problems import CHALLENGE, INTERNAL_ERROR, MEDIA_TYPE, PROBLEMS, problem_content
from policies.contracts.base import Document

_COMPONENT = "#/components/schemas/{model}"
_REFUSALS = "x-doudi-refusals"
_METHODS = ("get", "put", "post", "delete", "patch")
Kind = TypeVar("Kind")
# One document per model, which a test parses: signatures and keys in them are none.
EXAMPLES = Path(__file__).parent / "api_examples"

# What can be refused anywhere; of an authenticated principal; of a body; of a list; of a write.
_ANYWHERE = ("request.body_too_large", INTERNAL_ERROR, "coordinator.busy")
_AUTHENTICATED = (
    "request.unauthenticated",
    "request.clock",
    "request.replayed",
    "request.too_many",
    "authorization.denied",
    "request.malformed",
    # Every operation asks the rules.
    "policy.not_loadable",
)
_OF_BODIES = ("document.malformed", "request.unsupported_media_type")
_OF_LISTS = ("request.bad_cursor",)
_OF_WRITES = ("request.in_progress", "request.answered_once", "request.idempotency_mismatch")

DESCRIPTION = """\
The coordinator of Doudi 兜底: who takes part, what was agreed, which runs there are.

**Who may ask.** Every request but the health check is signed by a party (`Doudi-Party`, `Doudi-Time`, `Doudi-Nonce`,
`Doudi-Signature`: Ed25519 over method, path with query, SHA-256 of the body, party, time and nonce; each nonce once, times within
two minutes) or shows a person's API token (`Authorization: Bearer doudi_…`), never both. What a principal may do is decided by
the rules in `policies/authorization`. What is not one's own is "unknown".

**Bodies** are canonical JSON (keys in order, no white space, no field left out and none that is unknown), at most 1 MiB; a batch
of the ledger is bytes, at most 4 MiB.

**Refusals** are problem documents (RFC 9457) whose `type` is `urn:doudi:<code>`. They quote nothing that was sent.

**Lists** come in pages: give `next_cursor` back as `cursor` until it is null.

**Writes** may be sent again under one `Idempotency-Key`: within 24 hours the same request gets its first answer, with the header
`Idempotency-Replayed: true`, and acts once.

Nothing about a person is accepted or returned anywhere: names of parties, keys, counts, times and codes only. People who sign in
are numbers of accounts; their login names are shown to those who administer accounts.
"""

_TAGS = {
    "health": "Whether the API answers; the only address for strangers.",
    "description": "This document.",
    "accounts": "Accounts of people, and everybody's own API tokens.",
    "parties": "Departments and the centre, with their public keys.",
    "projects": "One purpose, one lead, one region.",
    "catalogue": "Data assets, as their owners' nodes registered them.",
    "requests": "Requests for access: drafts, decisions, signatures.",
    "grants": "Signed agreements.",
    "revocations": "What parties took back, as they signed it.",
    "runs": "Runs of grants, from fresh keys to results.",
    "reports": "What nodes tell about themselves.",
    "ledger": "The audit ledger: what nodes submit and cosign, its terms, headers and proofs.",
    "log": "The ledger as static files: checkpoints, tiles (C2SP tlog-tiles), entries and batches for auditors.",
    "authorization": "The rules in force, what they decided, and changes of them.",
}


def operation(*refusals: str) -> dict[str, Any]:
    """Return what a route says of itself as `openapi_extra`: the codes that it can answer beside those of every route."""
    return {_REFUSALS: list(refusals)}


def operation_id(route: APIRoute) -> str:
    """Return the name of a route's operation: the handler's, so that it stays when an address changes."""
    return route.name


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application's API."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary="Departments find households in need together, without pooling their data.",
        description=DESCRIPTION,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    schemas = document["components"]["schemas"]
    bodies = _bodies(app)
    _add_models(schemas, bodies.values())
    for (path, method), model in bodies.items():
        content = {"schema": {"$ref": _COMPONENT.format(model=model.__name__)}, **_example(model)}
        document["paths"][path][method]["requestBody"] = {"required": True, "content": {JSON_TYPE: content}}
    for (path, method), binary in _dependencies(app, BinaryBody).items():
        schema = {"type": "string", "format": "binary", "maxLength": binary.max_bytes}
        described = {"description": binary.describes, "required": True, "content": {BINARY_TYPE: {"schema": schema}}}
        document["paths"][path][method]["requestBody"] = described
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    document["components"]["securitySchemes"] = _security_schemes()
    document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
    for path in document["paths"].values():
        for method, found in path.items():
            if method in _METHODS:
                _complete(found, method)
    return document


def _bodies(app: FastAPI) -> dict[tuple[str, str], type[Document]]:
    """Return the model of each operation's body, by path and method."""
    return {where: found.model for where, found in _dependencies(app, Parsed).items()}


def _dependencies(app: FastAPI, kind: type[Kind]) -> dict[tuple[str, str], Kind]:
    """Return the dependency of a kind that an operation has, by path and method."""
    found: dict[tuple[str, str], Kind] = {}
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.include_in_schema:
            for dependency in route.dependant.dependencies:
                if isinstance(dependency.call, kind):
                    found |= {(route.path_format, method.lower()): dependency.call for method in route.methods or ()}
    return found


def _example(model: type[Document]) -> dict[str, Any]:
    path = EXAMPLES / f"{model.__name__}.json"
    return {"example": json.loads(path.read_text("utf-8"))} if path.is_file() else {}


def _add_models(schemas: dict[str, Any], models: Iterable[type[Document]]) -> None:
    # As they are written and not as they may be read: a document has one form, in which no default is left out.
    wanted = [(model, "serialization") for model in dict.fromkeys(models)]
    _, found = models_json_schema(wanted, ref_template=_COMPONENT)  # type: ignore[arg-type]
    for name, schema in found.get("$defs", {}).items():
        schemas.setdefault(name, schema)


def _complete(found: dict[str, Any], method: str) -> None:
    """Add to one operation who may call it, and every refusal that it can answer."""
    stranger = "health" in found.get("tags", ())
    parameters = {parameter["name"]: parameter for parameter in found.get("parameters", ())}
    for parameter in parameters.values():
        _leave_out_null(parameter)
    codes = [*_ANYWHERE, *found.pop(_REFUSALS, ())]
    if not stranger:
        found["security"] = [{name: [] for name in SIGNED_HEADERS}, {"Bearer": []}]
        codes += _AUTHENTICATED
    if "requestBody" in found:
        codes += _OF_BODIES
    if "cursor" in parameters:
        codes += _OF_LISTS
    if method != "get":
        codes += _OF_WRITES
    responses = found["responses"]
    # The framework's own form of a refusal never leaves: `coordinator/refusals.py`.
    responses.pop("422", None)
    for status, answer in responses.items():
        if answer["description"] == "Successful Response":
            answer["description"] = _SUCCESSES[status]
        if method != "get":
            answer.setdefault("headers", {})["Idempotency-Replayed"] = _REPLAYED
    for status, some in _by_status(codes).items():
        responses[str(status)] = _refusal(status, some)
    found["responses"] = dict(sorted(responses.items()))


def _leave_out_null(parameter: dict[str, Any]) -> None:
    """A parameter that is not sent is absent and not null."""
    schema = parameter["schema"]
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        parameter["schema"] = {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]}


def _by_status(codes: Iterable[str]) -> dict[int, dict[str, Problem]]:
    found: dict[int, dict[str, Problem]] = {}
    for code in sorted(set(codes)):
        problem = PROBLEMS[code]
        found.setdefault(problem.status, {})[code] = problem
    return found


def _refusal(status: int, problems: Mapping[str, Problem]) -> dict[str, Any]:
    examples = {code: {"summary": problem.title, "value": problem_content(code)} for code, problem in problems.items()}
    lines = [f"`{code}`: {problem.detail}" for code, problem in problems.items()]
    answer: dict[str, Any] = {
        "description": "\n\n".join(lines),
        "content": {MEDIA_TYPE: {"schema": {"$ref": _COMPONENT.format(model="Problem")}, "examples": examples}},
    }
    headers: dict[str, Any] = {}
    if status == 401:
        headers["WWW-Authenticate"] = {"description": "how to authenticate", "schema": {"const": CHALLENGE}}
    if any(problem.retry_after_s is not None for problem in problems.values()):
        headers["Retry-After"] = {
            "description": "seconds after which the same request may be sent again",
            "schema": {"type": "integer", "minimum": 1},
        }
    return {**answer, "headers": headers} if headers else answer


def _security_schemes() -> dict[str, Any]:
    texts = dict(
        zip(
            SIGNED_HEADERS,
            (
                "the party that signs: a department's name, or `centre`",
                "seconds since 1970 UTC, within two minutes of the coordinator's clock",
                "32 characters, used once",
                "Ed25519 signature, 128 hex characters: see `policies/contracts/requests.py`",
            ),
            strict=True,
        )
    )
    schemes: dict[str, Any] = {
        name: {"type": "apiKey", "in": "header", "name": name, "description": text} for name, text in texts.items()
    }
    shown = "an API token of a person: `doudi_` and 43 characters; the scope `read` allows no writes"
    schemes["Bearer"] = {"type": "http", "scheme": BEARER.strip(), "description": shown}
    return schemes


_SUCCESSES = {"200": "What was asked for", "201": "Made"}
_REPLAYED = {
    "description": "`true` on an answer that was given before under the same `Idempotency-Key`",
    "schema": {"const": "true"},
}
_PROBLEM = {
    "title": "Problem",
    "description": "A refusal (RFC 9457). Its texts are fixed and quote nothing that was sent.",
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "title", "status", "detail", "next_step"],
    "properties": {
        "type": {"type": "string", "pattern": r"^urn:doudi:[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "next_step": {"type": "string", "description": "what to do; may be empty"},
    },
}
