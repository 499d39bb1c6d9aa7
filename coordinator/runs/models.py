"""Tables of the runs: state, keys, steps and results. None of them has a column for what a message contains."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, UnixSeconds


class RunRow(Base):
    """One run of a grant; a restart is a new attempt of the same run."""

    __tablename__ = "runs"
    __table_args__ = (
        # The grant counts runs by this number, so two runs must never share one.
        UniqueConstraint("grant_hash", "run_number"),
        CheckConstraint(
            "state IN ('gathering_keys', 'scheduled', 'running', 'finished', 'failed', 'stopped')", name="state"
        ),
        CheckConstraint("mode IN ('evidence', 'sum_only', 'both', 'line')", name="mode"),
        CheckConstraint("attempt >= 1 AND run_number >= 1", name="numbers"),
        # Nothing runs without the scheduler's signature, whatever a mistake in the code does.
        CheckConstraint(
            "state NOT IN ('scheduled', 'running', 'finished') OR manifest IS NOT NULL", name="scheduled_by_manifest"
        ),
        Index("ix_runs_state", "state"),
        # The order in which runs are listed, page after page.
        Index("ix_runs_created_at_run_id", "created_at", "run_id"),
        Index("ix_runs_state_created_at_run_id", "state", "created_at", "run_id"),
    )

    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="derived from grant and run number")
    project_id: Mapped[str] = mapped_column(String(63), ForeignKey("projects.project_id"), comment="project")
    grant_hash: Mapped[str] = mapped_column(String(64), ForeignKey("grants.grant_hash"), comment="grant")
    run_number: Mapped[int] = mapped_column(Integer, comment="1 for the grant's first run")
    mode: Mapped[str] = mapped_column(String(10), comment="evidence, sum_only, both or line")
    attempt: Mapped[int] = mapped_column(Integer, comment="1, and one more after each restart")
    state: Mapped[str] = mapped_column(String(20), comment="a RunState")
    reason_code: Mapped[str] = mapped_column(String(80), comment="why it failed or was stopped, or empty")
    # Flower's numbers are unsigned 64-bit integers, which no SQL integer holds.
    flower_run_id: Mapped[str | None] = mapped_column(String(20), comment="decimal number of the Flower run")
    created_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    attempt_at: Mapped[int] = mapped_column(UnixSeconds, comment="when this attempt began to gather keys")
    # Null for what was scheduled before there was a queue: such a run has waited longest.
    scheduled_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="when this attempt's manifest came")
    started_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="when this attempt's first step began")
    finished_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="when this attempt ended")
    manifest: Mapped[bytes | None] = mapped_column(LargeBinary, comment="SignedManifest of this attempt")
    stop_requested: Mapped[bool] = mapped_column(Boolean, comment="somebody entitled asked for a stop")


class KeyOfferRow(Base):
    """A department's fresh public keys for one attempt."""

    __tablename__ = "key_offers"

    # One offer per department and attempt: a second one with other keys would let a node be two nodes.
    run_id: Mapped[str] = mapped_column(String(63), ForeignKey("runs.run_id"), primary_key=True, comment="run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="attempt")
    department: Mapped[str] = mapped_column(
        String(63), ForeignKey("parties.name"), primary_key=True, comment="department"
    )
    document: Mapped[bytes] = mapped_column(LargeBinary, comment="KeyOffer, canonical JSON")


class RunStepRow(Base):
    """Where one department stands in one step of one round: state, code and sizes, never contents."""

    __tablename__ = "run_steps"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'sent', 'answered', 'refused', 'lost')", name="state"),
        CheckConstraint("round >= 0", name="round"),
    )

    run_id: Mapped[str] = mapped_column(String(63), ForeignKey("runs.run_id"), primary_key=True, comment="run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="attempt")
    round: Mapped[int] = mapped_column(Integer, primary_key=True, comment="round of a line from 1; 0 in the main job")
    step: Mapped[str] = mapped_column(String(20), primary_key=True, comment="a Step of the contracts")
    department: Mapped[str] = mapped_column(
        String(63), ForeignKey("parties.name"), primary_key=True, comment="department"
    )
    state: Mapped[str] = mapped_column(String(10), comment="waiting, sent, answered, refused or lost")
    code: Mapped[str] = mapped_column(String(80), comment="the node's refusal code, or empty")
    request_bytes: Mapped[int | None] = mapped_column(BigInteger, comment="size of the request")
    reply_bytes: Mapped[int | None] = mapped_column(BigInteger, comment="size of the reply")
    started_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="when the request was sent")
    finished_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="when it was answered, refused or lost")


class RunResultRow(Base):
    """The lead's metrics for the coordinator: the node keeps the minimum cell before they leave it."""

    __tablename__ = "run_results"

    run_id: Mapped[str] = mapped_column(String(63), ForeignKey("runs.run_id"), primary_key=True, comment="run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="attempt")
    metrics: Mapped[str] = mapped_column(Text, comment="JSON object of metrics, 256 KiB at most")
