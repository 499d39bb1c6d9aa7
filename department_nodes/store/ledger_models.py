"""Tables of the node's journal and of its part in the audit ledger. Nothing in them is about a person."""

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from department_nodes.store.base import Base


class EventRow(Base):
    """The node's journal: typed events, append-only, written in the transaction of the act."""

    __tablename__ = "events"
    # What officers look up, and what a step asks about its own earlier intents.
    __table_args__ = (Index("ix_events_run", "run_id"),)
    number: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=True, comment="Order of the events, from 1 without a gap"
    )
    at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")
    type: Mapped[str] = mapped_column(String(40), comment="The event's type, from a fixed list")
    project_id: Mapped[str] = mapped_column(String(63), comment="The project, or empty")
    run_id: Mapped[str] = mapped_column(String(63), comment="The run, or empty")
    attempt: Mapped[int] = mapped_column(Integer, comment="The attempt, or 0")
    step: Mapped[str] = mapped_column(String(20), comment="The step, or empty")
    grant_hash: Mapped[str] = mapped_column(String(64), comment="The grant, or empty")
    code: Mapped[str] = mapped_column(String(80), comment="The refusal's code, or empty")
    party: Mapped[str] = mapped_column(
        String(63), default="", server_default="", comment="The party that the event is about, or empty"
    )
    counts: Mapped[str] = mapped_column(Text, comment="JSON object of named integers")
    round: Mapped[int] = mapped_column(Integer, default=0, server_default="0", comment="The round of a line, or 0")
    purpose: Mapped[str] = mapped_column(
        String(63), default="", server_default="", comment="The grant's purpose, or empty"
    )
    assets: Mapped[str] = mapped_column(
        Text, default="[]", server_default="[]", comment="JSON list of data assets, as owner/dataset"
    )
    hashes: Mapped[str] = mapped_column(
        Text, default="{}", server_default="{}", comment="JSON object of named SHA-256 values, in hexadecimal"
    )


class LedgerBatchRow(Base):
    """Events that were sealed together. The document is stored before it is sent, and sent byte for byte each time."""

    __tablename__ = "ledger_batches"
    # The numbering that the log sees begins at 1 with each identity key and has no gaps.
    __table_args__ = (UniqueConstraint("signer", "first_sequence", name="uq_batch_sequence"),)
    first_number: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False, comment="Number of its first event in the journal"
    )
    count: Mapped[int] = mapped_column(Integer, comment="How many events it seals, 1 to 500")
    signer: Mapped[str] = mapped_column(String(64), comment="The identity key that signed it, in hexadecimal")
    first_sequence: Mapped[int] = mapped_column(
        Integer, comment="Number of its first event under this key, from 1; the journal's, unless the key was replaced"
    )
    batch_id: Mapped[str] = mapped_column(String(32), unique=True, comment="The batch, in hexadecimal")
    document: Mapped[bytes] = mapped_column(LargeBinary, comment="The signed batch as it is sent")
    sealed_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")
    first_index: Mapped[int | None] = mapped_column(
        BigInteger, comment="Where the log says its first entry is; empty until the coordinator acknowledged the batch"
    )
    acknowledged_at: Mapped[int | None] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")
    included_size: Mapped[int | None] = mapped_column(
        BigInteger, comment="Size of the witnessed checkpoint in which this node found every entry; empty before"
    )
    witnessed_at: Mapped[int | None] = mapped_column(
        BigInteger, comment="Time of the cosignature that made that checkpoint's quorum, in seconds since 1970 UTC"
    )
    alarm: Mapped[int | None] = mapped_column(
        ForeignKey("ledger_alarms.number"), comment="The alarm about its omission, or empty"
    )


class LedgerTermsRow(Base):
    """Terms of the ledger that this node verified. The ones with the highest number are in force."""

    __tablename__ = "ledger_terms"
    number: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="The number that the centre gave them"
    )
    document: Mapped[bytes] = mapped_column(LargeBinary, comment="The signed terms, canonical JSON")
    accepted_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")


class WitnessStateRow(Base):
    """The newest checkpoint of a log that this node accepted as a witness: durable before it is cosigned."""

    __tablename__ = "witness_state"
    origin: Mapped[str] = mapped_column(String(127), primary_key=True, comment="The log's name")
    size: Mapped[int] = mapped_column(BigInteger, comment="Entries in the log")
    root: Mapped[str] = mapped_column(String(64), comment="Root of the tree over them, in hexadecimal")
    note: Mapped[bytes] = mapped_column(
        LargeBinary, comment="The signed note; with the own cosignature once there is one"
    )
    accepted_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")
    cosigned_at: Mapped[int | None] = mapped_column(
        BigInteger, comment="Time of the own cosignature, in seconds since 1970 UTC; empty before"
    )


class LedgerAlarmRow(Base):
    """Something that the log did and must not do, with this node's signed evidence."""

    __tablename__ = "ledger_alarms"
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True, comment="Order of the alarms")
    at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")
    kind: Mapped[str] = mapped_column(String(20), comment="fork, rollback, omission …")
    evidence: Mapped[bytes] = mapped_column(LargeBinary, comment="The signed evidence, canonical JSON")
    acknowledged_at: Mapped[int | None] = mapped_column(
        BigInteger, comment="When an officer acknowledged it, in seconds since 1970 UTC; empty before"
    )
