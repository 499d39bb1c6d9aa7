"""Tables and migrations: `coordinator/db`."""

import io
import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateIndex, CreateTable

from coordinator.app import create_app
from coordinator.db.session import MIGRATIONS, begin, open_engine, read, require_known_schema, upgrade
from coordinator.db.tables import metadata
from coordinator.parties.models import PartyRow
from crypto.errors import DoudiError


@pytest.fixture
def engine(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'test.db'}")
    yield engine
    engine.dispose()


def test_models_and_migrations_agree(engine):
    upgrade(engine)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_upgrading_twice_changes_nothing(engine):
    upgrade(engine)
    upgrade(engine)
    require_known_schema(engine)


def test_the_migrations_can_be_taken_back(engine):
    upgrade(engine)
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        # Newest first.
        for revision in ScriptDirectory(str(MIGRATIONS)).walk_revisions():
            revision.module.downgrade()
        tables = connection.execute(text("SELECT name FROM sqlite_master WHERE name LIKE '%run%'")).all()
    assert tables == []


def test_every_column_has_a_comment():
    bare = [
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if not column.comment
    ]
    assert bare == []


def test_an_unknown_schema_is_refused_at_start(world):
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for start in (lambda: create_app(world.config), lambda: upgrade(world.engine)):
        with pytest.raises(DoudiError) as caught:
            start()
        assert caught.value.code == "db.unknown_schema"


def test_an_empty_database_is_refused_until_it_is_upgraded(engine):
    with pytest.raises(DoudiError) as caught:
        require_known_schema(engine)
    assert caught.value.code == "db.unknown_schema"


def test_sqlite_is_durable_and_enforces_foreign_keys(engine):
    with engine.connect() as connection:
        found = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 30_000}


def test_what_a_reading_block_changes_is_thrown_away(engine):
    upgrade(engine)
    with read(engine) as session:
        session.add(PartyRow(name="centre", role="centre", identity_key="0" * 64, registered_at=1))
    with read(engine) as session:
        assert session.get(PartyRow, "centre") is None


def test_errors_of_the_database_do_not_show_values(engine):
    upgrade(engine)
    row = {"name": "tax", "role": "department", "identity_key": "secret-value", "registered_at": 1}
    with pytest.raises(Exception, match="parties") as caught, begin(engine) as session:
        session.add(PartyRow(**row))
    assert "secret-value" not in str(caught.value)


def _statements(sql):
    """Return the statements of a script, each as the set of its lines: the order of constraints in a table is free.

    A column that is added to a table counts as a line of the table.
    """
    found = []
    for statement in sql.split(";"):
        lines = {line.strip().rstrip(",") for line in statement.splitlines()} - {""}
        added = re.fullmatch(r"ALTER TABLE (\w+) ADD COLUMN (.*)", "".join(lines))
        if added:
            tables = [table for table in found if f"CREATE TABLE {added[1]} (" in table]
            tables[-1].add(added[2])
        elif lines:
            found.append(lines)
    return {frozenset(lines) for lines in found}


def revisions():
    """Return the migrations, oldest first."""
    return list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())[::-1]


def at(engine, step):
    """Run one migration's step on a database that has the ones before."""
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        step()


OLD_ROWS = """
INSERT INTO parties (name, role, identity_key, card, registered_at) VALUES ('tax', 'department', 'ab', x'01', 1);
INSERT INTO projects VALUES ('p', 'Winter aid', 'aid', 'kentucky', 'tax', 2, 'open');
INSERT INTO grants VALUES ('gh', 'p', x'0203', 1, 3);
INSERT INTO runs (run_id, project_id, grant_hash, run_number, mode, attempt, state, reason_code, flower_run_id,
    created_at, attempt_at, started_at, finished_at, manifest, stop_requested)
    VALUES ('run-1', 'p', 'gh', 1, 'both', 2, 'finished', '', '18446744073709551615', 4, 5, 6, 7, x'00ff', 0);
INSERT INTO key_offers VALUES ('run-1', 2, 'tax', x'04');
INSERT INTO run_results VALUES ('run-1', 2, '{"auc": 1}');
INSERT INTO run_steps (run_id, attempt, step, department, state, code, request_bytes, reply_bytes, started_at,
    finished_at) VALUES ('run-1', 2, 'blind', 'tax', 'lost', 'node.timeout', 10, NULL, 8, 9)
"""


def rows(engine):
    with engine.connect() as connection:
        return {
            table: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))]  # noqa: S608
            for table in ("runs", "key_offers", "run_results", "run_steps")
        }


def test_old_rows_are_kept_and_their_steps_are_of_round_0(engine):
    first, second, *_ = revisions()
    at(engine, first.module.upgrade)
    with engine.begin() as connection:
        for statement in OLD_ROWS.split(";"):
            connection.execute(text(statement))
    before = rows(engine)
    at(engine, second.module.upgrade)
    after = rows(engine)
    assert {name: after[name] for name in after if name != "run_steps"} == {
        name: before[name] for name in before if name != "run_steps"
    }
    assert after["run_steps"] == [("run-1", 2, 0, *before["run_steps"][0][2:])]
    with engine.begin() as connection:
        # The references still hold, and lines may come.
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        connection.execute(text("UPDATE runs SET mode = 'line'"))
        with pytest.raises(IntegrityError):
            connection.execute(text("UPDATE runs SET mode = 'other'"))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("DELETE FROM runs"))


def test_taking_rounds_back_keeps_the_runs_of_regions_only(engine):
    first, second, *_ = revisions()
    at(engine, first.module.upgrade)
    with engine.begin() as connection:
        for statement in OLD_ROWS.split(";"):
            connection.execute(text(statement))
    before = rows(engine)
    at(engine, second.module.upgrade)
    with engine.begin() as connection:
        columns = (
            "project_id, grant_hash, attempt, state, reason_code, created_at, attempt_at, manifest, stop_requested"
        )
        connection.execute(
            text(
                f"INSERT INTO runs (run_id, run_number, mode, {columns}) SELECT 'run-2', 2, 'line', {columns} FROM runs"  # noqa: S608
            )
        )
        connection.execute(text("INSERT INTO key_offers VALUES ('run-2', 1, 'tax', x'04')"))
    at(engine, second.module.downgrade)
    assert rows(engine) == before


def test_the_migrations_make_the_same_tables_on_postgresql():
    dialect = postgresql.dialect()
    buffer = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": buffer})
    with Operations.context(context):
        for revision in revisions():
            revision.module.upgrade()
    migrated = _statements(buffer.getvalue())
    modelled = set()
    for table in metadata.sorted_tables:
        modelled |= _statements(str(CreateTable(table).compile(dialect=dialect)))
        for index in table.indexes:
            modelled |= _statements(str(CreateIndex(index).compile(dialect=dialect)))
    assert modelled <= migrated
    assert any("BEFORE UPDATE OR DELETE ON events" in " ".join(statement) for statement in migrated)
    commented = {
        line.split(" ")[3]
        for statement in migrated
        for line in statement
        if line.startswith("COMMENT ON COLUMN") and " IS " in line
    }
    assert commented == {
        f"{table.name}.{column.name}" for table in metadata.tables.values() for column in table.columns
    }
