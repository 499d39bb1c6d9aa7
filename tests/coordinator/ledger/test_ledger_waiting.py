"""When a record counts as witnessed, and how long it is waited for: `coordinator/ledger/waiting.py`; the writer's thread."""

import threading
import time

import pytest
from log_world import DEPARTMENTS
from sqlalchemy.exc import OperationalError

from coordinator.db.session import read
from coordinator.ledger import log_reader
from coordinator.ledger.background import SequencerThread
from coordinator.ledger.waiting import is_witnessed, wait_for_witnesses
from crypto.errors import DoudiError


def witnessed(log, row):
    with read(log.engine, log.clock) as session:
        return is_witnessed(session, row)


def cosign(log, sequencer, *departments, at=None):
    with read(log.engine) as session:
        size = log_reader.published_size(session)
    for name in departments:
        sequencer.add_cosignature(name, size, log.line(name, size, at))
    return size


def test_a_record_is_witnessed_when_a_quorum_cosigned_a_checkpoint_that_holds_it(log):
    log.name_witnesses(*DEPARTMENTS)
    sequencer = log.sequencer()
    sequencer.advance()
    cosign(log, sequencer, *DEPARTMENTS)
    (row,) = log.record(3)
    assert not witnessed(log, row), "it waits in the outbox"
    sequencer.place()
    assert not witnessed(log, row), "it is in no checkpoint"
    sequencer.publish()
    cosign(log, sequencer, *DEPARTMENTS[:2])
    assert not witnessed(log, row), "two of four are no quorum"
    cosign(log, sequencer, DEPARTMENTS[2])
    assert witnessed(log, row)


def test_a_checkpoint_that_ends_inside_of_a_later_batch_does_not_exist_and_one_before_it_does_not_count(log):
    log.name_witnesses("tax")
    sequencer = log.sequencer()
    (first,) = log.record(2)
    sequencer.advance()
    (second,) = log.record(2)
    cosign(log, sequencer, "tax")
    sequencer.place()
    assert (witnessed(log, first), witnessed(log, second)) == (True, False)


def test_cosignatures_grow_old_and_cosigning_again_makes_them_young(log):
    terms = log.name_witnesses("tax", "health", "housing")
    sequencer = log.sequencer()
    (row,) = log.record()
    sequencer.advance()
    cosign(log, sequencer, "tax", "health")
    log.now += terms.checkpoint_max_age_s
    assert witnessed(log, row)
    log.now += 1
    assert not witnessed(log, row)
    cosign(log, sequencer, "tax")
    assert not witnessed(log, row), "one young and one old are no quorum of young ones"
    cosign(log, sequencer, "housing")
    assert witnessed(log, row)


def test_new_terms_with_more_witnesses_ask_for_their_quorum(log):
    log.name_witnesses("tax")
    sequencer = log.sequencer()
    (row,) = log.record()
    sequencer.advance()
    cosign(log, sequencer, "tax")
    assert witnessed(log, row)
    log.name_witnesses(*DEPARTMENTS)
    assert not witnessed(log, row)


def test_without_witnesses_nothing_is_ever_witnessed(log):
    (row,) = log.record()
    log.sequencer().advance()
    assert not witnessed(log, row)


def test_waiting_ends_with_its_code_after_the_time_given(log):
    log.name_witnesses("tax")
    (row,) = log.record()
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    with pytest.raises(DoudiError) as caught:
        wait_for_witnesses(log.engine, [row], 2, log.clock, sleep, lambda: now[0])
    assert caught.value.code == "ledger.not_witnessed"
    assert 2 <= sum(slept) < 2.2


def test_waiting_for_nothing_asks_nobody(log):
    log.engine.dispose()
    wait_for_witnesses(log.engine, [], 0, log.clock)


def test_all_of_several_are_waited_for(log):
    log.name_witnesses("tax")
    sequencer = log.sequencer()
    (first,) = log.record()
    sequencer.advance()
    cosign(log, sequencer, "tax")
    (second,) = log.record()
    waits = []

    def sleep(_seconds):
        waits.append(1)
        log.now += 10
        sequencer.advance()
        cosign(log, sequencer, "tax")

    wait_for_witnesses(log.engine, [first, second], 30, log.clock, sleep)
    assert len(waits) == 1


def until(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the thread did not come to it"
        time.sleep(0.01)


def test_the_thread_places_and_publishes_what_another_process_recorded(log):
    thread = SequencerThread(log.sequencer(), pause_s=0.02)
    thread.start()
    thread.start()
    try:
        log.record(5)

        def published():
            with read(log.engine) as session:
                return log_reader.published_size(session) == 7

        until(published)
    finally:
        thread.stop()
    log.check()
    log.record()
    assert threading.active_count() == len(threading.enumerate())
    with read(log.engine) as session:
        assert log_reader.published_size(session) == 7, "a thread that was stopped does nothing"


@pytest.mark.parametrize(
    "error",
    [OperationalError("SELECT", None, Exception("gone")), DoudiError("ledger.damaged", "broken")],
    ids=["db", "code"],
)
def test_the_thread_outlives_errors_and_names_no_values(log, caplog, error):
    class Failing:
        """Stands for a writer whose database is away twice."""

        def __init__(self):
            self.calls = 0
            self.done = threading.Event()

        def is_behind(self):
            self.calls += 1
            if self.calls <= 2:
                raise error
            self.done.set()
            return False

    failing = Failing()
    thread = SequencerThread(failing, pause_s=0.01)
    thread.start()
    try:
        until(lambda: failing.calls >= 1)
        until(lambda: thread.notify() or failing.done.is_set())
    finally:
        thread.stop()
    assert "cannot advance" in caplog.text
    assert "gone" not in caplog.text
    assert "SELECT" not in caplog.text
