"""The endpoints of the nodes' reports: /v1/parties/{name}/report and /v1/reports."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel

from coordinator.authorization.resources import party_resource, system_resource
from coordinator.authorization.services import authorise
from coordinator.context import Context
from coordinator.idempotency import OnlyOnce
from coordinator.openapi import operation
from coordinator.paging import Page, PageQuery
from coordinator.parties.authentication import Authenticated, parsed
from coordinator.reports import services
from policies.contracts.node_reports import BudgetReport, SignedNodeReport

router = APIRouter(prefix="/v1", tags=["reports"])

NamePath = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="a department's name")]


class Reported(BaseModel):
    """The number of the newest report that is known of the node."""

    number: int


class NodeHealthView(BaseModel):
    """How a department's node is, by its own word. What comes from its report is null until it has reported.

    `last_seen_at`, `received_at`: by the coordinator's clock; `made_at`: by the node's. Seconds since 1970 UTC.
    """

    department: str
    last_seen_at: int | None
    received_at: int | None
    made_at: int | None = None
    program_hash: str | None = None
    people: int | None = None
    faults: int | None = None
    active_runs: int | None = None
    max_concurrent_runs: int | None = None
    budgets: list[BudgetReport] = []
    refusals: int | None = None


_REPORTED: dict[int | str, dict[str, Any]] = {201: {"model": Reported, "description": "The report is new"}}


@router.put(
    "/parties/{name}/report",
    summary="Report how the node is",
    openapi_extra=operation(
        "report.wrong_department", "report.bad_signature", "report.from_the_future", "report.rollback"
    ),
    response_model=Reported,
    responses=_REPORTED,
)
def put_report(
    principal: Authenticated,
    once: OnlyOnce,
    name: NamePath,
    signed: Annotated[SignedNodeReport, Depends(parsed(SignedNodeReport))],
    context: Context,
) -> Response:
    """Store what a node tells about itself: that node alone."""
    with context.begin() as session:
        is_new = services.put_report(session, context, principal, name, signed)
        return once.answer(session, Reported(number=signed.report.number), 201 if is_new else 200)


@router.get(
    "/parties/{name}/report",
    summary="Fetch a node's report",
    openapi_extra=operation("report.none"),
    response_model=None,
    responses={200: {"model": SignedNodeReport, "description": "The report, byte for byte as it is signed"}},
)
def get_report(principal: Authenticated, name: NamePath, context: Context) -> Response:
    """Return the newest report of a node, as it signed it: its own department, the centre, auditors."""
    with context.read() as session:
        authorise(session, context, principal, "report.read", party_resource(name))
        return Response(services.newest_report(session, name).to_bytes(), 200, media_type="application/json")


@router.get("/reports", summary="List how the nodes are")
def list_health(principal: Authenticated, context: Context, wanted: PageQuery) -> Page[NodeHealthView]:
    """Return every department's node by name, for the centre and auditors; a department sees its own."""
    with context.read() as session:
        authorise(session, context, principal, "report.read", system_resource())
        department = None if principal.reads_all else principal.party
        found, next_cursor = services.list_health(session, wanted, department)
        return Page(items=[_view(health) for health in found], next_cursor=next_cursor)


def _view(health: services.NodeHealth) -> NodeHealthView:
    report = health.report
    if report is None:
        return NodeHealthView(
            department=health.department, last_seen_at=health.last_seen_at, received_at=health.received_at
        )
    return NodeHealthView(
        department=health.department,
        last_seen_at=health.last_seen_at,
        received_at=health.received_at,
        made_at=report.made_at,
        program_hash=report.program_hash,
        people=report.people,
        faults=report.faults,
        active_runs=report.active_runs,
        max_concurrent_runs=report.max_concurrent_runs,
        budgets=list(report.budgets),
        refusals=len(report.refusals),
    )
