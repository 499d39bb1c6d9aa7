"""What an older program recorded in clear goes sealed into the ledger: `coordinator/ledger/former_events.py`, migration 0008."""

import json

import pytest
from alembic import command
from alembic.config import Config
from log_world import SETTINGS, LogWorld
from sqlalchemy import func, select, text

from coordinator.db.session import MIGRATIONS, begin, open_engine, read, upgrade
from coordinator.events import EventType
from coordinator.ledger import former_events
from coordinator.ledger.former_events import FormerEventRow, take_over
from coordinator.ledger.models import LedgerBatchRow
from coordinator.ledger.parts import open_ledger
from crypto.errors import DoudiError
from policies.contracts.ledger.record_types import COORDINATOR_TYPES

COLUMNS = ("at", "type", "actor", "account", "project_id", "run_id", "grant_hash", "subject", "code", "counts")


def rows(*given):
    return [dict(zip(COLUMNS, row, strict=True)) for row in given]


OLD = rows(
    (1_700_000_000, "party.registered", "centre", 3, None, None, None, "tax", "", {"people": 5, "columns": 2}),
    (1_700_000_001, "run.started", "coordinator", None, "p", "run-1", "ab" * 32, None, "", {"attempt": 2}),
    (1_700_000_002, "request.refused", "tax", None, None, None, None, None, "authorization.denied", {}),
)


def insert(engine, given):
    statement = text(
        f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({', '.join(':' + name for name in COLUMNS)})"  # noqa: S608
    )
    with engine.begin() as connection:
        for row in given:
            connection.execute(statement, {**row, "counts": json.dumps(row["counts"])})


def left(engine):
    with read(engine) as session:
        return session.scalar(select(func.count()).select_from(FormerEventRow))


@pytest.fixture
def old(tmp_path):
    """A database as the program before the ledger left it, at that program's revision."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    engine = open_engine(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
    insert(engine, OLD)
    engine.dispose()
    return url


def test_an_upgraded_coordinator_seals_what_was_recorded_before_with_its_times(old, tmp_path):
    engine = open_engine(old)
    upgrade(engine)
    world = LogWorld(engine, tmp_path / "home")
    world.home.mkdir()
    world.auditor.found(world.home, SETTINGS, world.approval_key, 1)
    open_ledger(engine, world.clock, world.home, SETTINGS, world.centre)
    found = world.records()
    assert [{name: getattr(one, name) for name in COLUMNS} for one in found] == OLD
    assert left(engine) == 0
    # A second start finds nothing to take.
    open_ledger(engine, world.clock, world.home, SETTINGS, world.centre)
    assert len(world.records()) == len(OLD)
    world.sequencer().advance()
    assert len(world.check()) == 2 + len(OLD)
    engine.dispose()


def test_rows_are_taken_in_portions_and_a_crash_between_two_repeats_and_loses_nothing(log, monkeypatch):
    insert(log.engine, [{**OLD[1], "run_id": f"run-{number}"} for number in range(1_203)])
    calls = []
    original = former_events._take

    def dies_at_the_second(session):
        calls.append(1)
        taken = original(session)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return taken

    monkeypatch.setattr(former_events, "_take", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        take_over(log.engine, log.clock)
    assert (left(log.engine), len(log.records())) == (703, 500)
    assert take_over(log.engine, log.clock) == 703
    assert [one.run_id for one in log.records()] == [f"run-{number}" for number in range(1_203)]
    with read(log.engine) as session:
        assert session.scalar(select(func.max(LedgerBatchRow.count))) == 500


def test_what_the_records_type_does_not_list_is_left_out_and_the_row_is_taken(log):
    insert(log.engine, [{**OLD[2], "subject": "tax", "counts": {"unknown": 1}, "project_id": "p"}])
    assert take_over(log.engine, log.clock) == 1
    (one,) = log.records()
    assert (one.type, one.actor, one.code) == ("request.refused", "tax", "authorization.denied")
    assert (one.subject, one.counts, one.project_id) == (None, {}, None)


def test_a_row_of_a_type_that_nobody_wrote_stays_where_it_is(log):
    insert(log.engine, [{**OLD[0], "type": "somebody.wrote_this"}])
    with pytest.raises(DoudiError) as caught:
        take_over(log.engine, log.clock)
    assert (caught.value.code, left(log.engine)) == ("record.malformed", 1)


def test_every_type_that_an_older_program_wrote_can_be_taken(log):
    every = [kind.value for kind in EventType]
    insert(log.engine, [{**OLD[0], "type": kind, "counts": {}, "subject": None} for kind in every])
    assert set(every) <= COORDINATOR_TYPES.keys()
    assert take_over(log.engine, log.clock) == len(every)
    assert [one.type for one in log.auditor.records(log.engine, ledgers_own=True)][2:] == every


def test_without_a_ledger_nothing_of_it_is_removed(database_url):
    engine = open_engine(database_url)
    insert(engine, OLD)
    with pytest.raises(DoudiError) as caught:
        take_over(engine, lambda: 1.0)
    assert (caught.value.code, left(engine)) == ("ledger.not_set_up", len(OLD))
    engine.dispose()


def test_nothing_in_clear_is_left_in_the_old_table(log):
    insert(log.engine, OLD)
    take_over(log.engine, log.clock)
    with begin(log.engine) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM events").scalar() == 0


def test_nothing_in_clear_is_left_in_the_free_pages_of_the_file(old, tmp_path):
    file, code = tmp_path / "old.db", b"authorization.denied"
    assert code in file.read_bytes()
    engine = open_engine(old)
    upgrade(engine)
    world = LogWorld(engine, tmp_path / "home")
    world.home.mkdir()
    world.auditor.found(world.home, SETTINGS, world.approval_key, 1)
    open_ledger(engine, world.clock, world.home, SETTINGS, world.centre)
    with engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    engine.dispose()
    assert code not in file.read_bytes()
