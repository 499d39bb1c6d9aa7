"""Table of the nodes' reports."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, UnixSeconds


class NodeReportRow(Base):
    """One report. The newest of each department counts; older ones are deleted when there are enough."""

    __tablename__ = "node_reports"
    __table_args__ = (CheckConstraint("number >= 1 AND max_concurrent_runs >= 1", name="numbers"),)

    department: Mapped[str] = mapped_column(
        String(63), ForeignKey("parties.name"), primary_key=True, comment="whose node"
    )
    # The primary key refuses a second report with one number; the newest is the highest.
    number: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="the report's own number, grows"
    )
    document: Mapped[bytes] = mapped_column(LargeBinary, comment="SignedNodeReport, canonical JSON")
    # In a column, because the queue asks for it at every look.
    max_concurrent_runs: Mapped[int] = mapped_column(Integer, comment="runs that the node takes at once")
    made_at: Mapped[int] = mapped_column(UnixSeconds, comment="time in the report, by the node's clock")
    received_at: Mapped[int] = mapped_column(UnixSeconds, comment="when it came, seconds since 1970 UTC")
