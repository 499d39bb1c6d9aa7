"""/console/runs…: the runs that concern somebody, one run with its progress and results, and stopping it.

Without a script a run's page shows how far it is and a link that loads it again; with one it follows by server-sent events.
"""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from coordinator.accounts.sessions import SignedIn
from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise, may
from coordinator.console.addresses import CONSOLE, with_query
from coordinator.console.errors import RefusedForm, refused_form
from coordinator.console.filters import NameInPath, wanted_choice, wanted_name
from coordinator.console.languages import N_, choose_language
from coordinator.console.parties_in_lists import department_names
from coordinator.console.rendering import page
from coordinator.console.run_plots import plots_of
from coordinator.console.run_progress import frame_of, live_values, look_at, total_of
from coordinator.console.run_results import Results, parse_results
from coordinator.console.security import CheckedForm, ConsoleUser
from coordinator.console.titles import title_of
from coordinator.context import AppContext, Context
from coordinator.grants.concerned import run_of_grant
from coordinator.paging import PageQuery
from coordinator.runs import progress, scheduling
from coordinator.runs.models import RunResultRow, RunRow
from coordinator.runs.states import ENDED, RunState
from crypto.errors import DoudiError
from policies.authorization.engine import Entity

RUNS = f"{CONSOLE}/runs"
STATES = tuple(state.value for state in RunState)
DONE: Mapping[str, str] = {
    "stopping": N_("The stop is asked for. The run ends before its next step."),
    "stopped": N_("The run is stopped."),
}

router = APIRouter(prefix=RUNS, include_in_schema=False)


@router.get("")
def runs_page(request: Request, user: ConsoleUser, context: Context, wanted: PageQuery) -> HTMLResponse:
    """List the runs that the person's department takes part in; the centre and auditors see all."""
    state = wanted_choice(request, "state", STATES)
    project, department = wanted_name(request, "project"), wanted_name(request, "department")
    language = choose_language(request)
    if not user.principal.reads_all:
        department = None
    with context.read() as session:
        authorise(session, context, user.principal, "run.read", system_resource())
        own = department if user.principal.reads_all else user.principal.party
        found = scheduling.list_runs(session, own, state, project, wanted)
        return page(
            request,
            "runs.html.j2",
            user,
            runs=found,
            reached=progress.rounds_reached(session, found.rows),
            cursor=wanted.cursor,
            states=[(name, title_of(language, "run_state", name)) for name in STATES],
            departments=[(name, title_of(language, "party", name)) for name in department_names(session)]
            if user.principal.reads_all
            else [],
            given={"state": state, "project": project, "department": department},
            narrowed=any(value is not None for value in (state, project, department)),
        )


@router.get("/{run_id}")
def run_page(request: Request, user: ConsoleUser, context: Context, run_id: NameInPath, done: str = "") -> HTMLResponse:
    """Show one run."""
    with context.read() as session:
        row, resource = visible_run(session, context, user, run_id)
        return _run_page(request, user, context, session, row, resource, done=DONE.get(done, ""))


@router.post("/{run_id}/stop")
def stop(request: Request, user: ConsoleUser, form: CheckedForm, context: Context, run_id: NameInPath) -> Response:
    """Ask for a stop, with a reason from the list."""
    code = form.line("reason")
    if code not in scheduling.STOP_REASONS:
        text = choose_language(request).gettext("Choose why the run is stopped.")
        return _refused_stop(request, user, context, run_id, RefusedForm(422, {"reason": text}))
    try:
        with context.begin() as session:
            row, resource = visible_run(session, context, user, run_id)
            authorise(session, context, user.principal, "run.stop", resource)
            row = scheduling.request_stop(session, user.principal, run_id, code)
            ended = RunState(row.state) in ENDED
    # Whether it is somebody's run at all is no matter of the form: only what the act itself refuses comes back with it.
    except DoudiError as error:
        if error.code in ("run.unknown", "authorization.denied"):
            raise
        return _refused_stop(request, user, context, run_id, refused_form(choose_language(request), error))
    return RedirectResponse(with_query(f"{RUNS}/{run_id}", done="stopped" if ended else "stopping"), 303)


def visible_run(session: Session, context: AppContext, user: SignedIn, run_id: str) -> tuple[RunRow, Entity]:
    """Return a run that the rules let somebody read, and it as their resource. Raises `run.unknown` for others' runs."""
    row = scheduling.get_visible_run(session, user.principal, run_id)
    resource = run_of_grant(session, run_id, row.grant_hash)
    authorise(session, context, user.principal, "run.read", resource)
    return row, resource


def _refused_stop(request: Request, user: SignedIn, context: AppContext, run_id: str, refused: RefusedForm) -> Response:
    with context.read() as session:
        row, resource = visible_run(session, context, user, run_id)
        return refused.on(_run_page(request, user, context, session, row, resource, refused=refused))


def _run_page(
    request: Request,
    user: SignedIn,
    context: AppContext,
    session: Session,
    row: RunRow,
    resource: Entity,
    *,
    refused: RefusedForm | None = None,
    done: str = "",
) -> HTMLResponse:
    language = choose_language(request)
    frame, now = frame_of(session, row), look_at(session, row)
    offers = scheduling.list_offers(session, row) if row.state == RunState.GATHERING_KEYS else []
    offered = {offer.department for offer in offers}
    results = _results(session, context, user, row, resource)
    return page(
        request,
        "run.html.j2",
        user,
        refused.status if refused else 200,
        run=row,
        frame=frame,
        now=now,
        live=live_values(language, frame, now),
        total=total_of(frame),
        awaited=[name for name, _role in frame.departments if name not in offered],
        results=results,
        plots=plots_of(language, results) if results is not None else None,
        may_stop=RunState(row.state) not in ENDED
        and not row.stop_requested
        and may(context, user.principal, "run.stop", resource),
        may_schedule=may(context, user.principal, "run.schedule", resource),
        stop_reasons=[(code, title_of(language, "reason", code), "") for code in scheduling.STOP_REASONS],
        errors=refused.errors if refused else {},
        given={"confirm": "stop"},
        done=done,
        here=f"{RUNS}/{row.run_id}",
    )


def _results(session: Session, context: AppContext, user: SignedIn, row: RunRow, resource: Entity) -> Results | None:
    if row.state != RunState.FINISHED or not may(context, user.principal, "run.read_results", resource):
        return None
    found = session.get(RunResultRow, (row.run_id, row.attempt))
    stored: Any = json.loads(found.metrics) if found is not None else None
    return parse_results(stored) if isinstance(stored, dict) else None
