"""What left a node, row by row, out of one of its reports: pages of a list that does not change, since a report never does."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.reports.models import NodeReportRow
from policies.contracts.node_reports import SentReport, SignedNodeReport


@dataclass(frozen=True)
class SentRows:
    """Some rows of a report, from row `first` on (1 is the newest). `report`: its number; `None` if the node has not reported."""

    report: int | None
    made_at: int | None
    first: int
    rows: tuple[SentReport, ...]
    total: int

    @property
    def next_row(self) -> int | None:
        """Where the next page begins, if there is one."""
        following = self.first + len(self.rows)
        return following if self.rows and following <= self.total else None


def sent_by(session: Session, department: str, number: int | None, first: int, limit: int) -> SentRows:
    """Return rows of the report with this number, or of the newest one if none is named or it is no longer kept."""
    mine = select(NodeReportRow).where(NodeReportRow.department == department)
    row = session.scalar(mine.where(NodeReportRow.number == number)) if number is not None else None
    if row is None:
        row = session.scalar(mine.order_by(NodeReportRow.number.desc()).limit(1))
        first = first if number is None else 1
    if row is None:
        return SentRows(None, None, 1, (), 0)
    report = SignedNodeReport.parse(row.document).report
    rows = report.sent[first - 1 : first - 1 + limit]
    return SentRows(report.number, report.made_at, first, rows, len(report.sent))
