"""Which scheduled runs may start now, and why the others wait. Pure: no database, no clock.

Runs are considered in the order in which they were scheduled. One that cannot start does not hold up those behind it, and no
place is kept for it: a run that needs a busy node waits for that node and not for the whole queue.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies.contracts.run_windows import RunWindow, is_open

# Until a node's report says another number; each node enforces its own.
DEFAULT_CONCURRENT_RUNS = 2

WINDOW = "queue.window"
ORDER = "queue.order"
NODE_BUSY = "queue.node_busy"

_MINUTE_S = 60
_DAY_S = 24 * 3600
_DAYS_OF_A_WEEK = 7


@dataclass(frozen=True)
class WaitingRun:
    """A scheduled run that has not begun. `departments`: those of its manifest.

    `earlier_unended`: whether a run of its grant with a lower number has not ended. `scheduled_at`: seconds since 1970 UTC.
    """

    run_id: str
    departments: frozenset[str]
    scheduled_at: int
    window_open: bool
    earlier_unended: bool


@dataclass(frozen=True)
class Place:
    """Where a waiting run stands. `position`: from 1. `code`: why it waits; empty when it may start now."""

    run_id: str
    position: int
    code: str


def place_runs(waiting: Sequence[WaitingRun], busy: Mapping[str, int], capacity: Mapping[str, int]) -> list[Place]:
    """Return the place of every waiting run, in order.

    `busy`: runs that each department has under way. `capacity`: how many it takes at once. A run that may start takes a
    place at each of its departments, so that those behind it are counted after it.
    """
    taken, places = Counter(busy), []
    ordered = sorted(waiting, key=lambda run: (run.scheduled_at, run.run_id))
    for position, run in enumerate(ordered, start=1):
        code = _why_it_waits(run, taken, capacity)
        if not code:
            taken.update(run.departments)
        places.append(Place(run.run_id, position, code))
    return places


def next_opening(windows: Sequence[RunWindow], now_s: int) -> int | None:
    """Return when the windows open next, in seconds since 1970 UTC; `None` when they are open, or there are none."""
    if is_open(windows, now_s):
        return None
    openings = []
    for window in windows:
        offset_s = window.utc_offset_minutes * _MINUTE_S
        midnight = now_s + offset_s - (now_s + offset_s) % _DAY_S
        starts = (
            midnight + day * _DAY_S + window.start_minute * _MINUTE_S - offset_s for day in range(_DAYS_OF_A_WEEK + 1)
        )
        openings += [start for start in starts if start > now_s and window.contains(start)]
    return min(openings, default=None)


def _why_it_waits(run: WaitingRun, taken: Mapping[str, int], capacity: Mapping[str, int]) -> str:
    if not run.window_open:
        return WINDOW
    if run.earlier_unended:
        return ORDER
    if any(taken.get(name, 0) >= capacity.get(name, DEFAULT_CONCURRENT_RUNS) for name in run.departments):
        return NODE_BUSY
    return ""
