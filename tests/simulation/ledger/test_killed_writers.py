"""A coordinator's process is killed again and again while it appends: nothing that it acknowledged is lost, and the log verifies.

The child records acts in transactions of their own, takes departments' batches, places, publishes and takes cosignatures, with
the writer's thread beside it. It says what it was told is done through a pipe, as a client hears an answer. It is killed with
SIGKILL when it has said so many things, and a random moment later; what the pipe holds was acknowledged.
"""

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from log_world import DEPARTMENTS, LogWorld
from postgres_server import PostgresServer, needs_postgresql
from sqlalchemy import func, select, text

from coordinator.db.session import begin, open_engine, read
from coordinator.events import Event, EventType, record
from coordinator.ledger.background import SequencerThread
from coordinator.ledger.batch_store import next_sequence
from coordinator.ledger.models import LedgerBatchRow, LedgerCheckpointRow, LedgerCosignatureRow, LedgerPlaceRow
from coordinator.ledger.sequencer import Sequencer
from crypto import merkle
from crypto.checkpoint import parse_checkpoint, parse_note
from crypto.merkle_log import Frontier
from crypto.signing import signing_public_key

SEED = 20_260_302
KILLS = 200
KILLS_ON_POSTGRESQL = 12
CHECK_EVERY = 25
MOST_SAID = 12
LONGEST_MOMENT_S = 0.01
# A child is one thread of this process, forked: to start Python anew would take longer than all that it does.
FORK = multiprocessing.get_context("fork")


@dataclass
class Acknowledged:
    """What the children were told is done. `roots`: by size."""

    acts: set[str] = field(default_factory=set)
    batches: set[str] = field(default_factory=set)
    roots: dict[int, str] = field(default_factory=dict)
    cosigned: set[tuple[int, str]] = field(default_factory=set)

    def hear(self, line: str) -> None:
        kind, *facts = line.split()
        if kind == "act":
            self.acts.add(facts[0])
        elif kind == "batch":
            self.batches.add(facts[0])
        elif kind == "checkpoint":
            assert self.roots.setdefault(int(facts[0]), facts[1]) == facts[1], "two trees of one size"
        else:
            self.cosigned.add((int(facts[0]), facts[1]))


def write_until_killed(world: LogWorld, url: str, life: int, pipe: int) -> None:
    """Do all that a coordinator does to its log, without end."""
    chosen = random.Random(SEED + life)
    own = replace(world, engine=open_engine(url))
    sequencer = Sequencer(own.engine, own.log_key, own.clock, republish_after_s=0)

    def say(*words: object) -> None:
        os.write(pipe, (" ".join(map(str, words)) + "\n").encode())

    SequencerThread(sequencer, pause_s=0.001).start()
    for number in count():
        act = chosen.randrange(4)
        if act < 2:
            run = f"run-{life}-{number}"
            with begin(own.engine, own.clock) as session:
                session.execute(text("INSERT INTO acts (run) VALUES (:run)"), {"run": run})
                for _ in range(chosen.choice((1, 3, 20))):
                    record(session, Event(EventType.RUN_STARTED, "coordinator", run_id=run))
            say("act", run)
        elif act == 2:
            department = chosen.choice(DEPARTMENTS)
            signer = signing_public_key(own.keys[department])
            with read(own.engine) as session:
                first = next_sequence(session, department, signer)
            batch = own.sealed(department, first, chosen.choice((1, 4, 30)))
            sequencer.append_and_place([batch])
            say("batch", batch.batch_id.hex())
        else:
            sequencer.place()
            note = sequencer.publish()
            if note is not None:
                checkpoint = parse_checkpoint(note.text)
                say("checkpoint", checkpoint.size, checkpoint.root.hex())
                for department in DEPARTMENTS[: chosen.randrange(5)]:
                    sequencer.add_cosignature(department, checkpoint.size, own.line(department, checkpoint.size))
                    say("cosigned", checkpoint.size, department)


