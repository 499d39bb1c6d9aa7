"""From evidence to scores: one need model per mode, its explanation by department, and metrics that may leave the lead.

Pure: numpy and scikit-learn, no files, no network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from department_nodes.combining.household_features import household_inputs
from department_nodes.combining.metrics import evaluate
from department_nodes.combining.need_model import NeedModel
from department_nodes.combining.shapley import shapley_values

MINIMUM_CELL = 10
SUM_PLAYER = "all supporting departments"


@dataclass(frozen=True)
class Scores:
    """One mode's outcome: probability float64 [households], contributions float64 [households, players], metrics."""

    probability: npt.NDArray[np.float64]
    contributions: npt.NDArray[np.float64]
    players: tuple[str, ...]
    metrics: dict[str, Any]


def score_households(
    evidence: Mapping[str, Any],
    own_columns: npt.NDArray[np.float32],
    household_of_row: npt.NDArray[np.int64],
    labels: npt.NDArray[np.uint8],
    held_out: npt.NDArray[np.bool_],
    subgroups: Mapping[str, npt.NDArray[Any]],
) -> Scores:
    """Return the scores of every household.

    `evidence`: per department the levels in row order, int64 [people], or None for one that is missing; in sum-only mode one
    entry, `SUM_PLAYER`. `labels` uint8 and `held_out` bool [households]: only unflagged households train, only flagged ones
    count in the metrics.
    """
    started = monotonic()
    model, features = train_on_evidence(evidence, own_columns, household_of_row, labels, held_out)
    probability = model.predict_probability(features)
    trained = monotonic()
    contributions = shapley_values(model, features)
    explained = monotonic()
    metrics = evaluate(probability, labels, held_out, subgroups, MINIMUM_CELL)
    mean_size = np.abs(contributions).mean(axis=0)
    metrics["contributions"] = {
        player: round(float(value), 6) for player, value in zip(model.players, mean_size, strict=True)
    }
    metrics["seconds"] = {
        "model": round(trained - started, 3),
        "explanation": round(explained - trained, 3),
        "evaluation": round(monotonic() - explained, 3),
    }
    return Scores(probability, contributions, model.players, metrics)


def train_on_evidence(
    evidence: Mapping[str, Any],
    own_columns: npt.NDArray[np.float32],
    household_of_row: npt.NDArray[np.int64],
    labels: npt.NDArray[np.uint8],
    held_out: npt.NDArray[np.bool_],
) -> tuple[NeedModel, npt.NDArray[np.float32]]:
    """Return the need model trained on the unflagged households, and the inputs of all of them, float32 [households, k]."""
    features, groups = household_inputs(evidence, own_columns, household_of_row, len(labels))
    return NeedModel.train(features, labels, ~held_out, groups), features
