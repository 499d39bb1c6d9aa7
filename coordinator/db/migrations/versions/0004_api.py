"""Idempotency keys, accounts in events, and the order in which runs are listed."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the table of keys, the index of runs, and to events the account; events of before have none."""
    # A column that may be empty is added in place: the rows and the triggers of the record stay as they are.
    op.add_column(
        "events",
        sa.Column("account", sa.Integer(), nullable=True, comment="account of the person who acted, if one did"),
    )
    op.create_index("ix_runs_created_at_run_id", "runs", ["created_at", "run_id"])
    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.String(length=80), nullable=False, comment="Principal.id: who sent the request"),
        sa.Column("key", sa.String(length=64), nullable=False, comment="the header's value"),
        sa.Column(
            "request_digest", sa.String(length=64), nullable=False, comment="SHA-256 of method, address and body"
        ),
        sa.Column("status", sa.Integer(), nullable=False, comment="HTTP status of the answer"),
        sa.Column("headers", sa.JSON(), nullable=False, comment="headers of the answer that the act gave it"),
        sa.Column("answer", sa.LargeBinary(), nullable=True, comment="body as it was sent; null if it held a secret"),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="when it was carried out, seconds since 1970 UTC"),
        sa.PrimaryKeyConstraint("principal", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_at", "idempotency_keys", ["at"])


def downgrade() -> None:
    """Drop the table, the index and the column."""
    op.drop_table("idempotency_keys")
    op.drop_index("ix_runs_created_at_run_id", "runs")
    op.drop_column("events", "account")
