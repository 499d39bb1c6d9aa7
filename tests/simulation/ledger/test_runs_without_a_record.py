"""A run whose announcement cannot be recorded or is not witnessed asks no node: in no node's journal does a step begin.

Between two processes: the coordinator's child that carries the run, and the nodes. That a node does nothing without its own
intent is in `department_nodes/ledger/test_step_intents.py`, acts through the API in
`coordinator/ledger/test_acts_need_their_record.py`.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cosigning_departments import cosign_newest
from governed_runs import register, running_world
from region import EngineRelay
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from coordinator.db.session import open_engine
from coordinator.federation.run_child import DatabaseMarks
from crypto.errors import DoudiError
from department_nodes.store.models import EventRow
from department_nodes.store.session import reading
from policies.contracts.steps import Step


class Carried:
    """A region of six before its first step, and the coordinator that is to carry the run."""

    def __init__(self, region, stages, world, run_id: str) -> None:
        self.region, self.stages, self.world, self.run_id = region, stages, world, run_id
        register(world, region)
        self.relay = EngineRelay(region.engines)
        self.url = world.config.resolved_database_url

    def run(self, engine) -> None:
        marks = DatabaseMarks(engine, self.run_id, 1, witness_timeout_s=0.2)
        self.region.run(self.stages.signed, self.stages.manifest, self.relay, marks)

    def require_untouched(self) -> None:
        assert self.relay.seen == []
        for name in self.region.departments:
            with reading(self.region.engines[name].db) as session:
                assert "step.started" not in set(session.scalars(select(EventRow.type)))

    def waiting(self) -> int:
        return len(self.world.records("run.step_waiting"))


@pytest.fixture
def carried(region_before, stages, tmp_path, migrated) -> Carried:
    (tmp_path / "coordinator").mkdir()
    world, run_id = running_world(tmp_path / "coordinator", migrated)
    return Carried(region_before(Step.BLIND), stages, world, run_id)


@contextmanager
def engine_with(url: str, pragma: str) -> Iterator:
    """Yield an engine, as the child opens it, whose connections begin with a pragma of SQLite."""
    engine = open_engine(url)

    def apply(connection, *_) -> None:
        connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", apply)
    yield engine
    engine.dispose()


def test_without_witnesses_no_node_is_asked_although_the_announcement_is_durable(carried):
    cosign_newest(carried.world)
    with (
        engine_with(carried.url, "busy_timeout=1000") as engine,
        pytest.raises(DoudiError, match=r"ledger\.not_witnessed"),
    ):
        carried.run(engine)
    carried.require_untouched()
    assert carried.waiting() == 6


def test_while_another_process_holds_the_database_no_node_is_asked(carried):
    other = sqlite3.connect(carried.world.config.home / "coordinator.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with engine_with(carried.url, "busy_timeout=50") as engine, pytest.raises(OperationalError, match="locked"):
        carried.run(engine)
    other.execute("ROLLBACK")
    other.close()
    carried.require_untouched()
    assert carried.waiting() == 0


def test_without_room_for_the_announcement_no_node_is_asked(carried):
    with sqlite3.connect(carried.world.config.home / "coordinator.db") as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
    with engine_with(carried.url, f"max_page_count={pages}") as engine:
        # There may be room for an announcement or two in free pages: those are not witnessed, so nothing is asked either.
        for _ in range(40):
            with pytest.raises((OperationalError, DoudiError), match=r"full|ledger\.not_witnessed") as refused:
                carried.run(engine)
            carried.require_untouched()
            if refused.type is OperationalError:
                break
    assert refused.type is OperationalError
    assert carried.waiting() % 6 == 0


def test_once_its_announcements_are_witnessed_the_same_run_is_carried_to_its_end(carried):
    """What was refused above was refused for that reason alone."""
    ending = threading.Event()

    def cosign_on() -> None:
        while not ending.wait(0.02):
            cosign_newest(carried.world)

    thread = threading.Thread(target=cosign_on)
    thread.start()
    try:
        engine = open_engine(carried.url)
        marks = DatabaseMarks(engine, carried.run_id, 1, witness_timeout_s=60)
        carried.region.run(carried.stages.signed, carried.stages.manifest, carried.relay, marks)
        engine.dispose()
    finally:
        ending.set()
        thread.join()
    assert len(carried.relay.seen) == 25
