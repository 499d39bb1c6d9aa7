"""Tables and migrations: `coordinator/db`."""

import io

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
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
    (revision,) = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
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
    """Return the statements of a script, each as the set of its lines: the order of constraints in a table is free."""
    lines = ([line.strip().rstrip(",") for line in statement.splitlines()] for statement in sql.split(";"))
    return {frozenset(line for line in found if line) for found in lines if any(found)}


def test_the_migration_makes_the_same_tables_on_postgresql():
    dialect = postgresql.dialect()
    buffer = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": buffer})
    (revision,) = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    with Operations.context(context):
        revision.module.upgrade()
    migrated = _statements(buffer.getvalue())
    modelled = set()
    for table in metadata.sorted_tables:
        modelled |= _statements(str(CreateTable(table).compile(dialect=dialect)))
        for index in table.indexes:
            modelled |= _statements(str(CreateIndex(index).compile(dialect=dialect)))
    assert modelled <= migrated
    assert any("BEFORE UPDATE OR DELETE ON events" in " ".join(statement) for statement in migrated)
    comments = sum(line.startswith("COMMENT ON COLUMN") for statement in migrated for line in statement)
    assert comments == sum(len(table.columns) for table in metadata.tables.values())