def kill_one(world: LogWorld, url: str, life: int, chosen: random.Random, heard: Acknowledged) -> None:
    """Let a child write, kill it at a random moment, and take down what it had said by then."""
    reading, writing = os.pipe()
    child = FORK.Process(target=write_until_killed, args=(world, url, life, writing), daemon=True)
    child.start()
    os.close(writing)
    with os.fdopen(reading) as pipe:
        for _ in range(chosen.randrange(1, MOST_SAID)):
            heard.hear(pipe.readline())
        # Not for anything to happen: the moment is what is random.
        time.sleep(chosen.uniform(0, LONGEST_MOMENT_S))
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        for line in pipe:
            heard.hear(line)


def check(world: LogWorld, heard: Acknowledged) -> int:
    """Have a new process's writer go on where the killed one was, and hold the log against what was acknowledged.

    (1) The log verifies from its leaves up. (2) Every act that was acknowledged happened; of all that happened and of no other
    there is a record, whole. (3) Every acknowledged batch has a place. (4) Every checkpoint that ever left is a beginning of the
    tree, under the one root of its size. (5) Every acknowledged cosignature is kept. Returns the log's size.
    """
    world.now += 10
    world.sequencer().advance()
    # (1)
    entries = world.check()
    # (2)
    written: dict[str, int] = {}
    for one in world.records():
        if one.type == "run.started":
            written[str(one.run_id)] = written.get(str(one.run_id), 0) + 1
    with read(world.engine) as session:
        happened = set(session.scalars(text("SELECT run FROM acts")))
        placed = select(LedgerBatchRow.batch_id).join(LedgerPlaceRow, LedgerPlaceRow.batch == LedgerBatchRow.id)
        batches = {one.hex() for one in session.scalars(placed)}
        notes = session.scalars(select(LedgerCheckpointRow.note).order_by(LedgerCheckpointRow.size)).all()
        signed = session.execute(select(LedgerCosignatureRow.size, LedgerCosignatureRow.department))
        lines = {(size, department) for size, department in signed}
        assert session.scalar(select(func.count()).select_from(LedgerBatchRow)) == len(batches)
    assert heard.acts <= happened
    assert happened == set(written)
    assert set(written.values()) <= {1, 3, 20}
    # (3)
    assert heard.batches <= batches
    # (4)
    left = {one.size: one.root.hex() for one in (parse_checkpoint(parse_note(note).text) for note in notes)}
    assert heard.roots.items() <= left.items()
    tree, done = Frontier(0, ()), 0
    for size, root in left.items():
        tree.extend([merkle.leaf_hash(entry) for entry in entries[done:size]])
        assert tree.root().hex() == root, size
        done = size
    # (5)
    assert heard.cosigned <= lines
    # Children are forked: none must have a connection of this process.
    world.engine.dispose()
    return done


def kill_again_and_again(world: LogWorld, url: str, kills: int, every: int) -> Acknowledged:
    world.name_witnesses(*DEPARTMENTS)
    with world.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE acts (run TEXT PRIMARY KEY)")
    world.engine.dispose()
    chosen, heard, size = random.Random(SEED), Acknowledged(), 0
    for life in range(kills):
        kill_one(world, url, life, chosen, heard)
        if (life + 1) % every == 0 or life + 1 == kills:
            before, size = size, check(world, heard)
            assert size > before
    return heard


def test_a_process_that_is_killed_200_times_loses_nothing_that_it_acknowledged(tmp_path, migrated):
    shutil.copy(migrated, tmp_path / "log.db")
    url = f"sqlite:///{tmp_path / 'log.db'}"
    heard = kill_again_and_again(LogWorld.founded(url, tmp_path), url, KILLS, CHECK_EVERY)
    # All that is claimed above was claimed of many.
    assert len(heard.acts) > KILLS
    assert min(len(heard.batches), len(heard.roots), len(heard.cosigned)) > KILLS // 4


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer(durable=True)
    yield server
    server.close()


@needs_postgresql
@pytest.mark.processes
def test_a_process_that_is_killed_at_work_on_postgresql_loses_nothing_that_it_acknowledged(postgres, tmp_path):
    url = postgres.new_database()
    heard = kill_again_and_again(LogWorld.founded(url, tmp_path), url, KILLS_ON_POSTGRESQL, every=4)
    assert len(heard.acts) > KILLS_ON_POSTGRESQL
    assert min(len(heard.batches), len(heard.roots)) > 0
