"""What people did: at which hours, how they signed in, whose roles changed. People are account numbers or a node's officers.

A node's officers have no numbers in its records; the kinds of act that only a person can do there stand in `_OFFICERS_ACTS`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from auditors.acts import Act
from auditors.reporting.period import Period

_OFFICERS_ACTS = (
    "node.grant.signed",
    "node.run.scheduled",
    "node.results.read",
    "node.revocation.issued",
    "node.asset.signed",
    "node.request.drafted",
    "node.request.refused",
    "node.request.withdrawn",
    "node.project.left",
)
PEOPLES_ACTS = f"opened AND (account IS NOT NULL OR type IN ({', '.join(repr(name) for name in _OFFICERS_ACTS)}))"
ACCOUNT_TYPES = "opened AND (type LIKE 'account.%' OR type LIKE 'token.%')"
_CHANGES = (
    "account.created",
    "account.enrolled",
    "account.roles_changed",
    "account.disabled",
    "account.reset",
    "account.locked",
)
_DAYS, _HOURS = 7, 24


def hours_of(acts: Iterable[Act], period: Period, at_most: int) -> dict[str, Any]:
    """Return acts of people by weekday (Monday first) and hour, and the unusual ones: by whom, and the newest `at_most`."""
    grid = [[0] * _HOURS for _ in range(_DAYS)]
    total = unusual = 0
    by_person: Counter[tuple[str, int]] = Counter()
    newest: list[Act] = []
    for act in acts:
        total += 1
        local = period.local(act.at)
        if local is not None:
            grid[local.weekday()][local.hour] += 1
        if period.is_unusual(act.at):
            unusual += 1
            by_person[act.who, act.account] += 1
            newest.append(act)
            if len(newest) > 2 * at_most:
                newest = newest[-at_most:]
    return {
        "acts": total,
        "unusual": unusual,
        "by_weekday_and_hour": grid,
        "by_person": [
            {"who": who, "account": account or None, "acts": count}
            for (who, account), count in sorted(by_person.items(), key=lambda item: (-item[1], item[0]))
        ],
        "newest_unusual": [act.shown() for act in reversed(newest[-at_most:])],
    }


def sign_ins_of(acts: Iterable[Act]) -> dict[str, Any]:
    """Return what happened to each account, and every change of who may do what, in order.

    An act on one's own account has no other account in it.
    """
    accounts: dict[int, dict[str, Any]] = {}
    changes = []
    for act in acts:
        number = act.about or act.account
        row = accounts.setdefault(number, {"account": number, "sign_ins": 0, "last_sign_in": None, "events": Counter()})
        if act.type == "account.signed_in":
            row["sign_ins"] += 1
            row["last_sign_in"] = max(act.at, row["last_sign_in"] or 0)
        else:
            row["events"][act.type] += 1
        if act.type in _CHANGES:
            changes.append(act.shown())
    rows: list[Mapping[str, Any]] = [{**row, "events": dict(row["events"])} for _, row in sorted(accounts.items())]
    return {"accounts": rows, "changes": changes}
