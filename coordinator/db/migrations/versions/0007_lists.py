"""Indices for the lists that people narrow: events and decisions by kind, actor and person, runs by state.

Each ends with the columns of its list's order, so that a page costs the same however rare what it looks for is.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_INDICES = {
    "ix_events_type_sequence": ("events", ["type", "sequence"]),
    "ix_events_actor_sequence": ("events", ["actor", "sequence"]),
    "ix_events_account_sequence": ("events", ["account", "sequence"]),
    "ix_decisions_allowed_sequence": ("decisions", ["allowed", "sequence"]),
    "ix_decisions_action_sequence": ("decisions", ["action", "sequence"]),
    "ix_decisions_account_sequence": ("decisions", ["account", "sequence"]),
    "ix_runs_state_created_at_run_id": ("runs", ["state", "created_at", "run_id"]),
}


def upgrade() -> None:
    """Add the indices."""
    for name, (table, columns) in _INDICES.items():
        op.create_index(name, table, columns)


def downgrade() -> None:
    """Drop the indices."""
    for name, (table, _columns) in _INDICES.items():
        op.drop_index(name, table)
