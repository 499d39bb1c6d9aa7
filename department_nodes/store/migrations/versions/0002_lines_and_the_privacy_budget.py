"""Lines and the privacy budget"""

import sqlalchemy as sa
from alembic import op

from crypto.errors import DoudiError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROUND_COMMENT = "The round of a line, from 1; 0 for a step of the main job"
OLD_STEPS = "blind, evaluate, finish, release, train, combine"
LINE_STEPS = "line_keys, line_shares, line_update, line_consent, line_unmask, line_model"


def upgrade() -> None:
    # Every step of 0001 is one of the main job: round 0. SQLite copies the table; no other table refers to it.
    with op.batch_alter_table("steps", copy_from=_steps_of_0001()) as batch_op:
        batch_op.add_column(sa.Column("round", sa.Integer(), server_default="0", nullable=False, comment=ROUND_COMMENT))
        batch_op.alter_column(
            "step",
            existing_type=sa.String(length=20),
            existing_nullable=False,
            existing_comment=OLD_STEPS,
            comment=f"{OLD_STEPS}; {LINE_STEPS}",
        )
        if op.get_context().dialect.name != "sqlite":
            # SQLite's key has no name and stays behind with the old table.
            batch_op.drop_constraint("steps_pkey", type_="primary")
        batch_op.create_primary_key("steps_pkey", ["run_id", "attempt", "round", "step"])
    with op.batch_alter_table("sent") as batch_op:
        batch_op.add_column(sa.Column("round", sa.Integer(), server_default="0", nullable=False, comment=ROUND_COMMENT))

    op.create_table(
        "line_models",
        sa.Column("run_id", sa.String(length=63), nullable=False, comment="The run that made it"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="The attempt, from 1"),
        sa.Column("digest", sa.String(length=64), nullable=False, comment="SHA-256 of the model's bytes"),
        sa.Column("grant_hash", sa.String(length=64), nullable=False, comment="The line's grant"),
        sa.Column("project_id", sa.String(length=63), nullable=False, comment="The line's project"),
        sa.Column("dataset", sa.String(length=63), nullable=False, comment="The dataset it was trained on"),
        sa.Column(
            "standard_version", sa.Integer(), nullable=False, comment="Version of the dataset's standard, from 1"
        ),
        sa.Column("target", sa.String(length=63), nullable=False, comment="The outcome it predicts"),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="The model's bytes"),
        sa.Column("adopted_at", sa.BigInteger(), nullable=False, comment="Seconds since 1970 UTC"),
        sa.ForeignKeyConstraint(["grant_hash"], ["grants.grant_hash"]),
        sa.ForeignKeyConstraint(["project_id"], ["projects.project_id"]),
        sa.PrimaryKeyConstraint("run_id", "attempt"),
    )
    op.create_table(
        "privacy_assets",
        sa.Column("asset", sa.String(length=80), nullable=False, comment="The dataset, such as tax"),
        sa.Column("changes", sa.Integer(), nullable=False, comment="Changes of the asset's account so far"),
        sa.PrimaryKeyConstraint("asset"),
    )
    op.create_table(
        "privacy_reservations",
        sa.Column("run_id", sa.String(length=63), nullable=False, comment="The run"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="The attempt, from 1"),
        sa.Column(
            "asset", sa.String(length=80), nullable=False, comment="The data asset whose budget it is, such as tax"
        ),
        sa.Column("project_id", sa.String(length=63), nullable=False, comment="The line's project"),
        sa.Column("grant_hash", sa.String(length=64), nullable=False, comment="The line's grant"),
        sa.Column("mechanism", sa.String(length=20), nullable=False, comment="gaussian or discrete_gaussian"),
        sa.Column("sigma_milli", sa.Integer(), nullable=False, comment="Noise multiplier, in thousandths"),
        sa.Column("sample_rate_ppm", sa.Integer(), nullable=False, comment="Poisson sampling rate, in millionths"),
        sa.Column("steps_per_round", sa.Integer(), nullable=False, comment="Noised steps in each round"),
        sa.Column(
            "rho_billionths",
            sa.BigInteger(),
            nullable=False,
            comment="discrete_gaussian: zCDP of one round, in billionths, rounded up; otherwise 0",
        ),
        sa.Column("delta_exponent", sa.Integer(), nullable=False, comment="The plan was accepted at delta = 10^-this"),
        sa.Column("unit", sa.String(length=20), nullable=False, comment="The privacy unit: person"),
        sa.Column("rounds", sa.Integer(), nullable=False, comment="Rounds that may be charged"),
        sa.Column(
            "state",
            sa.String(length=20),
            nullable=False,
            comment="reserved, or settled: what was not charged is released",
        ),
        sa.Column("reserved_at", sa.BigInteger(), nullable=False, comment="Seconds since 1970 UTC"),
        sa.Column(
            "expires_at",
            sa.BigInteger(),
            nullable=False,
            comment="The manifest's end; nothing is charged after it and the rest is released",
        ),
        sa.Column("settled_at", sa.BigInteger(), nullable=True, comment="Seconds since 1970 UTC; empty while reserved"),
        # The accountant composes these two only; a row of another kind would be left out of every sum.
        sa.CheckConstraint("mechanism IN ('gaussian', 'discrete_gaussian')", name="ck_known_mechanism"),
        # Charges of another privacy unit than a person cannot be composed with these.
        sa.CheckConstraint("unit IN ('person')", name="ck_unit_is_a_person"),
        # Any other state would count neither as outstanding nor as released.
        sa.CheckConstraint("state IN ('reserved', 'settled')", name="ck_reserved_or_settled"),
        # A mechanism without noise, steps or rounds would cost nothing, or all.
        sa.CheckConstraint("sigma_milli > 0 AND steps_per_round > 0 AND rounds > 0", name="ck_costs_something"),
        sa.CheckConstraint("sample_rate_ppm > 0 AND sample_rate_ppm <= 1000000", name="ck_rate_is_a_share"),
        # A discrete mechanism is composed by its rho alone: without one it would be free.
        sa.CheckConstraint("(mechanism = 'discrete_gaussian') = (rho_billionths > 0)", name="ck_discrete_has_rho"),
        sa.ForeignKeyConstraint(["asset"], ["privacy_assets.asset"]),
        sa.ForeignKeyConstraint(["grant_hash"], ["grants.grant_hash"]),
        sa.ForeignKeyConstraint(["project_id"], ["projects.project_id"]),
        sa.PrimaryKeyConstraint("run_id", "attempt"),
    )
    op.create_table(
        "privacy_charges",
        sa.Column("run_id", sa.String(length=63), nullable=False, comment="The run"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="The attempt, from 1"),
        sa.Column("round", sa.Integer(), nullable=False, comment="The round, from 1"),
        sa.Column("charged_at", sa.BigInteger(), nullable=False, comment="Seconds since 1970 UTC"),
        # A charge without its reservation would have no mechanism, and could not be composed.
        sa.ForeignKeyConstraint(
            ["run_id", "attempt"],
            ["privacy_reservations.run_id", "privacy_reservations.attempt"],
            name="fk_charge_is_reserved",
        ),
        sa.PrimaryKeyConstraint("run_id", "attempt", "round"),
    )


def _steps_of_0001() -> sa.Table:
    """What SQLite copies: without the old primary key, which no longer tells the steps of a line's rounds apart."""
    return sa.Table(
        "steps",
        sa.MetaData(),
        sa.Column("run_id", sa.String(length=63), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=20), nullable=False),
        sa.Column("grant_hash", sa.String(length=64), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("seconds_milli", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["grant_hash"], ["grants.grant_hash"]),
    )


def downgrade() -> None:
    raise DoudiError(
        "db.no_way_back",
        "an older program would forget which rounds of lines were charged",
        "Keep the newer program.",
    )
