"""Tables of the node's database. Values about people are sealed (column `sealed`) with the project's own key."""

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Base of the node's tables."""


class ProjectRow(Base):
    """A project this node has taken part in. `sealed_key` is gone when the department has left."""

    __tablename__ = "projects"
    project_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The project's name")
    sealed_key: Mapped[bytes | None] = mapped_column(
        LargeBinary, comment="The project's storage key, sealed with the node's; empty once the department left"
    )
    joined_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")
    left_at: Mapped[int | None] = mapped_column(
        BigInteger, comment="When the department left; no run is answered after"
    )


class GrantRow(Base):
    """A grant this node has verified."""

    __tablename__ = "grants"
    grant_hash: Mapped[str] = mapped_column(String(64), primary_key=True, comment="SHA-256 of the grant")
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"), comment="The grant's project")
    document: Mapped[bytes] = mapped_column(LargeBinary, comment="The signed grant, canonical JSON")
    first_seen_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")


class RunNumberRow(Base):
    """Which run holds a run number of a grant."""

    __tablename__ = "run_numbers"
    # A grant allows so many runs: a number is used by one run only, so that nobody starts more than were granted.
    __table_args__ = (UniqueConstraint("grant_hash", "run_number", name="uq_one_run_per_number"),)
    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The run")
    grant_hash: Mapped[str] = mapped_column(ForeignKey("grants.grant_hash"), comment="The run's grant")
    run_number: Mapped[int] = mapped_column(Integer, comment="1 … runs_allowed")


class RunKeyRow(Base):
    """The fresh keys that the node offered for one attempt of one run."""

    __tablename__ = "run_keys"
    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="The attempt, from 1")
    grant_hash: Mapped[str] = mapped_column(ForeignKey("grants.grant_hash"), comment="The run's grant")
    sealed: Mapped[bytes] = mapped_column(LargeBinary, comment="Private sealing and mask key, sealed")
    offer: Mapped[bytes] = mapped_column(LargeBinary, comment="The signed public offer, canonical JSON")
    created_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")


class StepRow(Base):
    """One step of one attempt: the request it answers and, once durable, the reply that is sent byte for byte ever after."""

    __tablename__ = "steps"
    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="The attempt, from 1")
    step: Mapped[str] = mapped_column(
        String(20), primary_key=True, comment="blind, evaluate, finish, release, train, combine"
    )
    grant_hash: Mapped[str] = mapped_column(ForeignKey("grants.grant_hash"), comment="The run's grant")
    request_digest: Mapped[bytes] = mapped_column(LargeBinary(32), comment="SHA-256 of the request's frame")
    reply: Mapped[bytes | None] = mapped_column(
        LargeBinary, comment="The signed reply; empty while the step is computed"
    )
    started_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")
    finished_at: Mapped[int | None] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")
    seconds_milli: Mapped[int | None] = mapped_column(Integer, comment="How long the computation took, milliseconds")


class SealedValueRow(Base):
    """A value that a later step of the same attempt, or the lead's officers, need. Sealed with the project's key."""

    __tablename__ = "sealed_values"
    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="The attempt, from 1")
    name: Mapped[str] = mapped_column(
        String(40), primary_key=True, comment="linkage, rows, pseudonyms, union, opening, model, results"
    )
    grant_hash: Mapped[str] = mapped_column(ForeignKey("grants.grant_hash"), comment="The run's grant")
    sealed: Mapped[bytes] = mapped_column(LargeBinary, comment="The value, sealed; bound to run, attempt and name")


class LinkageScalarRow(Base):
    """The node's share of the key of a grant's pseudonyms."""

    __tablename__ = "linkage_scalars"
    grant_hash: Mapped[str] = mapped_column(ForeignKey("grants.grant_hash"), primary_key=True, comment="The grant")
    sealed: Mapped[bytes] = mapped_column(LargeBinary, comment="The scalar, 32 bytes, sealed")


