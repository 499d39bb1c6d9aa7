"""Migrations of the node's database: nothing is lost on the way, and PostgreSQL gets the same tables."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, column, select, table, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

from crypto.errors import DoudiError
from department_nodes.store.models import Base
from department_nodes.store.session import MIGRATIONS, migrate, open_engine

ROWS_OF_0001 = {
    "projects": [{"project_id": "p", "sealed_key": b"k", "joined_at": 1, "left_at": None}],
    "grants": [{"grant_hash": "a" * 64, "project_id": "p", "document": b"{}", "first_seen_at": 1}],
    "steps": [
        {
            "run_id": "run-1",
            "attempt": attempt,
            "step": step,
            "grant_hash": "a" * 64,
            "request_digest": b"\0\xff" * 16,
            "reply": reply,
            "started_at": 5,
            "finished_at": None if reply is None else 6,
            "seconds_milli": None if reply is None else 7,
        }
        for attempt in (1, 2)
        for step, reply in (("blind", b"reply\0"), ("train", b""), ("combine", None))
    ],
    "sent": [
        {
            "number": 1,
            "run_id": "run-1",
            "attempt": 1,
            "step": "blind",
            "receiver": "tax",
            "kind": "points",
            "items": 3,
            "size_bytes": 96,
            "grant_hash": "a" * 64,
            "sent_at": 6,
        }
    ],
    "label_charges": [
        {"project_id": "p", "target": "need", "period": "2026", "epsilon_milli": 1000, "charged_at": 2},
    ],
}


def upgrade_to(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def insert(engine: Engine, name: str, row: dict[str, object]) -> None:
    with engine.begin() as connection:
        connection.execute(table(name, *map(column, row)).insert().values(row))


def stored(engine: Engine, name: str) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select("*").select_from(table(name))).mappings()]


@pytest.fixture
def older(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'node.db'}")
    upgrade_to(engine, "0001")
    for name, rows in ROWS_OF_0001.items():
        for row in rows:
            insert(engine, name, row)
    yield engine
    engine.dispose()


def test_a_database_of_0001_keeps_every_row_and_its_steps_become_round_0(older: Engine) -> None:
    migrate(older)
    for name, rows in ROWS_OF_0001.items():
        added = {"round": 0} if name in ("steps", "sent") else {}
        found = stored(older, name)
        assert len(found) == len(rows)
        for row in rows:
            assert {**row, **added} in found


def test_the_migrated_steps_are_told_apart_by_round_and_still_name_their_grant(older: Engine) -> None:
    migrate(older)
    step = {**ROWS_OF_0001["steps"][0], "step": "line_keys"}
    for number in (1, 2):
        insert(older, "steps", {**step, "round": number})
    with pytest.raises(IntegrityError):
        insert(older, "steps", {**step, "round": 2})
    with pytest.raises(IntegrityError):
        insert(older, "steps", {**step, "round": 3, "grant_hash": "b" * 64})
    with older.connect() as connection:
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"


def test_a_database_of_0002_keeps_its_journal_and_counts_runs_from_then_on(older: Engine) -> None:
    upgrade_to(older, "0002")
    event: dict[str, object] = {
        "number": 1,
        "at": 5,
        "type": "grant.signed",
        "project_id": "p",
        "run_id": "",
        "attempt": 0,
        "step": "",
        "grant_hash": "a" * 64,
        "code": "",
        "counts": "{}",
    }
    insert(older, "events", event)
    migrate(older)
    added = {"party": "", "round": 0, "purpose": "", "assets": "[]", "hashes": "{}"}
    assert stored(older, "events") == [{**event, **added}]
    assert stored(older, "run_attempts") == stored(older, "ended_grants") == []
    attempt: dict[str, object] = {
        "run_id": "run-1",
        "attempt": 1,
        "grant_hash": "a" * 64,
        "begun_at": 1,
        "last_step_at": 1,
        "expires_at": 2,
    }
    insert(older, "run_attempts", attempt)
    with pytest.raises(IntegrityError):
        insert(older, "run_attempts", attempt)
    with pytest.raises(IntegrityError):
        insert(older, "ended_grants", {"grant_hash": "b" * 64, "ended_at": 1})


def test_a_migration_that_fails_leaves_the_older_database(older: Engine) -> None:
    with older.begin() as connection:
        connection.execute(text("CREATE TABLE privacy_charges (in_the_way INTEGER)"))
    with pytest.raises(Exception, match="privacy_charges"):
        migrate(older)
    assert sorted(stored(older, "steps"), key=str) == sorted(ROWS_OF_0001["steps"], key=str)
    assert stored(older, "alembic_version") == [{"version_num": "0001"}]


@pytest.mark.parametrize(
    "changed",
    [
        {"mechanism": "laplace"},
        {"unit": "household"},
        {"state": "refunded"},
        {"rounds": 0},
        {"sigma_milli": 0},
        {"sample_rate_ppm": 1_000_001},
        {"rho_billionths": 1},
        {"mechanism": "discrete_gaussian"},
        {"asset": "unknown/1"},
    ],
)
def test_a_reservation_that_cannot_be_composed_is_refused_by_the_table(
    older: Engine, changed: dict[str, object]
) -> None:
    migrate(older)
    insert(older, "privacy_assets", {"asset": "tax/1", "changes": 1})
    good: dict[str, object] = {
        "run_id": "run-1",
        "attempt": 1,
        "asset": "tax/1",
        "project_id": "p",
        "grant_hash": "a" * 64,
        "mechanism": "gaussian",
        "sigma_milli": 1000,
        "sample_rate_ppm": 1,
        "steps_per_round": 1,
        "rho_billionths": 0,
        "delta_exponent": 6,
        "unit": "person",
        "rounds": 1,
        "state": "reserved",
        "reserved_at": 1,
        "expires_at": 2,
    }
    insert(older, "privacy_reservations", good)
    with pytest.raises(IntegrityError):
        insert(older, "privacy_reservations", {**good, "run_id": "run-2", **changed})


def test_there_is_no_way_back_that_would_forget_charges(older: Engine) -> None:
    migrate(older)
    for revision in ScriptDirectory(str(MIGRATIONS)).walk_revisions():
        if revision.revision != "0001":
            with pytest.raises(DoudiError, match=r"db\.no_way_back"):
                revision.module.downgrade()


def test_the_migrations_make_the_same_new_tables_on_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    buffer = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": buffer})
    revisions = list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())[::-1]
    with Operations.context(context):
        for revision in revisions:
            revision.module.upgrade()
    migrated = _statements(buffer.getvalue())
    changed = {"steps", "sent"}
    for modelled in Base.metadata.sorted_tables:
        if modelled.name not in {*changed, "events"}:
            assert _statements(str(CreateTable(modelled).compile(dialect=dialect))) <= migrated, modelled.name
    lines = {line for statement in migrated for line in statement}
    for column_sql in (
        "party VARCHAR(63) DEFAULT '' NOT NULL",
        "round INTEGER DEFAULT '0' NOT NULL",
        "purpose VARCHAR(63) DEFAULT '' NOT NULL",
        "assets TEXT DEFAULT '[]' NOT NULL",
        "hashes TEXT DEFAULT '{}' NOT NULL",
    ):
        assert f"ALTER TABLE events ADD COLUMN {column_sql}" in lines
    assert "CREATE INDEX ix_events_run ON events (run_id)" in lines
    for name in changed:
        assert f"ALTER TABLE {name} ADD COLUMN round INTEGER DEFAULT '0' NOT NULL" in lines
    assert "ALTER TABLE steps DROP CONSTRAINT steps_pkey" in lines
    assert "ALTER TABLE steps ADD CONSTRAINT steps_pkey PRIMARY KEY (run_id, attempt, round, step)" in lines


def _statements(sql: str) -> set[frozenset[str]]:
    """Return the statements of a script, each as the set of its lines: the order of constraints in a table is free."""
    found = ([line.strip().rstrip(",") for line in statement.splitlines()] for statement in sql.split(";"))
    return {frozenset(line for line in lines if line) for lines in found if any(lines)}
