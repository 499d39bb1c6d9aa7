"""Accounts of people: accounts, enrolment and recovery codes, sessions, API tokens, attempts to sign in.

The reason of each constraint stands at its column in `coordinator/accounts/models.py`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "accounts",
        sa.Column("number", _NUMBER, nullable=False, comment="how records name the account, never reused"),
        sa.Column(
            "login_name", sa.String(length=63), nullable=False, comment="what the person types, never in records"
        ),
        sa.Column("party", sa.String(length=63), nullable=False, comment="party that the person acts for"),
        sa.Column("roles", sa.JSON(), nullable=False, comment="names of roles, sorted"),
        sa.Column("state", sa.String(length=10), nullable=False, comment="invited, active or disabled"),
        sa.Column("password_hash", sa.String(length=200), nullable=True, comment="argon2id in its encoded form"),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=True, comment="TOTP secret, sealed with accounts.key"),
        sa.Column(
            "totp_last_step",
            sa.BigInteger(),
            nullable=True,
            comment="newest accepted time step, since a code counts once",
        ),
        sa.Column("failed_attempts", sa.BigInteger(), nullable=False, comment="failed ones since the last sign-in"),
        sa.Column(
            "failed_second_factors",
            sa.BigInteger(),
            nullable=False,
            comment="failed ones after a right password, since the last sign-in",
        ),
        sa.Column("locked_until", sa.BigInteger(), nullable=True, comment="no sign-in before, whatever is typed"),
        sa.Column(
            "oidc_issuer", sa.String(length=200), nullable=True, comment="identity provider that signs this account in"
        ),
        sa.Column(
            "oidc_subject", sa.String(length=255), nullable=True, comment="the person there, empty until first sign-in"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("changed_at", sa.BigInteger(), nullable=False, comment="last change of roles, state or factors"),
        sa.CheckConstraint("number >= 1", name="ck_accounts_number"),
        sa.CheckConstraint("state IN ('invited', 'active', 'disabled')", name="ck_accounts_state"),
        sa.CheckConstraint(
            "state <> 'active' OR oidc_subject IS NOT NULL OR (password_hash IS NOT NULL AND totp_sealed IS NOT NULL)",
            name="ck_accounts_active_has_factors",
        ),
        sa.CheckConstraint(
            "oidc_issuer IS NULL OR (password_hash IS NULL AND totp_sealed IS NULL)", name="ck_accounts_one_way_in"
        ),
        sa.CheckConstraint("oidc_subject IS NULL OR oidc_issuer IS NOT NULL", name="ck_accounts_subject_of_issuer"),
        sa.CheckConstraint("failed_attempts >= 0 AND failed_second_factors >= 0", name="ck_accounts_failed_attempts"),
        sa.ForeignKeyConstraint(["party"], ["parties.name"], name="fk_accounts_party"),
        sa.PrimaryKeyConstraint("number", name="pk_accounts"),
        sa.UniqueConstraint("login_name", name="uq_accounts_login_name"),
        sa.UniqueConstraint("oidc_issuer", "oidc_subject", name="uq_accounts_oidc_issuer_oidc_subject"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "enrolments",
        sa.Column("account", _NUMBER, autoincrement=False, nullable=False, comment="whose code"),
        sa.Column("code_hash", sa.String(length=64), nullable=False, comment="SHA-256 of the code, which is not kept"),
        sa.Column("purpose", sa.String(length=10), nullable=False, comment="enrol for a new account, or reset"),
        sa.Column("created_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, comment="the code is void from then on"),
        sa.CheckConstraint("purpose IN ('enrol', 'reset')", name="ck_enrolments_purpose"),
        sa.ForeignKeyConstraint(["account"], ["accounts.number"], name="fk_enrolments_account"),
        sa.PrimaryKeyConstraint("account", name="pk_enrolments"),
        sa.UniqueConstraint("code_hash", name="uq_enrolments_code_hash"),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("account", _NUMBER, autoincrement=False, nullable=False, comment="whose code"),
        sa.Column("code_hash", sa.String(length=64), nullable=False, comment="SHA-256 of the code, which is not kept"),
        sa.ForeignKeyConstraint(["account"], ["accounts.number"], name="fk_recovery_codes_account"),
        sa.PrimaryKeyConstraint("account", "code_hash", name="pk_recovery_codes"),
    )
    _create_sessions()
    _create_api_tokens()
    op.create_table(
        "sign_in_attempts",
        sa.Column("kind", sa.String(length=10), nullable=False, comment="name or address"),
        sa.Column(
            "subject_hash", sa.String(length=64), nullable=False, comment="HMAC of name or address under accounts.key"
        ),
        sa.Column("window_at", sa.BigInteger(), nullable=False, comment="start of the window"),
        sa.Column(
            "attempts", sa.BigInteger(), nullable=False, comment="attempts in the window that have not succeeded"
        ),
        sa.CheckConstraint("kind IN ('name', 'address')", name="ck_sign_in_attempts_kind"),
        sa.CheckConstraint("attempts >= 0", name="ck_sign_in_attempts_attempts"),
        sa.PrimaryKeyConstraint("kind", "subject_hash", name="pk_sign_in_attempts"),
    )
    op.create_index("ix_sign_in_attempts_window_at", "sign_in_attempts", ["window_at"], unique=False)


def downgrade() -> None:
    """Drop the tables. Nobody can sign in afterwards."""
    for table in ("sign_in_attempts", "api_tokens", "sessions", "recovery_codes", "enrolments", "accounts"):
        op.drop_table(table)


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("number", _NUMBER, nullable=False, comment="never reused"),
        sa.Column("token_hash", sa.String(length=64), nullable=False, comment="SHA-256 of the cookie's token"),
        sa.Column("previous_hash", sa.String(length=64), nullable=True, comment="the token before the last change"),
        sa.Column("previous_until", sa.BigInteger(), nullable=True, comment="the token before counts until then"),
        sa.Column("account", _NUMBER, nullable=False, comment="who is signed in"),
        sa.Column("two_factor", sa.Boolean(), nullable=False, comment="false while the second factor is awaited"),
        sa.Column("language", sa.String(length=8), nullable=False, comment="language of pages"),
        sa.Column("created_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("rotated_at", sa.BigInteger(), nullable=False, comment="when the present token was made"),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False, comment="last request, to the minute"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, comment="the end, however busy"),
        sa.CheckConstraint("(previous_hash IS NULL) = (previous_until IS NULL)", name="ck_sessions_previous"),
        sa.ForeignKeyConstraint(["account"], ["accounts.number"], name="fk_sessions_account"),
        sa.PrimaryKeyConstraint("number", name="pk_sessions"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
        sa.UniqueConstraint("previous_hash", name="uq_sessions_previous_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sessions_account", "sessions", ["account"], unique=False)
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"], unique=False)


def _create_api_tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("number", _NUMBER, nullable=False, comment="how its owner names it, never reused"),
        sa.Column(
            "token_hash", sa.String(length=64), nullable=False, comment="SHA-256 of the token, which is not kept"
        ),
        sa.Column("account", _NUMBER, nullable=False, comment="whose token"),
        sa.Column("label", sa.String(length=63), nullable=False, comment="what its owner calls it"),
        sa.Column("scopes", sa.String(length=20), nullable=False, comment="read, or read write"),
        sa.Column("two_factor", sa.Boolean(), nullable=False, comment="whether its maker had shown a second factor"),
        sa.Column("created_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, comment="void from then on"),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True, comment="void since then"),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True, comment="last use, to the minute"),
        sa.CheckConstraint("scopes IN ('read', 'read write')", name="ck_api_tokens_scopes"),
        sa.CheckConstraint("expires_at > created_at", name="ck_api_tokens_expires"),
        sa.ForeignKeyConstraint(["account"], ["accounts.number"], name="fk_api_tokens_account"),
        sa.PrimaryKeyConstraint("number", name="pk_api_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_tokens_account", "api_tokens", ["account"], unique=False)
