"""Nothing leaves the coordinator before its announcement is witnessed: `DatabaseMarks.announce` and the numbering's record."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from coordinator_world import DEPARTMENTS, World
from cosigning_departments import cosign_newest, name_witnesses

from coordinator.federation.asking import Asker
from coordinator.federation.run_child import DatabaseMarks
from coordinator.federation.run_folder import StepFiles
from coordinator.federation.union import Numbering
from coordinator.runs.services import claim_running
from crypto.errors import DoudiError
from policies.contracts.steps import Step

NUMBERING = Numbering(slots=120, padding=20, list_count=4, seed="ab" * 32, lists="cd" * 32, union="ef" * 32)


@dataclass
class SilentRelay:
    """Takes what is to be sent and brings no answer. `seen`: what was recorded and witnessed by then."""

    world: World
    seen: list[tuple[set[str], list[str]]] = field(default_factory=list)

    def exchange(self, requests: Any, timeout_s: float, on_reply: Any = None) -> dict[str, Any]:
        self.seen.append((set(requests), [one.type for one in self.world.records()]))
        return {}


@pytest.fixture
def running(world: World) -> World:
    """A running run, departments that are the log's witnesses, and the time of this host: a child has no other."""
    import time

    world.agree()
    run = world.schedule(world.start_run())
    with world.begin() as session:
        claim_running(session, run["run_id"], 1)
    world.run_id = run["run_id"]  # type: ignore[attr-defined]
    world.grant_in_force = world.grant()  # type: ignore[attr-defined]
    world.now = time.time()
    name_witnesses(world)
    return world


@contextmanager
def departments_that_cosign(world: World, departments: Any = DEPARTMENTS) -> Iterator[None]:
    ending = threading.Event()

    def cosign_on() -> None:
        while not ending.wait(0.02):
            cosign_newest(world, departments)

    thread = threading.Thread(target=cosign_on)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def ask(world: Any, relay: SilentRelay, marks: DatabaseMarks, folder: Any) -> Any:
    asker = Asker(world.grant_in_force, relay, 1)
    requests = {name: b"a request" for name in DEPARTMENTS[:2]}
    return asker.ask(Step.BLIND, requests, StepFiles(folder / "files"), marks)


def test_a_request_leaves_only_when_a_quorum_cosigned_its_announcement(running: Any, tmp_path: Any) -> None:
    relay, marks = SilentRelay(running), DatabaseMarks(running.engine, running.run_id, 1, witness_timeout_s=30)
    with departments_that_cosign(running):
        ask(running, relay, marks, tmp_path)
    ((asked, recorded),) = relay.seen
    assert asked == set(DEPARTMENTS[:2])
    assert recorded.count("run.step_waiting") == recorded.count("run.step_sent") == 2
    assert {one.counts["request_bytes"] for one in running.records("run.step_waiting")} == {9}


def test_without_a_quorum_nothing_leaves_and_the_run_ends_with_its_code(running: Any, tmp_path: Any) -> None:
    relay, marks = SilentRelay(running), DatabaseMarks(running.engine, running.run_id, 1, witness_timeout_s=1)
    with departments_that_cosign(running, DEPARTMENTS[:2]), pytest.raises(DoudiError) as caught:
        ask(running, relay, marks, tmp_path)
    assert caught.value.code == "ledger.not_witnessed"
    assert relay.seen == []
    assert running.records("run.step_sent") == []


def test_cosignatures_that_are_too_old_do_not_let_anything_leave(running: Any, tmp_path: Any) -> None:
    relay, marks = SilentRelay(running), DatabaseMarks(running.engine, running.run_id, 1, witness_timeout_s=1)
    marks.numbered(NUMBERING)
    cosign_newest(running, at=int(running.now) - 10_000)
    with pytest.raises(DoudiError) as caught:
        ask(running, relay, marks, tmp_path)
    assert (caught.value.code, relay.seen) == ("ledger.not_witnessed", [])


def test_the_numbering_is_recorded_sealed_and_waits_with_the_next_announcement(running: Any, tmp_path: Any) -> None:
    relay, marks = SilentRelay(running), DatabaseMarks(running.engine, running.run_id, 1, witness_timeout_s=30)
    marks.numbered(NUMBERING)
    (one,) = running.records("run.numbered")
    assert (one.run_id, one.hashes) == (running.run_id, {"seed": "ab" * 32, "lists": "cd" * 32, "union": "ef" * 32})
    assert one.counts == {"attempt": 1, "slots": 120, "padding": 20, "lists": 4}
    with departments_that_cosign(running):
        ask(running, relay, marks, tmp_path)
    assert len(relay.seen) == 1


def test_a_run_that_goes_on_announces_again_what_it_asks_again(running: Any, tmp_path: Any) -> None:
    relay, marks = SilentRelay(running), DatabaseMarks(running.engine, running.run_id, 1, witness_timeout_s=30)
    with departments_that_cosign(running):
        for _ in range(2):
            marks.announce(Step.BLIND, {"tax": 5})
    assert len(running.records("run.step_waiting")) == 2
    assert relay.seen == []


def test_an_announcement_of_a_former_attempt_is_refused(running: Any) -> None:
    with pytest.raises(DoudiError) as caught:
        DatabaseMarks(running.engine, running.run_id, 2).announce(Step.BLIND, {"tax": 5})
    assert caught.value.code == "run.wrong_attempt"
    with pytest.raises(DoudiError) as caught:
        DatabaseMarks(running.engine, running.run_id, 2).numbered(NUMBERING)
    assert caught.value.code == "run.wrong_attempt"
