"""Storing what nodes report about themselves, and reading it for pages and for the queue.

A report is its node's own word: it is shown as such, and decides nothing but how many runs are sent to that node at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import party_resource
from coordinator.authorization.services import authorise
from coordinator.context import AppContext
from coordinator.db.session import now_s
from coordinator.paging import Order, PageRequest, page_of
from coordinator.parties.models import PartyRow
from coordinator.reports.models import NodeReportRow
from crypto.errors import DoudiError
from policies.contracts.node_reports import NodeReport, SignedNodeReport
from policies.contracts.requests import CLOCK_TOLERANCE_S

KEPT_REPORTS = 50
BY_NAME = Order("node-health", (PartyRow.name,))


@dataclass(frozen=True)
class NodeHealth:
    """How a department's node is. `report` and `received_at` are `None` until it has reported. Times: seconds since 1970 UTC."""

    department: str
    last_seen_at: int | None
    received_at: int | None
    report: NodeReport | None


def put_report(
    session: Session, context: AppContext, principal: Principal, department: str, signed: SignedNodeReport
) -> bool:
    """Store a node's report; return whether it is new. The newest one again changes nothing.

    Raises `authorization.denied`, `report.wrong_department`, `report.bad_signature`, `report.from_the_future`,
    `report.rollback`.
    """
    report = signed.report
    authorise(session, context, principal, "report.publish", party_resource(department))
    if report.department != department:
        raise DoudiError("report.wrong_department", "the report and its address name different departments")
    signed.verify(session.get_one(PartyRow, department).identity_key)
    now = now_s(session)
    if report.made_at > now + CLOCK_TOLERANCE_S:
        raise DoudiError("report.from_the_future", "the report's time lies in the future")
    document = signed.to_bytes()
    newest = _newest(session, department)
    if newest is not None and report.number <= newest.number:
        if newest.document != document:
            raise DoudiError("report.rollback", "a newer report of this node is known")
        return False
    session.add(
        NodeReportRow(
            department=department,
            number=report.number,
            document=document,
            max_concurrent_runs=report.max_concurrent_runs,
            made_at=report.made_at,
            received_at=now,
        )
    )
    session.flush()
    _forget_old(session, department)
    return True


def newest_report(session: Session, department: str) -> SignedNodeReport:
    """Return a department's newest report. Raises `report.none`."""
    row = _newest(session, department)
    if row is None:
        raise DoudiError("report.none", "the node has not reported yet", "Start the department's node.")
    return SignedNodeReport.parse(row.document)


def report_history(session: Session, department: str) -> list[NodeReport]:
    """Return a department's reports that are kept, the newest first."""
    query = select(NodeReportRow.document).where(NodeReportRow.department == department)
    documents = session.scalars(query.order_by(NodeReportRow.number.desc()))
    return [SignedNodeReport.parse(document).report for document in documents]


def list_health(
    session: Session, wanted: PageRequest, department: str | None = None
) -> tuple[list[NodeHealth], str | None]:
    """Return a page of the departments' nodes by name, or one department's, and the cursor of the next page."""
    query = select(PartyRow).where(PartyRow.role == "department")
    if department is not None:
        query = query.where(PartyRow.name == department)
    found = page_of(session, query, BY_NAME, wanted)
    newest = _newest_of(session, [row.name for row in found.rows])
    return [_health(row, newest.get(row.name)) for row in found.rows], found.next_cursor


def node_health(session: Session, department: str) -> NodeHealth:
    """Return how one department's node is. Raises `party.unknown`."""
    row = session.get(PartyRow, department)
    if row is None or row.role != "department":
        raise DoudiError("party.unknown", "there is no such department")
    return _health(row, _newest(session, department))


def concurrent_runs(session: Session) -> dict[str, int]:
    """Return how many runs each node takes at once, by its newest report; nodes without one are left out."""
    newest = select(NodeReportRow.department, func.max(NodeReportRow.number)).group_by(NodeReportRow.department)
    query = select(NodeReportRow.department, NodeReportRow.max_concurrent_runs).where(
        tuple_(NodeReportRow.department, NodeReportRow.number).in_(newest)
    )
    return {department: most for department, most in session.execute(query)}


def _newest(session: Session, department: str) -> NodeReportRow | None:
    return _newest_of(session, [department]).get(department)


def _newest_of(session: Session, departments: list[str]) -> Mapping[str, NodeReportRow]:
    newest = (
        select(NodeReportRow.department, func.max(NodeReportRow.number))
        .where(NodeReportRow.department.in_(departments))
        .group_by(NodeReportRow.department)
    )
    query = select(NodeReportRow).where(tuple_(NodeReportRow.department, NodeReportRow.number).in_(newest))
    return {row.department: row for row in session.scalars(query)}


def _health(row: PartyRow, newest: NodeReportRow | None) -> NodeHealth:
    report = SignedNodeReport.parse(newest.document).report if newest is not None else None
    return NodeHealth(row.name, row.last_seen_at, newest.received_at if newest is not None else None, report)


def _forget_old(session: Session, department: str) -> None:
    numbers = select(NodeReportRow.number).where(NodeReportRow.department == department)
    kept = numbers.order_by(NodeReportRow.number.desc()).limit(KEPT_REPORTS)
    session.execute(
        delete(NodeReportRow).where(NodeReportRow.department == department, NodeReportRow.number.not_in(kept))
    )
