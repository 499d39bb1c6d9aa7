"""How long a node needs to verify a grant of six departments: parsing, all signatures, every clause, its own rules.

In memory, as `doudi node run` does at every step; what a step reads from files (trust, lists, rules) is not in it. Nothing is
remembered from one verification to the next.
"""

import statistics
import time
from typing import Any

from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.config import NodeConfig
from department_nodes.grant_clauses import Site, verify_grant
from department_nodes.home import PublicKeys, Trust
from policies.authorization.site import SiteRules, default_site_policy
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.drafting import GrantTerms, draft_region_grant
from policies.contracts.grant import SignedGrant, required_signatures, sign_grant
from policies.contracts.revocations import RevocationList
from policies.standards.loader import load_dataset_standard
from policies.standards.tier_loader import load_tier

DEPARTMENTS = ("civil_affairs", "human_resources", "health_disability", "housing", "public_security", "tax")
NODE, PURPOSE, NOW = "tax", "social_assistance", 1_800_000_000
PROGRAM = "ab" * 32
WARM_UP, REPEATS = 50, 1000


def measure() -> dict[str, Any]:
    """Return `grant_verify_ms`, the median of a thousand verifications, with the 99th percentile beside it."""
    data, site = _grant_and_site()
    seconds = []
    for number in range(WARM_UP + REPEATS):
        started = time.perf_counter()
        verify_grant(SignedGrant.parse(data), site, NOW + number)
        seconds.append(time.perf_counter() - started)
    kept = sorted(seconds[WARM_UP:])
    return {
        "grant_verify_ms": round(1000 * statistics.median(kept), 3),
        "grant_verify_p99_ms": round(1000 * kept[int(0.99 * len(kept))], 3),
        "grant_verify_signatures": len(SignedGrant.parse(data).signatures),
        "grant_verify_bytes": len(data),
    }


def _grant_and_site() -> tuple[bytes, Site]:
    private = {name: generate_signing_key() for name in (*DEPARTMENTS, "centre")}
    cards = {name: _card(name, private[name]) for name in DEPARTMENTS}
    centre = CentreCard(
        approval_key=signing_public_key(private["centre"]).hex(),
        revocation_key=_fresh(),
        api_key=_fresh(),
        url="https://127.0.0.1:1",
        superlink="127.0.0.1:2",
    )
    terms = GrantTerms("benchmark", PURPOSE, "public_coverage", "2026", 1000)
    lead, *supporting = (cards[name] for name in DEPARTMENTS)
    grant = draft_region_grant(centre, lead, supporting, terms, NOW)
    signatures = tuple(
        sign_grant(grant, needed.party, needed.role, private[needed.party]) for needed in required_signatures(grant)
    )
    own = cards[NODE]
    site = Site(
        config=NodeConfig(
            department=NODE,
            region=own.region,
            dataset=NODE,
            tier=own.tier,
            allowed_purposes=(PURPOSE,),
            extract="none.parquet",
            coordinator_url="https://127.0.0.1:1",
            superlink_address="127.0.0.1:2",
        ),
        trust=Trust(centre=centre, departments=tuple(cards[name] for name in sorted(cards) if name != NODE)),
        program_hash=PROGRAM,
        keys=PublicKeys(
            identity_key=own.identity_key,
            approval_key=own.approval_key,
            scheduling_key=own.scheduling_key,
            revocation_key=own.revocation_key,
        ),
        rules=SiteRules(default_site_policy()),
        revocations={party: RevocationList(party=party, number=1, issued_at=NOW) for party in ("centre", *DEPARTMENTS)},
    )
    return SignedGrant(grant=grant, signatures=signatures).to_bytes(), site


def _card(name: str, approval: bytes) -> DepartmentCard:
    standard = load_dataset_standard(name, 1)
    return DepartmentCard(
        department=name,
        region="kentucky",
        identity_key=_fresh(),
        approval_key=signing_public_key(approval).hex(),
        scheduling_key=_fresh(),
        revocation_key=_fresh(),
        flower_key="ecdsa",
        dataset=name,
        standard_version=1,
        standard_hash=standard.standard_hash(),
        people=25_000,
        columns=standard.feature_names,
        tier="general_3",
        tier_version=1,
        tier_hash=load_tier("general_3").standard_hash(),
        allowed_purposes=(PURPOSE,),
        program_hash=PROGRAM,
    )


def _fresh() -> str:
    return signing_public_key(generate_signing_key()).hex()
