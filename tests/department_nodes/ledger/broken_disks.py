"""A node's database that has no room left, or that another process holds; and gates that act while a step waits."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.session import transaction

UNLIMITED_PAGES = 1_000_000_000


class ActingGate:
    """Does something for each intent that comes to it, and lets the step through unless that raises."""

    def __init__(self, act: Callable[[int], object]) -> None:
        self._act = act

    def wait(self, number: int) -> None:
        """Act on the intent's number."""
        self._act(number)


class Killed(BaseException):
    """The node's process ends here: nothing of it catches this."""


class FullDisk:
    """Limits the database to its present pages, and fills them, from `fill` to `free`."""

    def __init__(self, db: Engine) -> None:
        self._db, self._pages = db, UNLIMITED_PAGES

        @event.listens_for(db, "checkout")
        def _limit(connection: Any, *_: Any) -> None:
            connection.execute(f"PRAGMA max_page_count = {self._pages}")

    def fill(self) -> None:
        """Leave no room for another event."""
        with self._db.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS filler (data BLOB)")
        with self._db.connect() as connection:
            self._pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        _until_full(lambda: self._insert_filler())
        # Also what room there is in pages that hold events already.
        _until_full(lambda: self._record_event())

    def free(self) -> None:
        """Give room again."""
        self._pages = UNLIMITED_PAGES

    def _insert_filler(self) -> None:
        with self._db.begin() as connection:
            connection.exec_driver_sql("INSERT INTO filler VALUES (zeroblob(3500))")

    def _record_event(self) -> None:
        with transaction(self._db) as session:
            record(session, Event(EventType.REPORT_SIGNED, 1))


def _until_full(act: Callable[[], None]) -> None:
    for _ in range(10_000):
        try:
            act()
        except OperationalError as error:
            if "full" not in str(error):
                raise
            return
    raise AssertionError("the disk is never full")


@contextmanager
def held_database(db: Engine, path: Path, patience_ms: int = 100) -> Iterator[None]:
    """Let another process write for longer than the node waits for it."""

    def hurry(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA busy_timeout = {patience_ms}")

    event.listen(db, "checkout", hurry)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        writer.execute("ROLLBACK")
        writer.close()
        event.remove(db, "checkout", hurry)
