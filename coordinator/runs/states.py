"""The state machine of a run and of a step. Pure: no database, no clock.

gathering_keys → scheduled → running → finished
gathering_keys | scheduled | running → failed | stopped
failed | stopped → gathering_keys (a new attempt)
"""

from collections.abc import Mapping
from enum import StrEnum

from crypto.errors import DoudiError


class RunState(StrEnum):
    """Where a run stands."""

    GATHERING_KEYS = "gathering_keys"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


class StepState(StrEnum):
    """Where one department stands in one step."""

    WAITING = "waiting"
    SENT = "sent"
    ANSWERED = "answered"
    REFUSED = "refused"
    LOST = "lost"


LEGAL: Mapping[RunState, frozenset[RunState]] = {
    RunState.GATHERING_KEYS: frozenset({RunState.SCHEDULED, RunState.FAILED, RunState.STOPPED}),
    RunState.SCHEDULED: frozenset({RunState.RUNNING, RunState.FAILED, RunState.STOPPED}),
    RunState.RUNNING: frozenset({RunState.FINISHED, RunState.FAILED, RunState.STOPPED}),
    # A finished run is final: its replies were stored and its budget charged, so "again" is a new run.
    RunState.FINISHED: frozenset(),
    RunState.FAILED: frozenset({RunState.GATHERING_KEYS}),
    RunState.STOPPED: frozenset({RunState.GATHERING_KEYS}),
}

ENDED = frozenset({RunState.FINISHED, RunState.FAILED, RunState.STOPPED})
STEP_ENDED = frozenset({StepState.ANSWERED, StepState.REFUSED, StepState.LOST})


def require_transition(current: RunState, wanted: RunState) -> None:
    """Raise `run.illegal_transition` unless the table allows it."""
    if wanted not in LEGAL[current]:
        raise DoudiError(
            "run.illegal_transition",
            f"a run that is {current.value} cannot become {wanted.value}",
            "Look at the run's state with `doudi centre runs`.",
        )
