"""What departments charged to their budgets, in thousandths of ε and in bits, against the caps that were recorded.

Three accounts that are never added to each other: labels (ε per household), evidence (bits per person), lines (ε per person).
ε of labels adds up, as the departments count it themselves; ε of lines is composed by their accountant, so the highest
recorded one is shown and never a sum.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from auditors.acts import Act

ACCOUNTS = ("label", "evidence", "line")
BUDGET_TYPES = (
    "type IN ('node.labels.charged', 'node.evidence.charged') OR type LIKE 'node.budget.%' "
    "OR type IN ('node.step.refused', 'node.step.failed') AND code LIKE '%.budget_exhausted'"
)
_ACCOUNT_OF = {"node.labels.charged": "label", "node.evidence.charged": "evidence"}
_UNIT_OF = {"label": "epsilon_milli", "evidence": "bits_per_person", "line": "epsilon_milli"}
_CAP_OF = {"label": "cap_milli", "evidence": "cap_bits_per_person", "line": "cap_milli"}


@dataclass
class Budget:
    """One account of one department. `charged`: thousandths of ε, or bits. `cap`: the newest recorded one; `None`: none was."""

    department: str
    account: str
    charged: int = 0
    charges: int = 0
    refused: int = 0
    cap: int | None = None

    def shown(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {
            "department": self.department,
            "account": self.account,
            "unit": _UNIT_OF[self.account],
            "charged": self.charged,
            "charges": self.charges,
            "refused": self.refused,
            "cap": self.cap,
        }


def budgets_of(acts: Iterable[Act]) -> list[dict[str, Any]]:
    """Return the accounts of every department that charged or refused something, by account and department."""
    rows: dict[tuple[int, str], Budget] = {}
    for act in acts:
        name = _account_of(act)
        budget = rows.setdefault((ACCOUNTS.index(name), act.producer), Budget(act.producer, name))
        budget.cap = act.counts.get(_CAP_OF[name], budget.cap)
        if act.type.endswith(("refused", "failed")):
            budget.refused += 1
        elif act.type == "node.budget.charged":
            budget.charges += 1
        elif act.type == "node.budget.reserved":
            # What was composed with this reservation in it, over all runs so far.
            budget.charged = max(budget.charged, act.counts.get("epsilon_milli", 0))
        elif act.type in _ACCOUNT_OF:
            budget.charges += 1
            budget.charged += act.counts.get(_UNIT_OF[name], 0)
    return [budget.shown() for _, budget in sorted(rows.items())]


def _account_of(act: Act) -> str:
    if act.code in ("label.budget_exhausted", "evidence.budget_exhausted"):
        return act.code.partition(".")[0]
    return _ACCOUNT_OF.get(act.type, "line")
