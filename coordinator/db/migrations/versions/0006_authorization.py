"""Decisions of the rules, and the versions of the rules with their approvals.

The reason of each constraint stands at its column in `coordinator/authorization/models.py`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Decisions and approvals are only ever added, and of a version only the state and its times change. The triggers stop mistakes
# and injected statements, not somebody who owns the database.
_FROZEN = ("number", "policy_hash", "base_hash", "rules", "proposer", "proposed_at")
_SQLITE_TRIGGERS = (
    *(
        f"CREATE TRIGGER {table}_no_{name} BEFORE {name} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
        for table in ("decisions", "policy_approvals")
        for name in ("UPDATE", "DELETE")
    ),
    f"CREATE TRIGGER policy_versions_frozen BEFORE UPDATE OF {', '.join(_FROZEN)} ON policy_versions "
    "BEGIN SELECT RAISE(ABORT, 'policy_versions are append-only'); END",
    "CREATE TRIGGER policy_versions_no_DELETE BEFORE DELETE ON policy_versions "
    "BEGIN SELECT RAISE(ABORT, 'policy_versions are append-only'); END",
)
_POSTGRESQL_TRIGGERS = (
    "CREATE FUNCTION authorization_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION '% are append-only', TG_TABLE_NAME; END $$",
    *(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION authorization_append_only()"
        for table in ("decisions", "policy_approvals")
    ),
    f"CREATE TRIGGER policy_versions_frozen BEFORE UPDATE OF {', '.join(_FROZEN)} ON policy_versions "
    "FOR EACH STATEMENT EXECUTE FUNCTION authorization_append_only()",
    "CREATE TRIGGER policy_versions_no_delete BEFORE DELETE ON policy_versions "
    "FOR EACH STATEMENT EXECUTE FUNCTION authorization_append_only()",
)


def upgrade() -> None:
    """Create the tables and their triggers."""
    op.create_table(
        "decisions",
        sa.Column("sequence", _NUMBER, nullable=False, comment="order of recording, never reused"),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("principal_kind", sa.String(length=10), nullable=False, comment="account, node or device"),
        sa.Column("party", sa.String(length=63), nullable=False, comment="party that the principal acts for"),
        sa.Column("account", sa.Integer(), nullable=True, comment="account of the person who acted, if one did"),
        sa.Column("action", sa.String(length=40), nullable=False, comment="what was to be done, noun.verb"),
        sa.Column("resource_type", sa.String(length=20), nullable=False, comment="an entity type of the rules' schema"),
        sa.Column("resource_id", sa.String(length=128), nullable=False, comment="number, name or hash of the resource"),
        sa.Column("allowed", sa.Boolean(), nullable=False, comment="the decision"),
        sa.Column(
            "rules", sa.JSON(), nullable=False, comment="ids of the deciding rules, sorted; empty: none permitted it"
        ),
        sa.Column(
            "errors",
            sa.Integer(),
            nullable=False,
            comment="how much could not be evaluated; above 0 all is denied",
        ),
        sa.Column("policy_hash", sa.String(length=64), nullable=False, comment="rules and schema that decided"),
        sa.CheckConstraint("sequence >= 1", name="ck_decisions_sequence"),
        sa.CheckConstraint("principal_kind IN ('account', 'node', 'device')", name="ck_decisions_principal_kind"),
        sa.CheckConstraint("(principal_kind = 'account') = (account IS NOT NULL)", name="ck_decisions_account"),
        sa.CheckConstraint("errors = 0 OR NOT allowed", name="ck_decisions_errors"),
        sa.PrimaryKeyConstraint("sequence", name="pk_decisions"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "policy_versions",
        sa.Column("number", _NUMBER, nullable=False, comment="order of proposing, never reused"),
        sa.Column("policy_hash", sa.String(length=64), nullable=False, comment="SHA-256 over rules and schema"),
        sa.Column(
            "base_hash",
            sa.String(length=64),
            nullable=False,
            comment="rules in force when it was proposed: what it changes",
        ),
        sa.Column("rules", sa.Text(), nullable=False, comment="the whole text of the rules, Cedar"),
        sa.Column(
            "state", sa.String(length=10), nullable=False, comment="proposed, active, replaced, refused or withdrawn"
        ),
        sa.Column("proposer", _NUMBER, nullable=False, comment="who proposed it"),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("activated_at", sa.BigInteger(), nullable=True, comment="when the second approval came"),
        sa.Column("ended_at", sa.BigInteger(), nullable=True, comment="when it was replaced, refused or withdrawn"),
        sa.CheckConstraint("number >= 1", name="ck_policy_versions_number"),
        sa.CheckConstraint(
            "state IN ('proposed', 'active', 'replaced', 'refused', 'withdrawn')", name="ck_policy_versions_state"
        ),
        sa.CheckConstraint(
            "(state IN ('active', 'replaced')) = (activated_at IS NOT NULL)", name="ck_policy_versions_activated"
        ),
        sa.CheckConstraint("(state IN ('proposed', 'active')) = (ended_at IS NULL)", name="ck_policy_versions_ended"),
        sa.ForeignKeyConstraint(["proposer"], ["accounts.number"], name="fk_policy_versions_proposer"),
        sa.PrimaryKeyConstraint("number", name="pk_policy_versions"),
        sqlite_autoincrement=True,
    )
    for name, column, state in (
        ("uq_policy_versions_active", "state", "active"),
        ("uq_policy_versions_proposed", "policy_hash", "proposed"),
    ):
        where = sa.text(f"state = '{state}'")
        op.create_index(name, "policy_versions", [column], unique=True, sqlite_where=where, postgresql_where=where)
    op.create_index("ix_policy_versions_policy_hash", "policy_versions", ["policy_hash"], unique=False)
    op.create_table(
        "policy_approvals",
        sa.Column("version", _NUMBER, autoincrement=False, nullable=False, comment="version that is approved"),
        sa.Column("account", _NUMBER, autoincrement=False, nullable=False, comment="who approves"),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.ForeignKeyConstraint(["account"], ["accounts.number"], name="fk_policy_approvals_account"),
        sa.ForeignKeyConstraint(["version"], ["policy_versions.number"], name="fk_policy_approvals_version"),
        sa.PrimaryKeyConstraint("version", "account", name="pk_policy_approvals"),
    )
    triggers = _SQLITE_TRIGGERS if op.get_context().dialect.name == "sqlite" else _POSTGRESQL_TRIGGERS
    for statement in triggers:
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables; the shipped rules decide again."""
    op.drop_table("policy_approvals")
    op.drop_table("policy_versions")
    op.drop_table("decisions")
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP FUNCTION authorization_append_only()")
