"""Lines: runs may have the mode `line`, and steps a round.

SQLite changes no constraint of a table that exists, and drops no table that others refer to. So the four tables are made anew
and their rows copied, children last; PostgreSQL goes the same way, so that one path is tested. All in one transaction.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Parents first. Rows are copied by column names; what 0001 did not know is added with a value.
_COLUMNS = {
    "runs": (
        "run_id, project_id, grant_hash, run_number, mode, attempt, state, reason_code, flower_run_id, created_at, "
        "attempt_at, started_at, finished_at, manifest, stop_requested"
    ),
    "key_offers": "run_id, attempt, department, document",
    "run_results": "run_id, attempt, metrics",
    "run_steps": "run_id, attempt, step, department, state, code, request_bytes, reply_bytes, started_at, finished_at",
}


def upgrade() -> None:
    """Make the tables anew with mode `line` and the round of each step; rows of earlier runs are of round 0."""
    _set_aside()
    _create_runs("mode IN ('evidence', 'sum_only', 'both', 'line')", "evidence, sum_only, both or line")
    _create_children(with_round=True)
    for table, columns in _COLUMNS.items():
        extra = (", round", ", 0") if table == "run_steps" else ("", "")
        op.execute(f"INSERT INTO {table} ({columns}{extra[0]}) SELECT {columns}{extra[1]} FROM {table}_0")  # noqa: S608
    _drop_aside()


def downgrade() -> None:
    """Make the tables as they were. Runs of lines are lost: the former program has no word for them."""
    _set_aside()
    _create_runs("mode IN ('evidence', 'sum_only', 'both')", "evidence, sum_only or both")
    _create_children(with_round=False)
    for table, columns in _COLUMNS.items():
        kept = "run_id IN (SELECT run_id FROM runs_0 WHERE mode <> 'line')"
        op.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}_0 WHERE {kept}")  # noqa: S608
    _drop_aside()


def _set_aside() -> None:
    for table in _COLUMNS:
        op.execute(f"CREATE TABLE {table}_0 AS SELECT * FROM {table}")  # noqa: S608 - fixed names
    for table in reversed(_COLUMNS):
        op.drop_table(table)


def _drop_aside() -> None:
    for table in _COLUMNS:
        op.drop_table(f"{table}_0")


def _create_runs(modes: str, mode_comment: str) -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(length=63), nullable=False, comment="derived from grant and run number"),
        sa.Column("project_id", sa.String(length=63), nullable=False, comment="project"),
        sa.Column("grant_hash", sa.String(length=64), nullable=False, comment="grant"),
        sa.Column("run_number", sa.Integer(), nullable=False, comment="1 for the grant's first run"),
        sa.Column("mode", sa.String(length=10), nullable=False, comment=mode_comment),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="1, and one more after each restart"),
        sa.Column("state", sa.String(length=20), nullable=False, comment="a RunState"),
        sa.Column(
            "reason_code", sa.String(length=80), nullable=False, comment="why it failed or was stopped, or empty"
        ),
        sa.Column("flower_run_id", sa.String(length=20), nullable=True, comment="decimal number of the Flower run"),
        sa.Column("created_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("attempt_at", sa.BigInteger(), nullable=False, comment="when this attempt began to gather keys"),
        sa.Column("started_at", sa.BigInteger(), nullable=True, comment="when this attempt's first step began"),
        sa.Column("finished_at", sa.BigInteger(), nullable=True, comment="when this attempt ended"),
        sa.Column("manifest", sa.LargeBinary(), nullable=True, comment="SignedManifest of this attempt"),
        sa.Column("stop_requested", sa.Boolean(), nullable=False, comment="somebody entitled asked for a stop"),
        sa.CheckConstraint(modes, name="ck_runs_mode"),
        sa.CheckConstraint(
            "state IN ('gathering_keys', 'scheduled', 'running', 'finished', 'failed', 'stopped')", name="ck_runs_state"
        ),
        sa.CheckConstraint(
            "state NOT IN ('scheduled', 'running', 'finished') OR manifest IS NOT NULL",
            name="ck_runs_scheduled_by_manifest",
        ),
        sa.CheckConstraint("attempt >= 1 AND run_number >= 1", name="ck_runs_numbers"),
        sa.ForeignKeyConstraint(["grant_hash"], ["grants.grant_hash"], name="fk_runs_grant_hash"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.project_id"], name="fk_runs_project_id"),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
        sa.UniqueConstraint("grant_hash", "run_number", name="uq_runs_grant_hash_run_number"),
    )
    op.create_index("ix_runs_state", "runs", ["state"], unique=False)


def _create_children(with_round: bool) -> None:
    op.create_table(
        "key_offers",
        sa.Column("run_id", sa.String(length=63), nullable=False, comment="run"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="attempt"),
        sa.Column("department", sa.String(length=63), nullable=False, comment="department"),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="KeyOffer, canonical JSON"),
        sa.ForeignKeyConstraint(["department"], ["parties.name"], name="fk_key_offers_department"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_key_offers_run_id"),
        sa.PrimaryKeyConstraint("run_id", "attempt", "department", name="pk_key_offers"),
    )
    op.create_table(
        "run_results",
        sa.Column("run_id", sa.String(length=63), nullable=False, comment="run"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="attempt"),
        sa.Column("metrics", sa.Text(), nullable=False, comment="JSON object of metrics, 256 KiB at most"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_run_results_run_id"),
        sa.PrimaryKeyConstraint("run_id", "attempt", name="pk_run_results"),
    )
    rounds: list[sa.Column[int]] = []
    checks: list[sa.CheckConstraint] = []
    key = ["run_id", "attempt", "step", "department"]
    if with_round:
        comment = "round of a line from 1; 0 in the main job"
        rounds.append(sa.Column("round", sa.Integer(), nullable=False, comment=comment))
        checks.append(sa.CheckConstraint("round >= 0", name="ck_run_steps_round"))
        key.insert(2, "round")
    op.create_table(
        "run_steps",
        sa.Column("run_id", sa.String(length=63), nullable=False, comment="run"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="attempt"),
        *rounds,
        sa.Column("step", sa.String(length=20), nullable=False, comment="a Step of the contracts"),
        sa.Column("department", sa.String(length=63), nullable=False, comment="department"),
        sa.Column("state", sa.String(length=10), nullable=False, comment="waiting, sent, answered, refused or lost"),
        sa.Column("code", sa.String(length=80), nullable=False, comment="the node's refusal code, or empty"),
        sa.Column("request_bytes", sa.BigInteger(), nullable=True, comment="size of the request"),
        sa.Column("reply_bytes", sa.BigInteger(), nullable=True, comment="size of the reply"),
        sa.Column("started_at", sa.BigInteger(), nullable=True, comment="when the request was sent"),
        sa.Column("finished_at", sa.BigInteger(), nullable=True, comment="when it was answered, refused or lost"),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'answered', 'refused', 'lost')", name="ck_run_steps_state"),
        sa.ForeignKeyConstraint(["department"], ["parties.name"], name="fk_run_steps_department"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_run_steps_run_id"),
        *checks,
        sa.PrimaryKeyConstraint(*key, name="pk_run_steps"),
    )
