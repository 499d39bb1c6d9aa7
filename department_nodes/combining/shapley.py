"""Exact Shapley values of a household's score over the departments (Shapley 1953; Lundberg and Lee 2017).

A player is a department, or the lead's own columns; with six players all 64 coalitions are evaluated, nothing is
sampled. A player outside the coalition has the values of one published reference household, the column-wise median of the
training households (`NeedModel.reference`). So a contribution says: how much this department's input moves the calibrated
logit of this household away from that of the reference household. It explains the model's score, not the household's
situation. Pure.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from crypto.errors import DoudiError
from department_nodes.combining.need_model import NeedModel

Float64Array = npt.NDArray[np.float64]

# Every tree walks all rows of a call, so a call's rows should stay in the processor's cache.
_ROWS_AT_ONCE = 8_192
_MOST_PLAYERS = 10


def shapley_values(
    model: NeedModel,
    features: npt.NDArray[np.floating[Any]],
    on_progress: Callable[[int, int], None] | None = None,
) -> Float64Array:
    """Return each player's contribution to each household's calibrated logit: float64 [households, players].

    `features`: [households, k], for example only the households on the list. Columns as in `model.players`. Each row sums to
    logit(household) − logit(reference). `on_progress` is called with (households done, households).

    Raises `DoudiError` `combining.too_many_players` above 10 players, whose 1,024 coalitions would take minutes.
    """
    players = len(model.players)
    if players > _MOST_PLAYERS:
        raise DoudiError("combining.too_many_players", f"{players} players, expected at most {_MOST_PLAYERS}")
    player_of_column = np.asarray([model.players.index(group) for group in model.groups])
    in_coalition = (np.arange(1 << players)[:, None] >> np.arange(players)) & 1 == 1
    takes_household = in_coalition[:, player_of_column]
    weights = _coalition_weights(in_coalition)

    chunk_households = max(1, _ROWS_AT_ONCE >> players)
    starts = range(0, len(features), chunk_households)

    def explain(start: int) -> Float64Array:
        chunk = features[start : start + chunk_households].astype(np.float64)
        mixed = np.where(takes_household[:, None, :], chunk, model.reference)
        logits = model.predict_logit(mixed.reshape(-1, chunk.shape[1])).reshape(1 << players, len(chunk))
        return (weights @ logits).T

    contributions = np.empty((len(features), players))
    # Chunks are independent, so each core takes its own; threads inside the trees would wait for each other at every tree.
    with ThreadPoolExecutor(_cores(), initializer=threadpool_limits, initargs=(1, "openmp")) as pool:
        for start, values in zip(starts, pool.map(explain, starts), strict=True):
            contributions[start : start + len(values)] = values
            if on_progress is not None:
                on_progress(start + len(values), len(features))
    return contributions


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _coalition_weights(in_coalition: npt.NDArray[np.bool_]) -> Float64Array:
    """Return the weight of each coalition's logit in each player's value: float64 [players, coalitions].

    A coalition S with the player has (|S|−1)!(n−|S|)!/n!, one without it −|S|!(n−|S|−1)!/n!.
    """
    players = in_coalition.shape[1]
    size = in_coalition.sum(axis=1)
    joining = np.asarray([factorial(s - 1) * factorial(players - s) if s else 0 for s in size.tolist()])
    staying = np.asarray([factorial(s) * factorial(players - s - 1) if s < players else 0 for s in size.tolist()])
    signed: Float64Array = np.where(in_coalition.T, joining, -staying) / factorial(players)
    return signed
