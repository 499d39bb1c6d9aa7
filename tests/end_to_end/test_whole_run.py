"""One region of 2,000 people over real processes: a whole run, what the coordinator holds of it, and a killed node."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import state_of, wait_until

from crypto.errors import DoudiError
from demo.cluster import LEAD, PROJECT, Cluster
from demo.processes import doudi
from department_nodes.engine import NodeEngine
from department_nodes.home import NodeHome
from department_nodes.steps.release import OPENING_VALUE
from department_nodes.store.session import transaction

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
SUPPORTING = "housing"


@pytest.fixture(scope="module")
def finished_run(cluster: Cluster) -> str:
    """Return the identifier of a run in both modes that ended well."""
    run_id = cluster.create_run()
    cluster.schedule(run_id)
    run = cluster.wait_for_end(run_id, 300)
    assert (run["state"], run["reason_code"]) == ("finished", "")
    return run_id


def test_a_run_over_real_processes_gives_both_modes_in_25_messages(cluster: Cluster, finished_run: str):
    results = cluster.results(finished_run)
    assert results["run"]["messages"] == 25
    assert results["run"]["missing"] == {}
    for mode in ("evidence", "sum_only"):
        # Two thousand people and one random draw: far above chance is what can be asked of it.
        assert results["metrics"][mode]["auc"] > 0.7
    assert set(results["run"]["bytes_sent"]) == {*cluster.departments, "coordinator"}


def test_each_node_shows_what_it_sent_and_under_which_grant(cluster: Cluster, finished_run: str):
    for name, shown in cluster.shown_by_nodes(finished_run).items():
        kinds = {row["kind"] for row in shown["sent"]}
        assert "blinded list" in kinds
        assert all(len(row["grant"]) == 64 and row["bytes"] > 0 for row in shown["sent"])
        assert ("evidence levels" in kinds) == (name != LEAD)


def test_the_lead_lists_households_with_members_on_its_own_host_and_no_other_node_can(
    cluster: Cluster, finished_run: str
):
    listed = json.loads(cluster.node(LEAD, "results", finished_run, "--top", "10%", "--json"))
    register = pq.read_table(cluster.extracts / f"{LEAD}.parquet").to_pylist()
    members = {row["resident_id"]: row["household_number"] for row in register}
    assert len(listed["rows"]) == round(0.1 * listed["households"])
    for row in listed["rows"]:
        assert {members[number] for number in row["members"]} == {row["household"]}
    probabilities = [row["probability"] for row in listed["rows"]]
    assert probabilities == sorted(probabilities, reverse=True)
    with pytest.raises(DoudiError, match=r"run\.no_results"):
        cluster.node(SUPPORTING, "results", finished_run)


def test_nothing_that_the_coordinator_holds_tells_an_id_a_household_a_label_or_a_level(
    cluster: Cluster, finished_run: str
):
    needles = _secrets_of(cluster, finished_run)
    files = [*_files(cluster.centre), *_files(cluster.folder / "logs")]
    assert any("union.bin" in path.name for path in files)
    assert sum(path.stat().st_size for path in files) > 1_000_000
    found = [(path.name, kind) for path in files for kind, needle in needles if needle in path.read_bytes()]
    assert found == []
    # The search is able to find: a planted number is seen.
    planted = cluster.centre / "planted.bin"
    planted.write_bytes(b"\x00" + needles[0][1] + b"\x00")
    assert any(needle in planted.read_bytes() for _, needle in needles)
    planted.unlink()


def test_an_outsider_without_a_key_gets_nothing_from_the_api(cluster: Cluster, finished_run: str):
    import ssl

    import httpx

    trusted = ssl.create_default_context(cafile=str(cluster.centre / "tls" / "ca.crt"))
    with httpx.Client(base_url=f"https://127.0.0.1:{cluster.api_port}", verify=trusted, trust_env=False) as outsider:
        for path in ("/v1/runs", f"/v1/runs/{finished_run}/results", "/v1/parties", f"/v1/projects/{PROJECT}/grant"):
            assert outsider.get(path).status_code == 401


def test_a_supporting_node_killed_while_it_evaluates_leaves_a_run_that_says_so(cluster: Cluster, finished_run: str):
    run_id = cluster.create_run()
    cluster.schedule(run_id)
    wait_until(cluster, run_id, lambda run: state_of(run, "blind", SUPPORTING) == "answered")
    cluster.processes.pause(SUPPORTING)
    wait_until(cluster, run_id, lambda run: state_of(run, "evaluate", SUPPORTING) == "sent")
    cluster.processes.kill(SUPPORTING)
    run = cluster.wait_for_end(run_id, 240)
    assert (run["state"], run["reason_code"]) == ("finished", "")
    results = cluster.results(run_id)
    assert set(results["run"]["missing"]) == {SUPPORTING}
    assert "evidence" in results["metrics"]
    # A sum over another set than the grant's is never taken.
    assert "sum_only" not in results["metrics"]
    cluster.start_node(SUPPORTING)


def test_an_officer_who_leaves_destroys_the_projects_replies_and_keys(cluster: Cluster, finished_run: str):
    said = cluster.node("public_security", "leave", PROJECT, "--yes")
    assert PROJECT in said
    status = json.loads(cluster.node("public_security", "status", "--json"))
    assert (status["projects"], status["steps"]) == (0, [])
    sent = json.loads(cluster.node("public_security", "show", finished_run, "--json")) if status["steps"] else None
    assert sent is None
    with pytest.raises(DoudiError, match=r"project\.left"):
        doudi("node", "leave", PROJECT, "--yes", "--home", str(cluster.home("public_security")))


def _secrets_of(cluster: Cluster, run_id: str) -> list[tuple[str, bytes]]:
    """Return what must not be found: every ID and household number, and the run's labels, bits and levels as arrays."""
    register = pq.read_table(cluster.extracts / f"{LEAD}.parquet")
    needles = [("id", number.encode()) for number in register.column("resident_id").to_pylist()]
    needles += [("household", number.encode()) for number in set(register.column("household_number").to_pylist())]
    engine = NodeEngine(NodeHome(cluster.home(LEAD)))
    with transaction(engine.db) as session:
        opening = engine.vault.get(session, PROJECT, run_id, 1, OPENING_VALUE)
    slots = (len(opening) - 32) // 3
    for number, name in enumerate(("labels", "bits", "flags")):
        values = np.frombuffer(opening, np.uint8, slots, 32 + number * slots)
        needles += _forms(name, values)
    needles.append(("opening key", opening[:32]))
    arrays = np.load(io.BytesIO(_results_of(engine, run_id)), allow_pickle=False)
    needles += _forms("outcome", register.column("public_coverage").to_numpy().astype(np.uint8))
    for name in ("evidence_probability", "sum_only_probability"):
        needles.append((name, arrays[name][:16].astype(np.float64).tobytes()))
    for name, shown in cluster.shown_by_nodes(run_id).items():
        assert shown["sent"], name
    needles += _levels(cluster, run_id)
    return needles


