"""How good the joined result is: the nodes' own functions in one process, with fresh label noise for each draw.

Linkage and sealing do not change a figure and are left out here; the run over real processes is measured beside it. Label noise
comes from the operating system, so figures differ between runs: five draws give mean and range.
"""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

from crypto.errors import DoudiError
from crypto.randomised_response import debias, draw_words, keep_threshold, randomise
from demo.cluster import DEMO_SITE_POLICY, DEPARTMENTS, LEAD, TARGET
from demo.held_out import held_out_households
from department_nodes.combining.scoring import SUM_PLAYER, train_on_evidence
from department_nodes.config import SitePolicy
from department_nodes.connectors.reading import read_extract
from department_nodes.evidence.disclosure import DisclosureCap
from department_nodes.evidence.outcome import LevelRules, LevelsOutcome, evidence_levels, sum_codes
from department_nodes.extract import Extract
from department_nodes.labels import read_register
from department_nodes.lines.start import StartingModel, train_evidence
from department_nodes.steps.train import column_values
from department_nodes.training.evidence_model import TrainingSettings
from policies.standards.loader import load_dataset_standard


class PooledRegion:
    """A region whose extracts one process may read, because the benchmark is outside every party."""

    def __init__(self, extracts: Path, split_seed: str) -> None:
        self.extracts = {name: _read(extracts, name) for name in DEPARTMENTS}
        self.register = read_register(self.extracts[LEAD], TARGET)
        flags = held_out_households(extracts / f"{LEAD}.parquet", split_seed)
        self.held_out = np.array([flags[name] for name in self.register.households])
        row_of_id = {number: row for row, number in enumerate(self.extracts[LEAD].resident_ids)}
        self.lead_row = {
            name: np.array([row_of_id[number] for number in extract.resident_ids])
            for name, extract in self.extracts.items()
        }

    def release(self, epsilon_milli: int) -> npt.NDArray[np.uint8]:
        """Return one fresh draw of the released bits, uint8 [people of the lead], one bit per household."""
        units = [b"household|" + name.encode() for name in self.register.households]
        words = draw_words(secrets.token_bytes(32), units, TARGET, "benchmark", epsilon_milli)
        return randomise(self.register.labels, words, keep_threshold(epsilon_milli))[self.register.household_of_row]

    def draw(
        self,
        epsilon_milli: int,
        modes: tuple[str, ...] = ("evidence", "sum_only"),
        policy: SitePolicy = SitePolicy(**DEMO_SITE_POLICY),  # noqa: B008 - frozen, so one shared default is safe
        bits: npt.NDArray[np.uint8] | None = None,
        starts: Mapping[str, StartingModel] | None = None,
    ) -> dict[str, Any]:
        """Return AUC per mode and seconds for one fresh draw of the label noise, and who was above its disclosure cap.

        `bits`: those of an earlier `release` instead of fresh ones. `starts`: the line's model of each department that has one.
        """
        household_of_row = self.register.household_of_row
        threshold = keep_threshold(epsilon_milli)
        bits = self.release(epsilon_milli) if bits is None else bits
        flagged = self.held_out[household_of_row]
        levels: dict[str, Any] = {}
        total = np.zeros(len(household_of_row), np.int64)
        train_s: dict[str, float] = {}
        for name in DEPARTMENTS:
            if name == LEAD:
                continue
            started = perf_counter()
            rows = self.lead_row[name]
            start = (starts or {}).get(name)
            found, (codes, base_code) = self._department(
                name, debias(bits[rows], threshold), flagged[rows], policy, start
            )
            levels[name] = None
            if found is not None:
                levels[name] = np.full(len(household_of_row), found.base_level, np.int64)
                levels[name][rows] = found.levels
            in_rows = np.full(len(household_of_row), base_code, np.int64)
            in_rows[rows] = codes
            total += in_rows
            train_s[name] = round(perf_counter() - started, 2)
        lead = self.extracts[LEAD]
        own_columns = lead.features(tuple(lead.standard.feature_names))
        own_line = (starts or {}).get(LEAD)
        if own_line is not None:
            own_columns = np.column_stack([own_columns, own_line.logits(own_columns)])
        over_cap = sorted(name for name, each in levels.items() if each is None)
        outcome: dict[str, Any] = {"train_s": train_s, "over_cap": over_cap}
        for mode, evidence in (("evidence", levels), ("sum_only", {SUM_PLAYER: total})):
            if mode in modes:
                started = perf_counter()
                model, features = train_on_evidence(
                    evidence, own_columns, household_of_row, self.register.labels, self.held_out
                )
                probability = model.predict_probability(features[self.held_out])
                outcome[mode] = round(float(roc_auc_score(self.register.labels[self.held_out], probability)), 6)
                outcome[f"{mode}_combine_s"] = round(perf_counter() - started, 2)
        return outcome

    def _department(
        self, name: str, target: Any, flagged: Any, policy: SitePolicy, start: StartingModel | None
    ) -> tuple[LevelsOutcome | None, tuple[Any, int]]:
        """Return a department's levels, None when they are above its cap, and its integers for a sum."""
        extract = self.extracts[name]
        columns = tuple(extract.standard.feature_names)
        features = extract.features(columns)
        train_rows = np.flatnonzero(~flagged)
        evidence = train_evidence(features, target, train_rows, TrainingSettings(), start).logits
        base_rate = float(target[train_rows].mean())
        rules = LevelRules(
            policy.max_levels,
            policy.minimum_people_per_level,
            DisclosureCap(policy.disclosure_max_share, policy.disclosure_max_rank_correlation),
        )
        try:
            levels = evidence_levels(evidence, train_rows, base_rate, column_values(extract, columns), rules)
        except DoudiError as error:
            if error.code != "disclosure.over_cap":
                raise
            levels = None
        return levels, sum_codes(evidence, base_rate)


def summarise(draws: Sequence[Mapping[str, Any]], mode: str) -> dict[str, float]:
    """Return mean and range of a mode's AUC over the draws."""
    values = [draw[mode] for draw in draws]
    return {
        "mean": round(float(np.mean(values)), 4),
        "lowest": min(values),
        "highest": max(values),
        "draws": len(values),
    }


def _read(folder: Path, name: str) -> Extract:
    standard = load_dataset_standard(name, 1)
    table = read_extract(str(folder / f"{name}.parquet"), standard)
    ids = [
        number.encode() for number in pq.read_table(folder / f"{name}.parquet", columns=["resident_id"])[0].to_pylist()
    ]
    return Extract(table, standard, ids)
