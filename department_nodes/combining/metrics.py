"""How good the need model is on held-out households: ranking, calibration, recall by subgroup; nothing about small cells.

What `evaluate` returns may leave the lead: counts and rates that rest on fewer than `minimum_cell` households are None (see
`small_cells`). Pure: numpy and sklearn's scores; JSON-ready plain values, floats rounded to 6 digits.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from crypto.errors import DoudiError
from department_nodes.combining.ranking import RankingResult, rank_households
from department_nodes.combining.small_cells import hidden_groups, is_small

__all__ = ["evaluate"]

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TOP_SHARES = (0.05, 0.10, 0.20)
_CALIBRATION_BINS = 10
_DIGITS = 6


def evaluate(
    probability: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.uint8],
    held_out: npt.NDArray[np.bool_],
    subgroups: Mapping[str, npt.NDArray[Any]],
    minimum_cell: int = 10,
    bootstrap: int = 200,
    seed: int = 1,
) -> dict[str, Any]:
    """Return the evaluation on the held-out households, as plain values for JSON.

    `probability`: [households], calibrated; `labels`: uint8, 1 = in need; `held_out`: bool; `subgroups`: per partition a label
    for each household, all [households]. `seed` moves only the bootstrap intervals; it protects nothing.

    Keys: `households`, `positives`, `auc`, `auc_interval` ([low, high], 95 %), `average_precision`, `brier`, each None when
    too few households stand behind it;
    `calibration`: [{predicted, observed, households}], 10 quantile bins, of which neighbours are joined until none is small;
    `recall`: [{top, recall, interval}], the share of households in need that are among the `top` share of all held-out ones;
    `subgroups`: {partition: [{group, households, positives, recall: [{top, recall, interval}]}]}, with the same list.
    A recall is None also where the households found, or those missed, are few: the rate would tell their number.

    Raises `DoudiError` `combining.wrong_length` or `combining.not_a_probability`.
    """
    _check(probability, labels, held_out, subgroups)
    score = probability[held_out].astype(np.float64)
    label = labels[held_out].astype(np.int64)
    households, positives = len(label), int(label.sum())
    if is_small(np.asarray([[positives, households - positives]]), minimum_cell)[0]:
        return _nothing_to_show(households if households >= minimum_cell else None, subgroups)

    partitions = {name: np.unique(values[held_out], return_inverse=True) for name, values in subgroups.items()}
    everybody = np.ones((households, 1), np.bool_)
    members = [position[:, None] == np.arange(len(names)) for names, position in partitions.values()]
    ranking = rank_households(score, label, np.concatenate([everybody, *members], axis=1), TOP_SHARES, bootstrap, seed)

    tables, start = {}, 1
    for name, (group_names, _) in partitions.items():
        columns = np.arange(start, start + len(group_names))
        tables[name] = _recall_table([str(group) for group in group_names.tolist()], ranking, columns, minimum_cell)
        start += len(group_names)
    return {
        "households": households,
        "positives": positives,
        "auc": _plain(roc_auc_score(label, score)),
        "auc_interval": [_plain(ranking.auc_low), _plain(ranking.auc_high)],
        "average_precision": _plain(average_precision_score(label, score)),
        "brier": _plain(np.mean((score - label) ** 2)),
        "calibration": _calibration(score, label, minimum_cell),
        "recall": _recall_table(["all"], ranking, np.asarray([0]), minimum_cell)[0]["recall"],
        "subgroups": tables,
    }


def _recall_table(
    names: list[str], ranking: RankingResult, columns: IntArray, minimum_cell: int
) -> list[dict[str, Any]]:
    """Return one partition's rows; the groups and, per top share, the recalls that are too small are None."""
    in_need, members = ranking.in_need[columns], ranking.members[columns]
    hidden = hidden_groups(np.stack([in_need, members - in_need], axis=1), minimum_cell)
    rows: list[dict[str, Any]] = [
        {
            "group": name,
            "households": None if hidden[row] else int(members[row]),
            "positives": None if hidden[row] else int(in_need[row]),
            "recall": [],
        }
        for row, name in enumerate(names)
    ]
    for top, found, recall, low, high in zip(
        TOP_SHARES, ranking.found, ranking.recall, ranking.low, ranking.high, strict=True
    ):
        # Found and missed are counts of their own: a recall beside the number in need would tell them.
        cells = np.stack([found[columns], in_need - found[columns]], axis=1)
        unsafe = hidden_groups(cells, minimum_cell, already_hidden=hidden)
        for row, column in enumerate(columns.tolist()):
            shown = not unsafe[row]
            rows[row]["recall"].append(
                {
                    "top": top,
                    "recall": _plain(recall[column]) if shown else None,
                    "interval": [_plain(low[column]), _plain(high[column])] if shown else None,
                }
            )
    return rows


def _calibration(score: Float64Array, label: IntArray, minimum_cell: int) -> list[dict[str, Any]]:
    """Return quantile bins of predicted against observed need, from the lowest.

    A bin with few households in need, or few others, joins the next one: which bins there are is free to choose, so none has
    to be hidden.
    """
    order = np.argsort(score, kind="stable")
    starts = np.arange(_CALIBRATION_BINS) * len(score) // _CALIBRATION_BINS
    joined: list[list[int]] = []
    for rows in np.split(order, starts[1:]):
        if joined and is_small(_need_and_others(label[joined[-1]]), minimum_cell)[0]:
            joined[-1] += rows.tolist()
        else:
            joined.append(rows.tolist())
    while len(joined) > 1 and is_small(_need_and_others(label[joined[-1]]), minimum_cell)[0]:
        last = joined.pop()
        joined[-1] += last
    return [
        {"predicted": _plain(score[rows].mean()), "observed": _plain(label[rows].mean()), "households": len(rows)}
        for rows in joined
    ]


def _need_and_others(label: IntArray) -> IntArray:
    return np.asarray([[label.sum(), len(label) - label.sum()]])


def _nothing_to_show(households: int | None, subgroups: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    metrics = ("positives", "auc", "auc_interval", "average_precision", "brier", "calibration")
    recall = [{"top": top, "recall": None, "interval": None} for top in TOP_SHARES]
    # Not even the names of groups are returned: one that occurs in no household would be told by its absence.
    return {
        "households": households,
        **dict.fromkeys(metrics),
        "recall": recall,
        "subgroups": {n: [] for n in subgroups},
    }


def _check(
    probability: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.uint8],
    held_out: npt.NDArray[np.bool_],
    subgroups: Mapping[str, npt.NDArray[Any]],
) -> None:
    if {labels.shape, held_out.shape, *(values.shape for values in subgroups.values())} != {probability.shape}:
        raise DoudiError("combining.wrong_length", "probabilities, labels, flags and subgroups differ in length")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise DoudiError(
            "combining.not_a_probability", "a probability is outside 0 to 1", "Train the need model again."
        )


def _plain(value: Any) -> float:
    return round(float(value), _DIGITS)
