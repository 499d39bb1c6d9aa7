"""What was refused, by code and party: requests, steps, offers, budgets, lists, rules; and what witnesses refused to cosign."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from auditors.acts import Act

REFUSAL_TYPES = (
    "opened AND (type LIKE '%refused' OR type LIKE '%declined' "
    "OR type IN ('account.locked', 'node.step.failed', 'node.evidence.withheld'))"
)


def refusals_of(acts: Iterable[Act]) -> list[dict[str, Any]]:
    """Return how often each party refused, or was refused, with which code; the most frequent first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    last: dict[tuple[str, str, str], int] = {}
    for act in acts:
        key = (act.type, act.code, act.who)
        counts[key] += 1
        last[key] = act.index
    return [
        {"type": kind, "code": code, "who": who, "times": times, "last_index": last[kind, code, who]}
        for (kind, code, who), times in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
