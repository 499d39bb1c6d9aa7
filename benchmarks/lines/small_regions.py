"""What a line gives small regions: 384 areas of about 725 adults, each alone, on a line, and on a line with shared noise.

All arms train on the same released bits and are scored on each area's own held-out people, against their household's label.
The nodes' own training functions in one process; Flower, masks and fixed point, which move no figure, are left out. A grant
joins at most 32 nodes: 384 areas stand for twelve lines whose sums are added, which the coordinator does not do today.
Bits, noise and sampling come from the operating system, so figures differ between runs.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.main_job import SPLIT_SEED
from benchmarks.statistics import PooledRegion
from coordinator.federation.line_strategy import ServerState, apply_average
from crypto import discrete_gaussian
from crypto.randomised_response import debias, keep_threshold
from demo.cluster import DEPARTMENTS, LEAD
from demo.extracts import make_extracts
from department_nodes.lines.costs import noise_of, round_spec
from department_nodes.lines.officers import DISTRIBUTED_DEFAULTS, LOCAL_DEFAULTS, TrainingTerms
from department_nodes.lines.start import StartingModel, train_evidence
from department_nodes.lines.training import start_network
from department_nodes.privacy.accountant import calibrate_distributed
from department_nodes.privacy.mechanisms import distributed_terms
from department_nodes.privacy.randomness import OperatingSystemNoise
from department_nodes.training.dp_sgd import (
    PlainSgdSpec,
    clipped_gradient_sum,
    train_local,
    train_without_privacy,
)
from department_nodes.training.evidence_model import TrainingSettings, train_evidence_model
from department_nodes.training.line_model import LineNetwork
from policies.contracts.line_grant import most_honest

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

LABEL_EPSILON_MILLI, DELTA, EPSILONS = 1000, 1e-6, (1, 3, 8)
LOCAL_ARMS: Mapping[str, TrainingSettings] = {"default": TrainingSettings(), "longer": TrainingSettings(epochs=60)}
LOGISTIC_DECAY = 0.3
NO_PRIVACY = "none"


# Cohorts of this many areas stand for lines; the fewest survivors and the honest among them are what a grant would allow.
COHORT, MIN_SURVIVORS = 32, 24
HONEST = most_honest(COHORT, MIN_SURVIVORS)
STARTED_FROM = "3"


@dataclass(frozen=True)
class Department:
    """One department of all areas. `train` and `held_out`: rows per area; `labels` uint8 [people], the household's."""

    name: str
    features: Float32Array
    target: Float32Array
    labels: npt.NDArray[np.uint8]
    train: Sequence[Int64Array]
    held_out: Sequence[Int64Array]

    def auc(self, scores: Float32Array) -> float:
        """Return the mean over areas of the AUC on their own held-out people; an area with one class has none."""
        found = [
            roc_auc_score(self.labels[rows], scores[rows]) for rows in self.held_out if len(set(self.labels[rows])) == 2
        ]
        return float(np.mean(found))


def measure(data: Path) -> dict[str, Any]:
    """Return the AUC of small regions alone, on a line, started from it, and with distributed noise: means and by department."""
    started = perf_counter()
    noise = {
        "local": {_key(wanted): _noise(LOCAL_DEFAULTS, wanted) for wanted in EPSILONS},
        "distributed": {_key(wanted): _noise(DISTRIBUTED_DEFAULTS, wanted) for wanted in EPSILONS},
    }
    with TemporaryDirectory(prefix="doudi-small-") as folder:
        tables = _measured(data, Path(folder), noise)
    local = {name: max(table["local"].values()) for name, table in tables.items()}
    line = {key: _mean(table["line"][key] for table in tables.values()) for key in (*noise["local"], NO_PRIVACY)}
    distributed = {key: _mean(table["distributed"][key] for table in tables.values()) for key in noise["distributed"]}
    local_auc = _mean(local.values())
    return {
        "line_auc": line,
        "local_auc": local_auc,
        "distributed_auc": distributed,
        "started_auc": _mean(table["started"][STARTED_FROM] for table in tables.values()),
        "gain_at_3": round(line["3"] - local_auc, 4),
        "small_regions": {
            "per_department": tables,
            # The best way to train alone is chosen by the held-out labels: in favour of training alone.
            "local_best": local,
            "local_auc_by_arm": {
                arm: _mean(table["local"][arm] for table in tables.values()) for arm in (*LOCAL_ARMS, "logistic")
            },
            "settings": asdict(LOCAL_DEFAULTS) | {"cohort": COHORT, "min_survivors": MIN_SURVIVORS, "honest": HONEST},
            "delta": DELTA,
            "label_epsilon": LABEL_EPSILON_MILLI / 1000,
            "noise_multiplier": noise,
            "seconds": round(perf_counter() - started, 1),
        },
    }


