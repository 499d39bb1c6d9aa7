"""Cases: questions in files with the answer that the coordinator's rules must give, one file per feature in `coordinator/cases/`.

A file names principals and resources once, and its cases refer to them, with changes where a case needs them. "Party::tax" is a
reference to that party. Each case is about one rule: if a `permit` allows or a `forbid` denies, the rule must be
among the deciding ones; the case of the other kind is the same question with the rule's condition not met. A case that is marked
`invariant` must be answered in the same way by every later version of the rules. Pure; may import pydantic and the engine.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from crypto.errors import DoudiError
from policies.authorization.engine import AuthorizationRequest, Entity, EntityRef, PolicyEngine, Value

_REFERENCE = "Party::"
_PREFIX_OF_KIND = {"Account": "", "Node": "node:", "Device": "device:"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NamedEntity(_Part):
    """A principal or a resource of the cases of one file."""

    type: str
    id: str
    attributes: dict[str, Any] = {}


class Case(_Part):
    """One question with its answer. `*_changes` and `context` replace single attributes; `rules` are the deciding ones."""

    name: str
    rule: str
    principal: str
    principal_changes: dict[str, Any] = {}
    action: str
    resource: str
    resource_changes: dict[str, Any] = {}
    context: dict[str, Any] = {}
    allowed: bool
    rules: list[str]
    invariant: bool = False


class CaseFile(_Part):
    """The cases of one feature."""

    principals: dict[str, NamedEntity]
    resources: dict[str, NamedEntity]
    cases: list[Case]


@dataclass(frozen=True)
class LoadedCase:
    """A case with its question. `id`: the file's name and the case's, for messages."""

    id: str
    case: Case
    question: AuthorizationRequest


def load_cases(folder: Path) -> tuple[LoadedCase, ...]:
    """Return the cases of all files of a folder, in the order of names. Raises `policy.bad_case`."""
    loaded: list[LoadedCase] = []
    for path in sorted(folder.glob("*.json"), key=lambda found: found.name.encode()):
        try:
            file = TypeAdapter(CaseFile).validate_python(json.loads(path.read_bytes()))
            loaded += [LoadedCase(f"{path.stem}: {case.name}", case, _question(file, case)) for case in file.cases]
        except (ValueError, KeyError):
            raise DoudiError("policy.bad_case", f"the cases of {path.stem} cannot be read") from None
    return tuple(loaded)


def broken_case(engine: PolicyEngine, cases: Iterable[LoadedCase]) -> str | None:
    """Return the id of the first invariant case that these rules answer otherwise, or None.

    Only the answer is compared: a later version may give the same one through a rule with another name.
    """
    return next(
        (one.id for one in cases if one.case.invariant and engine.decide(one.question).allowed != one.case.allowed),
        None,
    )


def _question(file: CaseFile, case: Case) -> AuthorizationRequest:
    principal = _entity(file.principals[case.principal], case.principal_changes)
    resource = _entity(file.resources[case.resource], case.resource_changes)
    context: dict[str, Value] = {
        "principal_id": _PREFIX_OF_KIND[principal.ref.type] + principal.ref.id,
        "may_write": True,
    }
    context |= _values(case.context)
    return AuthorizationRequest(principal.ref, case.action, resource.ref, (principal, resource), context)


def _entity(named: NamedEntity, changes: Mapping[str, Any]) -> Entity:
    return Entity(EntityRef(named.type, named.id), _values({**named.attributes, **changes}))


def _values(plain: Mapping[str, Any]) -> dict[str, Value]:
    return {name: _value(value) for name, value in plain.items()}


def _value(plain: Any) -> Value:
    if isinstance(plain, list):
        return frozenset(_single(item) for item in plain)
    return plain if isinstance(plain, bool | int) else _single(plain)


def _single(plain: Any) -> str | EntityRef:
    if not isinstance(plain, str):
        raise ValueError("a case has a value that rules cannot read")
    return EntityRef("Party", plain.removeprefix(_REFERENCE)) if plain.startswith(_REFERENCE) else plain
