"""Tables of the ledger: sealed batches, their places in the log, its tree, its checkpoints and who cosigned them.

Entries are stored in the batches that they came in, never a row each. What is placed is never changed: triggers (migration 0008)
stop mistakes and injected statements, and what somebody changes who owns the database is found by the tree. Only the wraps of a
batch may be destroyed, which its hash in every entry shows.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, RowNumber, UnixSeconds

_NUMBERED = text("first_sequence > 0")
THE_HEAD = 1


class LedgerTermsRow(Base):
    """Terms that were in force: the centre's signed statement of who reads and who witnesses."""

    __tablename__ = "ledger_terms"
    __table_args__ = (CheckConstraint("number >= 1", name="number"),)

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, comment="1 for the first")
    digest: Mapped[str] = mapped_column(
        String(64), comment="SHA-256 of the document's bytes, so that it is parsed once"
    )
    document: Mapped[bytes] = mapped_column(LargeBinary, comment="SignedLedgerTerms, canonical JSON")
    accepted_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")


class LedgerBatchRow(Base):
    """One batch of sealed entries. Without a place it waits in the outbox; it is durable with the act that it records."""

    __tablename__ = "ledger_batches"
    __table_args__ = (
        UniqueConstraint("batch_id"),
        # A producer's numbers are given once for each of its keys. The coordinator's own batches are unnumbered.
        Index(
            "uq_ledger_batches_numbered",
            "producer",
            "signer",
            "first_sequence",
            unique=True,
            sqlite_where=_NUMBERED,
            postgresql_where=_NUMBERED,
        ),
        CheckConstraint("count >= 1 AND first_sequence >= 0", name="numbers"),
        CheckConstraint("(signature IS NULL) = (signer IS NULL)", name="signed"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True, comment="order of arrival, never reused")
    batch_id: Mapped[bytes] = mapped_column(LargeBinary, comment="16 random bytes that its maker gave it")
    producer: Mapped[str] = mapped_column(String(63), comment="department, or coordinator")
    signer: Mapped[str | None] = mapped_column(
        String(64), comment="Ed25519 key that signed, hex; null until the log's key signed the coordinator's own"
    )
    first_sequence: Mapped[int] = mapped_column(BigInteger, comment="the producer's number of the first; 0: unnumbered")
    count: Mapped[int] = mapped_column(Integer, comment="entries")
    signature: Mapped[bytes | None] = mapped_column(LargeBinary, comment="the producer's, 64 bytes")
    wraps: Mapped[bytes | None] = mapped_column(LargeBinary, comment="batch key for each auditor; null: destroyed")
    entries: Mapped[bytes] = mapped_column(LargeBinary, comment="the sealed entries, each behind its length")
    received_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")


class LedgerOutboxRow(Base):
    """A batch that has no place yet; the row goes when it gets one.

    No foreign key: PostgreSQL would read the batches' index for it, and of two acts at once one would fail for no other reason.
    """

    __tablename__ = "ledger_outbox"

    batch: Mapped[int] = mapped_column(RowNumber, primary_key=True, autoincrement=False, comment="the batch")


class LedgerPlaceRow(Base):
    """Where a batch stands in the log."""

    __tablename__ = "ledger_places"
    __table_args__ = (
        UniqueConstraint("batch"),
        UniqueConstraint("first_index"),
        CheckConstraint("number >= 0 AND first_index >= 0", name="numbers"),
    )

    number: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="order of the batches in the log, from 0"
    )
    batch: Mapped[int] = mapped_column(RowNumber, ForeignKey("ledger_batches.id"), comment="the batch")
    first_index: Mapped[int] = mapped_column(BigInteger, comment="index of its first entry in the log, from 0")


