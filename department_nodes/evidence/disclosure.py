"""The disclosure meter: what an evidence level tells about each column of the department.

A level is a deterministic function of the department's columns, so it can give a column away: health's level can tell "any
disability" for everyone, tax's level follows income. The meter measures this on the department's own people before anything
leaves; `merge_to_cap` coarsens the levels until a site's cap holds. The report has no person-level data and no level of
fewer than 10 people by itself.

The cap bounds what one level says about one column of the department; it does not bound what several levels of different
departments or runs say together, and it is no differential privacy. Pure: no files, no network.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crypto.errors import DoudiError
from department_nodes.evidence.level_tables import ColumnValues, IntArray, LevelTable, count_level_table

__all__ = [
    "ColumnDisclosure",
    "ColumnValues",
    "DisclosureCap",
    "DisclosureReport",
    "MergedLevels",
    "ShareWithinLevel",
    "measure_disclosure",
    "merge_to_cap",
]

MINIMUM_PEOPLE_REPORTED = 10
_DIGITS = 4
_ROUNDING = 1e-9


@dataclass(frozen=True)
class DisclosureCap:
    """A site's limits: largest share of one value within a level, largest rank correlation with a number; 0 to 1 each."""

    max_share: float
    max_rank_correlation: float

    def __post_init__(self) -> None:
        if not (0 < self.max_share <= 1 and 0 < self.max_rank_correlation <= 1):
            raise DoudiError("disclosure.bad_cap", "a cap is not above 0 and at most 1", "Correct the site policy.")


@dataclass(frozen=True)
class ShareWithinLevel:
    """`share` of the `level_people` people of `level` have `value` (a code, or "missing"); of all people `base_share` have."""

    value: str
    share: float
    base_share: float
    level: int
    level_people: int


@dataclass(frozen=True)
class ColumnDisclosure:
    """What the levels tell about one column of `kind` "code" or "number".

    `largest_share` is the largest share of one value within one level; `most_telling` the one with the largest
    (share − base share) / (1 − base share): of 1, a person of that level has that value for certain where before it was not
    known. For a number both concern only "missing", and `rank_correlation` is Spearman's with the level, absolute, over
    the people with a number. What does not apply, or rests on fewer than 10 people, is None.
    """

    column: str
    kind: str
    largest_share: ShareWithinLevel | None
    most_telling: ShareWithinLevel | None
    rank_correlation: float | None


@dataclass(frozen=True)
class DisclosureReport:
    """The meter's reading for one department: counts and shares only. `levels` is the number of levels in use."""

    people: int
    levels: int
    columns: tuple[ColumnDisclosure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"people": self.people, "levels": self.levels, "columns": [asdict(column) for column in self.columns]}


@dataclass(frozen=True)
class MergedLevels:
    """Levels that keep a cap: uint8 [people], the edges that give them, and the meter's reading before and after."""

    levels: npt.NDArray[np.uint8]
    edges: npt.NDArray[np.float64]
    before: DisclosureReport
    after: DisclosureReport


def measure_disclosure(levels: npt.NDArray[np.uint8], columns: Mapping[str, ColumnValues]) -> DisclosureReport:
    """Return what `levels` tell about each of `columns`.

    `levels`: uint8 [people], of the people that the department holds. `columns`: per column an integer array of codes (−1 =
    missing) or a floating array of numbers (nan = missing), [people] each. Levels of fewer than 10 people are counted with
    their next neighbours, under the lowest level's number.

    Raises `DoudiError` `disclosure.wrong_length`.
    """
    level_people = np.bincount(levels).astype(np.int64)
    tables = {name: count_level_table(levels, column, len(level_people)) for name, column in columns.items()}
    return _report(level_people, tables)


def merge_to_cap(
    levels: npt.NDArray[np.uint8],
    edges: npt.NDArray[np.float64],
    columns: Mapping[str, ColumnValues],
    cap: DisclosureCap,
) -> MergedLevels:
    """Return the levels left when neighbours are merged, one pair at a time, until the cap holds.

    A level is over the cap when some value's share in it exceeds the larger of `cap.max_share` and the value's base share: it
    joins the neighbour with which the excess becomes smallest. While a rank correlation is above the cap, the two lowest
    levels merge: measured on Kentucky, a cap of 0.85 on income then costs nothing in joined AUC, where merging the smallest
    neighbours costs 0.012. `levels` and `columns` as for `measure_disclosure`; `edges` gave `levels`.
    Greedy: finer levels below the cap may exist.

    Raises `DoudiError` `disclosure.over_cap` when even two levels exceed the cap, and `disclosure.wrong_length`.
    """
    level_count = len(edges) + 1
    if levels.max(initial=0) >= level_count:
        raise DoudiError("disclosure.wrong_length", f"a level is outside the {level_count} that the edges give")
    level_people = np.bincount(levels, minlength=level_count).astype(np.int64)
    tables = {name: count_level_table(levels, column, level_count) for name, column in columns.items()}
    starts = np.arange(level_count, dtype=np.int64)
    while (upper := _next_merge(np.add.reduceat(level_people, starts), _grouped(tables, starts), cap)) is not None:
        if len(starts) <= 2:
            raise DoudiError(
                "disclosure.over_cap",
                "even two evidence levels tell more about a column than the site's cap allows",
                "Offer this department's evidence as sum-only, or raise the site's cap.",
            )
        starts = np.delete(starts, upper)
    new_level = (np.searchsorted(starts, np.arange(level_count), side="right") - 1).astype(np.uint8)
    return MergedLevels(
        levels=new_level[levels],
        # Edge i lies between levels i and i + 1, so a group that starts at level s keeps edge s − 1 below it.
        edges=edges[starts[1:] - 1],
        before=_report(level_people, tables),
        after=_report(np.add.reduceat(level_people, starts), _grouped(tables, starts)),
    )


