"""A whole line over real processes, and the named few faults that every test run takes; the matrix is `make faults`."""

import json
import time
from collections.abc import Iterator

import pytest
from conftest import state_of, wait_until
from line_cluster import PARTIES, ROUNDS, adopted_digests, agree_on_line, charged_rounds, line_cluster, start_line

from demo.cluster import Cluster

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]
END_TIMEOUT_S = 400


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a running cluster whose four regions have signed a line's grant."""
    with line_cluster(tmp_path_factory.mktemp("line")) as made:
        made.build()
        agree_on_line(made)
        yield made


def test_every_node_keeps_the_same_model_and_pays_for_every_round(cluster: Cluster):
    run_id = start_line(cluster)
    run = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    assert (run["state"], run["reason_code"]) == ("finished", "")
    rounds = cluster.results(run_id)["line"]["rounds"]
    assert [sorted(row["survivors"]) for row in rounds] == [sorted(PARTIES)] * ROUNDS
    digests = adopted_digests(cluster, run_id)
    assert set(digests) == set(PARTIES)
    assert len(set(digests.values())) == 1
    for name in PARTIES:
        assert charged_rounds(cluster, name, run_id) == list(range(1, ROUNDS + 1))
        budget = json.loads(cluster.node(name, "budget", "--json"))
        assert 0 < budget["lines"]["epsilon_spent"] <= 0.51


def test_a_round_goes_on_without_a_killed_node_which_is_back_in_a_later_one(cluster: Cluster):
    run_id = start_line(cluster)
    victim = PARTIES[3]
    wait_until(cluster, run_id, lambda run: state_of(run, "line_shares", victim) == "answered")
    cluster.processes.kill(victim)
    time.sleep(1)
    cluster.start_node(victim)
    run = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    assert (run["state"], run["reason_code"]) == ("finished", "")
    assert len({tuple(sorted(charged_rounds(cluster, name, run_id))) for name in PARTIES[:3]}) == 1
    digests = adopted_digests(cluster, run_id)
    assert len(set(digests.values())) == 1


def test_a_line_goes_on_after_the_coordinator_is_killed(cluster: Cluster):
    run_id = start_line(cluster)
    wait_until(cluster, run_id, lambda run: state_of(run, "line_update", PARTIES[0]) == "sent")
    cluster.processes.kill("coordinator")
    time.sleep(1)
    cluster.start_coordinator()
    run = cluster.wait_for_end(run_id, END_TIMEOUT_S)
    assert (run["state"], run["reason_code"]) == ("finished", "")
    for name in PARTIES:
        charged = charged_rounds(cluster, name, run_id)
        assert len(charged) == len(set(charged)) <= ROUNDS
    assert len(set(adopted_digests(cluster, run_id).values())) == 1
