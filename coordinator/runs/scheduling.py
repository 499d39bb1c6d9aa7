"""What parties ask of a run: start it, offer keys, schedule, stop, start again. Each checks who may and is recorded."""

import hashlib

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.db.session import now_s
from coordinator.events import COORDINATOR, EventType
from coordinator.grants.models import GrantPartyRow, GrantRow
from coordinator.grants.services import find_grant, require_in_force
from coordinator.paging import Order, PageRequest, Slice, page_of
from coordinator.parties.services import CENTRE
from coordinator.projects.services import get_project
from coordinator.runs.models import KeyOfferRow, RunRow
from coordinator.runs.services import STOPPED_CODE, end, get_run, move, record_run
from coordinator.runs.states import RunState
from crypto.errors import DoudiError
from policies.contracts.grant import Grant, LineGrant, SignedGrant
from policies.contracts.grant_terms import GrantBase
from policies.contracts.manifest import KeyOffer, Manifest, Mode, SignedManifest, verify_mode
from policies.contracts.requests import CLOCK_TOLERANCE_S

GATHERING_TIMEOUT_CODE = "run.gathering_timeout"
MANIFEST_EXPIRED_CODE = "run.manifest_expired"
# Why somebody stops a run. Codes and no words of people: they stand in the run, in events, and before every participant.
STOP_REASONS = (
    "run.stopped_by_mistake",
    "run.stopped_for_data",
    "run.stopped_for_node",
    "run.stopped_for_review",
    STOPPED_CODE,
)
NEWEST_FIRST = Order("runs", (RunRow.created_at, RunRow.run_id), newest_first=True)


def create_run(session: Session, principal: Principal, project_id: str, mode: Mode) -> RunRow:
    """Start a run: it begins to gather keys. Only the holder of the scheduling right.

    Raises `project.unknown`, `project.closed`, `grant.unknown`, `authorization.denied`, `grant.mode_not_allowed`,
    `grant.runs_exhausted` and what `require_in_force` raises.
    """
    if get_project(session, project_id).state != "open":
        raise DoudiError("project.closed", "the project is closed")
    grant_row = find_grant(session, project_id)
    _require_scheduler(SignedGrant.parse(grant_row.document).grant, principal)
    now = now_s(session)
    grant = require_in_force(session, grant_row)
    try:
        verify_mode(grant, mode)
    except DoudiError:
        raise DoudiError("grant.mode_not_allowed", "the grant does not allow this mode") from None
    highest = select(func.max(RunRow.run_number)).where(RunRow.grant_hash == grant_row.grant_hash)
    number = (session.scalar(highest) or 0) + 1
    if number > grant.runs_allowed:
        raise DoudiError("grant.runs_exhausted", "all runs of the grant are used", "Ask for a new grant.")
    row = RunRow(
        run_id=_run_id(grant_row.grant_hash, number),
        project_id=project_id,
        grant_hash=grant_row.grant_hash,
        run_number=number,
        mode=mode,
        attempt=1,
        state=RunState.GATHERING_KEYS.value,
        reason_code="",
        created_at=now,
        attempt_at=now,
        stop_requested=False,
    )
    session.add(row)
    record_run(session, EventType.RUN_CREATED, principal, row, counts={"run_number": number})
    return row


def store_offer(session: Session, principal: Principal, run_id: str, department: str, offer: KeyOffer) -> bool:
    """Store a department's keys for the current attempt; return whether they are new. The same bytes change nothing.

    Raises `run.unknown`, `authorization.denied`, `grant.not_a_participant`, `offer.wrong_run`, `offer.program_mismatch`,
    `offer.too_many_people`, `offer.bad_signature`, `offer.already_made`, `run.not_gathering`.
    """
    row = get_run(session, run_id)
    if principal.party != department:
        raise DoudiError("authorization.denied", "a department offers only its own keys")
    grant = _grant(session, row)
    share = grant.share(department)
    named = (offer.department, offer.run_id, offer.attempt, offer.grant_hash)
    if named != (department, run_id, row.attempt, row.grant_hash):
        raise DoudiError("offer.wrong_run", "the offer belongs to another grant, run, attempt or department")
    if offer.program_hash != grant.program_hash:
        raise DoudiError("offer.program_mismatch", "the offer's program is not the granted one")
    if offer.people > share.declared_people:
        raise DoudiError("offer.too_many_people", "the list is longer than the grant declares")
    offer.verify(share.identity_key)
    document = offer.to_bytes()
    stored = session.get(KeyOfferRow, (run_id, row.attempt, department))
    if stored is not None:
        if stored.document != document:
            raise DoudiError("offer.already_made", "the department has offered other keys for this attempt")
        return False
    if row.state != RunState.GATHERING_KEYS:
        raise DoudiError("run.not_gathering", "the run does not gather keys now")
    session.add(KeyOfferRow(run_id=run_id, attempt=row.attempt, department=department, document=document))
    record_run(session, EventType.RUN_OFFER_STORED, principal, row, counts={"people": offer.people})
    return True


