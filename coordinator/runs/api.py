"""The endpoints of runs, offers, manifests and results."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.authorization.resources import party_ref, system_resource
from coordinator.authorization.services import authorise
from coordinator.context import AppContext, Context
from coordinator.grants.concerned import run_of_grant, stored_grant_resource
from coordinator.grants.services import find_grant
from coordinator.idempotency import OnlyOnce
from coordinator.openapi import operation
from coordinator.paging import Page, PageQuery
from coordinator.parties.authentication import Authenticated, parsed
from coordinator.projects.api import ProjectPath
from coordinator.projects.services import get_visible_project
from coordinator.runs import progress, scheduling
from coordinator.runs.models import RunResultRow, RunRow
from coordinator.runs.states import RunState, StepState
from crypto.errors import DoudiError
from policies.authorization.engine import Value
from policies.contracts.base import Document
from policies.contracts.manifest import KeyOffer, Mode, SignedManifest
from policies.contracts.steps import Step

router = APIRouter(prefix="/v1", tags=["runs"])

RunPath = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="the run's identifier")]
SlugPath = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="a department's name")]
_SLUG = r"^[a-z][a-z0-9_-]{0,62}$"
NO_VALUES: Mapping[str, Value] = {}

# Why nothing runs under a grant: `grants.services.require_in_force`.
_NOT_IN_FORCE = (
    "grant.signature_missing",
    "grant.bad_signature",
    "grant.not_yet_valid",
    "grant.expired",
    "grant.revoked",
    "grant.runs_exhausted",
    "grant.not_granted",
)


class RunRequest(Document):
    """A new run of the project's grant."""

    mode: Mode


class RunSummary(BaseModel):
    """A run without its steps. Times are seconds since 1970 UTC; `reason_code` says why it failed or was stopped.

    `round`: the newest round of a line's current attempt, 0 before the first and in the main job. `rounds`: how many are
    granted, null in the main job.
    """

    model_config = ConfigDict(from_attributes=True)

    run_id: str
    project_id: str
    grant_hash: str
    run_number: int
    mode: str
    attempt: int
    state: RunState
    reason_code: str
    created_at: int
    started_at: int | None
    finished_at: int | None
    stop_requested: bool
    round: int = 0
    rounds: int | None = None


class StepView(BaseModel):
    """Where one department stands in one step of the current attempt. Sizes are payload bytes; `round` is 0 in the main job."""

    model_config = ConfigDict(from_attributes=True)

    round: int
    step: Step
    department: str
    state: StepState
    code: str
    request_bytes: int | None
    reply_bytes: int | None
    started_at: int | None
    finished_at: int | None


class RunDetail(RunSummary):
    """A run with its progress: `progress` counts the steps by state, `offered` names whose keys are there.

    `steps` are in the order of rounds and steps; of a line, those of the newest rounds only.
    """

    offered: list[str]
    progress: dict[StepState, int]
    steps: list[StepView]


class OffersView(BaseModel):
    """The key offers of one attempt. Verify each against the grant's identity key before signing a manifest."""

    run_id: str
    attempt: int
    offers: list[KeyOffer]


class ResultsView(BaseModel):
    """The lead's metrics of the current attempt; cells under 10 never left the lead's node."""

    run_id: str
    attempt: int
    metrics: dict[str, Any]


@router.post(
    "/projects/{project_id}/runs",
    status_code=201,
    summary="Start a run",
    openapi_extra=operation(
        "project.unknown",
        "project.closed",
        "grant.unknown",
        "grant.mode_not_allowed",
        *_NOT_IN_FORCE,
    ),
    response_model=RunDetail,
)
def create_run(
    principal: Authenticated,
    once: OnlyOnce,
    project_id: ProjectPath,
    wanted: Annotated[RunRequest, Depends(parsed(RunRequest))],
    context: Context,
) -> Response:
    """Begin to gather keys for a run of the project's grant. Only the holder of the scheduling right.

    Each call uses one of the runs that the grant allows. Send an `Idempotency-Key`, so that a lost call can be repeated.
    """
    with context.begin() as session:
        get_visible_project(session, principal, project_id)
        resource = stored_grant_resource(session, find_grant(session, project_id))
        authorise(session, context, principal, "run.create", resource)
        row = scheduling.create_run(session, principal, project_id, wanted.mode)
        return once.answer(session, _detail(session, row), 201)