class LedgerTileRow(Base):
    """A tile of the tree's hashes (C2SP tlog-tiles). The right edge is replaced as it grows; a full tile never changes."""

    __tablename__ = "ledger_tiles"
    __table_args__ = (CheckConstraint("width BETWEEN 1 AND 256", name="width"),)

    level: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False, comment="0 for the leaves' hashes"
    )
    tile: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="index within the level"
    )
    width: Mapped[int] = mapped_column(Integer, comment="hashes in it")
    data: Mapped[bytes] = mapped_column(LargeBinary, comment="the hashes, 32 bytes each")


class LedgerHeadRow(Base):
    """The tree as it stands: one row, which decides when two sequencers meet."""

    __tablename__ = "ledger_head"
    __table_args__ = (CheckConstraint("id = 1", name="one"), CheckConstraint("size >= batches", name="numbers"))

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False, comment="1")
    size: Mapped[int] = mapped_column(BigInteger, comment="entries that have a place")
    batches: Mapped[int] = mapped_column(BigInteger, comment="batches that have a place")
    frontier: Mapped[bytes] = mapped_column(
        LargeBinary, comment="right edge of the tree, 32 bytes a hash, largest first"
    )
    root: Mapped[bytes] = mapped_column(LargeBinary, comment="RFC 9162 root hash")


class LedgerCheckpointRow(Base):
    """A checkpoint that the log signed. Its row is durable before anybody gets it."""

    __tablename__ = "ledger_checkpoints"

    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, comment="entries of its tree")
    note: Mapped[bytes] = mapped_column(LargeBinary, comment="signed note with the log's own signature only")
    published_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    witnessed_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="when a quorum had cosigned")


class LedgerCosignatureRow(Base):
    """A witness's newest cosignature of one checkpoint, verified when it came."""

    __tablename__ = "ledger_cosignatures"
    __table_args__ = (Index("ix_ledger_cosignatures_department", "department", "size"),)

    size: Mapped[int] = mapped_column(
        BigInteger,
        ForeignKey("ledger_checkpoints.size"),
        primary_key=True,
        autoincrement=False,
        comment="the checkpoint",
    )
    department: Mapped[str] = mapped_column(String(63), primary_key=True, comment="the witness")
    line: Mapped[str] = mapped_column(String(512), comment="its line of the note")
    time: Mapped[int] = mapped_column(UnixSeconds, comment="when it cosigned by its own clock")


class LedgerTimestampRow(Base):
    """A time stamp of a checkpoint by an RFC 3161 authority."""

    __tablename__ = "ledger_timestamps"

    size: Mapped[int] = mapped_column(
        BigInteger,
        ForeignKey("ledger_checkpoints.size"),
        primary_key=True,
        autoincrement=False,
        comment="the checkpoint",
    )
    token: Mapped[bytes] = mapped_column(LargeBinary, comment="the authority's answer, DER")


class LedgerMarkRow(Base):
    """Which batches hold an entry of a producer, a type, a grant: what narrows lists of headers. Made by `marks`.

    Derived and no proof of anything: a list that is not narrowed shows what a missing mark hides.
    """

    __tablename__ = "ledger_marks"
    __table_args__ = (
        CheckConstraint("first_index >= 0", name="first_index"),
        # Its key is all of it, so on SQLite the table is its own index.
        {"sqlite_with_rowid": False},
    )

    mark: Mapped[str] = mapped_column(
        String(80), primary_key=True, comment="what is held, for example type:run.created"
    )
    first_index: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="index of the batch's first entry in the log"
    )


def _table(model: type[Base]) -> Table:
    if not isinstance(model.__table__, Table):
        raise TypeError("a model stands for more than a table")
    return model.__table__


# For what every act waits for, which runs without the mapper.
BATCHES = _table(LedgerBatchRow)
OUTBOX = _table(LedgerOutboxRow)
PLACES = _table(LedgerPlaceRow)
TILES = _table(LedgerTileRow)
HEAD = _table(LedgerHeadRow)
TERMS = _table(LedgerTermsRow)
MARKS = _table(LedgerMarkRow)
