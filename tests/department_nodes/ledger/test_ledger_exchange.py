"""The exchange's threads: they wake each other, wait for nothing but the log, and end with the node."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostile_log import HostileLog
from ledger_nodes import ME, Clock, Node, Witnesses

from crypto.errors import DoudiError
from department_nodes.ledger import exchange as exchange_module
from department_nodes.ledger import own_batches
from department_nodes.ledger.alarms import all_alarms
from department_nodes.ledger.gate import WitnessedGate
from department_nodes.store.session import reading

PATIENCE_S = 60


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Witnesses]:
    made = Witnesses(tmp_path, clock=Clock())
    for node in made.nodes.values():
        node.exchange.start()
    yield made
    for node in made.nodes.values():
        node.exchange.stop()
    made.close()


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.01)


def pass_gate(node: Node, timeout_s: float = PATIENCE_S) -> float:
    """Record an intent and wait until it is witnessed; return how long that took."""
    number = node.act()
    began = time.monotonic()
    WitnessedGate(node.engine.db, node.exchange.notify, timeout_s, node.clock).wait(number)
    return time.monotonic() - began


def test_steps_of_all_nodes_pass_at_once(world: Witnesses) -> None:
    nodes = list(world.nodes.values())
    pass_gate(nodes[0])
    took: list[float] = []

    def act(node: Node) -> None:
        took.append(pass_gate(node))

    for _ in range(3):
        threads = [threading.Thread(target=act, args=(node,)) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(took) == 12
    assert {name for name, _, _ in world.log.cosigned} == set(world.names)


def test_a_step_waits_for_no_regular_look(world: Witnesses, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing that happens wakes whoever waits for it: the submitter looks by itself only long after the test."""
    monkeypatch.setattr(own_batches, "LATER_S", 10 * PATIENCE_S)
    for node in world.nodes.values():
        node.exchange.notify()
    for node in world.nodes.values():
        pass_gate(node)
        pass_gate(node)


def test_a_log_that_was_away_is_found_again_and_nothing_is_lost(world: Witnesses, log: HostileLog) -> None:
    node = world.nodes[ME]
    pass_gate(node)
    log.away = True
    log.wake()
    with pytest.raises(DoudiError, match=r"ledger\.not_witnessed"):
        pass_gate(node, 0.2)
    numbers = [node.act() for _ in range(3)]
    log.away = False
    gate = WitnessedGate(node.engine.db, node.exchange.notify, PATIENCE_S, node.clock)
    for number in numbers:
        gate.wait(number)
    assert all(row.included_size for row in node.batches()[:-1])


def test_what_was_recorded_before_the_start_is_handed_in_without_being_asked(tmp_path: Path) -> None:
    world = Witnesses(tmp_path)
    node = world.nodes[ME]
    node.act()
    node.exchange.start()
    wait_for(lambda: len(world.log.main.leaves) > 0)
    node.exchange.stop()
    world.close()


def test_both_threads_end_at_once_also_in_a_long_poll(tmp_path: Path) -> None:
    world = Witnesses(tmp_path)
    world.log.grow(1)
    node = world.nodes[ME]
    before = threading.active_count()
    node.exchange.start()

    def idle() -> bool:
        placed = [row.first_index is not None for row in node.batches()]
        return bool(placed) and all(placed) and world.log.polls[-1][0] == world.log.main.latest

    # It has cosigned and handed in what it had, and waits for more.
    wait_for(idle)
    assert threading.active_count() == before + 2
    began = time.monotonic()
    node.exchange.stop()
    assert time.monotonic() - began < exchange_module.LONG_POLL_S / 2
    assert threading.active_count() == before
    world.close()


def test_a_log_that_forks_is_asked_no_faster_than_once_a_second(world: Witnesses, log: HostileLog) -> None:
    node = world.nodes[ME]
    pass_gate(node)
    fork = log.main.fork(0)
    with log.changed:
        log.grow(len(log.main.leaves) + 5, fork, "other")
        log.views[ME] = fork

    def alarmed() -> bool:
        with reading(node.engine.db) as session:
            return len(all_alarms(session)) == 1

    wait_for(alarmed)
    before = len(log.calls)
    with pytest.raises(DoudiError, match=r"ledger\.not_witnessed"):
        pass_gate(node, 1.5)
    own = [call for call in log.calls[before:] if call[1] == "/v1/ledger/checkpoint"]
    # The three other nodes ask too, whenever this one's events make the log grow.
    assert len(own) < 40
    assert [size for name, size, root in log.cosigned if name == ME and root == fork.root(size)] == []
