"""Tables of the accounts and of what proves that somebody is one of them.

Nothing in these tables signs anybody in: passwords are argon2id hashes, codes and tokens are hashes, the secret of the second
factor is sealed with a key that does not lie in the database (`keys.py`).
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.db.base import Base, RowNumber, UnixSeconds


class AccountRow(Base):
    """A person, who is known here by a number and a login name only."""

    __tablename__ = "accounts"
    __table_args__ = (
        # Records name accounts by number; AUTOINCREMENT keeps a number from ever meaning two people.
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("state IN ('invited', 'active', 'disabled')", name="state"),
        # Who can act has shown two factors: a password with a TOTP secret here, or those of the identity provider.
        CheckConstraint(
            "state <> 'active' OR oidc_subject IS NOT NULL OR (password_hash IS NOT NULL AND totp_sealed IS NOT NULL)",
            name="active_has_factors",
        ),
        # One way in for each account: whoever ends it at the identity provider must not leave a password behind.
        CheckConstraint("oidc_issuer IS NULL OR (password_hash IS NULL AND totp_sealed IS NULL)", name="one_way_in"),
        CheckConstraint("oidc_subject IS NULL OR oidc_issuer IS NOT NULL", name="subject_of_issuer"),
        CheckConstraint("failed_attempts >= 0 AND failed_second_factors >= 0", name="failed_attempts"),
        # One identity at the provider is one account.
        UniqueConstraint("oidc_issuer", "oidc_subject"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(
        RowNumber, primary_key=True, comment="how records name the account, never reused"
    )
    login_name: Mapped[str] = mapped_column(String(63), unique=True, comment="what the person types, never in records")
    # Deciding for a party needs a party that exists.
    party: Mapped[str] = mapped_column(String(63), ForeignKey("parties.name"), comment="party that the person acts for")
    roles: Mapped[list[str]] = mapped_column(JSON, comment="names of roles, sorted")
    state: Mapped[str] = mapped_column(String(10), comment="invited, active or disabled")
    password_hash: Mapped[str | None] = mapped_column(String(200), comment="argon2id in its encoded form")
    totp_sealed: Mapped[bytes | None] = mapped_column(LargeBinary, comment="TOTP secret, sealed with accounts.key")
    totp_last_step: Mapped[int | None] = mapped_column(
        BigInteger, comment="newest accepted time step, since a code counts once"
    )
    failed_attempts: Mapped[int] = mapped_column(BigInteger, default=0, comment="failed ones since the last sign-in")
    failed_second_factors: Mapped[int] = mapped_column(
        BigInteger, default=0, comment="failed ones after a right password, since the last sign-in"
    )
    locked_until: Mapped[int | None] = mapped_column(UnixSeconds, comment="no sign-in before, whatever is typed")
    oidc_issuer: Mapped[str | None] = mapped_column(String(200), comment="identity provider that signs this account in")
    oidc_subject: Mapped[str | None] = mapped_column(String(255), comment="the person there, empty until first sign-in")
    created_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    changed_at: Mapped[int] = mapped_column(UnixSeconds, comment="last change of roles, state or factors")


class EnrolmentRow(Base):
    """The open one-time code with which a person sets password and second factor."""

    __tablename__ = "enrolments"
    __table_args__ = (CheckConstraint("purpose IN ('enrol', 'reset')", name="purpose"),)

    # The primary key leaves one open code for each account: a new one makes the old one void.
    account: Mapped[int] = mapped_column(
        RowNumber, ForeignKey("accounts.number"), primary_key=True, autoincrement=False, comment="whose code"
    )
    code_hash: Mapped[str] = mapped_column(String(64), unique=True, comment="SHA-256 of the code, which is not kept")
    purpose: Mapped[str] = mapped_column(String(10), comment="enrol for a new account, or reset")
    created_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    expires_at: Mapped[int] = mapped_column(UnixSeconds, comment="the code is void from then on")


class RecoveryCodeRow(Base):
    """A code that stands for the second factor once. Used codes are deleted."""

    __tablename__ = "recovery_codes"

    account: Mapped[int] = mapped_column(
        RowNumber, ForeignKey("accounts.number"), primary_key=True, autoincrement=False, comment="whose code"
    )
    code_hash: Mapped[str] = mapped_column(
        String(64), primary_key=True, comment="SHA-256 of the code, which is not kept"
    )


class SessionRow(Base):
    """A browser in which somebody is signed in, or has given the password and not yet the second factor."""

    __tablename__ = "sessions"
    __table_args__ = (
        # A replaced token lives on for seconds only, and never without an end.
        CheckConstraint("(previous_hash IS NULL) = (previous_until IS NULL)", name="previous"),
        # Changing roles or disabling ends every session of the account.
        Index("ix_sessions_account", "account"),
        Index("ix_sessions_expires_at", "expires_at"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(RowNumber, primary_key=True, comment="never reused")
    # Unique: a token that found two sessions would be two people.
    token_hash: Mapped[str] = mapped_column(String(64), unique=True, comment="SHA-256 of the cookie's token")
    previous_hash: Mapped[str | None] = mapped_column(
        String(64), unique=True, comment="the token before the last change"
    )
    previous_until: Mapped[int | None] = mapped_column(UnixSeconds, comment="the token before counts until then")
    account: Mapped[int] = mapped_column(RowNumber, ForeignKey("accounts.number"), comment="who is signed in")
    two_factor: Mapped[bool] = mapped_column(Boolean, comment="false while the second factor is awaited")
    language: Mapped[str] = mapped_column(String(8), comment="language of pages")
    created_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    rotated_at: Mapped[int] = mapped_column(UnixSeconds, comment="when the present token was made")
    last_seen_at: Mapped[int] = mapped_column(UnixSeconds, comment="last request, to the minute")
    expires_at: Mapped[int] = mapped_column(UnixSeconds, comment="the end, however busy")


class ApiTokenRow(Base):
    """A token with which a program acts for a person, within scopes and for a limited time."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        # Writing without reading would be a surprise, so there are two sets of scopes and no third.
        CheckConstraint("scopes IN ('read', 'read write')", name="scopes"),
        CheckConstraint("expires_at > created_at", name="expires"),
        Index("ix_api_tokens_account", "account"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(RowNumber, primary_key=True, comment="how its owner names it, never reused")
    token_hash: Mapped[str] = mapped_column(String(64), unique=True, comment="SHA-256 of the token, which is not kept")
    account: Mapped[int] = mapped_column(RowNumber, ForeignKey("accounts.number"), comment="whose token")
    label: Mapped[str] = mapped_column(String(63), comment="what its owner calls it")
    scopes: Mapped[str] = mapped_column(String(20), comment="read, or read write")
    two_factor: Mapped[bool] = mapped_column(Boolean, comment="whether its maker had shown a second factor")
    created_at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    expires_at: Mapped[int] = mapped_column(UnixSeconds, comment="void from then on")
    revoked_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="void since then")
    last_used_at: Mapped[int | None] = mapped_column(UnixSeconds, comment="last use, to the minute")


class SignInAttemptRow(Base):
    """How often something was tried in the present window, by login name and by network address."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = (
        CheckConstraint("kind IN ('name', 'address')", name="kind"),
        CheckConstraint("attempts >= 0", name="attempts"),
        Index("ix_sign_in_attempts_window_at", "window_at"),
    )

    kind: Mapped[str] = mapped_column(String(10), primary_key=True, comment="name or address")
    # A plain hash of an address could be looked up in a table of all addresses; this one needs the installation's key.
    subject_hash: Mapped[str] = mapped_column(
        String(64), primary_key=True, comment="HMAC of name or address under accounts.key"
    )
    window_at: Mapped[int] = mapped_column(UnixSeconds, comment="start of the window")
    attempts: Mapped[int] = mapped_column(BigInteger, comment="attempts in the window that have not succeeded")
