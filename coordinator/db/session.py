"""Opening the database and its transactions: SQLite (WAL) by default, PostgreSQL through the same layer.

The API and each run's child process use one database at the same time, so a transaction that writes takes its place in
the queue at its start: what it has read cannot change before it commits.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from crypto.errors import DoudiError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 30_000
_READ_ONLY = "doudi_read_only"
_HAS_TURN = "doudi_has_turn"

Clock = Callable[[], float]


def open_engine(url: str) -> Engine:
    """Return an engine whose commits are durable when they return. Its errors never show statements' values."""
    if not url.startswith("sqlite"):
        # SERIALIZABLE gives PostgreSQL what BEGIN IMMEDIATE gives SQLite: a check and the write that follows are one.
        return create_engine(url, isolation_level="SERIALIZABLE", hide_parameters=True, pool_pre_ping=True)
    engine = create_engine(url, hide_parameters=True)
    _write_in_turn(engine)

    @event.listens_for(engine, "connect")
    def _settings(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        # The driver's own transaction handling begins late and commits before DDL; `_begin` below replaces it.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "foreign_keys=ON",
            "synchronous=FULL",
            # What is destroyed on purpose must not stay in the file's free pages: keys of a batch, records of the time before.
            "secure_delete=ON",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred transaction that first reads and then writes fails at once when another process wrote in between.
        read_only = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _write_in_turn(engine: Engine) -> None:
    """Have the writers of this process wait for each other here.

    SQLite lets a second writer sleep for up to a tenth of a second and look again, while others overtake it; with six nodes and
    the log's writer at work that was most of the time that a step took. Other processes are still waited for by SQLite.
    """
    turn = threading.Lock()

    @event.listens_for(engine, "begin")
    def _take(connection: Connection) -> None:
        if not connection.get_execution_options().get(_READ_ONLY, False) and not connection.info.get(_HAS_TURN):
            # After the same time as SQLite's own, it is SQLite that says who is in the way.
            connection.info[_HAS_TURN] = turn.acquire(timeout=BUSY_TIMEOUT_MS / 1000)

    def _give(_: DBAPIConnection | None, record: ConnectionPoolEntry, *_more: object) -> None:
        if record.info.pop(_HAS_TURN, False):
            turn.release()

    # The transaction is over, whatever its end, when its connection is back in the pool; a broken one never comes back.
    event.listen(engine, "checkin", _give)
    event.listen(engine, "invalidate", _give)
    event.listen(engine, "close", _give)
    event.listen(engine, "detach", _give)


@contextmanager
def begin(engine: Engine, clock: Clock = time.time) -> Iterator[Session]:
    """Run a block in one writing transaction: all of it is durable when the block ends, or none of it ever happened.

    `clock`: what the services take the time from, so that a test owns it.
    """
    with Session(engine, expire_on_commit=False, info={"clock": clock}) as session, session.begin():
        yield session


@contextmanager
def read(engine: Engine, clock: Clock = time.time) -> Iterator[Session]:
    """Run a block that only reads: one consistent view, and nobody waits for it. What it changes is thrown away."""
    bind = engine.execution_options(**{_READ_ONLY: True})
    with Session(bind, expire_on_commit=False, autoflush=False, info={"clock": clock}) as session:
        yield session
        session.rollback()


def now_s(session: Session) -> int:
    """Return the time of the session's clock, in whole seconds since 1970 UTC."""
    clock: Clock = session.info.get("clock", time.time)
    return int(clock())


def upgrade(engine: Engine) -> None:
    """Bring the schema up to this program's revision. Raises `db.unknown_schema` for one that it does not know."""
    script = ScriptDirectory(str(MIGRATIONS))
    with engine.begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
            raise _unknown_schema()
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_known_schema(engine: Engine) -> None:
    """Raise `db.unknown_schema` unless the schema is this program's: an older program must not write."""
    script = ScriptDirectory(str(MIGRATIONS))
    with read(engine) as session:
        current = MigrationContext.configure(session.connection()).get_current_revision()
    if current is None or current != script.get_current_head():
        raise _unknown_schema()


def _unknown_schema() -> DoudiError:
    return DoudiError(
        "db.unknown_schema",
        "the coordinator's database was written by another version of this program",
        "Install the version that wrote it or a newer one; `doudi centre run` upgrades older schemas.",
    )
