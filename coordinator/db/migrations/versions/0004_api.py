"""Idempotency keys and accounts in events."""

from collections.abc import Sequence

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Index the order in which runs are listed."""
    op.create_index("ix_runs_created_at_run_id", "runs", ["created_at", "run_id"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_runs_created_at_run_id", "runs")
