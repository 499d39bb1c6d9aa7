"""Which clause, limit or rule decides a grant at this node: all that refuse it, not only the first, and whose each of them is."""

from dataclasses import dataclass
from typing import Literal

from crypto.errors import DoudiError
from department_nodes.config import Limit, limits_in_force, load_config
from department_nodes.engine import NodeEngine
from department_nodes.grant_clauses import Site, grant_refusals, site_decision, verify_not_revoked
from department_nodes.home import CENTRE, NodeHome
from policies.contracts.grant import Grant, LineGrant

SITE_RULE = "policy.site_rule"
Origin = Literal["grant", "trust", "tier", "node.toml", "site-policy.cedar", "revocation", "standard"]
# Clauses that compare a limit which both the site and the asset's tier set.
LIMIT_OF_CODE = {
    "policy.epsilon": "max_epsilon_milli",
    "policy.evidence_bits": "max_evidence_bits_per_person_and_year",
    "policy.evidence": "allow_evidence",
    "policy.sum_only": "allow_sum_only",
    "policy.lines": "allow_lines",
    "policy.parties": "min_declared_parties",
}


@dataclass(frozen=True)
class Refusal:
    """One reason why this node refuses a grant. `rule`: the id of a rule in site-policy.cedar, or empty."""

    code: str
    message: str
    origin: Origin
    rule: str = ""


def refusals_of(grant: Grant | LineGrant, site: Site, limits: dict[str, Limit], now_s: int) -> list[Refusal]:
    """Return every reason why this node refuses a grant, in the order of the guard's clauses; none for one that it accepts.

    Signatures are not looked at: a request is tested before people sign it. Pure.
    """
    try:
        found = list(grant_refusals(grant, site, now_s))
    except DoudiError as error:
        # Not named in the grant: there is nothing else to compare.
        return [_refusal(error, limits)]
    refusals = [_refusal(error, limits) for error in found if error.code != SITE_RULE]
    if any(error.code == SITE_RULE for error in found):
        decision = site_decision(grant, grant.share(site.config.department), site, now_s)
        # Without a deciding rule one could not be evaluated, which forbids as well.
        for rule in decision.rules or ("",):
            refusals.append(Refusal(SITE_RULE, "the site's own rules forbid the grant", "site-policy.cedar", rule))
    try:
        verify_not_revoked(grant.digest(), grant.departments, (CENTRE, *grant.departments), (), site, now_s)
    except DoudiError as error:
        refusals.append(_refusal(error, limits))
    return refusals


def decide_grant(engine: NodeEngine, grant: Grant | LineGrant) -> list[Refusal]:
    """Return every reason why this node refuses a grant now."""
    limits = {limit.name: limit for limit in limits_of(engine.home)}
    return refusals_of(grant, engine.site(), limits, int(engine.clock()))


def limits_of(home: NodeHome) -> tuple[Limit, ...]:
    """Return every limit that the site's policy and the asset's tier both set, and which is in force."""
    return limits_in_force(load_config(home.path))


def _refusal(error: DoudiError, limits: dict[str, Limit]) -> Refusal:
    return Refusal(error.code, error.message, _origin(error.code, limits))


def _origin(code: str, limits: dict[str, Limit]) -> Origin:
    family = code.partition(".")[0]
    if code == "grant.revoked" or family == "revocation":
        return "revocation"
    if code in ("grant.wrong_key", "grant.untrusted_key") or family == "trust":
        return "trust"
    if family == "tier" or (code in LIMIT_OF_CODE and limits[LIMIT_OF_CODE[code]].decided_by == "tier"):
        return "tier"
    if family == "policy" or code == "grant.column_not_allowed":
        return "node.toml"
    return "standard" if family == "standard" else "grant"
