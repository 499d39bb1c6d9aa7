"""How far runs are: steps by state, the rounds of lines. Reads only."""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from coordinator.grants.models import GrantRow
from coordinator.runs.models import RunRow, RunStepRow
from coordinator.runs.states import StepState
from policies.contracts.grant import SignedGrant
from policies.contracts.steps import Step

# A line of 32 departments has 160 steps per round: a page of its newest rounds says where it stands.
SHOWN_ROUNDS = 3
_ORDER: Mapping[str, int] = {step.value: number for number, step in enumerate(Step)}


def steps_by_state(session: Session, row: RunRow) -> dict[StepState, int]:
    """Return how many steps of the current attempt are in each state, over all rounds."""
    query = (
        select(RunStepRow.state, func.count())
        .where(RunStepRow.run_id == row.run_id, RunStepRow.attempt == row.attempt)
        .group_by(RunStepRow.state)
    )
    counts = {state: count for state, count in session.execute(query)}
    return {state: counts.get(state.value, 0) for state in StepState}


def newest_steps(session: Session, row: RunRow, newest_round: int) -> list[RunStepRow]:
    """Return the steps of the current attempt by round, step and department; of a line, those of its newest rounds."""
    query = select(RunStepRow).where(
        RunStepRow.run_id == row.run_id,
        RunStepRow.attempt == row.attempt,
        RunStepRow.round > newest_round - SHOWN_ROUNDS,
    )
    return sorted(session.scalars(query), key=lambda step: (step.round, _ORDER[step.step], step.department))


def rounds_reached(session: Session, rows: Sequence[RunRow]) -> dict[str, int]:
    """Return the newest round of each line's current attempt, by run; runs without steps are left out."""
    lines = [(row.run_id, row.attempt) for row in rows if row.mode == "line"]
    query = (
        select(RunStepRow.run_id, func.max(RunStepRow.round))
        .where(tuple_(RunStepRow.run_id, RunStepRow.attempt).in_(lines))
        .group_by(RunStepRow.run_id)
    )
    return {run_id: newest for run_id, newest in session.execute(query)} if lines else {}


def rounds_planned(session: Session, rows: Sequence[RunRow]) -> dict[str, int]:
    """Return how many rounds each line's grant allows, by grant hash."""
    grants = {row.grant_hash for row in rows if row.mode == "line"}
    documents = session.execute(select(GrantRow.grant_hash, GrantRow.document).where(GrantRow.grant_hash.in_(grants)))
    return {name: SignedGrant.parse(document).line_grant.training.rounds for name, document in documents}
