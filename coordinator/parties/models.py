"""Tables of the parties and of the nonces of their requests."""

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, UnixSeconds


class PartyRow(Base):
    """A department, or the centre."""

    __tablename__ = "parties"
    __table_args__ = (
        CheckConstraint("role IN ('department', 'centre')", name="role"),
        # Only departments show a card; the centre's keys come from the configuration.
        CheckConstraint("(role = 'centre') = (card IS NULL)", name="card"),
        CheckConstraint("(role = 'centre') = (name = 'centre')", name="centre_name"),
    )

    name: Mapped[str] = mapped_column(String(63), primary_key=True, comment="department's name, or centre")
    role: Mapped[str] = mapped_column(String(10), comment="department or centre")
    card: Mapped[bytes | None] = mapped_column(LargeBinary, comment="DepartmentCard, canonical JSON")
    # Unique: one key that stands for two parties would make "who did it" a matter of a header.
    identity_key: Mapped[str] = mapped_column(String(64), unique=True, comment="Ed25519 key that signs requests, hex")
    flower_key: Mapped[str | None] = mapped_column(Text, comment="OpenSSH public key of the Flower node")
    registered_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    last_seen_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="last authenticated request")


class RequestNonceRow(Base):
    """A nonce that was accepted. Kept until the request's time is too old to be accepted again."""

    __tablename__ = "request_nonces"
    __table_args__ = (Index("ix_request_nonces_seen_at", "seen_at"),)

    # The primary key is what refuses a replay, also between processes.
    party: Mapped[str] = mapped_column(String(63), ForeignKey("parties.name"), primary_key=True, comment="who sent it")
    nonce: Mapped[str] = mapped_column(String(32), primary_key=True, comment="the request's nonce")
    seen_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
