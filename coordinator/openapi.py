"""The API's description. Handlers parse bodies after authentication, so the bodies' schemas are added here."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

_COMPONENT = "#/components/schemas/{model}"

DESCRIPTION = """\
Doudi's coordinator: projects, grants and runs. Every request but the health check is signed (headers `Doudi-Party`,
`Doudi-Time`, `Doudi-Nonce`, `Doudi-Signature`; see `policies/contracts/requests.py`). Bodies are canonical JSON with no
unknown field. Refusals are problem documents (RFC 9457) whose `type` is `urn:doudi:<code>`. Nothing about a person is
accepted or returned anywhere.
"""


def documented_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI description of a body that is parsed as `model`."""
    schema = {"$ref": _COMPONENT.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def describe(app: FastAPI, bodies: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    """Return the OpenAPI document with the schemas of the bodies and of problem documents."""
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _, definitions = models_json_schema([(model, "validation") for model in bodies], ref_template=_COMPONENT)
    for name, schema in definitions["$defs"].items():
        schemas.setdefault(name, schema)
    return document
