"""The first tables: parties, projects, grants, runs and events.

The reason of each constraint stands at its column in the feature's `models.py`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Events are only ever added. The triggers stop mistakes and injected statements, not somebody who owns the database.
_SQLITE_APPEND_ONLY = """
CREATE TRIGGER events_no_{name} BEFORE {name} ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
"""
_POSTGRESQL_APPEND_ONLY = (
    """
CREATE FUNCTION events_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'events are append-only'; END $$
""",
    """
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON events
FOR EACH STATEMENT EXECUTE FUNCTION events_append_only()
""",
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "events",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="order of recording, never reused",
        ),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("type", sa.String(length=40), nullable=False, comment="an EventType"),
        sa.Column("actor", sa.String(length=63), nullable=False, comment="department, centre or coordinator"),
        sa.Column("project_id", sa.String(length=63), nullable=True, comment="project, if the act is about one"),
        sa.Column("run_id", sa.String(length=63), nullable=True, comment="run, if the act is about one"),
        sa.Column("grant_hash", sa.String(length=64), nullable=True, comment="grant under which the act was done"),
        sa.Column(
            "subject", sa.String(length=63), nullable=True, comment="party that the act is about, if not the actor"
        ),
        sa.Column("code", sa.String(length=80), nullable=False, comment="reason code, or empty"),
        sa.Column("counts", sa.JSON(), nullable=False, comment="integers by name, no text"),
        sa.CheckConstraint("sequence >= 1", name="ck_events_sequence"),
        sa.PrimaryKeyConstraint("sequence", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_run_id", "events", ["run_id"], unique=False)
    op.create_table(
        "parties",
        sa.Column("name", sa.String(length=63), nullable=False, comment="department's name, or centre"),
        sa.Column("role", sa.String(length=10), nullable=False, comment="department or centre"),
        sa.Column("card", sa.LargeBinary(), nullable=True, comment="DepartmentCard, canonical JSON"),
        sa.Column("identity_key", sa.String(length=64), nullable=False, comment="Ed25519 key that signs requests, hex"),
        sa.Column("flower_key", sa.Text(), nullable=True, comment="OpenSSH public key of the Flower node"),
        sa.Column("registered_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=True, comment="last authenticated request"),
        sa.CheckConstraint("(role = 'centre') = (card IS NULL)", name="ck_parties_card"),
        sa.CheckConstraint("(role = 'centre') = (name = 'centre')", name="ck_parties_centre_name"),
        sa.CheckConstraint("role IN ('department', 'centre')", name="ck_parties_role"),
        sa.PrimaryKeyConstraint("name", name="pk_parties"),
        sa.UniqueConstraint("identity_key", name="uq_parties_identity_key"),
    )
    op.create_table(
        "projects",
        sa.Column("project_id", sa.String(length=63), nullable=False, comment="the project's name"),
        sa.Column("title", sa.String(length=200), nullable=False, comment="for people; never a person's name"),
        sa.Column("purpose", sa.String(length=63), nullable=False, comment="purpose that the grant must name"),
        sa.Column("region", sa.String(length=63), nullable=False, comment="region that the grant must name"),
        sa.Column("lead", sa.String(length=63), nullable=False, comment="lead department"),
        sa.Column("created_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("state", sa.String(length=10), nullable=False, comment="open or closed"),
        sa.CheckConstraint("state IN ('open', 'closed')", name="ck_projects_state"),
        sa.ForeignKeyConstraint(["lead"], ["parties.name"], name="fk_projects_lead"),
        sa.PrimaryKeyConstraint("project_id", name="pk_projects"),
    )
    op.create_table(
        "request_nonces",
        sa.Column("party", sa.String(length=63), nullable=False, comment="who sent it"),
        sa.Column("nonce", sa.String(length=32), nullable=False, comment="the request's nonce"),
        sa.Column("seen_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.ForeignKeyConstraint(["party"], ["parties.name"], name="fk_request_nonces_party"),
        sa.PrimaryKeyConstraint("party", "nonce", name="pk_request_nonces"),
    )
    op.create_index("ix_request_nonces_seen_at", "request_nonces", ["seen_at"], unique=False)
    op.create_table(
        "grants",
        sa.Column("grant_hash", sa.String(length=64), nullable=False, comment="Grant.digest()"),
        sa.Column("project_id", sa.String(length=63), nullable=False, comment="project"),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="SignedGrant, canonical JSON"),
        sa.Column(
            "fully_signed", sa.Boolean(), nullable=False, comment="every required signature is there and verified"
        ),
        sa.Column("stored_at", sa.BigInteger(), nullable=False, comment="first stored, seconds since 1970 UTC"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.project_id"], name="fk_grants_project_id"),
        sa.PrimaryKeyConstraint("grant_hash", name="pk_grants"),
    )
    op.create_index("ix_grants_project_id", "grants", ["project_id"], unique=False)
    op.create_table(
        "grant_parties",
        sa.Column("grant_hash", sa.String(length=64), nullable=False, comment="the grant"),
        sa.Column("department", sa.String(length=63), nullable=False, comment="the department"),
        sa.Column("role", sa.String(length=10), nullable=False, comment="lead or supporting"),
        sa.Column("scheduler", sa.Boolean(), nullable=False, comment="holds the scheduling right"),
        sa.CheckConstraint("role IN ('lead', 'supporting')", name="ck_grant_parties_role"),
        sa.ForeignKeyConstraint(["department"], ["parties.name"], name="fk_grant_parties_department"),
        sa.ForeignKeyConstraint(["grant_hash"], ["grants.grant_hash"], name="fk_grant_parties_grant_hash"),
        sa.PrimaryKeyConstraint("grant_hash", "department", name="pk_grant_parties"),
    )
    op.create_index("ix_grant_parties_department", "grant_parties", ["department"], unique=False)
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(length=63), nullable=False, comment="derived from grant and run number"),
        sa.Column("project_id", sa.String(length=63), nullable=False, comment="project"),
        sa.Column("grant_hash", sa.String(length=64), nullable=False, comment="grant"),
        sa.Column("run_number", sa.Integer(), nullable=False, comment="1 for the grant's first run"),
        sa.Column("mode", sa.String(length=10), nullable=False, comment="evidence, sum_only or both"),
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
        sa.CheckConstraint("mode IN ('evidence', 'sum_only', 'both')", name="ck_runs_mode"),
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
    op.create_table(
        "run_steps",
        sa.Column("run_id", sa.String(length=63), nullable=False, comment="run"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="attempt"),
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
        sa.PrimaryKeyConstraint("run_id", "attempt", "step", "department", name="pk_run_steps"),
    )
    if op.get_context().dialect.name == "sqlite":
        for name in ("UPDATE", "DELETE"):
            op.execute(_SQLITE_APPEND_ONLY.format(name=name))
    else:
        for statement in _POSTGRESQL_APPEND_ONLY:
            op.execute(statement)


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("run_steps")
    op.drop_table("run_results")
    op.drop_table("key_offers")
    op.drop_table("runs")
    op.drop_table("grant_parties")
    op.drop_table("grants")
    op.drop_table("request_nonces")
    op.drop_table("projects")
    op.drop_table("parties")
    op.drop_table("events")
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP FUNCTION events_append_only()")