def list_offers(session: Session, row: RunRow) -> list[KeyOffer]:
    """Return the offers of the run's current attempt, by department."""
    query = (
        select(KeyOfferRow.document)
        .where(KeyOfferRow.run_id == row.run_id, KeyOfferRow.attempt == row.attempt)
        .order_by(KeyOfferRow.department)
    )
    return [KeyOffer.parse(document) for document in session.scalars(query)]


def store_manifest(session: Session, principal: Principal, run_id: str, signed: SignedManifest) -> bool:
    """Schedule the run; return whether the manifest is new. The same bytes change nothing.

    (1) The principal's party holds the scheduling right and signed with its key. (2) The manifest is about this attempt, now.
    (3) Its offers are the stored ones. (4) The departments suffice for the mode.

    Raises `run.unknown`, `authorization.denied`, `manifest.bad_signature`, `manifest.mismatch`, `manifest.expired`,
    `manifest.offers_mismatch`, `manifest.departments`, `manifest.already_stored`, `run.illegal_transition`.
    """
    row = get_run(session, run_id)
    grant = _grant(session, row)
    manifest = signed.manifest
    # (1)
    _require_scheduler(grant, principal)
    signed.verify(grant.scheduler.key)
    # (2)
    named = (manifest.grant_hash, manifest.run_id, manifest.run_number, manifest.attempt, manifest.mode)
    if named != (row.grant_hash, row.run_id, row.run_number, row.attempt, row.mode):
        raise DoudiError("manifest.mismatch", "the manifest belongs to another grant, run, number, attempt or mode")
    document = signed.to_bytes()
    if row.manifest is not None:
        if row.manifest != document:
            raise DoudiError("manifest.already_stored", "another manifest is stored for this attempt")
        return False
    _require_current(manifest, grant, now_s(session))
    # (3)
    stored = {offer.department: offer for offer in list_offers(session, row)}
    if any(stored.get(offer.department) != offer for offer in manifest.offers):
        raise DoudiError("manifest.offers_mismatch", "the manifest's keys are not the stored ones")
    # (4)
    _require_enough(manifest, grant)
    move(row, RunState.SCHEDULED)
    row.manifest, row.scheduled_at = document, now_s(session)
    counts, hashes = {"departments": len(manifest.offers)}, {"manifest": manifest.digest()}
    record_run(session, EventType.RUN_SCHEDULED, principal, row, counts=counts, hashes=hashes)
    return True


def request_stop(session: Session, principal: Principal, run_id: str, code: str = "") -> RunRow:
    """Ask for a stop: at once before the run has started, else between two steps. Asking again changes nothing.

    `code`: why, one of `STOP_REASONS`, if it is told. Only the scheduler, the lead and the centre. Raises `run.unknown`,
    `authorization.denied`, `run.illegal_transition`.
    """
    row = get_run(session, run_id)
    grant = _grant(session, row)
    if principal.party not in (CENTRE, grant.lead_department, grant.scheduler.department):
        raise DoudiError("authorization.denied", "only the scheduler, the lead or the centre stops a run")
    if row.state == RunState.RUNNING:
        if not row.stop_requested:
            row.stop_requested, row.reason_code = True, code
            record_run(session, EventType.RUN_STOP_REQUESTED, principal, row, code)
    elif row.state != RunState.STOPPED:
        row.stop_requested = True
        end(session, row, RunState.STOPPED, EventType.RUN_STOPPED, principal, code or STOPPED_CODE)
    return row


