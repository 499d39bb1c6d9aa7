"""The gate before every act: open only for an intent that a quorum of witnesses cosigned, and not long ago."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sealed_journal import NOW, Auditor, accept_terms, record_reports, small_node
from sqlalchemy import Engine

from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.ledger.gate import POLL_S, WitnessedGate
from department_nodes.ledger.sealing import seal_pending
from department_nodes.store.models import LedgerBatchRow
from department_nodes.store.session import transaction

TIMEOUT_S, MAXIMUM_AGE_S = 60.0, 300


class World:
    """A node with two events in one batch, and a gate whose time passes only while it waits."""

    def __init__(self, folder: Path) -> None:
        self.engine = NodeEngine(small_node(folder), lambda: NOW)
        self.db: Engine = self.engine.db
        self.notified = 0
        self.waited_s = 0.0
        self.now = float(NOW)
        self.while_waiting: Callable[[], None] = lambda: None

    def gate(self, timeout_s: float = TIMEOUT_S) -> WitnessedGate:
        return WitnessedGate(self.db, self._notify, timeout_s, lambda: self.now, lambda: self.waited_s, self._pass_time)

    def _notify(self) -> None:
        self.notified += 1

    def _pass_time(self, seconds: float) -> None:
        self.waited_s += seconds
        self.while_waiting()

    def witness(self, at: int, size: int = 10) -> None:
        """Note what the exchange notes when a quorum has cosigned a checkpoint that holds the first batch."""
        with transaction(self.db) as session:
            row = session.get_one(LedgerBatchRow, 1)
            row.first_index, row.included_size, row.witnessed_at = 0, size, at


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "node")
    accept_terms(made.db, Auditor(), checkpoint_max_age_s=MAXIMUM_AGE_S)
    record_reports(made.db, 1, 2)
    seal_pending(made.engine)
    yield made
    made.db.dispose()


def assert_closed(world: World, number: int, timeout_s: float = TIMEOUT_S) -> None:
    with pytest.raises(DoudiError, match=r"ledger\.not_witnessed"):
        world.gate(timeout_s).wait(number)
    # Not given up early, and not much later than stated.
    assert timeout_s <= world.waited_s < timeout_s + 2 * POLL_S


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("age_s", [0, 17, MAXIMUM_AGE_S, -20])
def test_it_is_open_for_every_event_of_a_batch_that_was_witnessed_recently(
    world: World, number: int, age_s: int
) -> None:
    world.witness(NOW - age_s)
    world.gate().wait(number)
    assert (world.waited_s, world.notified) == (0, 1)


def test_it_stays_closed_for_a_batch_that_nobody_acknowledged(world: World) -> None:
    assert_closed(world, 1)
    assert world.notified == 1


def test_it_stays_closed_for_a_batch_that_the_log_placed_and_no_quorum_has_cosigned(world: World) -> None:
    with transaction(world.db) as session:
        session.get_one(LedgerBatchRow, 1).first_index = 0
    assert_closed(world, 1)


@pytest.mark.parametrize("age_s", [MAXIMUM_AGE_S + 1, 10 * MAXIMUM_AGE_S, -MAXIMUM_AGE_S - 1])
def test_it_stays_closed_when_the_quorum_is_too_old_or_dated_far_ahead(world: World, age_s: int) -> None:
    world.witness(NOW - age_s)
    assert_closed(world, 1)


def test_it_stays_closed_for_an_event_after_the_witnessed_batch(world: World) -> None:
    world.witness(NOW)
    record_reports(world.db, 3)
    assert_closed(world, 3)
    seal_pending(world.engine)
    world.waited_s = 0.0
    assert_closed(world, 3)


def test_it_stays_closed_for_an_event_before_any_batch_or_that_never_was(world: World) -> None:
    world.witness(NOW)
    assert_closed(world, 0, timeout_s=1)
    world.waited_s = 0.0
    assert_closed(world, 99, timeout_s=1)


def test_a_node_without_terms_is_refused_after_the_timeout(tmp_path: Path) -> None:
    world = World(tmp_path / "node")
    record_reports(world.db, 1)
    assert seal_pending(world.engine) == []
    assert_closed(world, 1)
    world.db.dispose()


def test_the_stated_timeout_is_the_one_that_counts(world: World) -> None:
    assert_closed(world, 1, timeout_s=2.5)


def test_it_opens_while_the_step_waits(world: World) -> None:
    def after_a_second() -> None:
        if world.waited_s > 1:
            world.witness(NOW)

    world.while_waiting = after_a_second
    world.gate().wait(2)
    assert 1 < world.waited_s < 1 + 3 * POLL_S


def test_a_witnessed_batch_becomes_too_old_with_the_time_that_passes(world: World) -> None:
    world.witness(NOW)
    world.now = NOW + MAXIMUM_AGE_S
    world.gate().wait(1)
    world.now += 1
    assert_closed(world, 1)
    # A newer checkpoint that holds the batch opens it again.
    world.witness(NOW + MAXIMUM_AGE_S, size=20)
    world.gate().wait(1)


def test_newer_terms_with_a_shorter_age_hold_at_once(world: World) -> None:
    world.witness(NOW - 200)
    world.gate().wait(1)
    accept_terms(world.db, Auditor("later"), number=2, checkpoint_max_age_s=100)
    assert_closed(world, 1)


def test_it_reads_while_another_process_writes(world: World) -> None:
    world.witness(NOW)
    writer = sqlite3.connect(world.engine.home.path / "node.db", isolation_level=None, timeout=1)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE events SET code = ''")
    world.gate().wait(1)
    assert world.waited_s == 0
    writer.execute("ROLLBACK")
    writer.close()
