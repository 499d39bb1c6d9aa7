"""What the node tells the centre about itself: checks, budgets, refusals, what it sent. Integers, names and codes only.

The site policy can withhold it (`report_to_centre = false`). The newest report lies in the node's folder, so that numbers grow.
"""

import math
from typing import Any, Protocol

from sqlalchemy import select

from command_line.documents import write_atomically
from crypto.errors import DoudiError
from department_nodes.accounts_of_runs import refusals, usage
from department_nodes.engine import NodeEngine
from department_nodes.extract import check
from department_nodes.home import IDENTITY_KEY, REPORT_FILE, NodeHome
from department_nodes.lines.budgets import budget_account
from department_nodes.program import program_hash
from department_nodes.run_order import unfinished_runs
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import SentRow
from department_nodes.store.session import transaction
from policies.contracts.node_reports import (
    BudgetReport,
    NodeReport,
    RefusalReport,
    SentReport,
    SignedNodeReport,
    sign_report,
)

NEWEST_SENT = 200
NEWEST_REFUSALS = 50


class ReportReceiver(Protocol):
    """The one call of the coordinator that a report goes through."""

    def put_bytes(self, path: str, body: bytes) -> Any:
        """Return the JSON answer of a PUT of a signed document."""


class Reporter:
    """Sends the node's report when something has changed, and the newest one when the node starts."""

    def __init__(self, engine: NodeEngine, client: ReportReceiver) -> None:
        self._engine = engine
        self._client = client
        self._sent_number = 0

    def report(self) -> bool:
        """Send the report if the site allows it and this process has not sent it yet; return whether it was sent.

        Raises `coordinator.unreachable` or the coordinator's code; the next call sends it then.
        """
        home = self._engine.home
        if not home.config.policy.report_to_centre:
            return False
        signed = sign_new_report(self._engine) or known_report(home)
        if signed is None or signed.report.number == self._sent_number:
            return False
        self._client.put_bytes(f"/v1/parties/{home.config.department}/report", signed.to_bytes())
        self._sent_number = signed.report.number
        return True


def sign_new_report(engine: NodeEngine) -> SignedNodeReport | None:
    """Return the node's report, signed with the next number; None where nothing has changed since the newest one.

    The newest report is stored first, so that a crash repeats these bytes rather than another report with their number.
    """
    home, now_s = engine.home, int(engine.clock())
    known = known_report(home)
    # At least the time, so that numbers grow also where the file was lost with a host.
    number = max(known.report.number + 1 if known is not None else 1, now_s)
    report = _report(engine, number, now_s)
    if known is not None and _same_content(known.report, report):
        return None
    signed = sign_report(report, home.key(IDENTITY_KEY))
    write_atomically(home.path / REPORT_FILE, signed.to_bytes(), 0o644)
    with transaction(engine.db) as session:
        record(session, Event(EventType.REPORT_SIGNED, now_s, counts={"number": number}))
    return signed


def known_report(home: NodeHome) -> SignedNodeReport | None:
    """Return the newest report of this node. Raises `document.malformed` for a file that somebody damaged."""
    path = home.path / REPORT_FILE
    return SignedNodeReport.parse(path.read_bytes()) if path.is_file() else None


def _report(engine: NodeEngine, number: int, now_s: int) -> NodeReport:
    config = engine.home.config
    people, faults = _people_and_faults(engine)
    with transaction(engine.db) as session:
        active = len(unfinished_runs(session, now_s))
        newest = session.scalars(select(SentRow).order_by(SentRow.number.desc()).limit(NEWEST_SENT)).all()
    return NodeReport(
        department=config.department,
        number=number,
        made_at=now_s,
        program_hash=program_hash(),
        people=people,
        faults=faults,
        active_runs=active,
        max_concurrent_runs=config.policy.max_concurrent_runs,
        budgets=_budgets(engine, now_s),
        refusals=tuple(
            RefusalReport(at=row["at"], run_id=row["run"] or None, step=row["step"] or None, code=row["code"])
            for row in refusals(engine, NEWEST_REFUSALS)
        ),
        sent=tuple(
            SentReport(
                run_id=row.run_id,
                attempt=row.attempt,
                step=row.step,
                receiver=row.receiver,
                kind=row.kind,
                items=row.items,
                size_bytes=row.size_bytes,
                sent_at=row.sent_at,
            )
            for row in newest
        ),
    )


def _people_and_faults(engine: NodeEngine) -> tuple[int, int]:
    """Return how many people the extract has and how many faults; one that cannot be read is one fault of nobody."""
    try:
        return engine.extract.load().people, 0
    except DoudiError:
        pass
    try:
        found = check(engine.home, 1)
    except DoudiError:
        return 0, 1
    return found.rows, found.fault_count


def _budgets(engine: NodeEngine, now_s: int) -> tuple[BudgetReport, ...]:
    policy, spent = engine.home.config.policy, usage(engine)
    lines = budget_account(engine.db, engine.home.config, now_s).state(newest=0)

    def milli(epsilon: float) -> int:
        return min(math.ceil(1000 * epsilon), 2**53) if math.isfinite(epsilon) else 2**53

    labels, bits = spent.label_epsilon_milli, spent.evidence_bits_per_person
    return (
        BudgetReport(
            name="labels_in_a_year",
            unit="epsilon_milli",
            spent=labels,
            reserved=labels,
            cap=policy.max_label_epsilon_milli_per_year,
        ),
        BudgetReport(
            name="evidence_in_a_year",
            unit="bits_per_person",
            spent=bits,
            reserved=bits,
            cap=policy.max_evidence_bits_per_person_and_year,
        ),
        BudgetReport(
            name="lines",
            unit="epsilon_milli",
            spent=milli(lines.epsilon_spent),
            reserved=milli(lines.epsilon_reserved),
            cap=policy.max_line_epsilon_milli,
        ),
    )


def _same_content(one: NodeReport, other: NodeReport) -> bool:
    return one == other.model_copy(update={"number": one.number, "made_at": one.made_at})
