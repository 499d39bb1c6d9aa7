"""In which order runs start at this node, and how many may be unfinished at once. Called within the engine's transactions.

The coordinator queues runs, but is not trusted to: each node keeps its own count. Runs of a grant start in the order of their
numbers, and a new run is refused while as many as the site allows are unfinished here. A run is unfinished while a step of its
newest attempt was asked or answered within the last hour, this department's last step of it is not answered, and its manifest has
not expired: a coordinator that loses a run takes its place for an hour at most.
"""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crypto.errors import DoudiError
from department_nodes.guard import Request
from department_nodes.store.models import RunAttemptRow, RunNumberRow
from policies.contracts.steps import Step

IDLE_AFTER_S = 3600


def begin_step(session: Session, request: Request, max_concurrent_runs: int, now_s: int) -> None:
    """Take the run's number, and a place for the attempt unless it has one.

    Raises `manifest.run_number_taken`, `manifest.out_of_order`, or `node.busy`: then the step may be asked again later. The
    caller's transaction is rolled back then, so that neither number nor place is taken.
    """
    _take_number(session, request)
    manifest = request.manifest
    unfinished = unfinished_runs(session, now_s)
    if manifest.run_id not in unfinished and len(unfinished) >= max_concurrent_runs:
        raise DoudiError(
            "node.busy",
            f"{len(unfinished)} runs are unfinished at this node, as many as its site allows",
            "Ask for the step again when one of them has ended; see max_concurrent_runs in node.toml.",
        )
    row = session.get(RunAttemptRow, (manifest.run_id, manifest.attempt))
    if row is not None:
        row.last_step_at = now_s
        return
    session.add(
        RunAttemptRow(
            run_id=manifest.run_id,
            attempt=manifest.attempt,
            grant_hash=request.grant_hash,
            begun_at=now_s,
            last_step_at=now_s,
            expires_at=manifest.expires_at,
        )
    )


def finish_step(session: Session, request: Request, now_s: int) -> None:
    """Note that a step of the attempt was answered, and that the attempt is over here if it was this department's last."""
    row = session.get_one(RunAttemptRow, (request.manifest.run_id, request.manifest.attempt))
    row.last_step_at = now_s
    if request.step is _last_step(request):
        row.finished_at = now_s


def unfinished_runs(session: Session, now_s: int) -> list[str]:
    """Return the names of the runs that are unfinished at this node, sorted."""
    newest = (
        select(RunAttemptRow.run_id, func.max(RunAttemptRow.attempt).label("attempt"))
        .group_by(RunAttemptRow.run_id)
        .subquery()
    )
    found = session.scalars(
        select(RunAttemptRow.run_id)
        .join(newest, (newest.c.run_id == RunAttemptRow.run_id) & (newest.c.attempt == RunAttemptRow.attempt))
        .where(
            RunAttemptRow.finished_at.is_(None),
            RunAttemptRow.last_step_at > now_s - IDLE_AFTER_S,
            RunAttemptRow.expires_at >= now_s,
        )
        .order_by(RunAttemptRow.run_id)
    )
    return list(found)


def _take_number(session: Session, request: Request) -> None:
    manifest = request.manifest
    of_grant = RunNumberRow.grant_hash == request.grant_hash
    holder = session.scalar(select(RunNumberRow.run_id).where(of_grant, RunNumberRow.run_number == manifest.run_number))
    if holder not in (None, manifest.run_id):
        raise DoudiError("manifest.run_number_taken", "another run has this number")
    mine = session.get(RunNumberRow, manifest.run_id)
    if mine is not None:
        # A run's name counts once: under another number, or another grant, it would be a run that nobody counts.
        if (mine.grant_hash, mine.run_number) != (request.grant_hash, manifest.run_number):
            raise DoudiError("manifest.run_number_taken", "this run has another number, or is another grant's")
        return
    newest = session.scalar(select(func.max(RunNumberRow.run_number)).where(of_grant)) or 0
    if manifest.run_number < newest:
        raise DoudiError(
            "manifest.out_of_order",
            f"run {newest} of the grant has started here, so that run {manifest.run_number} cannot start any more",
            "Create a new run: runs start in the order of their numbers.",
        )
    session.add(RunNumberRow(run_id=manifest.run_id, grant_hash=request.grant_hash, run_number=manifest.run_number))


def _last_step(request: Request) -> Step:
    if request.round:
        return Step.LINE_MODEL
    return Step.COMBINE if request.me.role == "lead" else Step.TRAIN
