"""Tables of the revocation lists, as their parties signed them, of the grants that they name, and of who asked for one."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, RowNumber, UnixSeconds


class RevocationListRow(Base):
    """One list of one party. Only ever added (triggers): an older one is never brought back."""

    __tablename__ = "revocation_lists"
    __table_args__ = (
        CheckConstraint("number >= 1", name="number"),
        # Refuses a second list with one number. For each key: after a taken host the new key begins at 1 again, whatever number
        # the old one, or who took it, had come to.
        UniqueConstraint("party", "revocation_key", "number", name="uq_revocation_lists_party_revocation_key_number"),
        Index("ix_revocation_lists_party_sequence", "party", "sequence"),
        {"sqlite_autoincrement": True},
    )

    # The newest list of a party is the one stored last: only a successor under the party's present key is stored.
    sequence: Mapped[int] = mapped_column(RowNumber, primary_key=True, comment="order of storing, never reused")
    party: Mapped[str] = mapped_column(String(63), ForeignKey("parties.name"), comment="whose list")
    revocation_key: Mapped[str] = mapped_column(String(64), comment="the party's key that signed it, hex")
    number: Mapped[int] = mapped_column(BigInteger, comment="the list's own number, never decreases for one key")
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


class RevocationWishRow(Base):
    """That a person of a party asked at the console to take a grant back. It revokes nothing: the party's revocation key does."""

    __tablename__ = "revocation_wishes"
    # "What did my party ask for", for the home page.
    __table_args__ = (Index("ix_revocation_wishes_party_number", "party", "number"),)

    number: Mapped[int] = mapped_column(
        RowNumber,
        ForeignKey("access_requests.number"),
        primary_key=True,
        autoincrement=False,
        comment="request of the grant",
    )
    # One wish of a party is enough; a second one of the same party would say nothing new.
    party: Mapped[str] = mapped_column(
        String(63), ForeignKey("parties.name"), primary_key=True, comment="for whom the person spoke"
    )
    account: Mapped[int] = mapped_column(Integer, comment="account number of the person")
    reason: Mapped[str] = mapped_column(String(20), comment="a RevocationReason")
    note: Mapped[str] = mapped_column(String(500), comment="in the person's words, or empty; never in an event")
    at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