def _grouped(tables: Mapping[str, LevelTable], starts: IntArray) -> dict[str, LevelTable]:
    return {name: table.grouped(starts) for name, table in tables.items()}


def _next_merge(level_people: IntArray, tables: Mapping[str, LevelTable], cap: DisclosureCap) -> int | None:
    """Return the level that must join the one below it, or None when the cap holds."""
    if len(level_people) < 2 or not tables:
        return None
    excess = np.max([table.excess(level_people, cap.max_share) for table in tables.values()], axis=0)
    pair_people = level_people[:-1] + level_people[1:]
    worst = int(excess.argmax())
    if excess[worst] > _ROUNDING:
        possible = [upper for upper in (worst, worst + 1) if 1 <= upper < len(level_people)]
        return min(
            possible, key=lambda upper: (_excess_after(level_people, tables, upper, cap), pair_people[upper - 1])
        )
    correlation = max(table.rank_correlation() or 0.0 for table in tables.values())
    if correlation > cap.max_rank_correlation + _ROUNDING:
        # A number follows the whole range of levels; those of the least need are the ones that nobody acts on.
        return 1
    return None


def _excess_after(level_people: IntArray, tables: Mapping[str, LevelTable], upper: int, cap: DisclosureCap) -> float:
    """Return the excess of the level that arises when `upper` joins the one below it."""
    starts = np.delete(np.arange(len(level_people), dtype=np.int64), upper)
    merged_people = np.add.reduceat(level_people, starts)
    merged = _grouped(tables, starts).values()
    return max(float(table.excess(merged_people, cap.max_share)[upper - 1]) for table in merged)


def _report(level_people: IntArray, tables: Mapping[str, LevelTable]) -> DisclosureReport:
    levels_in_use = int((level_people > 0).sum())
    starts = _readable_starts(level_people)
    readable_people = np.add.reduceat(level_people, starts) if len(starts) else level_people
    readable = _grouped(tables, starts) if len(starts) else {}
    columns = tuple(_column_disclosure(name, table, readable_people, starts) for name, table in readable.items())
    return DisclosureReport(people=int(level_people.sum()), levels=levels_in_use, columns=columns)


def _column_disclosure(name: str, table: LevelTable, level_people: IntArray, starts: IntArray) -> ColumnDisclosure:
    base = table.base_shares(int(level_people.sum()))
    shares = table.shares(level_people)
    # A cell of fewer than 10 people is not named: the value may be rare enough to point at them.
    named = table.counts >= MINIMUM_PEOPLE_REPORTED

    def finding(score: npt.NDArray[np.float64]) -> ShareWithinLevel | None:
        if not named.any():
            return None
        # Of equal scores the one with the rarer value says more.
        level, value = np.unravel_index(
            np.lexsort((np.broadcast_to(base, score.shape).ravel(), -np.where(named, score, -np.inf).ravel()))[0],
            score.shape,
        )
        return ShareWithinLevel(
            value=table.values[value],
            share=round(float(shares[level, value]), _DIGITS),
            base_share=round(float(base[value]), _DIGITS),
            level=int(starts[level]),
            level_people=int(level_people[level]),
        )

    known = table.rank_correlation() if table.ranked_people.sum() >= MINIMUM_PEOPLE_REPORTED else None
    return ColumnDisclosure(
        column=name,
        kind=table.kind,
        largest_share=finding(shares),
        most_telling=finding((shares - base) / np.maximum(1 - base, _ROUNDING)),
        rank_correlation=None if known is None else round(known, _DIGITS),
    )


def _readable_starts(level_people: IntArray) -> IntArray:
    """Return the first levels of runs that hold at least 10 people each; empty when all together are fewer."""
    starts: list[int] = []
    people = 0
    for level, count in enumerate(level_people):
        if not starts or people >= MINIMUM_PEOPLE_REPORTED:
            starts.append(level)
            people = 0
        people += int(count)
    if people < MINIMUM_PEOPLE_REPORTED:
        # A last run that is too small belongs to the run before it; if there is none, nothing can be reported.
        starts = starts[:-1]
    return np.asarray(starts, np.int64)
