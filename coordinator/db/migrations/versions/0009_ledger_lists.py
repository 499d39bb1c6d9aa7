"""What narrows the lists of the ledger's headers, and finds a witness's last cosignature.

Both are derived from what stands in other tables: the marks are made by the log's writer in the background, also for batches that
were placed before (`coordinator/ledger/marks.py`), so nothing is protected against change.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Create the table of marks and the index of cosignatures by witness."""
    op.create_table(
        "ledger_marks",
        sa.Column("mark", sa.String(length=80), nullable=False, comment="what is held, for example type:run.created"),
        sa.Column(
            "first_index",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="index of the batch's first entry in the log",
        ),
        sa.CheckConstraint("first_index >= 0", name="ck_ledger_marks_first_index"),
        sa.PrimaryKeyConstraint("mark", "first_index", name="pk_ledger_marks"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_ledger_cosignatures_department", "ledger_cosignatures", ["department", "size"])


def downgrade() -> None:
    """Drop both; nothing is lost that is not made anew."""
    op.drop_index("ix_ledger_cosignatures_department", "ledger_cosignatures")
    op.drop_table("ledger_marks")