@router.get("/runs", summary="List runs")
def list_runs(
    principal: Authenticated,
    context: Context,
    wanted: PageQuery,
    state: Annotated[RunState | None, Query(description="only runs in this state")] = None,
    department: Annotated[str | None, Query(pattern=_SLUG, description="only runs that it takes part in")] = None,
    project_id: Annotated[str | None, Query(pattern=_SLUG, description="only runs of this project")] = None,
) -> Page[RunSummary]:
    """Return the runs, newest first, that the own party takes part in; centre and auditors see all, or one department's."""
    if not principal.reads_all:
        if department not in (None, principal.party):
            raise DoudiError("authorization.denied", "a department lists its own runs")
        department = principal.party
    with context.read() as session:
        authorise(session, context, principal, "run.read", system_resource())
        found = scheduling.list_runs(session, department, state.value if state else None, project_id, wanted)
        reached = progress.rounds_reached(session, found.rows)
        planned = progress.rounds_planned(session, found.rows)
        items = [_summary(row, reached, planned) for row in found.rows]
        return Page(items=items, next_cursor=found.next_cursor)


@router.get("/runs/{run_id}", summary="Show a run's progress", openapi_extra=operation("run.unknown"))
def get_run(principal: Authenticated, run_id: RunPath, context: Context) -> RunDetail:
    """Return state, reason, attempt and every step of a run; participants and the centre."""
    with context.read() as session:
        return _detail(session, _allowed_run(session, context, principal, "run.read", run_id))


@router.put(
    "/runs/{run_id}/offers/{department}",
    summary="Offer run keys",
    openapi_extra=operation(
        "run.unknown",
        "run.not_gathering",
        "grant.not_a_participant",
        "offer.wrong_run",
        "offer.program_mismatch",
        "offer.too_many_people",
        "offer.bad_signature",
        "offer.already_made",
    ),
    response_model=RunDetail,
    responses={201: {"model": RunDetail, "description": "The keys are new"}},
)
def put_offer(
    principal: Authenticated,
    once: OnlyOnce,
    run_id: RunPath,
    department: SlugPath,
    offer: Annotated[KeyOffer, Depends(parsed(KeyOffer))],
    context: Context,
) -> Response:
    """Store a department's fresh keys for the current attempt: only its own, once; idempotent."""
    with context.begin() as session:
        values = {"for_party": party_ref(department)}
        row = _allowed_run(session, context, principal, "run.offer", run_id, values)
        is_new = scheduling.store_offer(session, principal, run_id, department, offer)
        return once.answer(session, _detail(session, row), 201 if is_new else 200)


@router.get("/runs/{run_id}/offers", summary="Fetch the key offers", openapi_extra=operation("run.unknown"))
def get_offers(principal: Authenticated, run_id: RunPath, context: Context) -> OffersView:
    """Return the offers of the current attempt; participants and the centre."""
    with context.read() as session:
        row = _allowed_run(session, context, principal, "run.read", run_id)
        return OffersView(run_id=row.run_id, attempt=row.attempt, offers=scheduling.list_offers(session, row))


