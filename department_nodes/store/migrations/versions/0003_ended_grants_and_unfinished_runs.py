"""Ended grants, and the runs that are not finished"""

import sqlalchemy as sa
from alembic import op

from crypto.errors import DoudiError

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A grant of an older database that had ended is ended again at the next look: nothing of it is left to destroy then.
    op.create_table(
        "ended_grants",
        sa.Column("grant_hash", sa.String(length=64), nullable=False, comment="The grant"),
        sa.Column(
            "ended_at",
            sa.BigInteger(),
            nullable=False,
            comment="Its end or the earliest revocation, in seconds since 1970 UTC",
        ),
        sa.Column(
            "results_destroyed_at",
            sa.BigInteger(),
            nullable=True,
            comment="When the lead's results went, after the retention time of the strictest tier",
        ),
        sa.ForeignKeyConstraint(["grant_hash"], ["grants.grant_hash"]),
        sa.PrimaryKeyConstraint("grant_hash"),
    )
    # Runs that were unfinished when the node was upgraded are not counted: the limit holds from the next run on.
    op.create_table(
        "run_attempts",
        sa.Column("run_id", sa.String(length=63), nullable=False, comment="The run"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="The attempt, from 1"),
        sa.Column("grant_hash", sa.String(length=64), nullable=False, comment="The run's grant"),
        sa.Column("begun_at", sa.BigInteger(), nullable=False, comment="Seconds since 1970 UTC"),
        sa.Column(
            "last_step_at",
            sa.BigInteger(),
            nullable=False,
            comment="When a step of it was last asked or answered, in seconds since 1970 UTC",
        ),
        sa.Column(
            "expires_at", sa.BigInteger(), nullable=False, comment="The manifest's end, in seconds since 1970 UTC"
        ),
        sa.Column(
            "finished_at",
            sa.BigInteger(),
            nullable=True,
            comment="When this department answered its last step of it; empty before",
        ),
        sa.ForeignKeyConstraint(["grant_hash"], ["grants.grant_hash"]),
        sa.PrimaryKeyConstraint("run_id", "attempt"),
    )
    with op.batch_alter_table("events") as batch_op:
        batch_op.add_column(
            sa.Column(
                "party",
                sa.String(length=63),
                server_default="",
                nullable=False,
                comment="The party that the event is about, or empty",
            )
        )


def downgrade() -> None:
    raise DoudiError(
        "db.no_way_back",
        "an older program would keep results beyond their retention time",
        "Keep the newer program.",
    )