class EvaluationChargeRow(Base):
    """Points that this node evaluated, or may have evaluated, for an owner in one attempt; summed over the project."""

    __tablename__ = "evaluation_charges"
    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="The attempt, from 1")
    owner: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The department whose list it was")
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"), comment="The project the limit is for")
    points: Mapped[int] = mapped_column(BigInteger, comment="Points of the list")
    charged_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")


class LabelChargeRow(Base):
    """One charge of the lead's label budget: pure ε of randomised response, once per project, target and period."""

    __tablename__ = "label_charges"
    # One bit per (household, target, label period) and project: training again is free, so a second charge would be wrong.
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"), primary_key=True, comment="The project")
    target: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The outcome")
    period: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The label period")
    epsilon_milli: Mapped[int] = mapped_column(Integer, comment="Thousandths of ε per household")
    charged_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")


class EvidenceChargeRow(Base):
    """Evidence bits per person that one attempt of a run sent, or may have sent."""

    __tablename__ = "evidence_charges"
    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="The attempt, from 1")
    grant_hash: Mapped[str] = mapped_column(ForeignKey("grants.grant_hash"), comment="The run's grant")
    bits_per_person: Mapped[int] = mapped_column(Integer, comment="Bits about each person in this attempt")
    charged_at: Mapped[int] = mapped_column(
        BigInteger, comment="Seconds since 1970 UTC; the cap counts the last 365 days"
    )


class SumSetRow(Base):
    """The departments over which a sum was taken, per project, target and period."""

    __tablename__ = "sum_sets"
    # A second sum over another set would reveal the difference: the evidence of the department that is in one set only.
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"), primary_key=True, comment="The project")
    target: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The outcome")
    period: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The label period")
    departments: Mapped[str] = mapped_column(Text, comment="The supporting departments, sorted, separated by commas")


class SentRow(Base):
    """What left this node, to whom, how much and under which grant: the officer's account of it."""

    __tablename__ = "sent"
    __table_args__ = (Index("ix_sent_run", "run_id", "attempt"),)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True, comment="Order of sending")
    run_id: Mapped[str] = mapped_column(String(63), comment="The run")
    attempt: Mapped[int] = mapped_column(Integer, comment="The attempt, from 1")
    step: Mapped[str] = mapped_column(String(20), comment="The step that sent it")
    receiver: Mapped[str] = mapped_column(String(63), comment="A department, or `coordinator`")
    kind: Mapped[str] = mapped_column(String(40), comment="What it was, from a fixed list")
    items: Mapped[int] = mapped_column(BigInteger, comment="How many people, slots or keys it covers")
    size_bytes: Mapped[int] = mapped_column(BigInteger, comment="Bytes before Flower's framing")
    grant_hash: Mapped[str] = mapped_column(ForeignKey("grants.grant_hash"), comment="The grant that allowed it")
    sent_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")


class ReportRow(Base):
    """A report about a run that holds no value of a single person: disclosure meter, metrics, training."""

    __tablename__ = "reports"
    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="The attempt, from 1")
    kind: Mapped[str] = mapped_column(String(20), primary_key=True, comment="disclosure, metrics or training")
    document: Mapped[str] = mapped_column(Text, comment="JSON")


class EventRow(Base):
    """The node's journal: typed events, append-only, written in the transaction of the act."""

    __tablename__ = "events"
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True, comment="Order of the events")
    at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")
    type: Mapped[str] = mapped_column(String(40), comment="The event's type, from a fixed list")
    project_id: Mapped[str] = mapped_column(String(63), comment="The project, or empty")
    run_id: Mapped[str] = mapped_column(String(63), comment="The run, or empty")
    attempt: Mapped[int] = mapped_column(Integer, comment="The attempt, or 0")
    step: Mapped[str] = mapped_column(String(20), comment="The step, or empty")
    grant_hash: Mapped[str] = mapped_column(String(64), comment="The grant, or empty")
    code: Mapped[str] = mapped_column(String(80), comment="The refusal's code, or empty")
    counts: Mapped[str] = mapped_column(Text, comment="JSON object of named integers")
