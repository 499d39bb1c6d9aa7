"""The one module that evaluates Cedar: rules and schema are parsed once, anything but a clean Allow is a denial.

Cedar language 4 (docs.cedarpolicy.com). Every question is validated against the schema, because without one a missing attribute
makes a `forbid` rule fail and be *skipped*; with one the question has no answer, which is a denial here. `forbid` wins over
`permit`, and what no rule permits is denied. No other module imports cedarpy. Pure: no clock, no storage beyond reading the
shipped files. May import cedarpy and crypto.
"""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cedarpy

from crypto.domains import frame
from crypto.errors import DoudiError

POLICY_HASH = b"doudi-policy-hash\x01"
MAXIMUM_CHARACTERS = 100_000
INVARIANT = "invariant"
_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_MAX_ID_CHARACTERS = 60
# Cedar's parser takes stack for every level of an expression, and the whole process dies when that is used up (cedarpy 4.12:
# between 500 and 1,000 brackets, or 10,000 operators in a row). So what is too deep or too long is refused before Cedar sees it.
MAXIMUM_RULES = 200
MAXIMUM_DEPTH = 40
MAXIMUM_RULE_CHARACTERS = 8_000
# Comments and strings, in which a bracket is none, as Cedar's own lexer reads them; then every other character that counts.
_PIECE = re.compile(r'//[^\n]*|"(?:\\[^\n]|[^"\\])*"|\S')

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EntityRef:
    """Names an entity: Account "12", Party "tax"."""

    type: str
    id: str


# There are no records: a mapping in a value could be read by Cedar as another entity or an extension.
Value: TypeAlias = "bool | int | str | EntityRef | AbstractSet[str | EntityRef]"


@dataclass(frozen=True)
class Entity:
    """An entity with what the rules may read of it."""

    ref: EntityRef
    attributes: Mapping[str, Value]
    parents: tuple[EntityRef, ...] = ()


@dataclass(frozen=True)
class AuthorizationRequest:
    """A question: may the principal do this to the resource? `entities`: exactly those of this question."""

    principal: EntityRef
    action: str
    resource: EntityRef
    entities: tuple[Entity, ...]
    context: Mapping[str, Value]


@dataclass(frozen=True)
class Decision:
    """The answer. `rules`: ids of the deciding rules, sorted; empty when no rule permitted it or there was an error.

    `errors`: how many rules, or how much of the question, could not be evaluated. Above zero nothing is allowed.
    """

    allowed: bool
    rules: tuple[str, ...]
    policy_hash: str
    errors: int


@dataclass(frozen=True)
class Rule:
    """One rule of a text. `line`: where it begins, its annotations included. `meaning`: its parsed form, canonical JSON.

    `invariant`: it bears the annotation @invariant, and so must be in every later version with the same meaning.
    """

    id: str
    effect: Literal["permit", "forbid"]
    line: int
    meaning: str
    invariant: bool


class PolicyEngine:
    """Rules and schema, parsed once. Thread-safe: the parsed forms never change.

    Raises `policy.invalid`: the text does not parse, a rule has no id or one that another has, is a template, or does not fit
    the schema (a misspelt attribute is found here and not when it matters).
    """

    def __init__(self, policies: str, schema: str) -> None:
        self.text = canonical_text(policies)
        self.schema_text = canonical_text(schema)
        self.rules = parse_rules(self.text)
        try:
            self._schema = cedarpy.Schema.from_str(self.schema_text)
        except ValueError:
            raise _invalid("the schema cannot be parsed") from None
        self._policies = cedarpy.PolicySet.from_str(self.text)
        self._require_valid()

    @cached_property
    def policy_hash(self) -> str:
        """SHA-256 over the text of rules and schema, comments included: what approvers read is what they approve."""
        framed = frame(self.text.encode(), self.schema_text.encode())
        return hashlib.sha256(POLICY_HASH + framed).hexdigest()

    def decide(self, request: AuthorizationRequest) -> Decision:
        """Return the decision. Never raises: whatever goes wrong is a denial without deciding rules."""
        if not {request.principal, request.resource} <= {entity.ref for entity in request.entities}:
            # Cedar notices a missing entity only if a rule happens to read it.
            return Decision(False, (), self.policy_hash, 1)
        try:
            entities = cedarpy.Entities.from_json_str(
                json.dumps([_entity_json(entity) for entity in request.entities]), self._schema
            )
            question = {
                "principal": _ref_json(request.principal),
                "action": {"type": "Action", "id": request.action},
                "resource": _ref_json(request.resource),
                "context": {name: _value_json(value) for name, value in request.context.items()},
            }
            answer = cedarpy.is_authorized(question, self._policies, entities, self._schema)
            decision, errors = answer.decision, len(answer.diagnostics.errors)
            rules = sorted(answer.diagnostics.id_annotations_by_reason.values())
        except Exception as error:  # noqa: BLE001 - the border to foreign code: an unforeseen failure must deny, not escape
            # The text of the error may hold values of the question; its type does not.
            logger.warning("a question to the rules could not be evaluated: %s", type(error).__name__)
            return Decision(False, (), self.policy_hash, 1)
        if errors or decision is cedarpy.Decision.NoDecision:
            # Cedar skips a rule that fails. If that rule forbade, its Allow means nothing.
            return Decision(False, (), self.policy_hash, max(errors, 1))
        return Decision(decision is cedarpy.Decision.Allow, tuple(rules), self.policy_hash, 0)

    def _require_valid(self) -> None:
        result = cedarpy.validate_policies(self.text, self._schema)
        if not result.validation_passed:
            first = result.errors[0]
            found = result.id_annotations_by_policy_id.get(first.policy_id, "")
            rule = next((rule for rule in self.rules if rule.id == found), None)
            where = f"rule {rule.id}, line {rule.line}: " if rule else ""
            # Cedar's sentence names attributes, actions and types of the text; there are no values of people in it.
            raise _invalid(where + first.error.replace(f"for policy `{first.policy_id}`, ", ""))


