"""The journal goes to the audit ledger"""

import sqlalchemy as sa
from alembic import op

from crypto.errors import DoudiError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Events of an older program stay as they are: their numbers have no gaps, so they are sealed first, in their order.
    with op.batch_alter_table("events") as batch_op:
        batch_op.add_column(
            sa.Column("round", sa.Integer(), server_default="0", nullable=False, comment="The round of a line, or 0")
        )
        batch_op.add_column(
            sa.Column(
                "purpose",
                sa.String(length=63),
                server_default="",
                nullable=False,
                comment="The grant's purpose, or empty",
            )
        )
        batch_op.add_column(
            sa.Column(
                "assets",
                sa.Text(),
                server_default="[]",
                nullable=False,
                comment="JSON list of data assets, as owner/dataset",
            )
        )
        batch_op.add_column(
            sa.Column(
                "hashes",
                sa.Text(),
                server_default="{}",
                nullable=False,
                comment="JSON object of named SHA-256 values, in hexadecimal",
            )
        )
    op.create_index("ix_events_run", "events", ["run_id"])
    op.create_table(
        "ledger_alarms",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False, comment="Order of the alarms"),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="Seconds since 1970 UTC"),
        sa.Column("kind", sa.String(length=20), nullable=False, comment="fork, rollback, omission …"),
        sa.Column("evidence", sa.LargeBinary(), nullable=False, comment="The signed evidence, canonical JSON"),
        sa.Column(
            "acknowledged_at",
            sa.BigInteger(),
            nullable=True,
            comment="When an officer acknowledged it, in seconds since 1970 UTC; empty before",
        ),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "ledger_batches",
        sa.Column(
            "first_number",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Number of its first event in the journal",
        ),
        sa.Column("count", sa.Integer(), nullable=False, comment="How many events it seals, 1 to 500"),
        sa.Column(
            "signer", sa.String(length=64), nullable=False, comment="The identity key that signed it, in hexadecimal"
        ),
        sa.Column(
            "first_sequence",
            sa.Integer(),
            nullable=False,
            comment="Number of its first event under this key, from 1; the journal's, unless the key was replaced",
        ),
        sa.Column("batch_id", sa.String(length=32), nullable=False, comment="The batch, in hexadecimal"),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="The signed batch as it is sent"),
        sa.Column("sealed_at", sa.BigInteger(), nullable=False, comment="Seconds since 1970 UTC"),
        sa.Column(
            "first_index",
            sa.BigInteger(),
            nullable=True,
            comment="Where the log says its first entry is; empty until the coordinator acknowledged the batch",
        ),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True, comment="Seconds since 1970 UTC"),
        sa.Column(
            "included_size",
            sa.BigInteger(),
            nullable=True,
            comment="Size of the witnessed checkpoint in which this node found every entry; empty before",
        ),
        sa.Column(
            "witnessed_at",
            sa.BigInteger(),
            nullable=True,
            comment="Time of the cosignature that made that checkpoint's quorum, in seconds since 1970 UTC",
        ),
        sa.Column("alarm", sa.Integer(), nullable=True, comment="The alarm about its omission, or empty"),
        sa.ForeignKeyConstraint(["alarm"], ["ledger_alarms.number"]),
        sa.PrimaryKeyConstraint("first_number"),
        sa.UniqueConstraint("batch_id"),
        sa.UniqueConstraint("signer", "first_sequence", name="uq_batch_sequence"),
    )
    op.create_table(
        "ledger_terms",
        sa.Column(
            "number",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="The number that the centre gave them",
        ),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="The signed terms, canonical JSON"),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False, comment="Seconds since 1970 UTC"),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "witness_state",
        sa.Column("origin", sa.String(length=127), nullable=False, comment="The log's name"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="Entries in the log"),
        sa.Column("root", sa.String(length=64), nullable=False, comment="Root of the tree over them, in hexadecimal"),
        sa.Column(
            "note",
            sa.LargeBinary(),
            nullable=False,
            comment="The signed note; with the own cosignature once there is one",
        ),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False, comment="Seconds since 1970 UTC"),
        sa.Column(
            "cosigned_at",
            sa.BigInteger(),
            nullable=True,
            comment="Time of the own cosignature, in seconds since 1970 UTC; empty before",
        ),
        sa.PrimaryKeyConstraint("origin"),
    )


def downgrade() -> None:
    raise DoudiError(
        "db.no_way_back",
        "an older program would act without its intent in the audit ledger",
        "Keep the newer program.",
    )
