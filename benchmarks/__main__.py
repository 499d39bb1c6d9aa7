"""`make bench`: every figure of the README's tables, into `main.json`, `lines.json`, `governance.json` and `ledger.json` under
`bench-out`, with machine and seed.

DATA_DIR names the folder of the eight states' public files (features.parquet, labels.parquet); without it the figures that need
them are null. The node's memory is measured on the shipped region repeated to 278,271 rows.
"""

import os

# Before torch and scikit-learn load: threads that spin while they wait would take the processor from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import linkage, machine, main_job, real_run, training
from benchmarks.governance import authorization, console_pages, grant_verification
from benchmarks.ledger import appending, verification
from benchmarks.lines import dpsgd, masked_round, small_regions, states_grid
from benchmarks.main_job import SHIPPED, SPLIT_SEED

DRAWS = 5
MAIN_PARTS = ("linkage", "training", "real", "kentucky", "memory", "states")
LINE_PARTS = ("masked_round", "dpsgd", "small_regions", "states_grid")
GOVERNANCE_PARTS = ("authorization", "grant_verification", "console")
LEDGER_PARTS = ("appending", "verification")
terminal = Console(stderr=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks and write their files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument(
        "--only", nargs="*", choices=MAIN_PARTS + LINE_PARTS + GOVERNANCE_PARTS + LEDGER_PARTS, help="some of them"
    )
    chosen = parser.parse_args(arguments)
    data = Path(os.environ["DATA_DIR"]) if os.environ.get("DATA_DIR") else None
    if data is None:
        terminal.print(
            "DATA_DIR is not set: the eight states and the small regions are left out. The public files are the 2024 one-year "
            "PUMS of the American Community Survey (U.S. Census Bureau); demo_data/README.md says where they come from."
        )
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "linkage": linkage.measure,
        "training": training.measure,
        "real": lambda: real_run.measure(SHIPPED),
        "kentucky": lambda: main_job.kentucky(chosen.draws),
        "memory": main_job.memory,
        "states": lambda: main_job.states(data, chosen.draws),
        "masked_round": masked_round.measure,
        "dpsgd": dpsgd.measure,
        "small_regions": lambda: _with_data(data, small_regions.measure),
        "states_grid": lambda: _with_data(data, states_grid.measure),
        "authorization": authorization.measure,
        "grant_verification": grant_verification.measure,
        "console": console_pages.measure,
        "appending": appending.measure,
        "verification": verification.measure,
    }
    wanted = set(chosen.only or parts)
    files = {"main": MAIN_PARTS, "lines": LINE_PARTS, "governance": GOVERNANCE_PARTS, "ledger": LEDGER_PARTS}
    for name, own in files.items():
        if wanted & set(own):
            _measure(chosen, name, {part: parts[part] for part in own if part in wanted}, data is not None)
    return 0


def _with_data(data: Path | None, measure: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    return {} if data is None else measure(data)


def _measure(
    chosen: argparse.Namespace, name: str, parts: dict[str, Callable[[], dict[str, Any]]], data_given: bool
) -> None:
    """Run the parts of one file and write it after each: a long benchmark that is stopped keeps what it measured."""
    path = chosen.out / f"{name}.json"
    figures: dict[str, Any] = json.loads(path.read_text()) if chosen.only and path.is_file() else {}
    figures |= {
        "machine": machine.describe(),
        "split_seed": SPLIT_SEED,
        "label_epsilon": 1.0,
        "data_dir_given": data_given,
    }
    if name == "main":
        figures["epsilon"] = 1.0
        figures.setdefault("auc_joined_8_states", None)
    if name == "lines":
        for key in ("line_auc", "local_auc", "started_auc", "distributed_auc"):
            figures.setdefault(key, None)
    for part, measure in parts.items():
        started = time.perf_counter()
        figures |= measure()
        figures.setdefault("seconds_of_parts", {})[part] = round(time.perf_counter() - started, 1)
        terminal.print(f"{part}: {figures['seconds_of_parts'][part]} s")
        chosen.out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in figures.items() if not isinstance(value, dict)}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