def canonical_text(text: str) -> str:
    """Return the one form that is hashed: line feeds only, no trailing white space, one line feed at the end."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Return the rules of a text in its order. Raises `policy.invalid`."""
    if len(text) > MAXIMUM_CHARACTERS:
        raise _invalid(f"the rules have more than {MAXIMUM_CHARACTERS} characters")
    # Cedar numbers rules in the order of the text; this finds where each begins, which Cedar does not tell.
    lines = _first_lines(text)
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(text))
    except (ValueError, RecursionError) as error:
        raise _invalid(f"the rules cannot be parsed ({error})") from None
    if parsed["templates"] or parsed["templateLinks"]:
        raise _invalid("a rule is a template")
    static = parsed["staticPolicies"]
    if len(lines) != len(static):
        raise _invalid("the rules could not be told apart")
    rules = [_rule(static[f"policy{number}"], line) for number, line in enumerate(lines)]
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise _invalid(f"line {rule.line}: another rule has the id {rule.id}")
        seen.add(rule.id)
    return tuple(rules)


def load_rules(folder: Path) -> str:
    """Return the text of all rules of a folder, its `.cedar` files in the order of their names."""
    # Bytes of names and not the file system's order or the locale's, so that all hosts have one hash.
    paths = sorted(folder.glob("*.cedar"), key=lambda path: path.name.encode())
    return "\n".join(f"// ---- {path.stem} ----\n\n{canonical_text(path.read_text('utf-8'))}" for path in paths)


def load_schema(path: Path) -> str:
    """Return the text of a schema."""
    return canonical_text(path.read_text("utf-8"))


def _rule(parsed: dict[str, Any], line: int) -> Rule:
    annotations = parsed.pop("annotations", {})
    identifier = annotations.get("id") or ""
    if len(identifier) > _MAX_ID_CHARACTERS or not _ID.fullmatch(identifier):
        raise _invalid(f"line {line}: a rule needs an @id of lower-case words with dots between them")
    meaning = json.dumps(parsed, sort_keys=True, separators=(",", ":"))
    return Rule(identifier, parsed["effect"], line, meaning, INVARIANT in annotations)


def _first_lines(text: str) -> list[int]:
    """Return the line on which each rule begins; a rule ends with a semicolon outside of brackets.

    Raises `policy.invalid` for what Cedar's parser must not see.
    """
    starts: list[int] = []
    depth, length = 0, 0
    inside = False
    for match in _PIECE.finditer(text):
        piece = match.group()
        if piece.startswith("//"):
            continue
        if not inside:
            inside, length = True, 0
            starts.append(match.start())
        length += len(piece)
        depth += (piece in ("(", "[", "{")) - (piece in (")", "]", "}"))
        if depth > MAXIMUM_DEPTH or length > MAXIMUM_RULE_CHARACTERS or len(starts) > MAXIMUM_RULES:
            raise _invalid(f"line {text.count(chr(10), 0, match.start()) + 1}: too deep, too long or too many rules")
        inside = not (piece == ";" and depth <= 0)
    return [text.count("\n", 0, start) + 1 for start in starts]


def _ref_json(ref: EntityRef) -> dict[str, str]:
    return {"type": ref.type, "id": ref.id}


def _value_json(value: Value) -> object:
    if isinstance(value, EntityRef):
        return {"__entity": _ref_json(value)}
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, AbstractSet):
        return [_value_json(item) for item in value]
    raise TypeError("a value of a question is none that rules can read")


def _entity_json(entity: Entity) -> dict[str, object]:
    return {
        "uid": _ref_json(entity.ref),
        "attrs": {name: _value_json(value) for name, value in entity.attributes.items()},
        "parents": [_ref_json(parent) for parent in entity.parents],
    }


def _invalid(why: str) -> DoudiError:
    return DoudiError("policy.invalid", why, "Correct the rules; nothing was changed.")
