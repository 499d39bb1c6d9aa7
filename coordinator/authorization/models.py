"""Tables of the decisions that the rules made, and of the versions of the rules themselves."""

from sqlalchemy import JSON, Boolean, CheckConstraint, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, RowNumber, UnixSeconds

_ACTIVE = text("state = 'active'")
_PROPOSED = text("state = 'proposed'")


class DecisionRow(Base):
    """One decision of the rules. Rows are only ever added: triggers refuse every change, as of events."""

    __tablename__ = "decisions"
    __table_args__ = (
        # Sequence numbers start at one; AUTOINCREMENT keeps a number from ever being given twice.
        CheckConstraint("sequence >= 1", name="sequence"),
        CheckConstraint("principal_kind IN ('account', 'node', 'device')", name="principal_kind"),
        # An account is a person of a party; nodes and the device are known by their party alone.
        CheckConstraint("(principal_kind = 'account') = (account IS NOT NULL)", name="account"),
        # Whatever could not be evaluated was denied.
        CheckConstraint("errors = 0 OR NOT allowed", name="errors"),
        # What people narrow the record by, newest first.
        Index("ix_decisions_allowed_sequence", "allowed", "sequence"),
        Index("ix_decisions_action_sequence", "action", "sequence"),
        Index("ix_decisions_account_sequence", "account", "sequence"),
        {"sqlite_autoincrement": True},
    )

    sequence: Mapped[int] = mapped_column(RowNumber, primary_key=True, comment="order of recording, never reused")
    at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    principal_kind: Mapped[str] = mapped_column(String(10), comment="account, node or device")
    party: Mapped[str] = mapped_column(String(63), comment="party that the principal acts for")
    # No reference to `accounts`: the record must take whatever was asked.
    account: Mapped[int | None] = mapped_column(Integer, comment="account of the person who acted, if one did")
    action: Mapped[str] = mapped_column(String(40), comment="what was to be done, noun.verb")
    resource_type: Mapped[str] = mapped_column(String(20), comment="an entity type of the rules' schema")
    resource_id: Mapped[str] = mapped_column(String(128), comment="number, name or hash of the resource")
    allowed: Mapped[bool] = mapped_column(Boolean, comment="the decision")
    rules: Mapped[list[str]] = mapped_column(
        JSON, comment="ids of the deciding rules, sorted; empty: none permitted it"
    )
    errors: Mapped[int] = mapped_column(Integer, comment="how much could not be evaluated; above 0 all is denied")
    policy_hash: Mapped[str] = mapped_column(String(64), comment="rules and schema that decided")


class PolicyVersionRow(Base):
    """A version of the rules that somebody proposed. The shipped rules are version 0 and have no row.

    Triggers let only the state and its times change: what was approved is what stands here.
    """

    __tablename__ = "policy_versions"
    __table_args__ = (
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("state IN ('proposed', 'active', 'replaced', 'refused', 'withdrawn')", name="state"),
        CheckConstraint("(state IN ('active', 'replaced')) = (activated_at IS NOT NULL)", name="activated"),
        CheckConstraint("(state IN ('proposed', 'active')) = (ended_at IS NULL)", name="ended"),
        # Two versions in force would be two answers.
        Index("uq_policy_versions_active", "state", unique=True, sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
        # Changes are addressed by their hash, so one text is proposed once at a time.
        Index(
            "uq_policy_versions_proposed",
            "policy_hash",
            unique=True,
            sqlite_where=_PROPOSED,
            postgresql_where=_PROPOSED,
        ),
        Index("ix_policy_versions_policy_hash", "policy_hash"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(RowNumber, primary_key=True, comment="order of proposing, never reused")
    policy_hash: Mapped[str] = mapped_column(String(64), comment="SHA-256 over rules and schema")
    base_hash: Mapped[str] = mapped_column(String(64), comment="rules in force when it was proposed: what it changes")
    rules: Mapped[str] = mapped_column(Text, comment="the whole text of the rules, Cedar")
    state: Mapped[str] = mapped_column(String(10), comment="proposed, active, replaced, refused or withdrawn")
    # Whoever is asked for reasons must be somebody.
    proposer: Mapped[int] = mapped_column(RowNumber, ForeignKey("accounts.number"), comment="who proposed it")
    proposed_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    activated_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="when the second approval came")
    ended_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="when it was replaced, refused or withdrawn")


class PolicyApprovalRow(Base):
    """One person's approval of a version. Rows are only ever added."""

    __tablename__ = "policy_approvals"

    # The primary key counts a person once, whatever the rules say.
    version: Mapped[int] = mapped_column(
        RowNumber,
        ForeignKey("policy_versions.number"),
        primary_key=True,
        autoincrement=False,
        comment="version that is approved",
    )
    account: Mapped[int] = mapped_column(
        RowNumber, ForeignKey("accounts.number"), primary_key=True, autoincrement=False, comment="who approves"
    )
    at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
