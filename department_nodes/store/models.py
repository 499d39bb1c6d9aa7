"""Tables of the node's database. Values about people are sealed (column `sealed`) with the project's own key."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from department_nodes.store.base import Base as Base

# One place to import every table from, and to have all of them in the metadata.
from department_nodes.store.ledger_models import EventRow as EventRow
from department_nodes.store.ledger_models import LedgerAlarmRow as LedgerAlarmRow
from department_nodes.store.ledger_models import LedgerBatchRow as LedgerBatchRow
from department_nodes.store.ledger_models import LedgerTermsRow as LedgerTermsRow
from department_nodes.store.ledger_models import WitnessStateRow as WitnessStateRow


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


class EndedGrantRow(Base):
    """A grant that this node has ended: expired, or revoked by a party. What was derived under it has been destroyed."""

    __tablename__ = "ended_grants"
    grant_hash: Mapped[str] = mapped_column(ForeignKey("grants.grant_hash"), primary_key=True, comment="The grant")
    ended_at: Mapped[int] = mapped_column(
        BigInteger, comment="Its end or the earliest revocation, in seconds since 1970 UTC"
    )
    results_destroyed_at: Mapped[int | None] = mapped_column(
        BigInteger, comment="When the lead's results went, after the retention time of the strictest tier"
    )


class RunAttemptRow(Base):
    """An attempt of a run that this node has begun: what it counts its unfinished runs by."""

    __tablename__ = "run_attempts"
    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="The attempt, from 1")
    grant_hash: Mapped[str] = mapped_column(ForeignKey("grants.grant_hash"), comment="The run's grant")
    begun_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")
    last_step_at: Mapped[int] = mapped_column(
        BigInteger, comment="When a step of it was last asked or answered, in seconds since 1970 UTC"
    )
    expires_at: Mapped[int] = mapped_column(BigInteger, comment="The manifest's end, in seconds since 1970 UTC")
    finished_at: Mapped[int | None] = mapped_column(
        BigInteger, comment="When this department answered its last step of it; empty before"
    )


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
    round: Mapped[int] = mapped_column(
        Integer,
        primary_key=True,
        default=0,
        server_default="0",
        comment="The round of a line, from 1; 0 for a step of the main job",
    )
    step: Mapped[str] = mapped_column(
        String(20),
        primary_key=True,
        comment="blind, evaluate, finish, release, train, combine; "
        "line_keys, line_shares, line_update, line_consent, line_unmask, line_model",
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


class LineModelRow(Base):
    """The final model of a line: a sum over regions, differentially private, so that it is stored as it is."""

    __tablename__ = "line_models"
    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The run that made it")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="The attempt, from 1")
    digest: Mapped[str] = mapped_column(String(64), comment="SHA-256 of the model's bytes")
    grant_hash: Mapped[str] = mapped_column(ForeignKey("grants.grant_hash"), comment="The line's grant")
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"), comment="The line's project")
    dataset: Mapped[str] = mapped_column(String(63), comment="The dataset it was trained on")
    standard_version: Mapped[int] = mapped_column(Integer, comment="Version of the dataset's standard, from 1")
    target: Mapped[str] = mapped_column(String(63), comment="The outcome it predicts")
    document: Mapped[bytes] = mapped_column(LargeBinary, comment="The model's bytes")
    adopted_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")


class PrivacyAssetRow(Base):
    """The lock of one data asset's privacy budget: whoever changes the asset's account holds this row."""

    __tablename__ = "privacy_assets"
    asset: Mapped[str] = mapped_column(String(80), primary_key=True, comment="The dataset, such as tax")
    changes: Mapped[int] = mapped_column(Integer, comment="Changes of the asset's account so far")


class PrivacyReservationRow(Base):
    """What an attempt of a line may spend of an asset's privacy at most: one mechanism and a number of rounds."""

    __tablename__ = "privacy_reservations"
    __table_args__ = (
        # The accountant composes these two only; a row of another kind would be left out of every sum.
        CheckConstraint("mechanism IN ('gaussian', 'discrete_gaussian')", name="ck_known_mechanism"),
        # Charges of another privacy unit than a person cannot be composed with these.
        CheckConstraint("unit IN ('person')", name="ck_unit_is_a_person"),
        # Any other state would count neither as outstanding nor as released.
        CheckConstraint("state IN ('reserved', 'settled')", name="ck_reserved_or_settled"),
        # A mechanism without noise, steps or rounds would cost nothing, or all.
        CheckConstraint("sigma_milli > 0 AND steps_per_round > 0 AND rounds > 0", name="ck_costs_something"),
        CheckConstraint("sample_rate_ppm > 0 AND sample_rate_ppm <= 1000000", name="ck_rate_is_a_share"),
        # A discrete mechanism is composed by its rho alone: without one it would be free.
        CheckConstraint("(mechanism = 'discrete_gaussian') = (rho_billionths > 0)", name="ck_discrete_has_rho"),
    )
    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="The attempt, from 1")
    asset: Mapped[str] = mapped_column(
        ForeignKey("privacy_assets.asset"), comment="The data asset whose budget it is, such as tax"
    )
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"), comment="The line's project")
    grant_hash: Mapped[str] = mapped_column(ForeignKey("grants.grant_hash"), comment="The line's grant")
    mechanism: Mapped[str] = mapped_column(String(20), comment="gaussian or discrete_gaussian")
    sigma_milli: Mapped[int] = mapped_column(Integer, comment="Noise multiplier, in thousandths")
    sample_rate_ppm: Mapped[int] = mapped_column(Integer, comment="Poisson sampling rate, in millionths")
    steps_per_round: Mapped[int] = mapped_column(Integer, comment="Noised steps in each round")
    rho_billionths: Mapped[int] = mapped_column(
        BigInteger, comment="discrete_gaussian: zCDP of one round, in billionths, rounded up; otherwise 0"
    )
    delta_exponent: Mapped[int] = mapped_column(Integer, comment="The plan was accepted at delta = 10^-this")
    unit: Mapped[str] = mapped_column(String(20), comment="The privacy unit: person")
    rounds: Mapped[int] = mapped_column(Integer, comment="Rounds that may be charged")
    state: Mapped[str] = mapped_column(String(20), comment="reserved, or settled: what was not charged is released")
    reserved_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")
    expires_at: Mapped[int] = mapped_column(
        BigInteger, comment="The manifest's end; nothing is charged after it and the rest is released"
    )
    settled_at: Mapped[int | None] = mapped_column(BigInteger, comment="Seconds since 1970 UTC; empty while reserved")


class PrivacyChargeRow(Base):
    """One round of a line that this node trained, or may have trained. Never deleted and never refunded."""

    __tablename__ = "privacy_charges"
    # A charge without its reservation would have no mechanism, and could not be composed.
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "attempt"],
            ["privacy_reservations.run_id", "privacy_reservations.attempt"],
            name="fk_charge_is_reserved",
        ),
    )
    run_id: Mapped[str] = mapped_column(String(63), primary_key=True, comment="The run")
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, comment="The attempt, from 1")
    round: Mapped[int] = mapped_column(Integer, primary_key=True, comment="The round, from 1")
    charged_at: Mapped[int] = mapped_column(BigInteger, comment="Seconds since 1970 UTC")


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
    round: Mapped[int] = mapped_column(
        Integer, default=0, server_default="0", comment="The round of a line, from 1; 0 for a step of the main job"
    )
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
