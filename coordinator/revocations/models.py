"""Tables of the revocation lists, as their parties signed them, and of the grants that they name."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, UnixSeconds


class RevocationListRow(Base):
    """One list of one party. Only ever added (triggers): an older one is never brought back."""

    __tablename__ = "revocation_lists"
    __table_args__ = (CheckConstraint("number >= 1", name="number"),)

    party: Mapped[str] = mapped_column(String(63), ForeignKey("parties.name"), primary_key=True, comment="whose list")
    # The primary key refuses a second list with one number; the newest is the highest.
    number: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="the list's own number, never decreases"
    )
    document: Mapped[bytes] = mapped_column(LargeBinary, comment="SignedRevocationList, canonical JSON")
    issued_at: Mapped[int] = mapped_column(UnixSeconds, comment="time in the list, by its party's clock")
    stored_at: Mapped[int] = mapped_column(UnixSeconds, comment="when it came, seconds since 1970 UTC")


class RevokedGrantRow(Base):
    """A grant that a party took back. Stays when a later list drops the entry because the grant's time is over."""

    __tablename__ = "revoked_grants"
    __table_args__ = (Index("ix_revoked_grants_grant_hash", "grant_hash"),)

    party: Mapped[str] = mapped_column(String(63), ForeignKey("parties.name"), primary_key=True, comment="who revoked")
    # No foreign key: a list may name a grant that this coordinator never saw.
    grant_hash: Mapped[str] = mapped_column(String(64), primary_key=True, comment="the grant")
    reason: Mapped[str] = mapped_column(String(20), comment="a RevocationReason")
    revoked_at: Mapped[int] = mapped_column(UnixSeconds, comment="time in the list, by its party's clock")
    list_number: Mapped[int] = mapped_column(BigInteger, comment="first list that named it")
