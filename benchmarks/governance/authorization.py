"""How many decisions a second the coordinator's shipped rules give, on one core, as its API asks them.

Every question is made anew, with its own entities, as it is for a request; rules and schema are parsed once, as they are there.
What writing the record of a decision costs is not in it: that is the database's.
"""

import time
from itertools import cycle, islice
from typing import Any

from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import (
    asset_resource,
    grant_resource,
    request_resource,
    run_resource,
    system_resource,
)
from coordinator.authorization.services import question
from policies.authorization.coordinator_rules import shipped_engine
from policies.authorization.engine import AuthorizationRequest, Entity

WARM_UP, QUESTIONS = 500, 10_000
_PARTIES = ("civil_affairs", "tax", "housing", "health_disability", "human_resources", "public_security")


def measure() -> dict[str, Any]:
    """Return `decisions_per_s` and `decision_p99_ms`, with how many rules there are and how many questions were allowed."""
    engine = shipped_engine()
    kinds = cycle(_kinds())
    for principal, action, resource in islice(kinds, WARM_UP):
        engine.decide(_ask(principal, action, resource))
    seconds, allowed = [], 0
    started = time.perf_counter()
    for principal, action, resource in islice(kinds, QUESTIONS):
        before = time.perf_counter()
        allowed += engine.decide(_ask(principal, action, resource)).allowed
        seconds.append(time.perf_counter() - before)
    total = time.perf_counter() - started
    return {
        "decisions_per_s": round(QUESTIONS / total),
        "decision_p99_ms": round(1000 * sorted(seconds)[int(0.99 * QUESTIONS)], 3),
        "decision_rules": len(engine.rules),
        "decisions_allowed_percent": round(100 * allowed / QUESTIONS),
    }


def _ask(principal: Principal, action: str, resource: Entity) -> AuthorizationRequest:
    return question(principal, action, resource, (), {})


def _kinds() -> list[tuple[Principal, str, Entity]]:
    """Return what is asked most: reading by departments, nodes in runs, people who decide; allowed and denied."""
    approver = Principal("account", "centre", 7, frozenset({"centre_approver"}), two_factor=True)
    drafter = Principal("account", "civil_affairs", 3, frozenset({"department_it"}), two_factor=True)
    auditor = Principal("account", "centre", 9, frozenset({"auditor"}), two_factor=True)
    node, stranger = Principal.of_party("tax"), Principal.of_party("education")
    request = request_resource(
        12, lead="civil_affairs", owners=_PARTIES, drafter="3", submitter="3", deciders=("8",), state="submitted"
    )
    run = run_resource("run-1", parties=_PARTIES, lead="civil_affairs", scheduler="civil_affairs")
    grant = grant_resource(
        "ab" * 32, parties=_PARTIES, lead="civil_affairs", scheduler="civil_affairs", state="submitted"
    )
    return [
        (node, "run.read", run),
        (node, "run.offer", run),
        (node, "asset.register", asset_resource("tax", "tax/tax")),
        (stranger, "asset.register", asset_resource("tax", "tax/tax")),
        (stranger, "run.read", run),
        (approver, "request.centre_approve", request),
        (drafter, "request.owner_approve", request),
        (drafter, "request.read", request),
        (node, "grant.sign", grant),
        (auditor, "ledger.read_headers", system_resource()),
        (auditor, "grant.revoke", grant),
    ]
