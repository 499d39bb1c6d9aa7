"""How far one run is, as its page shows it: once as a page, then as changes of it. What it reads are states, codes and times.

`RunFrame` is what stays the same for a run, `RunNow` what changes; `live_values` puts both into the reader's words, by keys
that the page's elements bear (`live.js`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from coordinator.console.languages import Language
from coordinator.console.titles import title_of
from coordinator.grants.models import GrantRow
from coordinator.runs import progress
from coordinator.runs.models import RunRow
from coordinator.runs.states import ENDED, STEP_ENDED, RunState
from policies.contracts.grant import Grant, LineGrant, SignedGrant
from policies.contracts.steps import LINE_STEPS, REGION_STEPS, Step

# Of a step that a department is still to be asked for, and of one that it never is.
NOT_YET, NEVER = "none", "never"
_ENDED_STATES = frozenset(state.value for state in ENDED)
_ENDED_STEPS = frozenset(state.value for state in STEP_ENDED)
# Without masks a round is one step.
_PLAIN_LINE_STEPS = (Step.LINE_UPDATE, Step.LINE_MODEL)


@dataclass(frozen=True)
class RunFrame:
    """What a grant says of its runs. `departments`: name and role, the lead first. `rounds`: of a line, as granted."""

    departments: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    rounds: int | None
    runs_allowed: int
    attempts_allowed: int
    scheduler: str
    lead: str

    @property
    def expected_steps(self) -> int:
        """How many answers the main job waits for: three steps of all, one of each supporting department, two of the lead."""
        return 4 * len(self.departments) + 1


@dataclass(frozen=True)
class StepNow:
    """Where one department stands in one step."""

    step: str
    department: str
    state: str
    code: str
    seconds: int | None


@dataclass(frozen=True)
class RunNow:
    """Where a run stands. `steps`: of the main job all, of a line those of its newest round."""

    state: str
    reason_code: str
    attempt: int
    stop_requested: bool
    round_number: int
    steps_ended: int
    steps: tuple[StepNow, ...]

    @property
    def ended(self) -> bool:
        """Whether nothing will change until somebody restarts it."""
        return self.state in _ENDED_STATES


def frame_of(session: Session, row: RunRow) -> RunFrame:
    """Return what the run's grant says of it."""
    grant: Grant | LineGrant = SignedGrant.parse(session.get_one(GrantRow, row.grant_hash).document).grant
    roles = [(participant.department, participant.role) for participant in grant.participants]
    steps, rounds = REGION_STEPS, None
    if isinstance(grant, LineGrant):
        steps = LINE_STEPS if grant.aggregation.method == "secure" else _PLAIN_LINE_STEPS
        rounds = grant.training.rounds
    return RunFrame(
        departments=tuple(sorted(roles, key=lambda role: (role[1] != "lead", role[0]))),
        steps=steps,
        rounds=rounds,
        runs_allowed=grant.runs_allowed,
        attempts_allowed=grant.attempts_allowed,
        scheduler=grant.scheduler.department,
        lead=grant.lead_department,
    )


def look_at(session: Session, row: RunRow) -> RunNow:
    """Return where the run stands."""
    reached = progress.rounds_reached(session, [row]).get(row.run_id, 0)
    counts = progress.steps_by_state(session, row)
    steps = [step for step in progress.newest_steps(session, row, reached) if step.round == reached]
    return RunNow(
        state=row.state,
        reason_code=row.reason_code,
        attempt=row.attempt,
        stop_requested=row.stop_requested,
        round_number=reached,
        steps_ended=sum(counts[state] for state in STEP_ENDED),
        steps=tuple(
            StepNow(step.step, step.department, step.state, step.code, _seconds(step.started_at, step.finished_at))
            for step in steps
        ),
    )


def cell_key(department: str, step: str) -> str:
    """Return the key under which a cell of the table of steps gets new values."""
    return f"{department}.{step}"


