"""Writers of one process wait for each other; whatever ends a transaction lets the next one in."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from coordinator.db import session as session_module
from coordinator.db.session import begin, open_engine, read

PATIENCE_S = 20


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    made = open_engine(f"sqlite:///{tmp_path / 'some.db'}")
    with begin(made) as session:
        session.execute(text("CREATE TABLE facts (number INTEGER NOT NULL)"))
    return made


def add(engine: Engine, number: int) -> None:
    with begin(engine) as session:
        session.execute(text("INSERT INTO facts VALUES (:number)"), {"number": number})


def count(engine: Engine) -> int:
    with read(engine) as session:
        return int(session.scalar(text("SELECT count(*) FROM facts")) or 0)


def in_thread(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_second_writer_waits_until_the_first_has_ended_and_a_reader_does_not(engine: Engine) -> None:
    order: list[str] = []

    def second() -> None:
        add(engine, 2)
        order.append("second")

    with begin(engine) as session:
        session.execute(text("INSERT INTO facts VALUES (1)"))
        thread = in_thread(second)
        assert count(engine) == 0
        thread.join(0.2)
        order.append("first")
    thread.join(PATIENCE_S)
    assert order == ["first", "second"]
    assert count(engine) == 2


class Refused(Exception):
    """An act that does not happen."""


def fails_in_the_block(engine: Engine) -> None:
    with begin(engine) as session:
        session.execute(text("INSERT INTO facts VALUES (7)"))
        raise Refused


def fails_at_the_commit(engine: Engine) -> None:
    with begin(engine) as session:
        session.execute(text("CREATE TABLE parents (number INTEGER PRIMARY KEY)"))
        session.execute(text("CREATE TABLE children (p REFERENCES parents DEFERRABLE INITIALLY DEFERRED)"))
        session.execute(text("INSERT INTO children VALUES (7)"))


def loses_its_connection(engine: Engine) -> None:
    with begin(engine) as session:
        session.execute(text("INSERT INTO facts VALUES (7)"))
        session.connection().invalidate()
        raise Refused


def closes_its_connection(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin():
        connection.execute(text("INSERT INTO facts VALUES (7)"))
        connection.detach()
        raise Refused


@pytest.mark.parametrize(
    "ending", [fails_in_the_block, fails_at_the_commit, loses_its_connection, closes_its_connection]
)
def test_whatever_ends_a_writer_lets_the_next_one_in(engine: Engine, ending: Callable[[Engine], None]) -> None:
    with pytest.raises(Exception):  # noqa: B017 - each of them ends in its own way
        ending(engine)
    began = time.monotonic()
    in_thread(lambda: add(engine, 1)).join(PATIENCE_S)
    assert count(engine) == 1
    assert time.monotonic() - began < PATIENCE_S


def test_many_writers_lose_nothing(engine: Engine) -> None:
    threads = [in_thread(lambda number=number: [add(engine, number) for _ in range(10)]) for number in range(8)]
    for thread in threads:
        thread.join(PATIENCE_S)
    assert count(engine) == 80


def test_a_writer_of_another_process_is_told_of_by_sqlite(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "BUSY_TIMEOUT_MS", 50)
    impatient = open_engine(f"sqlite:///{tmp_path / 'some.db'}")
    # Another engine has turns of its own, as another process has.
    with begin(engine) as session:
        session.execute(text("INSERT INTO facts VALUES (7)"))
        with pytest.raises(OperationalError, match="locked"):
            add(impatient, 1)
    add(impatient, 1)
    assert count(engine) == 2
