"""What of a department's evidence may leave, as arrays: levels below the site's disclosure cap, or the integers of a sum.

The step seals these; the benchmark measures with them. Pure: no files, no network.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from department_nodes.evidence.disclosure import ColumnValues, DisclosureCap, merge_to_cap
from department_nodes.evidence.levels import (
    base_rate_level,
    base_rate_logit,
    fit_level_edges,
    sum_only_code,
    to_levels,
)


@dataclass(frozen=True)
class LevelsOutcome:
    """Levels uint8 [people], the level of a slot that is not held, how many levels there are, and the meter's report."""

    levels: npt.NDArray[np.uint8]
    base_level: int
    level_count: int
    report: dict[str, Any]


@dataclass(frozen=True)
class LevelRules:
    """How fine levels may be: at most so many, each with so many training people, all below the cap."""

    levels: int
    minimum_people: int
    cap: DisclosureCap


def evidence_levels(
    evidence: npt.NDArray[np.float32],
    train_rows: npt.NDArray[np.int64],
    base_rate: float,
    columns: Mapping[str, ColumnValues],
    rules: LevelRules,
) -> LevelsOutcome:
    """Return the finest levels that the rules allow, and what they tell about each column.

    `evidence`: float32 [people], logits; `train_rows`: the unflagged people; `base_rate`: mean of the debiased target.
    Raises `disclosure.over_cap` and `evidence.too_few_people`.
    """
    edges = fit_level_edges(evidence[train_rows], rules.levels, rules.minimum_people)
    merged = merge_to_cap(to_levels(evidence, edges), edges, columns, rules.cap)
    before = merged.before.to_dict()
    report = merged.after.to_dict() | {
        "cap": {"max_share": rules.cap.max_share, "max_rank_correlation": rules.cap.max_rank_correlation},
        "levels_before_merging": before["levels"],
        "columns_before_merging": before["columns"],
    }
    return LevelsOutcome(merged.levels, base_rate_level(base_rate, merged.edges), len(merged.edges) + 1, report)


def meter_counts(report: Mapping[str, Any]) -> dict[str, int]:
    """Return what an auditor reads of the meter: levels, and over all columns the largest share and correlation, in thousandths.

    `report`: as in `LevelsOutcome`. Shares are rounded up, so that none reads lower than it was measured; what the meter does not
    say is left out. `capped`: how many columns were over the cap before levels were `merged`.
    """
    columns, cap = report["columns"], report["cap"]
    counts = {
        "levels": report["levels"],
        "merged": report["levels_before_merging"] - report["levels"],
        "columns": len(columns),
        "capped": sum(_is_over(column, cap) for column in report["columns_before_merging"]),
    }
    shares = [column["largest_share"]["share"] for column in columns if column["largest_share"] is not None]
    ranks = [column["rank_correlation"] for column in columns if column["rank_correlation"] is not None]
    for name, values in (("largest_share_milli", shares), ("largest_rank_milli", ranks)):
        if values:
            # The meter's four digits, exactly: 1000 × 0.556 is a little more than 556 in binary.
            counts[name] = math.ceil(round(10_000 * max(values)) / 10)
    return counts


def _is_over(column: Mapping[str, Any], cap: Mapping[str, float]) -> bool:
    findings = [column[name] for name in ("largest_share", "most_telling") if column[name] is not None]
    return (column["rank_correlation"] or 0.0) > cap["max_rank_correlation"] or any(
        item["share"] > max(cap["max_share"], item["base_share"]) for item in findings
    )


def sum_codes(evidence: npt.NDArray[np.float32], base_rate: float) -> tuple[npt.NDArray[np.int16], int]:
    """Return the integer of each person, int16 [people], and the one of a slot that is not held."""
    base = np.array([base_rate_logit(base_rate)], np.float32)
    return sum_only_code(evidence), int(sum_only_code(base)[0])