def live_values(language: Language, frame: RunFrame, now: RunNow) -> dict[str, str]:
    """Return what the page shows of the run, by key."""
    values = {
        "state.kind": now.state,
        "state.text": title_of(language, "run_state", now.state),
        "sentence": _sentence(language, frame, now),
        "done": str(_done(frame, now)),
        "round": str(now.round_number),
    }
    found = {(step.department, step.step): step for step in now.steps}
    for department, role in frame.departments:
        for step in frame.steps:
            one = found.get((department, step.value))
            key, kind = cell_key(department, step.value), _kind(one, awaited=not now.ended and _is_asked(role, step))
            values[f"{key}.kind"] = kind
            values[f"{key}.text"] = _cell(language, kind, one)
            values[f"{key}.code"] = one.code if one else ""
    return values


def total_of(frame: RunFrame) -> int:
    """Return what the bar of progress goes up to: rounds of a line, answers of the main job."""
    return frame.rounds or frame.expected_steps


def _done(frame: RunFrame, now: RunNow) -> int:
    if now.state == RunState.FINISHED:
        return total_of(frame)
    if frame.rounds is not None:
        # The newest round is under way.
        return min(max(now.round_number - 1, 0), frame.rounds)
    return min(now.steps_ended, frame.expected_steps)


def _sentence(language: Language, frame: RunFrame, now: RunNow) -> str:
    if now.state == RunState.RUNNING and now.stop_requested:
        return language.gettext("A stop was asked for: the run ends before its next step.")
    if now.state == RunState.RUNNING:
        return _running(language, frame, now.steps, now.round_number)
    if now.reason_code and now.state != RunState.FINISHED:
        reason = title_of(language, "reason", now.reason_code)
        text = language.gettext("It ended early: %(reason)s.")
        return text % {"reason": reason}
    texts: Mapping[str, str] = {
        RunState.GATHERING_KEYS: language.gettext("The departments' nodes offer fresh keys for this attempt."),
        RunState.SCHEDULED: language.gettext("The manifest is signed. The run starts when its turn comes."),
        RunState.FINISHED: language.gettext("All steps are done."),
        RunState.FAILED: language.gettext("The run failed."),
        RunState.STOPPED: language.gettext("The run was stopped."),
    }
    return texts[RunState(now.state)]


def _running(language: Language, frame: RunFrame, steps: Sequence[StepNow], round_number: int) -> str:
    """Return which step is under way and how many of those asked have answered."""
    newest = max(steps, key=lambda one: frame.steps.index(Step(one.step)), default=None)
    if newest is None:
        return language.gettext("The first step begins.")
    asked = [one for one in steps if one.step == newest.step]
    values = {
        "step": title_of(language, "step", newest.step),
        "done": sum(one.state in _ENDED_STEPS for one in asked),
        "all": len(asked),
        "round": round_number,
        "rounds": frame.rounds,
    }
    if frame.rounds is None:
        return language.gettext("%(step)s: %(done)s of %(all)s departments are through.") % values
    text = language.gettext("Round %(round)s of %(rounds)s, %(step)s: %(done)s of %(all)s departments are through.")
    return text % values


def _is_asked(role: str, step: Step) -> bool:
    """Return whether a department of this role takes part in a step: the lead releases and combines, the others train."""
    return (role == "lead") if step in (Step.RELEASE, Step.COMBINE) else (role != "lead" or step != Step.TRAIN)


def _kind(one: StepNow | None, *, awaited: bool) -> str:
    if one is not None:
        return one.state
    return NOT_YET if awaited else NEVER


def _cell(language: Language, kind: str, one: StepNow | None) -> str:
    if kind == NEVER:
        return "–"
    text = title_of(language, "step_state", kind)
    return f"{text} · {one.seconds} s" if one is not None and one.seconds is not None else text


def _seconds(started_at: int | None, finished_at: int | None) -> int | None:
    return finished_at - started_at if started_at is not None and finished_at is not None else None
