"""The matrix of killed processes for a line over real processes (`make faults`): every process, every step of a round."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from conftest import state_of, wait_until
from line_cluster import PARTIES, ROUNDS, adopted_digests, agree_on_line, charged_rounds, line_cluster, start_line
from test_faults import child_of

from demo.cluster import Cluster

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.timeout(900)]
STEPS = ("line_keys", "line_shares", "line_update", "line_consent", "line_unmask")
END_TIMEOUT_S = 500
VICTIM = PARTIES[3]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a running cluster whose four regions have signed a line's grant."""
    with line_cluster(tmp_path_factory.mktemp("line-faults")) as made:
        made.build()
        agree_on_line(made)
        yield made


def finished_well(cluster: Cluster, run_id: str) -> None:
    """Wait for the end; nobody has paid twice for a round, and all who were there have the same model."""
    run = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    assert (run["state"], run["reason_code"]) == ("finished", "")
    for name in PARTIES:
        charged = charged_rounds(cluster, name, run_id)
        assert len(charged) == len(set(charged)) <= ROUNDS
    digests = adopted_digests(cluster, run_id)
    assert len(digests) >= len(PARTIES) - 1
    assert len(set(digests.values())) == 1


@pytest.mark.parametrize("step", STEPS)
def test_a_line_goes_on_without_a_node_killed_in(cluster: Cluster, step: str):
    run_id = start_line(cluster)
    wait_until(cluster, run_id, lambda run: state_of(run, step, VICTIM) in ("sent", "answered"))
    cluster.processes.kill(VICTIM)
    time.sleep(2)
    cluster.start_node(VICTIM)
    finished_well(cluster, run_id)


@pytest.mark.parametrize("step", STEPS)
def test_a_line_goes_on_after_the_coordinator_is_killed_in(cluster: Cluster, step: str):
    run_id = start_line(cluster)
    wait_until(cluster, run_id, lambda run: state_of(run, step, PARTIES[0]) == "sent")
    cluster.processes.kill("coordinator")
    time.sleep(2)
    cluster.start_coordinator()
    finished_well(cluster, run_id)


@pytest.mark.parametrize("step", ["line_shares", "line_update", "line_unmask"])
def test_a_line_goes_on_after_its_own_process_is_killed_in(cluster: Cluster, step: str):
    run_id = start_line(cluster)
    wait_until(cluster, run_id, lambda run: state_of(run, step, PARTIES[0]) == "sent")
    os.kill(child_of(cluster, run_id), signal.SIGKILL)
    finished_well(cluster, run_id)


@pytest.mark.parametrize("step", ["line_update", "line_unmask"])
def test_a_line_goes_on_or_ends_with_a_code_after_the_superlink_is_killed_in(cluster: Cluster, step: str):
    run_id = start_line(cluster)
    wait_until(cluster, run_id, lambda run: state_of(run, step, PARTIES[0]) == "sent")
    cluster.processes.kill("superlink")
    time.sleep(2)
    cluster.start_superlink()
    run = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    assert run["state"] == "finished" or (run["state"] == "failed" and run["reason_code"])


def test_a_stopped_line_ends_as_stopped_and_what_was_charged_stays_charged(cluster: Cluster):
    run_id = start_line(cluster)
    wait_until(cluster, run_id, lambda run: state_of(run, "line_update", PARTIES[0]) == "answered")
    cluster.node(PARTIES[0], "stop-run", run_id)
    assert cluster.wait_for_end(run_id, 60, department=PARTIES[0])["state"] == "stopped"
    assert charged_rounds(cluster, PARTIES[0], run_id)