def _measured(data: Path, folder: Path, noise: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return each department's table, measured in processes of one thread."""
    make_extracts(data, folder, None)
    region = PooledRegion(folder, SPLIT_SEED)
    bits = region.release(LABEL_EPSILON_MILLI)
    names = sorted(DEPARTMENTS, key=lambda name: -region.extracts[name].people * len(_columns(region, name)))
    with multiprocessing.get_context("spawn").Pool(min(len(names), os.cpu_count() or 1), _one_thread) as pool:
        waiting = [
            (name, pool.apply_async(_department_table, (_department(region, name, bits), noise))) for name in names
        ]
        return {name: result.get() for name, result in waiting}


def _one_thread() -> None:
    torch.set_num_threads(1)


def _department_table(department: Department, noise: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return one department's AUC by arm and ε, and how long each took."""
    table: dict[str, Any] = {"local": {}, "line": {}, "started": {}, "distributed": {}, "seconds": {}}

    def score(arm: str, key: str, scores: Callable[[], Float32Array]) -> None:
        started = perf_counter()
        table[arm][key] = round(department.auc(scores()), 4)
        table["seconds"][f"{arm} {key}"] = round(perf_counter() - started, 1)

    score("local", "logistic", partial(_logistic, department))
    for arm, settings in LOCAL_ARMS.items():
        score("local", arm, partial(_alone, department, settings))
    averages = {key: _local_average(multiplier) for key, multiplier in noise["local"].items()}
    for key, average in {**averages, NO_PRIVACY: _plain_average()}.items():
        network = _line(department, LOCAL_DEFAULTS, average)
        score("line", key, partial(_scores, department, network))
        if key == STARTED_FROM:
            score("started", key, partial(_started, department, network))
    for key, multiplier in noise["distributed"].items():
        network = _line(department, DISTRIBUTED_DEFAULTS, _distributed_average(multiplier))
        score("distributed", key, partial(_scores, department, network))
    return table


def _alone(department: Department, settings: TrainingSettings) -> Float32Array:
    """Return everybody's score when each area trains its own evidence model."""
    scores = np.zeros(len(department.target), np.float32)
    for train, held_out in zip(department.train, department.held_out, strict=True):
        features, target = department.features[train], department.target[train]
        model = train_evidence_model(features, target, np.arange(len(train)), settings)
        scores[held_out] = model.predict(department.features[held_out])
    return scores


def _logistic(department: Department) -> Float32Array:
    """Return everybody's score when each area fits a logistic regression with weight decay, by Newton's method."""
    scores = np.zeros(len(department.target), np.float32)
    for train, held_out in zip(department.train, department.held_out, strict=True):
        inputs, target = _with_one(department.features[train]), department.target[train].astype(np.float64)
        decay = np.full(inputs.shape[1], LOGISTIC_DECAY)
        decay[-1] = 1e-3
        weights = np.zeros(inputs.shape[1])
        for _ in range(8):
            probability = 1 / (1 + np.exp(-(inputs @ weights)))
            gradient = inputs.T @ (probability - target) / len(train) + decay * weights
            curvature = (inputs.T * (probability * (1 - probability))) @ inputs / len(train) + np.diag(decay)
            weights -= np.linalg.solve(curvature, gradient)
        scores[held_out] = _with_one(department.features[held_out]) @ weights
    return scores


def _with_one(features: Float32Array) -> Float64Array:
    return np.hstack([features, np.ones((len(features), 1))]).astype(np.float64)


_Average = Callable[[Department, LineNetwork], Float64Array]


def _line(department: Department, terms: TrainingTerms, average: _Average) -> LineNetwork:
    """Return the line's model: rounds of `average`, and the coordinator's own steps."""
    width, state = department.features.shape[1], ServerState.initial()
    for _ in range(terms.rounds):
        network = start_network("perceptron", 1, width, state.model())
        state = apply_average(state, average(department, network), terms.aggregation(MIN_SURVIVORS)).state
    return start_network("perceptron", 1, width, state.model())


def _scores(department: Department, network: LineNetwork) -> Float32Array:
    """Return everybody's score by the line's model."""
    return np.asarray(network.logits(torch.from_numpy(department.features)).numpy(), np.float32)


def _started(department: Department, network: LineNetwork) -> Float32Array:
    """Return everybody's score when each area's own training starts from the line's model, as a node does it."""
    start = StartingModel(network.digest(), network)
    scores = np.zeros(len(department.target), np.float32)
    for train, held_out in zip(department.train, department.held_out, strict=True):
        both = np.concatenate([train, held_out])
        features, target = department.features[both], department.target[both]
        found = train_evidence(features, target, np.arange(len(train)), TrainingSettings(), start)
        scores[held_out] = found.logits[len(train) :]
    return scores


def _local_average(noise_multiplier: float) -> _Average:
    """Return the round of placement `local`: each area's own noise, updates averaged by people."""
    return partial(_average_by_people, partial(train_local, spec=round_spec(LOCAL_DEFAULTS, noise_multiplier)))


def _plain_average() -> _Average:
    """Return the same round with neither clipping nor noise."""
    spec = round_spec(LOCAL_DEFAULTS, 1.0)
    plain = PlainSgdSpec(spec.sample_rate, spec.steps, spec.learning_rate)
    return partial(_average_by_people, partial(train_without_privacy, spec=plain))


def _average_by_people(
    train: Callable[..., Float32Array], department: Department, network: LineNetwork
) -> Float64Array:
    total, source = np.zeros(network.shape.parameters), OperatingSystemNoise()
    for rows in department.train:
        features, target, people = department.features[rows], department.target[rows], len(rows)
        own = np.arange(people)
        total += people * train(network, features, target, own, public_rows=people, source=source).astype(np.float64)
    return total / _people(department)


def _distributed_average(noise_multiplier: float) -> _Average:
    """Return the round of placement `distributed`: cohorts of at most 32 areas, exact integer noise, nobody dropped."""

    def average(department: Department, network: LineNetwork) -> Float64Array:
        parameters = network.shape.parameters
        clip_norm = DISTRIBUTED_DEFAULTS.clip_norm_milli / 1000
        terms = distributed_terms(clip_norm, noise_multiplier, parameters, HONEST)
        total = np.zeros(parameters)
        for start in range(0, len(department.train), COHORT):
            areas = department.train[start : start + COHORT]
            # Each area rounds its own sum; summed before, a coordinate moves by at most 16 units, of noise of 2^20.
            rows = np.concatenate(areas)
            summed = clipped_gradient_sum(network, department.features, department.target, rows, clip_norm)
            units = np.rint(-summed * terms.scale).astype(np.int64)
            for _ in areas:
                units += discrete_gaussian.sample(parameters)
            total += units / terms.scale
        return total / _people(department)

    return average


def _people(department: Department) -> int:
    return sum(len(rows) for rows in department.train)


def _noise(terms: TrainingTerms, wanted: float) -> float:
    if terms.placement == "distributed":
        return calibrate_distributed(wanted, DELTA, terms.rounds, honest=HONEST)
    return noise_of(terms, wanted, DELTA)


def _department(region: PooledRegion, name: str, bits: npt.NDArray[np.uint8]) -> Department:
    lead = region.lead_row[name]
    names, area_of_row = np.unique(region.extracts[LEAD].table.column("area").to_pylist(), return_inverse=True)
    areas, households = area_of_row[lead], region.register.household_of_row[lead]
    flagged = region.held_out[households]
    return Department(
        name,
        region.extracts[name].features(_columns(region, name)),
        debias(bits[lead], keep_threshold(LABEL_EPSILON_MILLI)),
        region.register.labels[households],
        [np.flatnonzero((areas == area) & ~flagged) for area in range(len(names))],
        [np.flatnonzero((areas == area) & flagged) for area in range(len(names))],
    )


def _columns(region: PooledRegion, name: str) -> tuple[str, ...]:
    return tuple(region.extracts[name].standard.feature_names)


def _key(wanted: float) -> str:
    return f"{wanted:g}"


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)
