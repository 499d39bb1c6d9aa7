"""The queue as it stands in the database: for the supervisor, which starts what may start, and for those who look. Reads only."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.db.session import now_s
from coordinator.grants.models import GrantRow
from coordinator.reports.services import concurrent_runs
from coordinator.runs.models import RunRow
from coordinator.runs.queue import DEFAULT_CONCURRENT_RUNS, Place, WaitingRun, next_opening, place_runs
from coordinator.runs.states import ENDED, RunState
from policies.contracts.grant import SignedGrant
from policies.contracts.manifest import SignedManifest
from policies.contracts.run_windows import RunWindow, is_open


@dataclass(frozen=True)
class ActiveRun:
    """A run that is scheduled or under way, with what the queue needs of its documents."""

    row: RunRow
    departments: tuple[str, ...]
    windows: tuple[RunWindow, ...]


@dataclass(frozen=True)
class Occupancy:
    """One department: runs under way, runs that wait for it, and how many it takes at once."""

    department: str
    running: int
    waiting: int
    max_concurrent_runs: int


@dataclass(frozen=True)
class Queue:
    """The whole queue at one time. `places`: of the waiting runs, in order."""

    now: int
    waiting: Mapping[str, ActiveRun]
    running: Mapping[str, ActiveRun]
    places: list[Place]
    occupancy: list[Occupancy]

    def opens_at(self, run_id: str) -> int | None:
        """Return when the window of a waiting run opens next, if it is closed."""
        return next_opening(self.waiting[run_id].windows, self.now)

    @property
    def startable(self) -> frozenset[str]:
        """The runs that may start now."""
        return frozenset(place.run_id for place in self.places if not place.code)


def load_queue(session: Session, begun: Collection[str] = ()) -> Queue:
    """Return the queue. `begun`: scheduled runs whose process the supervisor has started, which count as under way."""
    now = now_s(session)
    active = _active_runs(session)
    waiting = {name: run for name, run in active.items() if run.row.state == RunState.SCHEDULED and name not in begun}
    running = {name: run for name, run in active.items() if name not in waiting}
    busy = Counter(department for run in running.values() for department in run.departments)
    capacity = concurrent_runs(session)
    lowest = _lowest_unended(session, {run.row.grant_hash for run in waiting.values()})
    places = place_runs(
        [
            WaitingRun(
                run_id=name,
                departments=frozenset(run.departments),
                scheduled_at=run.row.scheduled_at or 0,
                window_open=is_open(run.windows, now),
                earlier_unended=lowest[run.row.grant_hash] < run.row.run_number,
            )
            for name, run in waiting.items()
        ],
        busy,
        capacity,
    )
    wanted = Counter(department for run in waiting.values() for department in run.departments)
    occupancy = [
        Occupancy(name, busy[name], wanted[name], capacity.get(name, DEFAULT_CONCURRENT_RUNS))
        for name in sorted({*busy, *wanted, *capacity})
    ]
    return Queue(now, waiting, running, places, occupancy)


def _active_runs(session: Session) -> dict[str, ActiveRun]:
    states = [RunState.SCHEDULED.value, RunState.RUNNING.value]
    rows = session.scalars(select(RunRow).where(RunRow.state.in_(states)).order_by(RunRow.run_id)).all()
    hashes = {row.grant_hash for row in rows}
    documents = session.execute(select(GrantRow.grant_hash, GrantRow.document).where(GrantRow.grant_hash.in_(hashes)))
    windows = {name: SignedGrant.parse(document).grant.windows for name, document in documents}
    return {
        row.run_id: ActiveRun(row, SignedManifest.parse(row.manifest).manifest.departments, windows[row.grant_hash])
        for row in rows
        # The table has no active run without one; the type does not know that.
        if row.manifest is not None
    }


def _lowest_unended(session: Session, grants: Collection[str]) -> dict[str, int]:
    """Return the lowest number of a run that has not ended, by grant."""
    ended = [state.value for state in ENDED]
    query = (
        select(RunRow.grant_hash, func.min(RunRow.run_number))
        .where(RunRow.grant_hash.in_(grants), RunRow.state.not_in(ended))
        .group_by(RunRow.grant_hash)
    )
    return {grant_hash: number for grant_hash, number in session.execute(query)}
