"""What the per-run child process calls: `coordinator/runs/services.py`."""

import threading

import pytest
from coordinator_world import LEAD
from sqlalchemy.exc import IntegrityError

from coordinator.db.session import begin, open_engine
from coordinator.runs.models import RunResultRow, RunRow
from coordinator.runs.services import (
    MAXIMUM_METRICS_BYTES,
    claim_running,
    fail_run,
    finish_run,
    load_run,
    mark_step,
    runs_in_state,
    stop_requested,
)
from coordinator.runs.states import RunState
from crypto.errors import DoudiError


@pytest.fixture
def run_id(world):
    return world.scheduled_run()["run_id"]


def refused(code, call, *arguments):
    with pytest.raises(DoudiError) as caught:
        call(*arguments)
    assert caught.value.code == code


def test_a_loaded_run_has_its_documents(world, run_id):
    with world.begin() as session:
        view = load_run(session, run_id)
        assert runs_in_state(session, RunState.SCHEDULED) == [run_id]
    assert (view.state, view.attempt, view.run_number, view.flower_run_id) == (RunState.SCHEDULED, 1, 1, None)
    assert view.signed_grant.grant_hash == view.grant_hash
    assert view.signed_manifest is not None
    view.signed_manifest.verify(view.signed_grant.grant.scheduler.key)


def test_unknown_runs_are_refused_by_every_function(world):
    with world.begin() as session:
        refused("run.unknown", load_run, session, "run-x")
        refused("run.unknown", claim_running, session, "run-x", 1)
        refused("run.unknown", mark_step, session, "run-x", 1, "blind", "tax", "sent")
        refused("run.unknown", stop_requested, session, "run-x")
        refused("run.unknown", finish_run, session, "run-x", {})
        refused("run.unknown", fail_run, session, "run-x", "a.b")


def test_a_run_is_claimed_once_and_may_be_resumed_by_another_flower_run(world, run_id):
    with world.begin() as session:
        for number in (2**64 - 1, 2**64 - 1, 5):
            claim_running(session, run_id, number)
        assert load_run(session, run_id).flower_run_id == 5
    assert (len(world.events("run.started")), len(world.events("run.resumed"))) == (1, 1)


def test_a_run_that_is_not_scheduled_cannot_be_claimed(world, run_id):
    with world.begin() as session:
        fail_run(session, run_id, "a.b")
        refused("run.illegal_transition", claim_running, session, run_id, 1)
        refused("run.illegal_transition", finish_run, session, run_id, {})


def test_steps_are_marked_with_sizes_and_times(world, run_id):
    def mark(*arguments, **sizes):
        with world.begin() as session:
            mark_step(session, run_id, 1, *arguments, **sizes)

    mark("blind", "tax", "waiting")
    mark("blind", "tax", "sent", request_bytes=100)
    world.now += 5
    mark("blind", "tax", "answered", reply_bytes=2000)
    mark("blind", "tax", "answered", reply_bytes=2000)
    mark("train", "health", "lost", "node.timeout")
    detail = world.send(LEAD, "GET", f"/v1/runs/{run_id}").json()
    blind, train = detail["steps"]
    assert (blind["state"], blind["request_bytes"], blind["reply_bytes"]) == ("answered", 100, 2000)
    assert blind["finished_at"] - blind["started_at"] == 5
    assert (train["step"], train["state"], train["code"]) == ("train", "lost", "node.timeout")
    assert detail["progress"] == {"waiting": 0, "sent": 0, "answered": 1, "refused": 0, "lost": 1}
    (answered,) = world.events("run.step_answered")
    assert (answered["actor"], answered["counts"]) == ("tax", {"attempt": 1, "step": 1, "reply_bytes": 2000})


@pytest.mark.parametrize("text", ["the resident 110101190001010019", "A.B", "x" * 81, "a..b", "码", "a.b\n"])
def test_a_node_cannot_write_free_text_through_a_code(world, run_id, text):
    with world.begin() as session:
        mark_step(session, run_id, 1, "blind", "tax", "refused", text)
        fail_run(session, run_id, text)
    detail = world.send(LEAD, "GET", f"/v1/runs/{run_id}").json()
    assert (detail["steps"][0]["code"], detail["reason_code"]) == ("node.refused", "node.refused")


def test_marks_of_another_attempt_or_with_unknown_names_are_refused(world, run_id):
    with world.begin() as session:
        refused("run.wrong_attempt", mark_step, session, run_id, 2, "blind", "tax", "sent")
        refused("run.bad_step", mark_step, session, run_id, 1, "steal", "tax", "sent")
        refused("run.bad_step", mark_step, session, run_id, 1, "blind", "tax", "asleep")


@pytest.mark.parametrize("metrics", [{"auc": float("nan")}, {"x": object()}, {"x": b"bytes"}])
def test_metrics_that_are_not_json_are_refused(world, run_id, metrics):
    with world.begin() as session:
        claim_running(session, run_id, 1)
        refused("run.metrics_malformed", finish_run, session, run_id, metrics)
        assert session.get(RunResultRow, (run_id, 1)) is None


def test_metrics_are_bounded(world, run_id):
    fitting = "x" * (MAXIMUM_METRICS_BYTES - len('{"m":""}'))
    with world.begin() as session:
        claim_running(session, run_id, 1)
        refused("run.metrics_too_large", finish_run, session, run_id, {"m": fitting + "x"})
        finish_run(session, run_id, {"m": fitting})


def test_the_first_end_of_a_run_counts(world, run_id):
    with world.begin() as session:
        fail_run(session, run_id, "first.reason")
        fail_run(session, run_id, "second.reason")
        assert load_run(session, run_id).reason_code == "first.reason"
    assert len(world.events("run.failed")) == 1


def test_stopped_without_a_request_to_stop_is_a_failure(world, run_id):
    with world.begin() as session:
        fail_run(session, run_id, "run.stopped")
        assert load_run(session, run_id).state is RunState.FAILED


def test_the_database_itself_refuses_a_run_without_a_manifest(world, run_id):
    with pytest.raises(IntegrityError), world.begin() as session:
        session.get_one(RunRow, run_id).manifest = None


def test_of_two_processes_that_race_one_claims_the_run(world, run_id):
    """Both read "scheduled" first; the transaction's place in the queue decides."""
    outcomes = []
    barrier = threading.Barrier(2)

    def stop_or_claim(claim):
        engine = open_engine(world.config.resolved_database_url)
        barrier.wait()
        try:
            with begin(engine, lambda: world.now) as session:
                claim_running(session, run_id, 1) if claim else fail_run(session, run_id, "a.b")
            outcomes.append("done")
        except DoudiError as error:
            outcomes.append(error.code)
        engine.dispose()

    threads = [threading.Thread(target=stop_or_claim, args=(claim,)) for claim in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "done" in outcomes
    assert set(outcomes) <= {"done", "run.illegal_transition"}
    with world.begin() as session:
        assert load_run(session, run_id).state is RunState.FAILED
