"""The reports of nodes without the lists in them: for pages that show many nodes, or how one node's budgets grew.

A report never changes, so what was read of one is kept: parsing a report of some hundred rows costs more than a whole page may.
The documents were verified and parsed when they were stored, so here their fields are only taken out.
"""

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from coordinator.reports.models import NodeReportRow

# About 300 departments with all reports that are kept of each.
_MOST_KEPT = 16_000
_Key = tuple[str, int]


@dataclass(frozen=True)
class BudgetSummary:
    """One budget. Thousandths of ε, or bits per person; `reserved` includes `spent`."""

    name: str
    unit: str
    spent: int
    reserved: int
    cap: int


@dataclass(frozen=True)
class ReportSummary:
    """A report in numbers. `made_at` is by the node's clock, `received_at` by ours."""

    department: str
    number: int
    made_at: int
    received_at: int
    program_hash: str
    people: int
    faults: int
    active_runs: int
    max_concurrent_runs: int
    refusals: int
    sent: int
    budgets: tuple[BudgetSummary, ...]


class ReportSummaries:
    """Reads summaries from the database, each report once in the life of this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[_Key, ReportSummary] = {}

    def newest(self, session: Session, departments: Iterable[str]) -> Mapping[str, ReportSummary]:
        """Return the newest report of each of these departments that has reported."""
        query = (
            select(NodeReportRow.department, func.max(NodeReportRow.number))
            .where(NodeReportRow.department.in_(list(departments)))
            .group_by(NodeReportRow.department)
        )
        keys = [(department, number) for department, number in session.execute(query)]
        return {key[0]: summary for key, summary in self._load(session, keys).items()}

    def history(self, session: Session, department: str) -> list[ReportSummary]:
        """Return the department's reports that are kept, the oldest first."""
        query = select(NodeReportRow.number).where(NodeReportRow.department == department)
        keys = [(department, number) for number in session.scalars(query)]
        return sorted(self._load(session, keys).values(), key=lambda summary: summary.number)

    def _load(self, session: Session, keys: list[_Key]) -> dict[_Key, ReportSummary]:
        with self._lock:
            found = {key: self._kept[key] for key in keys if key in self._kept}
        missing = [key for key in keys if key not in found]
        if not missing:
            return found
        query = select(NodeReportRow).where(tuple_(NodeReportRow.department, NodeReportRow.number).in_(missing))
        read = {(row.department, row.number): _summary(row) for row in session.scalars(query)}
        with self._lock:
            if len(self._kept) + len(read) > _MOST_KEPT:
                self._kept.clear()
            self._kept.update(read)
        return found | read


def _summary(row: NodeReportRow) -> ReportSummary:
    report = json.loads(row.document)["report"]
    return ReportSummary(
        department=row.department,
        number=row.number,
        made_at=row.made_at,
        received_at=row.received_at,
        program_hash=report["program_hash"],
        people=report["people"],
        faults=report["faults"],
        active_runs=report["active_runs"],
        max_concurrent_runs=report["max_concurrent_runs"],
        refusals=len(report["refusals"]),
        sent=len(report["sent"]),
        budgets=tuple(BudgetSummary(**budget) for budget in report["budgets"]),
    )
