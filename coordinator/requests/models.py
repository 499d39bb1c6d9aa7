"""Tables of the requests: what is asked, who is asked, what each person decided, and each change of state.

Decisions and transitions are only ever added (triggers, as for events). Reasons are text that people wrote for people; they
stay in these tables and go into no event and no log.
"""

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, RowNumber, UnixSeconds

STATES = "'drafted', 'submitted', 'granted', 'active', 'expired', 'revoked', 'exhausted', 'withdrawn', 'refused'"  # RequestState


class AccessRequestRow(Base):
    """A request for access. Its document is the grant that approvers sign, so what is signed is what was asked."""

    __tablename__ = "access_requests"
    __table_args__ = (
        CheckConstraint(f"state IN ({STATES})", name="state"),
        CheckConstraint("kind IN ('region', 'line')", name="kind"),
        CheckConstraint("number >= 1", name="number"),
        # Nobody decides on a request that nobody submitted.
        CheckConstraint(
            "(submitter IS NULL) = (submitted_at IS NULL) AND "
            "(submitter IS NOT NULL OR state IN ('drafted', 'withdrawn', 'expired'))",
            name="submitted",
        ),
        CheckConstraint("expires_at > not_before", name="times"),
        # Housekeeping and inboxes ask for states, newest first.
        Index("ix_access_requests_state_number", "state", "number"),
        Index("ix_access_requests_project_id_state", "project_id", "state"),
        # A number is never given twice, also after a mistake in the code deleted the newest row.
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(
        RowNumber, primary_key=True, comment="how people name the request, never reused"
    )
    # Unique: a changed document is another request, and no decision carries over.
    grant_hash: Mapped[str] = mapped_column(String(64), unique=True, comment="Grant.digest() of the document")
    grant_id: Mapped[str] = mapped_column(String(63), comment="the grant's own name in the document")
    kind: Mapped[str] = mapped_column(String(10), comment="region or line")
    project_id: Mapped[str] = mapped_column(String(63), ForeignKey("projects.project_id"), comment="project")
    purpose: Mapped[str] = mapped_column(String(63), comment="purpose in the document")
    lead: Mapped[str] = mapped_column(String(63), ForeignKey("parties.name"), comment="department that asks")
    state: Mapped[str] = mapped_column(String(10), comment="a RequestState")
    drafter: Mapped[str] = mapped_column(String(80), comment="Principal.id of who drafted it")
    submitter: Mapped[str | None] = mapped_column(String(80), comment="Principal.id of who submitted it")
    drafted_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    submitted_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="when it was submitted")
    changed_at: Mapped[int] = mapped_column(UnixSeconds, comment="last change of state")
    not_before: Mapped[int] = mapped_column(UnixSeconds, comment="first second of the grant in the document")
    expires_at: Mapped[int] = mapped_column(UnixSeconds, comment="end of the grant in the document")
    runs_allowed: Mapped[int] = mapped_column(Integer, comment="runs in the document")
    document: Mapped[bytes] = mapped_column(LargeBinary, comment="Grant or LineGrant, canonical JSON, unsigned")


class RequestPartyRow(Base):
    """A party whose people must sign: every department that the grant names, and the centre."""

    __tablename__ = "request_parties"
    __table_args__ = (
        CheckConstraint("role IN ('lead', 'supporting', 'centre')", name="role"),
        CheckConstraint("needed >= 1 AND gathered >= 0", name="counts"),
        # "What concerns this party", newest first.
        Index("ix_request_parties_party_number", "party", "number"),
    )

    number: Mapped[int] = mapped_column(
        RowNumber,
        ForeignKey("access_requests.number"),
        primary_key=True,
        autoincrement=False,
        comment="the request",
    )
    party: Mapped[str] = mapped_column(String(63), ForeignKey("parties.name"), primary_key=True, comment="the party")
    role: Mapped[str] = mapped_column(String(10), comment="lead, supporting or centre")
    needed: Mapped[int] = mapped_column(Integer, comment="people who must sign, by the strictest tier")
    # A count for lists; whether they suffice is verified from the grant's document.
    gathered: Mapped[int] = mapped_column(Integer, comment="people who have signed")


class RequestDecisionRow(Base):
    """What one person decided about a request. A signature is its person's approval."""

    __tablename__ = "request_decisions"
    __table_args__ = (
        CheckConstraint("decision IN ('approve', 'refuse')", name="decision"),
        CheckConstraint("way IN ('console', 'node', 'signature')", name="way"),
        # A signature is by a key, and only a signature is.
        CheckConstraint("(way = 'signature') = (signing_key IS NOT NULL)", name="signing_key"),
        CheckConstraint("(way = 'console') = (account IS NOT NULL)", name="account"),
    )

    number: Mapped[int] = mapped_column(
        RowNumber,
        ForeignKey("access_requests.number"),
        primary_key=True,
        autoincrement=False,
        comment="the request",
    )
    # The primary key is what lets a person decide once, also when two requests race.
    person: Mapped[str] = mapped_column(String(80), primary_key=True, comment="Principal.id, or key: and a signing key")
    party: Mapped[str] = mapped_column(String(63), ForeignKey("parties.name"), comment="for whom the person decided")
    decision: Mapped[str] = mapped_column(String(10), comment="approve or refuse")
    way: Mapped[str] = mapped_column(String(10), comment="console (an account), node (or device), or signature")
    account: Mapped[int | None] = mapped_column(Integer, comment="account number, if an account decided")
    signing_key: Mapped[str | None] = mapped_column(String(64), comment="public key of a signature, hex")
    reason: Mapped[str] = mapped_column(String(500), comment="in the person's words, or empty; never in an event")
    at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")


class RequestTransitionRow(Base):
    """One change of a request's state."""

    __tablename__ = "request_transitions"
    __table_args__ = (
        CheckConstraint(f"to_state IN ({STATES})", name="to_state"),
        # Only the first transition comes from nothing.
        CheckConstraint("(from_state IS NULL) = (to_state = 'drafted')", name="from_state"),
        Index("ix_request_transitions_number", "number"),
        {"sqlite_autoincrement": True},
    )

    sequence: Mapped[int] = mapped_column(RowNumber, primary_key=True, comment="order of recording, never reused")
    number: Mapped[int] = mapped_column(RowNumber, ForeignKey("access_requests.number"), comment="the request")
    from_state: Mapped[str | None] = mapped_column(String(10), comment="state before; null for the first")
    to_state: Mapped[str] = mapped_column(String(10), comment="state after")
    actor: Mapped[str] = mapped_column(String(80), comment="Principal.id, or coordinator for what time did")
    party: Mapped[str] = mapped_column(String(63), comment="the actor's party, or coordinator")
    account: Mapped[int | None] = mapped_column(Integer, comment="account number, if an account acted")
    code: Mapped[str] = mapped_column(String(80), comment="reason code, or empty")
    reason: Mapped[str] = mapped_column(String(500), comment="in the person's words, or empty; never in an event")
    at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
