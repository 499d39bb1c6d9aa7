"""Counts of one column by evidence level: all that the disclosure meter needs, computed once from the people.

Merging neighbouring levels only adds rows of these tables, so searching for levels under a cap never touches people again.
Pure: numpy and scipy's ranks.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from crypto.errors import DoudiError

ColumnValues: TypeAlias = npt.NDArray[np.integer[Any]] | npt.NDArray[np.floating[Any]]
Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MISSING = "missing"
MISSING_CODE = -1


@dataclass(frozen=True)
class LevelTable:
    """One column by level.

    `values`: the codes as text, or for numbers only "missing". `counts`: int64 [levels, values]. For numbers also
    `ranked_people`, int64 [levels], and `rank_sums`, float64 [levels]: how many people have a number and the sum of their
    average ranks, centred at their mean, and `rank_deviation`, the root of the sum of squares of these ranks.
    """

    kind: str
    values: tuple[str, ...]
    counts: IntArray
    ranked_people: IntArray
    rank_sums: Float64Array
    rank_deviation: float

    def grouped(self, starts: IntArray) -> "LevelTable":
        """Return the table in which group i holds the levels from `starts[i]` up to the next start."""
        return LevelTable(
            kind=self.kind,
            values=self.values,
            counts=np.add.reduceat(self.counts, starts, axis=0),
            ranked_people=np.add.reduceat(self.ranked_people, starts),
            rank_sums=np.add.reduceat(self.rank_sums, starts),
            rank_deviation=self.rank_deviation,
        )

    def base_shares(self, people: int) -> Float64Array:
        """Return each value's share among all people: float64 [values]."""
        return np.asarray(self.counts.sum(0) / people, np.float64)

    def shares(self, level_people: IntArray) -> Float64Array:
        """Return each value's share within each level: float64 [levels, values], 0 for an empty level."""
        return np.asarray(self.counts / np.maximum(level_people, 1)[:, None], np.float64)

    def excess(self, level_people: IntArray, max_share: float) -> Float64Array:
        """Return per level how far its largest share is above both `max_share` and the value's base share: [levels]."""
        allowed = np.maximum(max_share, self.base_shares(int(level_people.sum())))
        return np.asarray((self.shares(level_people) - allowed).max(1, initial=0.0), np.float64)

    def rank_correlation(self) -> float | None:
        """Return the absolute Spearman correlation of level and number over the people with a number, else None.

        All people of a level share one average rank, so its sum over people is a sum over levels. None for codes, and where
        all numbers or all levels are equal.
        """
        total = int(self.ranked_people.sum())
        below = np.cumsum(self.ranked_people) - self.ranked_people
        level_rank = below + (self.ranked_people + 1) / 2 - (total + 1) / 2
        level_deviation = float(np.sqrt((self.ranked_people * level_rank**2).sum()))
        if level_deviation == 0 or self.rank_deviation == 0:
            return None
        return abs(float((level_rank * self.rank_sums).sum())) / (level_deviation * self.rank_deviation)


def count_level_table(levels: npt.NDArray[np.uint8], column: ColumnValues, level_count: int) -> LevelTable:
    """Return the table of one column: integers are codes with −1 for missing, floats are numbers with nan for missing.

    Raises `DoudiError` `disclosure.wrong_length` when the column has another length than `levels`.
    """
    if column.shape != levels.shape:
        raise DoudiError("disclosure.wrong_length", f"{len(levels)} levels, column of shape {column.shape}")
    if np.issubdtype(column.dtype, np.floating):
        return _number_table(levels, column.astype(np.float64), level_count)
    codes, position = np.unique(column, return_inverse=True)
    cells = levels.astype(np.int64) * len(codes) + position
    return LevelTable(
        kind="code",
        values=tuple(MISSING if code == MISSING_CODE else str(code) for code in codes),
        counts=np.bincount(cells, minlength=level_count * len(codes)).reshape(level_count, len(codes)),
        ranked_people=np.zeros(level_count, np.int64),
        rank_sums=np.zeros(level_count),
        rank_deviation=0.0,
    )


def _number_table(levels: npt.NDArray[np.uint8], numbers: Float64Array, level_count: int) -> LevelTable:
    present = ~np.isnan(numbers)
    ranks = rankdata(numbers[present])
    centred = ranks - (len(ranks) + 1) / 2
    return LevelTable(
        kind="number",
        values=(MISSING,),
        counts=np.bincount(levels[~present], minlength=level_count)[:, None],
        ranked_people=np.bincount(levels[present], minlength=level_count),
        rank_sums=np.bincount(levels[present], weights=centred, minlength=level_count).astype(np.float64),
        rank_deviation=float(np.sqrt((centred**2).sum())),
    )