def restart_run(session: Session, principal: Principal, run_id: str) -> RunRow:
    """Start a failed or stopped run again, as its next attempt with fresh keys. Only the scheduler.

    Raises `run.unknown`, `authorization.denied`, `run.illegal_transition`, `grant.attempts_exhausted` and what
    `require_in_force` raises.
    """
    row = get_run(session, run_id)
    grant_row = session.get_one(GrantRow, row.grant_hash)
    _require_scheduler(SignedGrant.parse(grant_row.document).grant, principal)
    grant = require_in_force(session, grant_row)
    if row.attempt >= grant.attempts_allowed and row.state in (RunState.FAILED, RunState.STOPPED):
        raise DoudiError("grant.attempts_exhausted", "all attempts of this run are used", "Start another run.")
    move(row, RunState.GATHERING_KEYS)
    row.attempt += 1
    row.attempt_at = now_s(session)
    row.reason_code, row.manifest, row.flower_run_id = "", None, None
    row.scheduled_at, row.started_at, row.finished_at, row.stop_requested = None, None, None, False
    record_run(session, EventType.RUN_RESTARTED, principal, row)
    return row


def fail_overdue(session: Session, gathering_timeout_s: int) -> int:
    """Fail runs that wait for keys too long or whose manifest ran out before they started; return how many.

    Without this a department that never offers its keys would leave a run waiting for ever.
    """
    now, failed = now_s(session), 0
    waiting = select(RunRow).where(RunRow.state.in_([RunState.GATHERING_KEYS.value, RunState.SCHEDULED.value]))
    for row in session.scalars(waiting).all():
        code = ""
        if row.manifest is None:
            if row.attempt_at + gathering_timeout_s <= now:
                code = GATHERING_TIMEOUT_CODE
        elif SignedManifest.parse(row.manifest).manifest.expires_at <= now:
            code = MANIFEST_EXPIRED_CODE
        if code:
            end(session, row, RunState.FAILED, EventType.RUN_FAILED, COORDINATOR, code)
            failed += 1
    return failed


def list_runs(
    session: Session, department: str | None, state: str | None, project_id: str | None, wanted: PageRequest
) -> Slice[RunRow]:
    """Return a page of runs, newest first; those that a department takes part in, unless `department` is `None`."""
    query = select(RunRow)
    if department is not None:
        own = select(GrantPartyRow.grant_hash).where(GrantPartyRow.department == department)
        query = query.where(RunRow.grant_hash.in_(own))
    if state is not None:
        query = query.where(RunRow.state == state)
    if project_id is not None:
        query = query.where(RunRow.project_id == project_id)
    return page_of(session, query, NEWEST_FIRST, wanted)


def get_visible_run(session: Session, principal: Principal, run_id: str) -> RunRow:
    """Return a run that the principal's party takes part in, or any for the centre and auditors.

    Raises `run.unknown` also for others' runs.
    """
    row = get_run(session, run_id)
    if not principal.reads_all and session.get(GrantPartyRow, (row.grant_hash, principal.party)) is None:
        raise DoudiError("run.unknown", "there is no such run for this party")
    return row


def _run_id(grant_hash: str, number: int) -> str:
    # Derived and not drawn: it carries nothing about the project, and the same run has the same name everywhere.
    digest = hashlib.sha256(f"doudi-run-v1:{grant_hash}:{number}".encode()).hexdigest()
    return f"run-{digest[:16]}"


def _grant(session: Session, row: RunRow) -> Grant | LineGrant:
    return SignedGrant.parse(session.get_one(GrantRow, row.grant_hash).document).grant


def _require_scheduler(grant: GrantBase, principal: Principal) -> None:
    if principal.party != grant.scheduler.department:
        raise DoudiError("authorization.denied", "only the holder of the scheduling right may do this")


def _require_current(manifest: Manifest, grant: GrantBase, now: int) -> None:
    early = manifest.created_at > now + CLOCK_TOLERANCE_S
    if early or not now < manifest.expires_at <= grant.expires_at:
        raise DoudiError("manifest.expired", "the manifest's times do not fit now and the grant")


def _require_enough(manifest: Manifest, grant: Grant | LineGrant) -> None:
    taking_part, granted = set(manifest.departments), set(grant.departments)
    if isinstance(grant, LineGrant):
        # Fresh noise goes into each sum of a line, so it needs enough departments, and neither all nor its lead.
        enough, complete = len(taking_part) >= grant.aggregation.min_survivors, taking_part <= granted
    else:
        enough = grant.lead_department in taking_part and len(taking_part) >= grant.linkage.min_key_holders
        # A sum over fewer departments than the grant names is a different sum, and two such differ by one department.
        complete = manifest.mode == "evidence" or taking_part == granted
    if not enough or not complete:
        raise DoudiError("manifest.departments", "the departments do not suffice for this mode")
