"""What the console makes of a node's own report and of when it was heard from: a state, checks, budgets. Pure.

A report is its node's word: it is shown as such, and decides nothing here but colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from coordinator.console.charts import Budget, Series
from coordinator.console.languages import Language
from coordinator.console.titles import title_of
from coordinator.reports.summaries import BudgetSummary, ReportSummary
from coordinator.revocations.ages import ListAge

# Nodes ask for work at least every minute.
SILENT_S = 5 * 60
# The default of a node's site policy (`max_revocation_age_hours`); a node may ask for less.
OLD_LIST_S = 24 * 3600
NEARLY_SPENT = 0.9
EPSILON_UNIT = "epsilon_milli"
_MILLI = 1000

NodeState = Literal["in_order", "faults", "silent", "never", "no_report"]
BADGES: dict[NodeState, str] = {
    "in_order": "good",
    "faults": "warning",
    "silent": "bad",
    "never": "neutral",
    "no_report": "neutral",
}


@dataclass(frozen=True)
class Check:
    """One thing that is in order or not. `next_step`: what to do if it is not."""

    passed: bool
    text: str
    next_step: str = ""


@dataclass(frozen=True)
class BudgetGroup:
    """Budgets of one unit, which share a plot. `digits` of its numbers."""

    name: str
    unit: str
    digits: int
    budgets: Sequence[Budget]


def node_state(last_seen_at: int | None, report: ReportSummary | None, now: int) -> NodeState:
    """Return how a node is, the worst first: who is silent may have every fault."""
    if last_seen_at is None:
        return "never"
    if now - last_seen_at > SILENT_S:
        return "silent"
    if report is None:
        return "no_report"
    return "faults" if report.faults else "in_order"


def is_old(age: ListAge | None, now: int) -> bool:
    """Return whether nodes with the default limit refuse to work on this list; also where there is none."""
    return age is None or now - age.issued_at > OLD_LIST_S


def checks_of(
    language: Language,
    last_seen_at: int | None,
    report: ReportSummary | None,
    age: ListAge | None,
    card_program: str,
    now: int,
) -> list[Check]:
    """Return what is looked at for one node."""
    heard = last_seen_at is not None and now - last_seen_at <= SILENT_S
    checks = [
        Check(
            heard,
            language.gettext("The node was heard from in the last five minutes."),
            language.gettext("Start the node on its host: “doudi node run”."),
        ),
        Check(
            not is_old(age, now),
            language.gettext("The department's revocation list is younger than a day."),
            language.gettext("Renew it: “doudi node publish-revocations”. Nodes refuse to work on an old list."),
        ),
    ]
    if report is None:
        return checks
    return [
        *checks,
        Check(
            report.faults == 0,
            language.gettext("The extract follows its data standard."),
            language.gettext("See the faults with “doudi node check”, correct the extract, and check again."),
        ),
        Check(
            report.program_hash == card_program,
            language.gettext("The node runs the program that its card names."),
            language.gettext("Install the granted version, or send the centre a new card."),
        ),
        Check(
            all(budget.reserved <= NEARLY_SPENT * budget.cap for budget in report.budgets),
            language.gettext("Every budget has at least a tenth left."),
            language.gettext("Ask for fewer runs or a smaller ε; nothing gives spent budget back."),
        ),
    ]


def budget_groups(language: Language, budgets: Sequence[BudgetSummary]) -> list[BudgetGroup]:
    """Return a node's budgets by unit: thousandths of ε are shown as ε, bits as they are."""
    epsilon = [budget for budget in budgets if budget.unit == EPSILON_UNIT]
    bits = [budget for budget in budgets if budget.unit != EPSILON_UNIT]
    groups = [
        BudgetGroup("epsilon", "ε", 2, [_scaled(language, budget, _MILLI) for budget in epsilon]),
        BudgetGroup("bits", language.gettext("bits"), 0, [_scaled(language, budget, 1) for budget in bits]),
    ]
    return [group for group in groups if group.budgets]


def budget_history(language: Language, reports: Sequence[ReportSummary]) -> list[Series]:
    """Return how much of each cap was reserved, in percent, by report from the oldest to the newest; nothing for one report."""
    if len(reports) <= 1:
        return []
    found: dict[str, list[tuple[float, float]]] = {}
    for position, report in enumerate(reports, start=1):
        for budget in report.budgets:
            if budget.cap:
                found.setdefault(budget.name, []).append((position, 100 * budget.reserved / budget.cap))
    return [Series(title_of(language, "budget", name), points) for name, points in sorted(found.items())]


def changed_budgets(reports: Sequence[ReportSummary]) -> list[ReportSummary]:
    """Return the reports in which a budget differs from the one before, the newest first."""
    changed = [
        report
        for before, report in zip([None, *reports], reports, strict=False)
        if before is None or before.budgets != report.budgets
    ]
    return changed[::-1]


def _scaled(language: Language, budget: BudgetSummary, scale: int) -> Budget:
    label = title_of(language, "budget", budget.name)
    return Budget(label, budget.spent / scale, budget.reserved / scale, budget.cap / scale)
