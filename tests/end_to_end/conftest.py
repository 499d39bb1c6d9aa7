"""Small real clusters for the end-to-end tests: coordinator, SuperLink and six nodes as processes on 127.0.0.1."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from region import write_small_extracts

from demo.cluster import DEPARTMENTS, Cluster, Project, prepare_folder

PEOPLE = 2_000
# A small sample's levels show more than a large one's; here the caps must not decide which departments send evidence.
SITE_POLICY = {
    "disclosure_max_share": 1.0,
    "disclosure_max_rank_correlation": 1.0,
    "max_evidence_bits_per_person_and_year": 1_000,
    # A run that a test lets fail holds its place at each node for an hour.
    "max_concurrent_runs": 64,
}
# The fault matrix needs more runs of one grant than a stricter tier allows.
TIER = "general_1"


@pytest.fixture(scope="module")
def extracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the six departments' extracts of about 2,000 people."""
    folder = tmp_path_factory.mktemp("extracts")
    write_small_extracts(folder / "by-department", PEOPLE)
    for name in DEPARTMENTS:
        (folder / "by-department" / name / "extract.parquet").rename(folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, extracts: Path) -> Iterator[Cluster]:
    """Return a running cluster whose parties have signed a grant for many runs in both modes."""
    folder = prepare_folder(tmp_path_factory.mktemp("cluster") / "run")
    project = Project("kentucky", bits_per_person_and_year=1_000, runs=60, site_policy=SITE_POLICY, tier=TIER)
    with Cluster(folder, extracts, project, step_timeout_s=120) as made:
        made.build()
        made.start_nodes()
        made.agree()
        yield made


def wait_until(cluster: Cluster, run_id: str, seen: Callable[[dict[str, Any]], bool], timeout_s: float = 120) -> None:
    """Return when `seen` is true of the run as the API shows it, or when the run has ended."""
    import time

    client = cluster.client()
    deadline = time.monotonic() + timeout_s
    try:
        while time.monotonic() < deadline:
            run = client.get(f"/v1/runs/{run_id}")
            if seen(run) or run["state"] in ("finished", "failed", "stopped"):
                return
            time.sleep(0.05)
    finally:
        client.close()
    raise AssertionError(f"not seen within {timeout_s} s")


def state_of(run: dict[str, Any], step: str, department: str) -> str:
    """Return where a department stands in a step, or an empty text."""
    for row in run["steps"]:
        if (row["step"], row["department"]) == (step, department):
            return str(row["state"])
    return ""
