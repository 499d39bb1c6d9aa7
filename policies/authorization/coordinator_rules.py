"""The coordinator's rules as they are shipped, and what every later version of them must keep.

Two nets, because each alone has holes. Cases are examples: a rule could make an exception for one account that no example has. So
the rules that bear @invariant must be in every version with unchanged meaning; they are `forbid` rules, which no other rule can
overrule. And a rule that denies everything breaks no such rule, but nobody could ever change it again: cases that must stay
allowed catch that. Pure; reads the shipped files. May import the engine and the cases.
"""

from functools import cache
from pathlib import Path

from crypto.errors import DoudiError
from policies.authorization.cases import LoadedCase, broken_case, load_cases
from policies.authorization.engine import PolicyEngine, load_rules, load_schema

FOLDER = Path(__file__).parent / "coordinator"


@cache
def shipped_schema() -> str:
    """Return the schema that all versions of the rules are read with."""
    return load_schema(FOLDER / "schema.cedarschema")


@cache
def shipped_engine() -> PolicyEngine:
    """Return the rules that are in force until a change is approved: version 0."""
    return PolicyEngine(load_rules(FOLDER), shipped_schema())


@cache
def shipped_cases() -> tuple[LoadedCase, ...]:
    """Return the cases of the shipped rules."""
    return load_cases(FOLDER / "cases")


def parse_version(text: str) -> PolicyEngine:
    """Return the rules of an untrusted text, if they may ever be in force.

    Raises `policy.invalid`, or `policy.breaks_invariant` naming the case or the rule.
    """
    engine = PolicyEngine(text, shipped_schema())
    broken = broken_case(engine, shipped_cases())
    if broken is not None:
        raise _breaks(f"the case '{broken}' has another answer")
    kept = {(rule.id, rule.meaning) for rule in engine.rules}
    for rule in shipped_engine().rules:
        if rule.invariant and (rule.id, rule.meaning) not in kept:
            raise _breaks(f"the rule {rule.id} is missing or has another meaning")
    return engine


def _breaks(why: str) -> DoudiError:
    return DoudiError("policy.breaks_invariant", why, "Keep what every version of the rules must hold.")
