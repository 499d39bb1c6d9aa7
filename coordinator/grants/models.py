"""Tables of the grants and of whom each one names."""

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, UnixSeconds


class GrantRow(Base):
    """A grant with the signatures gathered so far. A draft until the last required signature is there."""

    __tablename__ = "grants"
    __table_args__ = (Index("ix_grants_project_id", "project_id"),)

    # The hash is the key: a changed grant is another grant, and no signature carries over.
    grant_hash: Mapped[str] = mapped_column(String(64), primary_key=True, comment="Grant.digest()")
    project_id: Mapped[str] = mapped_column(String(63), ForeignKey("projects.project_id"), comment="project")
    document: Mapped[bytes] = mapped_column(LargeBinary, comment="SignedGrant, canonical JSON")
    fully_signed: Mapped[bool] = mapped_column(Boolean, comment="every required signature is there and verified")
    stored_at: Mapped[int] = mapped_column(UnixSeconds, comment="first stored, seconds since 1970 UTC")


class GrantPartyRow(Base):
    """A department that a grant names, so that "my runs" is a query and not a search through documents."""

    __tablename__ = "grant_parties"
    __table_args__ = (
        CheckConstraint("role IN ('lead', 'supporting')", name="role"),
        Index("ix_grant_parties_department", "department"),
    )

    grant_hash: Mapped[str] = mapped_column(
        String(64), ForeignKey("grants.grant_hash"), primary_key=True, comment="the grant"
    )
    # A grant may only name registered departments: their cards are what its keys are compared with.
    department: Mapped[str] = mapped_column(
        String(63), ForeignKey("parties.name"), primary_key=True, comment="the department"
    )
    role: Mapped[str] = mapped_column(String(10), comment="lead or supporting")
    scheduler: Mapped[bool] = mapped_column(Boolean, comment="holds the scheduling right")
