"""The main job's quality and memory: the shipped region, eight states as one region, and a node with the most rows."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.statistics import PooledRegion, summarise
from demo.extracts import make_extracts, resident_id_of
from demo.held_out import held_out_households
from demo.reference import reference_aucs
from department_nodes.config import SitePolicy

SHIPPED = Path(__file__).parents[1] / "demo_data" / "kentucky"
SPLIT_SEED = "doudi-demo"
LARGE_ROWS = 278_271
LARGEST = "human_resources"


def kentucky(draws: int) -> dict[str, Any]:
    """Return the AUCs of the shipped region: mean and range of the draws, and the references without privacy."""
    region = PooledRegion(SHIPPED, SPLIT_SEED)
    drawn = [region.draw(1000) for _ in range(draws)]
    capped = [region.draw(1000, ("evidence",), SitePolicy()) for _ in range(draws)]
    files = {path.stem: path for path in sorted(SHIPPED.glob("*.parquet"))}
    reference = reference_aucs(files, held_out_households(files["civil_affairs"], SPLIT_SEED))
    evidence, sums = summarise(drawn, "evidence"), summarise(drawn, "sum_only")
    best = max(reference["departments"].values())
    return {
        "kentucky": {"evidence": evidence, "sum_only": sums, "draws": drawn, "reference": reference},
        "kentucky_default_caps": {"evidence": summarise(capped, "evidence"), "over_cap": capped[0]["over_cap"]},
        "auc_joined_kentucky": evidence["mean"],
        "auc_sum_only_kentucky": sums["mean"],
        "gain_over_best_department": round(evidence["mean"] - best, 4),
    }


def states(data: Path | None, draws: int) -> dict[str, Any]:
    """Return the AUC of eight states as one region, or null without their files."""
    if data is None:
        return {"auc_joined_8_states": None}
    with tempfile.TemporaryDirectory(prefix="doudi-states-") as folder:
        make_extracts(data, Path(folder), None)
        region = PooledRegion(Path(folder), SPLIT_SEED)
    drawn = [region.draw(1000, ("evidence",)) for _ in range(draws)]
    evidence = summarise(drawn, "evidence")
    return {"eight_states": {"evidence": evidence, "draws": drawn}, "auc_joined_8_states": evidence["mean"]}


def memory() -> dict[str, Any]:
    """Measure in a process of its own: the peak of this one is not the node's."""
    with tempfile.TemporaryDirectory(prefix="doudi-memory-") as folder:
        path = Path(folder) / f"{LARGEST}.parquet"
        _write_large(path)
        command = [sys.executable, "-m", "benchmarks.node_memory", str(path), LARGEST]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"node_memory": json.loads(done.stdout), "node_peak_mb": json.loads(done.stdout)["node_peak_mb"]}


def _write_large(path: Path) -> None:
    """Repeat the shipped extract to 278,271 rows with a fresh valid ID number for each row."""
    table = pq.read_table(SHIPPED / path.name)
    large = pa.concat_tables([table] * (LARGE_ROWS // table.num_rows + 1)).slice(0, LARGE_ROWS)
    ids = pa.array([resident_id_of(f"2024HU{number:07d}-01") for number in range(LARGE_ROWS)])
    pq.write_table(large.set_column(large.column_names.index("resident_id"), "resident_id", ids), path)
