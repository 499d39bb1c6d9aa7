"""Runs as they were recorded: by the coordinator, which starts and ends them, and by every node, which writes an intent
before a step and an outcome after it.

An intent without an outcome is "unknown": nobody guesses what a process did before it ended. A node that starts again records
`node.step.unknown` for such a step and a new intent before it computes again; both are counted. A step that is still open in
a run that goes on, and young, may only be running. Reads `opened.db` only.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditors.acts import Act, Acts
from policies.contracts.ledger.record_types import NODE_PREFIX

# A step or a run that is open for longer than this, at the end of the record, is not taken for one that still goes on.
OPEN_STEP_S = 3_600
OPEN_RUN_S = 86_400
_STEP = "node.step."
_ENDS = {"run.finished": "finished", "run.failed": "failed", "run.stopped": "stopped"}
_COORDINATOR_STEPS = {
    "run.step_sent": "sent",
    "run.step_answered": "answered",
    "run.step_refused": "refused",
    "run.step_lost": "lost",
}
_OUTCOMES = ("answered", "refused", "failed", "unknown")
RUN_TYPES = "(type LIKE 'run.%' OR type LIKE 'node.step.%' OR type = 'node.results.read') AND run IS NOT NULL"


@dataclass(frozen=True)
class OpenStep:
    """An intent without an outcome. `index`: of the intent in the log. `stated`: the node itself recorded it as unknown."""

    index: int
    at: int
    producer: str
    attempt: int
    round: int
    step: str
    stated: bool


@dataclass
class RunAccount:
    """One run. `steps`: by department, how many intents and outcomes it recorded. `sent`: what the coordinator recorded."""

    run: str
    project: str = ""
    grant: str = ""
    purpose: str = ""
    created_at: int = 0
    started_at: int = 0
    started_index: int = 0
    ended_at: int = 0
    end: str = ""
    code: str = ""
    attempts: int = 1
    results_read: int = 0
    steps: dict[str, Counter[str]] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    unknown: list[OpenStep] = field(default_factory=list)
    first_index: int = 0
    is_known: bool = False
    is_without_end: bool = False

    @property
    def intents(self) -> int:
        """How many steps departments said they began."""
        return sum(counts["started"] for counts in self.steps.values())

    @property
    def state(self) -> str:
        """finished, failed, stopped, without_end (started over a day ago), running, waiting; unrecorded (by the coordinator)."""
        if not self.is_known:
            return "unrecorded"
        if self.end:
            return self.end
        if self.is_without_end:
            return "without_end"
        return "running" if self.started_at else "waiting"

    def shown(self) -> dict[str, Any]:
        """Return the run for JSON."""
        return {
            "run": self.run,
            "project": self.project,
            "grant": self.grant,
            "purpose": self.purpose,
            "state": self.state,
            "first_index": self.first_index,
            "code": self.code,
            "attempts": self.attempts,
            "created_at": self.created_at or None,
            "started_at": self.started_at or None,
            "ended_at": self.ended_at or None,
            "results_read": self.results_read,
            "sent": dict(self.sent),
            "steps": {name: dict(counts) for name, counts in sorted(self.steps.items())},
            "unknown": [_shown(step) for step in self.unknown],
        }


_Key = tuple[str, str, int, int, str]


def account_of_runs(acts: Iterable[Act], until: int) -> list[RunAccount]:
    """Return every run in the acts, in the order of their first record. `until`: the newest time of the whole record."""
    runs: dict[str, RunAccount] = {}
    intents: dict[_Key, Act] = {}
    for act in acts:
        run = runs.setdefault(act.run, RunAccount(act.run, first_index=act.index))
        run.project, run.grant = run.project or act.project, run.grant or act.grant
        run.purpose = run.purpose or act.purpose
        if act.type.startswith(_STEP):
            _note_step(run, act, intents)
        elif act.type.startswith(NODE_PREFIX):
            run.results_read += 1
        else:
            _note_run(run, act)
    for act in intents.values():
        run = runs[act.run]
        if run.end or until - act.at > OPEN_STEP_S:
            run.unknown.append(_open_step(act, stated=False))
    for run in runs.values():
        run.unknown.sort(key=lambda step: step.index)
        run.is_without_end = bool(run.started_at) and not run.end and until - run.started_at > OPEN_RUN_S
    return list(runs.values())


def runs_of(acts: Acts, until: int, run: str | None = None) -> list[RunAccount]:
    """Return the accounts of all runs, or of one."""
    condition = RUN_TYPES if run is None else f"{RUN_TYPES} AND run = :run"
    return account_of_runs(acts.where(condition, {"run": run}), until)


def _note_run(run: RunAccount, act: Act) -> None:
    # Only the coordinator's records start and end runs: what a node says of one changes neither.
    run.is_known = True
    run.attempts = max(run.attempts, act.attempt, act.counts.get("attempt", 0))
    if act.type == "run.created":
        run.created_at = act.at
    elif act.type in ("run.started", "run.resumed", "run.restarted"):
        if not run.started_at:
            run.started_at, run.started_index = act.at, act.index
        run.end, run.code, run.ended_at = "", "", 0
    elif act.type in _ENDS:
        run.end, run.code, run.ended_at = _ENDS[act.type], act.code, act.at
    elif act.type in _COORDINATOR_STEPS:
        run.sent[_COORDINATOR_STEPS[act.type]] += 1


def _note_step(run: RunAccount, act: Act, intents: dict[_Key, Act]) -> None:
    outcome = act.type.removeprefix(_STEP)
    key = (act.producer, act.run, act.attempt, act.round, act.step)
    run.steps.setdefault(act.producer, Counter())[outcome] += 1
    if outcome == "started":
        before = intents.get(key)
        if before is not None:
            # Two intents in a row: the first has no outcome of its own.
            run.unknown.append(_open_step(before, stated=False))
        intents[key] = act
    elif outcome in _OUTCOMES and not _is_of_another_request(act, intents.get(key)):
        intent = intents.pop(key, None)
        if outcome == "unknown":
            run.unknown.append(_open_step(intent or act, stated=True))


def _is_of_another_request(outcome: Act, intent: Act | None) -> bool:
    """Return whether a refusal is of another request for the step that is being computed: then it is not the intent's outcome."""
    asked = outcome.hashes.get("request")
    return intent is not None and asked is not None and intent.hashes.get("request", asked) != asked


def _open_step(act: Act, *, stated: bool) -> OpenStep:
    return OpenStep(act.index, act.at, act.producer, act.attempt, act.round, act.step, stated)


def _shown(step: OpenStep) -> Mapping[str, Any]:
    return {
        "index": step.index,
        "at": step.at,
        "department": step.producer,
        "attempt": step.attempt,
        "round": step.round,
        "step": step.step,
        "stated": step.stated,
    }
