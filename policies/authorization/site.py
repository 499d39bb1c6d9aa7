"""A department's own rules about grants: a Cedar file on its node that can only forbid.

One question per grant and check, `action "use"`, with everything in it that the rules may read: a question per operation would
ask the same rules several times at each step. The one `permit` is added here, so a file with any other one is refused: whoever
reads the file may trust that each rule in it narrows. Pure: no clock, no storage beyond reading the shipped files. May import the
engine.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from crypto.errors import DoudiError
from policies.authorization.engine import (
    AuthorizationRequest,
    Decision,
    Entity,
    EntityRef,
    PolicyEngine,
    canonical_text,
    load_schema,
    parse_rules,
)

FOLDER = Path(__file__).parent / "site"
USE = "use"
BASE_RULE = "site.base"
_BASE = f'\n@id("{BASE_RULE}")\npermit (principal, action, resource);\n'


@dataclass(frozen=True)
class SiteQuestion:
    """May a grant be used here? The grant's clauses about this department, this node's own asset, and the time of asking.

    `epsilon_milli`: thousandths of the label's ε, 0 of a line. `weekday`: 1 is Monday.
    """

    owner: str
    region: str
    dataset: str
    tier: str
    lead: str
    project: str
    purpose: str
    target: str
    operations: frozenset[str]
    columns: frozenset[str]
    departments: frozenset[str]
    epsilon_milli: int
    runs_allowed: int
    duration_days: int
    weekday: int
    hour_utc: int


class SiteRules:
    """A department's rules, parsed once.

    Raises `policy.invalid` (with the rule or line where it is known), or `policy.only_forbids` for a file with a `permit`.
    """

    def __init__(self, text: str) -> None:
        rules = parse_rules(canonical_text(text))
        for rule in rules:
            if rule.effect != "forbid":
                raise DoudiError(
                    "policy.only_forbids",
                    f"the site's rule {rule.id}, line {rule.line}, is a permit",
                    "Write it as a forbid: a site's rules only narrow what the grant allows.",
                )
        # Behind the site's own text, so that the lines in messages are those of the file.
        self._engine = PolicyEngine(text + _BASE, _schema())
        self.rules = rules

    @property
    def policy_hash(self) -> str:
        """SHA-256 over these rules, the one permit and the schema."""
        return self._engine.policy_hash

    def decide(self, question: SiteQuestion) -> Decision:
        """Return the decision. Never raises; `rules` are those that forbid it, or the one permit."""
        lead = EntityRef("Department", question.lead)
        asset = EntityRef("Asset", f"{question.owner}/{question.dataset}")
        entities = (
            Entity(lead, {}),
            Entity(
                asset,
                {
                    "dataset": question.dataset,
                    "tier": question.tier,
                    "region": question.region,
                    "owner": question.owner,
                },
            ),
        )
        context = {
            name: getattr(question, name)
            for name in (
                "lead",
                "project",
                "purpose",
                "target",
                "operations",
                "columns",
                "departments",
                "epsilon_milli",
                "runs_allowed",
                "duration_days",
                "hour_utc",
                "weekday",
            )
        }
        return self._engine.decide(AuthorizationRequest(lead, USE, asset, entities, context))


@cache
def default_site_policy() -> str:
    """Return the rules that a new node begins with: a file to be read and changed by the department."""
    return (FOLDER / "default.cedar").read_text("utf-8")


@cache
def _schema() -> str:
    return load_schema(FOLDER / "schema.cedarschema")
