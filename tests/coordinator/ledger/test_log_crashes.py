"""A process that is killed at any moment loses nothing that it acknowledged, and leaves a log that verifies and goes on.

Children are forked and open the database themselves. Every step of the log is one transaction, so the moments that differ are
those just before and just after each commit: all of them are tried, and then 200 random ones.
"""

import os
import random
import signal
import time

import pytest
from log_world import LogWorld
from sqlalchemy import event
from sqlalchemy.orm import Session

from coordinator.db.session import open_engine, read
from coordinator.events import Event, EventType, record
from coordinator.ledger import log_reader
from coordinator.ledger.batch_store import is_waiting
from coordinator.ledger.log_head import read_head
from crypto.signing import generate_signing_key

KILLED = 9
KILLS = 200
# A log on a server is killed less often: each child connects anew.
KILLS_ON_POSTGRESQL = 40


def forked(work):
    """Run work(acknowledge) in a child; return its pid and the reading end of what it acknowledges, line by line."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            work(lambda line: os.write(writing, f"{line}\n".encode()))
            status = 0
        finally:
            # Nothing of the parent's may run in the child: no fixture, no report.
            os._exit(status)
    os.close(writing)
    return pid, reading


def acknowledged(reading, begun=b""):
    """Return the whole lines that a child wrote before its end: half a line was acknowledged to nobody."""
    with os.fdopen(reading, "rb") as pipe:
        written = begun + pipe.read()
    return written[: written.rfind(b"\n") + 1].decode().splitlines()


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def of_child(log: LogWorld, url: str) -> LogWorld:
    """Return the world of a child: the same log, its own connections."""
    return LogWorld(open_engine(url), log.home, log.now, log.auditor, log.approval_key, log.keys, dict(log.sequences))


def scenario(child: LogWorld, tag: str, acknowledge) -> None:
    """Everything that is ever done to a log, once. `tag`: part of the names of what is recorded."""
    sequencer = child.sequencer()
    child.record(2, f"run-{tag}-a")
    acknowledge(f"record run-{tag}-a 2")
    sequencer.append_and_place([child.batch("health", 3)])
    acknowledge("batch health 3")
    child.record(1, f"run-{tag}-b")
    acknowledge(f"record run-{tag}-b 1")
    sequencer.place()
    child.now += 10
    sequencer.publish()
    with read(child.engine) as session:
        size = log_reader.published_size(session)
    acknowledge(f"published {size}")
    sequencer.add_cosignature("tax", size, child.line("tax", size))
    acknowledge(f"cosigned {size}")


def of_nodes(log: LogWorld) -> int:
    return sum(one.producer == "health" for one in log.records())


def require_nothing_lost(log: LogWorld, tag: str, nodes_before: int, lines: list[str]) -> None:
    """Check that everything acknowledged is there, once, and that of the rest each transaction is there or not."""
    said = {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in lines}
    runs = [one.run_id for one in log.records()]
    for name, whole in ((f"run-{tag}-a", 2), (f"run-{tag}-b", 1)):
        assert runs.count(name) in ({whole} if f"record {name}" in said else {0, whole})
    assert of_nodes(log) - nodes_before in ({3} if "batch health" in said else {0, 3})
    with read(log.engine) as session:
        assert log_reader.published_size(session) >= said.get("published", 0)
        assert log_reader.published_size(session, witnessed=True) >= said.get("cosigned", 0)


@pytest.mark.processes
@pytest.mark.parametrize("moment", ["before", "after"])
def test_at_every_commit_a_killed_process_loses_nothing_acknowledged(log, database_url, moment):
    log.name_witnesses("tax")
    crashes = 0
    for number in range(1, 50):
        tag = f"{moment}-{number}"
        # A key of its own for each attempt: its numbers begin at 1, whatever the one before came to.
        log.keys["health"] = generate_signing_key()
        nodes_before = of_nodes(log)
        log.engine.dispose()

        def work(acknowledge, number=number, tag=tag):
            child = of_child(log, database_url)
            seen = 0

            def die_at_the_right_one(*_):
                nonlocal seen
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)

            if moment == "before":
                event.listen(child.engine, "commit", die_at_the_right_one)
            else:
                event.listen(Session, "after_commit", die_at_the_right_one)
            scenario(child, tag, acknowledge)

        pid, reading = forked(work)
        lines = acknowledged(reading)
        status = ended(pid)
        assert status in (0, -KILLED)
        require_nothing_lost(log, tag, nodes_before, lines)
        if status == 0:
            break
        crashes += 1
        # Whoever starts next finds what waits, places and publishes it, and the whole log verifies.
        log.now += 100
        log.sequencer().advance()
        entries = log.check()
        with read(log.engine) as session:
            assert read_head(session).size == len(entries)
            assert not is_waiting(session)
    # Two records, one batch, places, the checkpoint, the cosignature.
    assert crashes == 6


@pytest.mark.processes
def test_two_hundred_processes_that_are_killed_while_they_append_lose_nothing_acknowledged(log, database_url):
    """Seeded, so that the moments are the same each time as far as the host allows."""
    on_server = database_url.startswith("postgresql")
    chance = random.Random(20_260_301)
    sure: dict[str, int] = {}
    log.engine.dispose()
    for number in range(KILLS_ON_POSTGRESQL if on_server else KILLS):

        def work(acknowledge, number=number):
            child = of_child(log, database_url)
            sequencer = child.sequencer()
            for turn in range(10_000):
                run = f"run-{number}-{turn}"
                child.record(1 + turn % 3, run)
                acknowledge(f"{run} {1 + turn % 3}")
                child.now += 10
                sequencer.advance()

        pid, reading = forked(work)
        # Wait until it works, then strike somewhere in the next turns.
        first = os.read(reading, 1)
        assert first, "the child ended by itself"
        time.sleep(chance.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        lines = acknowledged(reading, first)
        assert ended(pid) == -KILLED
        sure |= {name: int(count) for name, count in (line.split() for line in lines)}
        log.now += 100_000
    runs = [one.run_id for one in log.records()]
    assert len(sure) >= (KILLS_ON_POSTGRESQL if on_server else KILLS)
    assert {name: runs.count(name) for name in sure} == sure
    log.sequencer().advance()
    assert len(log.check()) == 2 + len(runs)


def test_a_crash_in_the_middle_of_an_act_leaves_neither_act_nor_record(log, database_url):
    before = len(log.records())
    log.engine.dispose()

    def work(_acknowledge):
        child = of_child(log, database_url)
        with Session(child.engine) as session:
            record(session, Event(EventType.RUN_FAILED, "coordinator", run_id="run-1"))
            session.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    pid, reading = forked(work)
    os.close(reading)
    assert ended(pid) == -KILLED
    assert len(log.records()) == before
