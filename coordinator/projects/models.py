"""Table of the projects."""

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, UnixSeconds


class ProjectRow(Base):
    """One purpose, one lead, one region."""

    __tablename__ = "projects"
    __table_args__ = (CheckConstraint("state IN ('open', 'closed')", name="state"),)

    project_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="the project's name")
    title: Mapped[str] = mapped_column(String(200), comment="for people; never a person's name")
    purpose: Mapped[str] = mapped_column(String(63), comment="purpose that the grant must name")
    region: Mapped[str] = mapped_column(String(63), comment="region that the grant must name")
    # The lead must be registered: its keys decide who may act for the project.
    lead: Mapped[str] = mapped_column(String(63), ForeignKey("parties.name"), comment="lead department")
    created_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    state: Mapped[str] = mapped_column(String(10), comment="open or closed")
