"""Opening the node's database: SQLite with WAL and foreign keys, or PostgreSQL; migrated by Alembic, unknown schemas refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from crypto.errors import DoudiError

MIGRATIONS = Path(__file__).parent / "migrations"
_READING = "doudi_reading"
HEAD_REVISION = "0004"  # the newest file in migrations/versions; a test compares them


def open_engine(url: str) -> Engine:
    """Return an engine. On SQLite a commit is on the disk when it returns, and deleted rows are overwritten."""
    engine = create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {})
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _settings(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
            cursor = connection.cursor()
            for pragma in (
                "journal_mode=WAL",
                "foreign_keys=ON",
                "synchronous=FULL",
                "secure_delete=ON",
                "busy_timeout=30000",
            ):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
            # The driver would begin a transaction at the first write only, and a charge reads before it writes.
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(
                "BEGIN" if connection.get_execution_options().get(_READING) else "BEGIN IMMEDIATE"
            )

    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema up to this program's revision. Raises `db.unknown_schema` for one it does not know."""
    current = _current_revision(engine)
    if current == HEAD_REVISION:
        return
    # Imported here: every command opens the database, and hardly any has to migrate it.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    known = {revision.revision for revision in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    if current is not None and current not in known:
        raise DoudiError(
            "db.unknown_schema", "the node's database was written by another version", "Install the newer program."
        )
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _current_revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return revision


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """Run a block in one transaction: all of it is durable, or none."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """Read one state of the database, beside whoever writes. Whatever the block changes is not kept."""
    with Session(engine.execution_options(**{_READING: True}), expire_on_commit=False) as session:
        yield session


def truncate_log(engine: Engine) -> None:
    """Empty SQLite's write-ahead log, where deleted values would stay readable until the next checkpoint.

    A connection that is reading keeps the log as it is; the node's service tries again.
    """
    if engine.dialect.name == "sqlite":
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            raw.close()
