"""The full grid, 8 states × 6 departments, in one process: lines per department, then evidence federation in each state.

The nodes' own training, the real masks and the coordinator's own averaging; only Flower and the linkage, which move no figure,
are left out. All arms use the same released bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.main_job import SPLIT_SEED
from benchmarks.statistics import PooledRegion
from coordinator.federation.line_strategy import ServerState, apply_average
from crypto import fixed_point
from crypto.masking import generate_mask_key, mask_public_key
from crypto.randomised_response import debias, keep_threshold
from crypto.secure_aggregation import generate_self_seed, mask_update, unmask_sum
from demo.cluster import DEPARTMENTS
from demo.extracts import make_extracts
from department_nodes.lines.costs import noise_of, round_spec
from department_nodes.lines.officers import LOCAL_DEFAULTS
from department_nodes.lines.start import StartingModel
from department_nodes.lines.training import start_network
from department_nodes.privacy.randomness import OperatingSystemNoise
from department_nodes.training.dp_sgd import train_local
from policies.contracts.line_grant import FRACTION_BITS

STATES = {
    "arizona": "04",
    "georgia": "13",
    "kentucky": "21",
    "louisiana": "22",
    "massachusetts": "25",
    "minnesota": "27",
    "new_mexico": "35",
    "washington": "53",
}
EPSILON, DELTA, LABEL_EPSILON_MILLI = 3.0, 1e-6, 1000


@dataclass(frozen=True)
class Node:
    """One department of one state, as its own node holds it: features, debiased bits and rows to train on."""

    features: Any
    target: Any
    rows: Any
    people: int


def measure(data: Path) -> dict[str, Any]:
    """Return AUC per state from nothing and from the lines, and what the lines cost."""
    with TemporaryDirectory(prefix="doudi-grid-") as folder:
        regions = {}
        for name, code in STATES.items():
            make_extracts(data, Path(folder) / name, code)
            regions[name] = PooledRegion(Path(folder) / name, SPLIT_SEED)
    bits = {name: region.release(LABEL_EPSILON_MILLI) for name, region in regions.items()}
    started = perf_counter()
    starts = {department: _line(department, regions, bits) for department in DEPARTMENTS}
    lines_s = perf_counter() - started
    alone, joined = {}, {}
    for name, region in regions.items():
        alone[name] = region.draw(LABEL_EPSILON_MILLI, ("evidence",), bits=bits[name])["evidence"]
        joined[name] = region.draw(LABEL_EPSILON_MILLI, ("evidence",), bits=bits[name], starts=starts)["evidence"]
    return {
        "grid_8x6": {
            "auc_alone": alone,
            "auc_from_lines": joined,
            "mean_alone": round(float(np.mean(list(alone.values()))), 4),
            "mean_from_lines": round(float(np.mean(list(joined.values()))), 4),
            "line_epsilon": EPSILON,
            "lines_s": round(lines_s, 1),
        }
    }


def _line(department: str, regions: Mapping[str, PooledRegion], bits: Mapping[str, Any]) -> StartingModel:
    nodes = {name: _node(department, region, bits[name]) for name, region in regions.items()}
    terms, noise = LOCAL_DEFAULTS, OperatingSystemNoise()
    spec = round_spec(terms, noise_of(terms, EPSILON, DELTA))
    width = next(iter(nodes.values())).features.shape[1]
    people = sum(node.people for node in nodes.values())
    state = ServerState.initial()
    for number in range(1, terms.rounds + 1):
        network = start_network("perceptron", 1, width, state.model())
        updates = {
            name: fixed_point.encode(
                train_local(network, node.features, node.target, node.rows, spec, node.people, noise),
                terms.update_range_milli / 1000,
                FRACTION_BITS,
                node.people,
            )
            for name, node in nodes.items()
        }
        total = _masked_sum(updates, f"{department}|{number}".encode())
        average = fixed_point.decode_sum(total, people, terms.update_range_milli / 1000, FRACTION_BITS)
        state = apply_average(state, average, terms.aggregation(len(nodes))).state
    network = start_network("perceptron", 1, width, state.model())
    return StartingModel(network.digest(), network)


def _masked_sum(updates: Mapping[str, Any], context: bytes) -> Any:
    """Return the sum as the coordinator gets it: under masks, with every node surviving."""
    privates = {name: generate_mask_key() for name in updates}
    publics = {name: mask_public_key(key) for name, key in privates.items()}
    seeds = {name: generate_self_seed() for name in updates}
    masked = {}
    for name, values in updates.items():
        peers = {other: key for other, key in publics.items() if other != name}
        masked[name] = mask_update(values, name, privates[name], peers, seeds[name], context)
    return unmask_sum(masked, publics, seeds, {}, len(updates), context)


def _node(department: str, region: PooledRegion, bits: Any) -> Node:
    extract = region.extracts[department]
    rows = region.lead_row[department]
    flagged = region.held_out[region.register.household_of_row][rows]
    target = debias(bits[rows], keep_threshold(LABEL_EPSILON_MILLI))
    features = extract.features(tuple(extract.standard.feature_names))
    return Node(features, target, np.flatnonzero(~flagged), extract.people)