def _levels(cluster: Cluster, run_id: str) -> list[tuple[str, bytes]]:
    """Return the levels of each supporting department, computed again from its stored model and extract."""
    from department_nodes.evidence.levels import fit_level_edges, to_levels
    from department_nodes.steps.train import MODEL_VALUE
    from department_nodes.training.evidence_model import EvidenceModel
    from policies.contracts.grant import SignedGrant

    path = cluster.folder / "grant-signed.json"
    cluster.node(LEAD, "fetch-grant", PROJECT, "--out", str(path))
    signed = SignedGrant.parse(path.read_bytes())
    found = []
    for participant in signed.grant.supporting:
        engine = NodeEngine(NodeHome(cluster.home(participant.department)))
        with transaction(engine.db) as session:
            model = EvidenceModel.from_bytes(engine.vault.get(session, PROJECT, run_id, 1, MODEL_VALUE))
        evidence = model.predict(engine.extract.load().features(participant.columns))
        found += _forms(f"levels of {participant.department}", to_levels(evidence, fit_level_edges(evidence)))
        found.append((f"evidence of {participant.department}", evidence[:16].tobytes()))
    return found


def _results_of(engine: NodeEngine, run_id: str) -> bytes:
    from department_nodes.accounts_of_runs import result_arrays

    return result_arrays(engine, run_id)


def _forms(name: str, values: "np.ndarray[tuple[int], np.dtype[np.uint8]]") -> list[tuple[str, bytes]]:
    """Return the first 64 values as bytes, as packed bits, as 32-bit and 64-bit numbers and as JSON."""
    start = values[:64]
    forms = [(f"{name} as bytes", start.tobytes()), (f"{name} as JSON", json.dumps(start.tolist()).encode()[1:-1])]
    forms += [(f"{name} as {kind}", start.astype(kind).tobytes()) for kind in ("<u4", "<i8", "<f4")]
    if values.max() <= 1:
        forms.append((f"{name} as bits", np.packbits(values[:256]).tobytes()))
    return forms


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
