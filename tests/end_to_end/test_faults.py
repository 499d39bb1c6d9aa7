"""The full matrix of killed processes over a real cluster (`make faults`): every run ends, well or with a code, and says why."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from conftest import state_of, wait_until

from demo.cluster import LEAD, PROJECT, Cluster

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.timeout(900)]
SUPPORTING = "housing"
BEFORE = {"evaluate": "blind", "finish": "evaluate", "release": "finish", "train": "finish", "combine": "release"}
END_TIMEOUT_S = 300


def start_run(cluster: Cluster, mode: str = "evidence") -> str:
    """Create and schedule a run."""
    answer = json.loads(cluster.node(LEAD, "create-run", PROJECT, "--mode", mode, "--json"))
    cluster.schedule(answer["run_id"], "--wait-s", "120")
    return str(answer["run_id"])


def kill_in(cluster: Cluster, run_id: str, department: str, step: str) -> None:
    """Kill a node in a step: it is halted as soon as it has answered the one before, so it cannot answer this one."""
    if step != "blind":
        wait_until(cluster, run_id, lambda run: state_of(run, BEFORE[step], department) == "answered")
    cluster.processes.pause(department)
    wait_until(cluster, run_id, lambda run: state_of(run, step, department) == "sent")
    cluster.processes.kill(department)


@pytest.mark.parametrize("step", ["blind", "evaluate", "finish", "train"])
def test_an_evidence_run_finishes_without_a_supporting_node_killed_in(cluster: Cluster, step: str):
    run_id = start_run(cluster)
    kill_in(cluster, run_id, SUPPORTING, step)
    run = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    cluster.start_node(SUPPORTING)
    assert (run["state"], run["reason_code"]) == ("finished", "")
    assert set(cluster.results(run_id)["run"]["missing"]) == {SUPPORTING}


@pytest.mark.parametrize("step", ["evaluate", "train"])
def test_a_sum_only_run_aborts_when_a_node_is_killed_in(cluster: Cluster, step: str):
    run_id = start_run(cluster, "sum-only")
    kill_in(cluster, run_id, SUPPORTING, step)
    run = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    cluster.start_node(SUPPORTING)
    assert run["state"] == "failed"
    assert run["reason_code"] == "sum_only.department_missing"


@pytest.mark.parametrize("step", ["blind", "evaluate", "finish", "release", "combine"])
def test_a_run_whose_lead_is_killed_fails_with_the_reason_and_can_be_started_again(cluster: Cluster, step: str):
    run_id = start_run(cluster)
    kill_in(cluster, run_id, LEAD, step)
    run = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    assert (run["state"], run["reason_code"]) == ("failed", "run.lead_missing")
    cluster.start_node(LEAD)
    cluster.node(LEAD, "restart-run", run_id)
    cluster.schedule(run_id, "--wait-s", "120")
    again = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    assert (again["state"], again["attempt"]) == ("finished", 2)


@pytest.mark.parametrize("step", ["evaluate", "train"])
def test_a_run_goes_on_after_the_coordinator_is_killed_in(cluster: Cluster, step: str):
    run_id = start_run(cluster)
    wait_until(cluster, run_id, lambda run: any(row["step"] == step for row in run["steps"]))
    cluster.processes.kill("coordinator")
    time.sleep(2)
    cluster.start_coordinator()
    run = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    assert (run["state"], run["reason_code"]) == ("finished", "")
    assert cluster.results(run_id)["run"]["missing"] == {}


@pytest.mark.parametrize("step", ["evaluate", "train"])
def test_a_run_goes_on_or_ends_with_a_code_after_the_superlink_is_killed_in(cluster: Cluster, step: str):
    run_id = start_run(cluster)
    wait_until(cluster, run_id, lambda run: any(row["step"] == step for row in run["steps"]))
    cluster.processes.kill("superlink")
    time.sleep(2)
    cluster.start_superlink()
    run = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    assert run["state"] == "finished" or (run["state"] == "failed" and run["reason_code"])


def test_a_run_goes_on_after_its_own_process_is_killed(cluster: Cluster):
    run_id = start_run(cluster)
    wait_until(cluster, run_id, lambda run: state_of(run, "evaluate", LEAD) == "sent")
    os.kill(child_of(cluster, run_id), signal.SIGKILL)
    run = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    assert (run["state"], run["reason_code"]) == ("finished", "")


def test_a_stopped_run_ends_as_stopped_and_the_next_one_runs(cluster: Cluster):
    run_id = start_run(cluster)
    wait_until(cluster, run_id, lambda run: state_of(run, "blind", LEAD) == "sent")
    client = cluster.client()
    client.post(f"/v1/runs/{run_id}/stop", {})
    client.close()
    assert cluster.wait_for_end(run_id, 60)["state"] == "stopped"
    after = start_run(cluster)
    assert cluster.wait_for_end(after, END_TIMEOUT_S)["state"] == "finished"


def child_of(cluster: Cluster, run_id: str) -> int:
    """Return the process of this run: the one that the coordinator started with the run's identifier."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                words = (path / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"coordinator.federation.run_child" in words and run_id.encode() in words:
                return int(path.name)
    raise AssertionError("the run has no process")
