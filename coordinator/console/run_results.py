"""A finished run's results, for its page's plots. They come from the lead's node, or from the account of a line's rounds.

What a node sent is not believed to have any form: a value that is missing, or no number, is left out of the page. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MODES = ("evidence", "sum_only")
_PHASES = ("link", "release", "train", "evidence", "combine", "rounds", "deliver", "total")
_MOST_ROWS = 1000
_BEYOND_ALL_PLOTS = 1e18


@dataclass(frozen=True)
class Quality:
    """How well one mode ranks held-out households. `low`, `high`: the 95 % interval of the AUC, if it is told.

    `recall`: by the share of the list that is looked at, the share of households in need that are found; cells that are too
    small are left out.
    """

    mode: str
    auc: float | None
    low: float | None
    high: float | None
    average_precision: float | None
    brier: float | None
    households: int | None
    positives: int | None
    contributions: Sequence[tuple[str, float]]
    recall: Mapping[float, float]


@dataclass(frozen=True)
class Round:
    """One round of a line. `code`: why it gave no average, or empty."""

    number: int
    attempt: int
    survivors: int
    dropped: int
    seconds: float | None
    norm: float | None
    clipped: bool
    code: str


@dataclass(frozen=True)
class Results:
    """What is known of a run that finished. `alone`: the AUC of departments by themselves, where the lead knows it."""

    qualities: Sequence[Quality]
    alone: Sequence[tuple[str, float]]
    seconds: Sequence[tuple[str, float]]
    bytes_sent: Sequence[tuple[str, int]]
    missing: Sequence[tuple[str, str]]
    persons: int | None
    slots: int | None
    messages: int | None
    rounds: Sequence[Round]
    rounds_planned: int | None
    rounds_done: int | None
    parameters: int | None

    @property
    def tops(self) -> list[float]:
        """The shares of the list for which any mode tells a recall."""
        return sorted({top for quality in self.qualities for top in quality.recall})


def parse_results(results: Mapping[str, Any]) -> Results:
    """Return what a page can show of the stored results."""
    metrics, run, line = (_mapping(results.get(name)) for name in ("metrics", "run", "line"))
    seconds = _numbers(run.get("seconds"))
    return Results(
        qualities=[quality for mode in _MODES if (quality := _quality(mode, metrics.get(mode))) is not None],
        alone=sorted(_numbers(metrics.get("departments")).items()),
        seconds=[(phase, seconds[phase]) for phase in _PHASES if phase in seconds],
        bytes_sent=[(name, int(size)) for name, size in sorted(_numbers(run.get("bytes_sent")).items())],
        missing=sorted((name, code) for name, code in _mapping(run.get("missing")).items() if isinstance(code, str)),
        persons=_count(run.get("persons")),
        slots=_count(run.get("slots")),
        messages=_count(run.get("messages")),
        rounds=[row for one in _list(line.get("rounds")) if (row := _round(one)) is not None],
        rounds_planned=_count(line.get("planned")),
        rounds_done=_count(line.get("done")),
        parameters=_count(line.get("parameters")),
    )


def _quality(mode: str, value: object) -> Quality | None:
    found = _mapping(value)
    if not found:
        return None
    interval = [_number(end) for end in _list(found.get("auc_interval"))]
    low, high = (interval[0], interval[1]) if len(interval) == 2 else (None, None)
    contributions = _numbers(found.get("contributions"))
    recall = (
        (_number(row.get("top")), _number(row.get("recall"))) for row in map(_mapping, _list(found.get("recall")))
    )
    return Quality(
        mode=mode,
        auc=_number(found.get("auc")),
        low=low,
        high=high,
        average_precision=_number(found.get("average_precision")),
        brier=_number(found.get("brier")),
        households=_count(found.get("households")),
        positives=_count(found.get("positives")),
        contributions=sorted(contributions.items(), key=lambda one: (-one[1], one[0])),
        recall={top: share for top, share in recall if top is not None and share is not None},
    )


def _round(value: object) -> Round | None:
    row = _mapping(value)
    number = _count(row.get("round"))
    if number is None:
        return None
    code = row.get("code")
    return Round(
        number=number,
        attempt=_count(row.get("attempt")) or 1,
        survivors=_how_many(row.get("survivors")),
        dropped=_how_many(row.get("dropped")),
        seconds=_number(row.get("seconds")),
        norm=_number(row.get("norm")),
        clipped=row.get("clipped") is True,
        code=code if isinstance(code, str) else "",
    )


def _how_many(value: object) -> int:
    """Return a count that stands as a number or, in small accounts, as the names themselves."""
    return len(value) if isinstance(value, list | dict) else _count(value) or 0


def _number(value: object) -> float | None:
    # A boolean is a number to Python. What is no number at all (NaN) is below nothing.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _BEYOND_ALL_PLOTS else None


def _count(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number >= 0 else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Iterable[Any]:
    return value[:_MOST_ROWS] if isinstance(value, list) else []


def _numbers(value: object) -> dict[str, float]:
    found = {str(name): _number(one) for name, one in _mapping(value).items()}
    return {name: one for name, one in found.items() if one is not None}
