"""`make bench`: every figure of the README's table, into `bench-out/main.json`, with machine, versions and seed.

DATA_DIR names the folder of the eight states' public files (features.parquet, labels.parquet); without it the figures of eight
states are null. The node's memory is measured on the shipped region repeated to 278,271 rows.
"""

import os

# Before torch and scikit-learn load: threads that spin while they wait would take the processor from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from benchmarks import linkage, machine, real_run, training
from benchmarks.statistics import PooledRegion, summarise
from demo.extracts import make_extracts, resident_id_of
from demo.held_out import held_out_households
from demo.reference import reference_aucs
from department_nodes.config import SitePolicy

SHIPPED = Path(__file__).parents[1] / "demo_data" / "kentucky"
SPLIT_SEED = "doudi-demo"
DRAWS = 5
LARGE_ROWS = 278_271
LARGEST = "human_resources"
terminal = Console(stderr=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks and write their file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument(
        "--only",
        nargs="*",
        choices=("linkage", "training", "memory", "kentucky", "states", "real"),
        help="some of them",
    )
    chosen = parser.parse_args(arguments)
    data = Path(os.environ["DATA_DIR"]) if os.environ.get("DATA_DIR") else None
    if data is None:
        terminal.print(
            "DATA_DIR is not set: the eight states are left out. The public files are the 2024 one-year PUMS of the American "
            "Community Survey (U.S. Census Bureau); demo_data/README.md says where they come from and how to prepare them."
        )
    wanted = set(chosen.only or ("linkage", "training", "memory", "kentucky", "states", "real"))
    path = chosen.out / "main.json"
    figures: dict[str, Any] = json.loads(path.read_text()) if chosen.only and path.is_file() else {}
    figures |= {
        "machine": machine.describe(),
        "split_seed": SPLIT_SEED,
        "epsilon": 1.0,
        "data_dir_given": data is not None,
    }
    figures.setdefault("auc_joined_8_states", None)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "linkage": linkage.measure,
        "training": training.measure,
        "real": lambda: real_run.measure(SHIPPED),
        "kentucky": lambda: _kentucky(chosen.draws),
        "memory": lambda: _memory(),
        "states": lambda: _states(data, chosen.draws),
    }
    for name, measure in parts.items():
        if name in wanted:
            started = time.perf_counter()
            figures |= measure()
            figures.setdefault("seconds_of_parts", {})[name] = round(time.perf_counter() - started, 1)
            terminal.print(f"{name}: {figures['seconds_of_parts'][name]} s")
            chosen.out.mkdir(parents=True, exist_ok=True)
            # Written after every part: a long benchmark that is stopped keeps what it measured.
            path.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in figures.items() if not isinstance(value, dict)}, indent=1))
    return 0


def _kentucky(draws: int) -> dict[str, Any]:
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


def _states(data: Path | None, draws: int) -> dict[str, Any]:
    if data is None:
        return {"auc_joined_8_states": None}
    with tempfile.TemporaryDirectory(prefix="doudi-states-") as folder:
        make_extracts(data, Path(folder), None)
        region = PooledRegion(Path(folder), SPLIT_SEED)
    drawn = [region.draw(1000, ("evidence",)) for _ in range(draws)]
    evidence = summarise(drawn, "evidence")
    return {"eight_states": {"evidence": evidence, "draws": drawn}, "auc_joined_8_states": evidence["mean"]}


def _memory() -> dict[str, Any]:
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


if __name__ == "__main__":
    sys.exit(main())
