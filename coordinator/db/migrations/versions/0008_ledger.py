"""The audit ledger takes the place of the plain record of events.

The reason of each constraint stands at its column in `coordinator/ledger/models.py`. Rows that an older program left in `events`
are sealed into the ledger at the first start and then removed (`coordinator/ledger/former_events.py`), so that table may be
emptied now; it stays, empty, for installations that are upgraded later.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from crypto.merkle_log import EMPTY_ROOT

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLES = ("batches", "outbox", "places", "tiles", "head", "checkpoints", "cosignatures", "timestamps", "terms")
_KEPT_BATCH = "id, batch_id, producer, first_sequence, count, entries, received_at"
# What may not happen to a row: (table, event, columns that are meant, when). The triggers stop mistakes and injected statements;
# what somebody changes who owns the database is found by the tree and its witnesses.
_NEVER = (
    *((f"ledger_{name}", "DELETE", "", "") for name in _TABLES if name != "outbox"),
    *((f"ledger_{name}", "UPDATE", "", "") for name in ("terms", "places", "timestamps")),
    ("ledger_batches", "UPDATE", _KEPT_BATCH, ""),
    ("ledger_batches", "UPDATE", "signer, signature", "OLD.signature IS NOT NULL"),
    ("ledger_batches", "UPDATE", "wraps", "NEW.wraps IS NOT NULL"),
    ("ledger_checkpoints", "UPDATE", "size, note, published_at", ""),
    ("ledger_checkpoints", "UPDATE", "witnessed_at", "OLD.witnessed_at IS NOT NULL"),
    ("ledger_tiles", "UPDATE", "", "OLD.level <> NEW.level OR OLD.tile <> NEW.tile OR NEW.width <= OLD.width"),
    ("ledger_head", "UPDATE", "", "NEW.size < OLD.size OR NEW.batches < OLD.batches"),
    ("ledger_cosignatures", "UPDATE", "size, department", ""),
)
_EVENTS_ON_SQLITE = tuple(
    f"CREATE TRIGGER events_no_{name} BEFORE {name} ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
    for name in ("UPDATE", "DELETE")
)
_EVENTS_ON_POSTGRESQL = (
    "CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON events "
    "FOR EACH STATEMENT EXECUTE FUNCTION events_append_only()",
)
_EVENT_INDICES = {
    "ix_events_run_id": ["run_id"],
    "ix_events_type_sequence": ["type", "sequence"],
    "ix_events_actor_sequence": ["actor", "sequence"],
    "ix_events_account_sequence": ["account", "sequence"],
}


def upgrade() -> None:
    """Create the ledger's tables, its empty tree and the triggers; let the former events be removed."""
    op.create_table(
        "ledger_terms",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False, comment="1 for the first"),
        sa.Column(
            "digest",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of the document's bytes, so that it is parsed once",
        ),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="SignedLedgerTerms, canonical JSON"),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.CheckConstraint("number >= 1", name="ck_ledger_terms_number"),
        sa.PrimaryKeyConstraint("number", name="pk_ledger_terms"),
    )
    op.create_table(
        "ledger_batches",
        sa.Column("id", _NUMBER, nullable=False, comment="order of arrival, never reused"),
        sa.Column("batch_id", sa.LargeBinary(), nullable=False, comment="16 random bytes that its maker gave it"),
        sa.Column("producer", sa.String(length=63), nullable=False, comment="department, or coordinator"),
        sa.Column(
            "signer",
            sa.String(length=64),
            nullable=True,
            comment="Ed25519 key that signed, hex; null until the log's key signed the coordinator's own",
        ),
        sa.Column(
            "first_sequence",
            sa.BigInteger(),
            nullable=False,
            comment="the producer's number of the first; 0: unnumbered",
        ),
        sa.Column("count", sa.Integer(), nullable=False, comment="entries"),
        sa.Column("signature", sa.LargeBinary(), nullable=True, comment="the producer's, 64 bytes"),
        sa.Column("wraps", sa.LargeBinary(), nullable=True, comment="batch key for each auditor; null: destroyed"),
        sa.Column("entries", sa.LargeBinary(), nullable=False, comment="the sealed entries, each behind its length"),
        sa.Column("received_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.CheckConstraint("count >= 1 AND first_sequence >= 0", name="ck_ledger_batches_numbers"),
        sa.CheckConstraint("(signature IS NULL) = (signer IS NULL)", name="ck_ledger_batches_signed"),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_batches"),
        sa.UniqueConstraint("batch_id", name="uq_ledger_batches_batch_id"),
        sqlite_autoincrement=True,
    )
    numbered = sa.text("first_sequence > 0")
    op.create_index(
        "uq_ledger_batches_numbered",
        "ledger_batches",
        ["producer", "signer", "first_sequence"],
        unique=True,
        sqlite_where=numbered,
        postgresql_where=numbered,
    )
    op.create_table(
        "ledger_outbox",
        sa.Column("batch", _NUMBER, autoincrement=False, nullable=False, comment="the batch"),
        sa.PrimaryKeyConstraint("batch", name="pk_ledger_outbox"),
    )
    op.create_table(
        "ledger_places",
        sa.Column(
            "number",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="order of the batches in the log, from 0",
        ),
        sa.Column("batch", _NUMBER, nullable=False, comment="the batch"),
        sa.Column(
            "first_index", sa.BigInteger(), nullable=False, comment="index of its first entry in the log, from 0"
        ),
        sa.CheckConstraint("number >= 0 AND first_index >= 0", name="ck_ledger_places_numbers"),
        sa.ForeignKeyConstraint(["batch"], ["ledger_batches.id"], name="fk_ledger_places_batch"),
        sa.PrimaryKeyConstraint("number", name="pk_ledger_places"),
        sa.UniqueConstraint("batch", name="uq_ledger_places_batch"),
        sa.UniqueConstraint("first_index", name="uq_ledger_places_first_index"),
    )
    op.create_table(
        "ledger_tiles",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False, comment="0 for the leaves' hashes"),
        sa.Column("tile", sa.BigInteger(), autoincrement=False, nullable=False, comment="index within the level"),
        sa.Column("width", sa.Integer(), nullable=False, comment="hashes in it"),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="the hashes, 32 bytes each"),
        sa.CheckConstraint("width BETWEEN 1 AND 256", name="ck_ledger_tiles_width"),
        sa.PrimaryKeyConstraint("level", "tile", name="pk_ledger_tiles"),
    )
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="1"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="entries that have a place"),
        sa.Column("batches", sa.BigInteger(), nullable=False, comment="batches that have a place"),
        sa.Column(
            "frontier",
            sa.LargeBinary(),
            nullable=False,
            comment="right edge of the tree, 32 bytes a hash, largest first",
        ),
        sa.Column("root", sa.LargeBinary(), nullable=False, comment="RFC 9162 root hash"),
        sa.CheckConstraint("id = 1", name="ck_ledger_head_one"),
        sa.CheckConstraint("size >= batches", name="ck_ledger_head_numbers"),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_head"),
    )
    op.create_table(
        "ledger_checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False, comment="entries of its tree"),
        sa.Column("note", sa.LargeBinary(), nullable=False, comment="signed note with the log's own signature only"),
        sa.Column("published_at", sa.BigInteger(), nullable=False, comment="seconds since 1970 UTC"),
        sa.Column("witnessed_at", sa.BigInteger(), nullable=True, comment="when a quorum had cosigned"),
        sa.PrimaryKeyConstraint("size", name="pk_ledger_checkpoints"),
    )
    op.create_table(
        "ledger_cosignatures",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False, comment="the checkpoint"),
        sa.Column("department", sa.String(length=63), nullable=False, comment="the witness"),
        sa.Column("line", sa.String(length=512), nullable=False, comment="its line of the note"),
        sa.Column("time", sa.BigInteger(), nullable=False, comment="when it cosigned by its own clock"),
        sa.ForeignKeyConstraint(["size"], ["ledger_checkpoints.size"], name="fk_ledger_cosignatures_size"),
        sa.PrimaryKeyConstraint("size", "department", name="pk_ledger_cosignatures"),
    )
    op.create_table(
        "ledger_timestamps",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False, comment="the checkpoint"),
        sa.Column("token", sa.LargeBinary(), nullable=False, comment="the authority's answer, DER"),
        sa.ForeignKeyConstraint(["size"], ["ledger_checkpoints.size"], name="fk_ledger_timestamps_size"),
        sa.PrimaryKeyConstraint("size", name="pk_ledger_timestamps"),
    )
    empty = "x'{}'" if op.get_context().dialect.name == "sqlite" else "'\\x{}'::bytea"
    values = f"(1, 0, 0, {empty.format('')}, {empty.format(EMPTY_ROOT.hex())})"
    op.execute(f"INSERT INTO ledger_head VALUES {values}")  # noqa: S608 - a fixed hash
    for name in _EVENT_INDICES:
        op.drop_index(name, "events")
    if op.get_context().dialect.name == "sqlite":
        for statement in _on_sqlite():
            op.execute(statement)
        for name in ("UPDATE", "DELETE"):
            op.execute(f"DROP TRIGGER events_no_{name}")
        return
    for statement in _on_postgresql():
        op.execute(statement)
    op.execute("DROP TRIGGER events_append_only ON events")
    # Ciphertext cannot be compressed; without this the server tries for every batch.
    op.execute("ALTER TABLE ledger_batches ALTER COLUMN entries SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Drop the ledger: what it holds is lost, so this is for empty installations only."""
    on_sqlite = op.get_context().dialect.name == "sqlite"
    for name in ("timestamps", "cosignatures", "checkpoints", "head", "tiles", "places", "outbox", "batches", "terms"):
        op.drop_table(f"ledger_{name}")
    if not on_sqlite:
        op.execute("DROP FUNCTION ledger_append_only()")
    for name, columns in _EVENT_INDICES.items():
        op.create_index(name, "events", columns, unique=False)
    for statement in _EVENTS_ON_SQLITE if on_sqlite else _EVENTS_ON_POSTGRESQL:
        op.execute(statement)


def _on_sqlite() -> list[str]:
    return [
        f"CREATE TRIGGER {table}_never_{number} BEFORE {event}{f' OF {columns}' if columns else ''} ON {table} "
        f"{f'WHEN {condition} ' if condition else ''}BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for number, (table, event, columns, condition) in enumerate(_NEVER)
    ]


def _on_postgresql() -> list[str]:
    function = (
        "CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    rows = [
        f"CREATE TRIGGER {table}_never_{number} BEFORE {event}{f' OF {columns}' if columns else ''} ON {table} "
        f"FOR EACH ROW {f'WHEN ({condition}) ' if condition else ''}EXECUTE FUNCTION ledger_append_only()"
        for number, (table, event, columns, condition) in enumerate(_NEVER)
    ]
    truncated = [
        f"CREATE TRIGGER ledger_{name}_never_emptied BEFORE TRUNCATE ON ledger_{name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        for name in _TABLES
    ]
    return [function, *rows, *truncated]
