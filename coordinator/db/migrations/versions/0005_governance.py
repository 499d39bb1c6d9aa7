"""Governance: the catalogue, requests with their decisions, revocation lists, reports of nodes, and when runs were scheduled.

The reason of each constraint stands at its column in the `models.py` of its feature. A grant from before has no request, so no
run can begin under it any more: its parties ask for a new one, which names the tiers of their assets.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_STATES = "'drafted', 'submitted', 'granted', 'active', 'expired', 'revoked', 'exhausted', 'withdrawn', 'refused'"
# What was signed, decided or done is only ever added. The triggers stop mistakes and injected statements, not somebody who owns
# the database.
_APPEND_ONLY = (
    "asset_revisions",
    "request_decisions",
    "request_transitions",
    "revocation_lists",
    "revoked_grants",
    "revocation_wishes",
)
_TABLES = (
    "node_reports",
    "revocation_wishes",
    "revoked_grants",
    "revocation_lists",
    "request_transitions",
    "request_decisions",
    "request_parties",
    "access_requests",
    "asset_purposes",
    "assets",
    "asset_revisions",
)


def upgrade() -> None:
    """Create the tables and the column."""
    _create_catalogue()
    _create_requests()
    _create_revocations()
    _create_reports()
    for table in _APPEND_ONLY:
        _forbid_changes(table)
    op.add_column(
        "runs", sa.Column("scheduled_at", sa.BigInteger(), nullable=True, comment="when this attempt's manifest came")
    )


def downgrade() -> None:
    """Drop the tables and the column. Grants stay; who asked for them is lost."""
    op.drop_column("runs", "scheduled_at")
    for table in _TABLES:
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        for table in _APPEND_ONLY:
            op.execute(f"DROP FUNCTION {table}_append_only()")


def _forbid_changes(table: str) -> None:
    message = f"{table} are append-only"
    if op.get_context().dialect.name == "postgresql":
        function = f"{table}_append_only()"
        op.execute(
            f"CREATE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{message}'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {function}"
        )
        return
    for act in ("update", "delete"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{act} BEFORE {act} ON {table} BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )


def _create_catalogue() -> None:
    op.create_table(
        "asset_revisions",
        sa.Column("owner", sa.String(length=63), nullable=False, comment="owner"),
        sa.Column("dataset", sa.String(length=63), nullable=False, comment="data set"),
        sa.Column("identity_key", sa.String(length=64), nullable=False, comment="the owner's key that signed it, hex"),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False, comment="grows, for each key"),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="SignedAsset, canonical JSON"),
        sa.Column("stored_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.CheckConstraint("revision >= 1", name="ck_asset_revisions_revision"),
        sa.ForeignKeyConstraint(["owner"], ["parties.name"], name="fk_asset_revisions_owner"),
        sa.PrimaryKeyConstraint("owner", "dataset", "identity_key", "revision", name="pk_asset_revisions"),
    )
    op.create_table(
        "assets",
        sa.Column("owner", sa.String(length=63), nullable=False, comment="owner"),
        sa.Column("dataset", sa.String(length=63), nullable=False, comment="data set, by its standard's name"),
        sa.Column("identity_key", sa.String(length=64), nullable=False, comment="key that signed the newest, hex"),
        sa.Column("revision", sa.Integer(), nullable=False, comment="newest revision"),
        sa.Column("region", sa.String(length=63), nullable=False, comment="region of the data"),
        sa.Column("standard_version", sa.Integer(), nullable=False, comment="version of the data standard"),
        sa.Column("tier", sa.String(length=63), nullable=False, comment="tier's name"),
        sa.Column("tier_version", sa.Integer(), nullable=False, comment="version of the tier's file"),
        sa.Column("people", sa.Integer(), nullable=False, comment="rows: one person each"),
        sa.Column("columns", sa.Integer(), nullable=False, comment="how many columns it offers"),
        sa.Column("steward", sa.String(length=63), nullable=False, comment="office that answers for the data"),
        sa.Column("withdrawn", sa.Boolean(), nullable=False, comment="no request may name it any more"),
        sa.Column(
            "registered_at", sa.BigInteger(), nullable=False, comment="time in the registration, by the owner's clock"
        ),
        sa.Column("stored_at", sa.BigInteger(), nullable=False, comment="when the newest revision came"),
        sa.CheckConstraint("people >= 0 AND columns >= 0", name="ck_assets_counts"),
        sa.CheckConstraint("revision >= 1", name="ck_assets_revision"),
        sa.ForeignKeyConstraint(["owner"], ["parties.name"], name="fk_assets_owner"),
        sa.PrimaryKeyConstraint("owner", "dataset", name="pk_assets"),
    )
    op.create_index("ix_assets_region_owner_dataset", "assets", ["region", "owner", "dataset"])
    op.create_index("ix_assets_tier_owner_dataset", "assets", ["tier", "owner", "dataset"])
    op.create_table(
        "asset_purposes",
        sa.Column("owner", sa.String(length=63), nullable=False, comment="the asset's owner"),
        sa.Column("dataset", sa.String(length=63), nullable=False, comment="the asset's data set"),
        sa.Column("purpose", sa.String(length=63), nullable=False, comment="a published purpose"),
        sa.ForeignKeyConstraint(
            ["owner", "dataset"], ["assets.owner", "assets.dataset"], name="fk_asset_purposes_owner_dataset"
        ),
        sa.PrimaryKeyConstraint("owner", "dataset", "purpose", name="pk_asset_purposes"),
    )
    op.create_index("ix_asset_purposes_purpose_owner_dataset", "asset_purposes", ["purpose", "owner", "dataset"])


def _create_requests() -> None:
    op.create_table(
        "access_requests",
        sa.Column("number", _NUMBER, nullable=False, comment="how people name the request, never reused"),
        sa.Column("grant_hash", sa.String(length=64), nullable=False, comment="Grant.digest() of the document"),
        sa.Column("grant_id", sa.String(length=63), nullable=False, comment="the grant's own name in the document"),
        sa.Column("kind", sa.String(length=10), nullable=False, comment="region or line"),
        sa.Column("project_id", sa.String(length=63), nullable=False, comment="project"),
        sa.Column("purpose", sa.String(length=63), nullable=False, comment="purpose in the document"),
        sa.Column("lead", sa.String(length=63), nullable=False, comment="department that asks"),
        sa.Column("state", sa.String(length=10), nullable=False, comment="a RequestState"),
        sa.Column("drafter", sa.String(length=80), nullable=False, comment="Principal.id of who drafted it"),
        sa.Column("submitter", sa.String(length=80), nullable=True, comment="Principal.id of who submitted it"),
        sa.Column("drafted_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("submitted_at", sa.BigInteger(), nullable=True, comment="when it was submitted"),
        sa.Column("changed_at", sa.BigInteger(), nullable=False, comment="last change of state"),
        sa.Column("not_before", sa.BigInteger(), nullable=False, comment="first second of the grant in the document"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, comment="end of the grant in the document"),
        sa.Column("runs_allowed", sa.Integer(), nullable=False, comment="runs in the document"),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="Grant or LineGrant, canonical JSON, unsigned"),
        sa.CheckConstraint(
            "(submitter IS NULL) = (submitted_at IS NULL) AND "
            "(submitter IS NOT NULL OR state IN ('drafted', 'withdrawn', 'expired'))",
            name="ck_access_requests_submitted",
        ),
        sa.CheckConstraint("kind IN ('region', 'line')", name="ck_access_requests_kind"),
        sa.CheckConstraint(f"state IN ({_STATES})", name="ck_access_requests_state"),
        sa.CheckConstraint("expires_at > not_before", name="ck_access_requests_times"),
        sa.CheckConstraint("number >= 1", name="ck_access_requests_number"),
        sa.ForeignKeyConstraint(["lead"], ["parties.name"], name="fk_access_requests_lead"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.project_id"], name="fk_access_requests_project_id"),
        sa.PrimaryKeyConstraint("number", name="pk_access_requests"),
        sa.UniqueConstraint("grant_hash", name="uq_access_requests_grant_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_access_requests_project_id_state", "access_requests", ["project_id", "state"])
    op.create_index("ix_access_requests_state_number", "access_requests", ["state", "number"])
    op.create_table(
        "request_parties",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False, comment="the request"),
        sa.Column("party", sa.String(length=63), nullable=False, comment="the party"),
        sa.Column("role", sa.String(length=10), nullable=False, comment="lead, supporting or centre"),
        sa.Column("needed", sa.Integer(), nullable=False, comment="people who must sign, by the strictest tier"),
        sa.Column("gathered", sa.Integer(), nullable=False, comment="people who have signed"),
        sa.CheckConstraint("role IN ('lead', 'supporting', 'centre')", name="ck_request_parties_role"),
        sa.CheckConstraint("needed >= 1 AND gathered >= 0", name="ck_request_parties_counts"),
        sa.ForeignKeyConstraint(["number"], ["access_requests.number"], name="fk_request_parties_number"),
        sa.ForeignKeyConstraint(["party"], ["parties.name"], name="fk_request_parties_party"),
        sa.PrimaryKeyConstraint("number", "party", name="pk_request_parties"),
    )
    op.create_index("ix_request_parties_party_number", "request_parties", ["party", "number"])
    op.create_table(
        "request_decisions",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False, comment="the request"),
        sa.Column("person", sa.String(length=80), nullable=False, comment="Principal.id, or key: and a signing key"),
        sa.Column("party", sa.String(length=63), nullable=False, comment="for whom the person decided"),
        sa.Column("decision", sa.String(length=10), nullable=False, comment="approve or refuse"),
        sa.Column(
            "way", sa.String(length=10), nullable=False, comment="console (an account), node (or device), or signature"
        ),
        sa.Column("account", sa.Integer(), nullable=True, comment="account number, if an account decided"),
        sa.Column("signing_key", sa.String(length=64), nullable=True, comment="public key of a signature, hex"),
        sa.Column(
            "reason",
            sa.String(length=500),
            nullable=False,
            comment="in the person's words, or empty; never in an event",
        ),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.CheckConstraint("(way = 'console') = (account IS NOT NULL)", name="ck_request_decisions_account"),
        sa.CheckConstraint("(way = 'signature') = (signing_key IS NOT NULL)", name="ck_request_decisions_signing_key"),
        sa.CheckConstraint("decision IN ('approve', 'refuse')", name="ck_request_decisions_decision"),
        sa.CheckConstraint("way IN ('console', 'node', 'signature')", name="ck_request_decisions_way"),
        sa.ForeignKeyConstraint(["number"], ["access_requests.number"], name="fk_request_decisions_number"),
        sa.ForeignKeyConstraint(["party"], ["parties.name"], name="fk_request_decisions_party"),
        sa.PrimaryKeyConstraint("number", "person", name="pk_request_decisions"),
    )
    op.create_table(
        "request_transitions",
        sa.Column("sequence", _NUMBER, nullable=False, comment="order of recording, never reused"),
        sa.Column("number", _NUMBER, nullable=False, comment="the request"),
        sa.Column("from_state", sa.String(length=10), nullable=True, comment="state before; null for the first"),
        sa.Column("to_state", sa.String(length=10), nullable=False, comment="state after"),
        sa.Column(
            "actor", sa.String(length=80), nullable=False, comment="Principal.id, or coordinator for what time did"
        ),
        sa.Column("party", sa.String(length=63), nullable=False, comment="the actor's party, or coordinator"),
        sa.Column("account", sa.Integer(), nullable=True, comment="account number, if an account acted"),
        sa.Column("code", sa.String(length=80), nullable=False, comment="reason code, or empty"),
        sa.Column(
            "reason",
            sa.String(length=500),
            nullable=False,
            comment="in the person's words, or empty; never in an event",
        ),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.CheckConstraint("(from_state IS NULL) = (to_state = 'drafted')", name="ck_request_transitions_from_state"),
        sa.CheckConstraint(f"to_state IN ({_STATES})", name="ck_request_transitions_to_state"),
        sa.ForeignKeyConstraint(["number"], ["access_requests.number"], name="fk_request_transitions_number"),
        sa.PrimaryKeyConstraint("sequence", name="pk_request_transitions"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_request_transitions_number", "request_transitions", ["number"])


def _create_revocations() -> None:
    op.create_table(
        "revocation_lists",
        sa.Column("sequence", _NUMBER, nullable=False, comment="order of storing, never reused"),
        sa.Column("party", sa.String(length=63), nullable=False, comment="whose list"),
        sa.Column(
            "revocation_key", sa.String(length=64), nullable=False, comment="the party's key that signed it, hex"
        ),
        sa.Column(
            "number",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="the list's own number, never decreases for one key",
        ),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="SignedRevocationList, canonical JSON"),
        sa.Column("issued_at", sa.BigInteger(), nullable=False, comment="time in the list, by its party's clock"),
        sa.Column("stored_at", sa.BigInteger(), nullable=False, comment="when it came, seconds since 1970 UTC"),
        sa.CheckConstraint("number >= 1", name="ck_revocation_lists_number"),
        sa.ForeignKeyConstraint(["party"], ["parties.name"], name="fk_revocation_lists_party"),
        sa.PrimaryKeyConstraint("sequence", name="pk_revocation_lists"),
        sa.UniqueConstraint(
            "party", "revocation_key", "number", name="uq_revocation_lists_party_revocation_key_number"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_revocation_lists_party_sequence", "revocation_lists", ["party", "sequence"])
    op.create_table(
        "revoked_grants",
        sa.Column("party", sa.String(length=63), nullable=False, comment="who revoked"),
        sa.Column("grant_hash", sa.String(length=64), nullable=False, comment="the grant"),
        sa.Column("reason", sa.String(length=20), nullable=False, comment="a RevocationReason"),
        sa.Column("revoked_at", sa.BigInteger(), nullable=False, comment="time in the list, by its party's clock"),
        sa.Column("list_number", sa.BigInteger(), nullable=False, comment="first list that named it"),
        sa.ForeignKeyConstraint(["party"], ["parties.name"], name="fk_revoked_grants_party"),
        sa.PrimaryKeyConstraint("party", "grant_hash", name="pk_revoked_grants"),
    )
    op.create_index("ix_revoked_grants_grant_hash", "revoked_grants", ["grant_hash"])
    op.create_table(
        "revocation_wishes",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False, comment="request of the grant"),
        sa.Column("party", sa.String(length=63), nullable=False, comment="for whom the person spoke"),
        sa.Column("account", sa.Integer(), nullable=False, comment="account number of the person"),
        sa.Column("reason", sa.String(length=20), nullable=False, comment="a RevocationReason"),
        sa.Column(
            "note", sa.String(length=500), nullable=False, comment="in the person's words, or empty; never in an event"
        ),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.ForeignKeyConstraint(["number"], ["access_requests.number"], name="fk_revocation_wishes_number"),
        sa.ForeignKeyConstraint(["party"], ["parties.name"], name="fk_revocation_wishes_party"),
        sa.PrimaryKeyConstraint("number", "party", name="pk_revocation_wishes"),
    )
    op.create_index("ix_revocation_wishes_party_number", "revocation_wishes", ["party", "number"])


def _create_reports() -> None:
    op.create_table(
        "node_reports",
        sa.Column("department", sa.String(length=63), nullable=False, comment="whose node"),
        sa.Column(
            "number", sa.BigInteger(), autoincrement=False, nullable=False, comment="the report's own number, grows"
        ),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="SignedNodeReport, canonical JSON"),
        sa.Column("max_concurrent_runs", sa.Integer(), nullable=False, comment="runs that the node takes at once"),
        sa.Column("made_at", sa.BigInteger(), nullable=False, comment="time in the report, by the node's clock"),
        sa.Column("received_at", sa.BigInteger(), nullable=False, comment="when it came, seconds since 1970 UTC"),
        sa.CheckConstraint("number >= 1 AND max_concurrent_runs >= 1", name="ck_node_reports_numbers"),
        sa.ForeignKeyConstraint(["department"], ["parties.name"], name="fk_node_reports_department"),
        sa.PrimaryKeyConstraint("department", "number", name="pk_node_reports"),
    )
