"""What the guard compares grants with, read from the node's own folder at each step."""

from functools import lru_cache

from crypto.errors import DoudiError
from department_nodes.grant_clauses import Site
from department_nodes.home import SITE_POLICY_FILE, NodeHome
from department_nodes.program import program_hash
from department_nodes.revocations import lists_in_clear
from policies.authorization.site import SiteRules


def site_of(home: NodeHome) -> Site:
    """Return the department's side of every check; trust is read afresh, so that a withdrawn trust counts at once."""
    return Site(
        config=home.config,
        trust=home.trust,
        program_hash=program_hash(),
        keys=home.public_keys,
        rules=site_rules(home),
        revocations=lists_in_clear(home),
    )


def site_rules(home: NodeHome) -> SiteRules:
    """Return the department's own rules, read afresh. Raises `policy.missing`, or `policy.invalid`: then nothing is answered."""
    path = home.path / SITE_POLICY_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise DoudiError(
            "policy.missing",
            f"{SITE_POLICY_FILE} cannot be read in the node's folder",
            "Restore it; `doudi node policy default` writes the shipped one.",
        ) from None
    return _parsed(text)


# Parsing costs more than a decision, and a step asks several times.
@lru_cache(maxsize=8)
def _parsed(text: str) -> SiteRules:
    return SiteRules(text)