@router.put(
    "/runs/{run_id}/manifest",
    summary="Schedule a run",
    openapi_extra=operation(
        "run.unknown",
        "run.illegal_transition",
        "manifest.bad_signature",
        "manifest.mismatch",
        "manifest.offers_mismatch",
        "manifest.departments",
        "manifest.expired",
        "manifest.already_stored",
    ),
    response_model=RunDetail,
    responses={201: {"model": RunDetail, "description": "The manifest is new"}},
)
def put_manifest(
    principal: Authenticated,
    once: OnlyOnce,
    run_id: RunPath,
    signed: Annotated[SignedManifest, Depends(parsed(SignedManifest))],
    context: Context,
) -> Response:
    """Store the signed manifest, upon which the run starts. Only the holder of the scheduling right."""
    with context.begin() as session:
        row = _allowed_run(session, context, principal, "run.schedule", run_id)
        is_new = scheduling.store_manifest(session, principal, run_id, signed)
        return once.answer(session, _detail(session, row), 201 if is_new else 200)


@router.post(
    "/runs/{run_id}/stop",
    summary="Stop a run",
    openapi_extra=operation("run.unknown", "run.illegal_transition"),
    response_model=RunDetail,
)
def stop_run(principal: Authenticated, once: OnlyOnce, run_id: RunPath, context: Context) -> Response:
    """Stop a run: at once before it started, else between two steps. The scheduler, the lead or the centre."""
    with context.begin() as session:
        _allowed_run(session, context, principal, "run.stop", run_id)
        return once.answer(session, _detail(session, scheduling.request_stop(session, principal, run_id)))


@router.post(
    "/runs/{run_id}/restart",
    summary="Start a failed or stopped run again",
    openapi_extra=operation(
        "run.unknown",
        "run.illegal_transition",
        "grant.attempts_exhausted",
        *_NOT_IN_FORCE,
    ),
    response_model=RunDetail,
)
def restart_run(principal: Authenticated, once: OnlyOnce, run_id: RunPath, context: Context) -> Response:
    """Gather keys for the run's next attempt. Only the holder of the scheduling right."""
    with context.begin() as session:
        _allowed_run(session, context, principal, "run.restart", run_id)
        return once.answer(session, _detail(session, scheduling.restart_run(session, principal, run_id)))


@router.get(
    "/runs/{run_id}/results", summary="Fetch a run's metrics", openapi_extra=operation("run.unknown", "run.no_results")
)
def get_results(principal: Authenticated, run_id: RunPath, context: Context) -> ResultsView:
    """Return the metrics of a finished run: lead, participants and centre. Scores never come here."""
    with context.read() as session:
        row = _allowed_run(session, context, principal, "run.read_results", run_id)
        result = session.get(RunResultRow, (row.run_id, row.attempt))
        if result is None:
            raise DoudiError("run.no_results", "the run has no results")
        return ResultsView(run_id=row.run_id, attempt=row.attempt, metrics=json.loads(result.metrics))


def _allowed_run(
    session: Session,
    context: AppContext,
    principal: Principal,
    action: str,
    run_id: str,
    values: Mapping[str, Value] = NO_VALUES,
) -> RunRow:
    """Return a run that the rules let the principal act on. Raises `run.unknown` for others' runs, or `authorization.denied`."""
    row = scheduling.get_visible_run(session, principal, run_id)
    authorise(session, context, principal, action, run_of_grant(session, run_id, row.grant_hash), values=values)
    return row


def _detail(session: Session, row: RunRow) -> RunDetail:
    reached = progress.rounds_reached(session, [row])
    summary = _summary(row, reached, progress.rounds_planned(session, [row]))
    return RunDetail(
        **summary.model_dump(),
        offered=[offer.department for offer in scheduling.list_offers(session, row)],
        progress=progress.steps_by_state(session, row),
        steps=[StepView.model_validate(step) for step in progress.newest_steps(session, row, summary.round)],
    )


def _summary(row: RunRow, reached: Mapping[str, int], planned: Mapping[str, int]) -> RunSummary:
    summary = RunSummary.model_validate(row)
    return summary.model_copy(update={"round": reached.get(row.run_id, 0), "rounds": planned.get(row.grant_hash)})
