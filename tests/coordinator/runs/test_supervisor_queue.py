"""The supervisor asks the queue before it starts a process: `coordinator/runs/supervisor.py`."""

import time
from datetime import UTC, datetime

import pytest

from coordinator.runs.services import claim_running
from coordinator.runs.supervisor import Supervisor

WEEK = [1, 2, 3, 4, 5, 6, 7]


@pytest.fixture
def now_s(world):
    """The supervisor's clock is the host's, so the world lives now."""
    world.now = time.time()
    world.register_all()
    world.open_project()
    world.register_assets(registered_at=int(world.now))
    return int(world.now)


def scheduled(world, now_s, name, windows):
    grant = world.grant(grant_id=name, windows=windows, not_before=now_s - 100, expires_at=now_s + 100_000)
    world.sign_all(world.request(grant), grant)
    run = world.start_run()
    manifest = world.manifest(run, world.offer_all(run), created_at=now_s, expires_at=now_s + 1000)
    assert world.put_manifest(run, manifest).status_code == 201
    return run["run_id"]


def later(now_s):
    """Return a window that is closed now: a minute of today, two hours away from this one."""
    now = datetime.fromtimestamp(now_s, UTC)
    start = (60 * now.hour + now.minute + 120) % 1439
    return [{"weekdays": WEEK, "start_minute": start, "end_minute": start + 1, "utc_offset_minutes": 0}]


def test_only_what_the_queue_lets_start_is_started(world, now_s):
    closed = scheduled(world, now_s, "closed", later(now_s))
    free = scheduled(world, now_s, "free", [])
    supervisor = Supervisor(world.config)
    supervisor._look()
    # There is no SuperLink here: a run that was tried waits for it, one that was not tried waits for nothing.
    tried = {run_id for run_id, watched in supervisor._watched.items() if watched.waiting_since is not None}
    assert tried == {free}
    assert set(supervisor._watched) == {closed, free}


def test_a_run_that_had_begun_is_started_again_whatever_the_queue_says(world, now_s):
    """After a restart of the coordinator: its nodes count it as theirs, and its window is their question between the steps."""
    begun = scheduled(world, now_s, "begun", later(now_s))
    with world.begin() as session:
        claim_running(session, begun, 1)
    supervisor = Supervisor(world.config)
    supervisor._look()
    assert supervisor._watched[begun].waiting_since is not None
