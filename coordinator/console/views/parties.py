"""/console/parties…, /console/node: the departments with their cards, and how their nodes are, by their own reports.

Cards are for every party to compare. What a node reports is shown to its own department, to the centre and to auditors.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from coordinator.accounts.sessions import SignedIn
from coordinator.authorization.resources import party_resource, system_resource
from coordinator.authorization.services import authorise, may
from coordinator.console.addresses import CONSOLE
from coordinator.console.filters import NameInPath, wanted_number
from coordinator.console.languages import choose_language
from coordinator.console.node_states import (
    BADGES,
    budget_groups,
    budget_history,
    changed_budgets,
    checks_of,
    is_old,
    node_state,
)
from coordinator.console.parts import ConsoleParts, Parts
from coordinator.console.published import dataset_title, purpose_title
from coordinator.console.rendering import page
from coordinator.console.security import ConsoleUser
from coordinator.context import AppContext, Context
from coordinator.db.session import now_s
from coordinator.paging import PageQuery
from coordinator.parties.models import PartyRow
from coordinator.parties.services import CENTRE, list_parties
from coordinator.reports.sent import sent_by
from coordinator.reports.services import newest_report
from coordinator.reports.summaries import ReportSummary
from coordinator.revocations.ages import newest_lists
from crypto.errors import DoudiError
from policies.contracts.cards import DepartmentCard

PARTIES = f"{CONSOLE}/parties"
SENT_ROWS = 50
_FIRST_ROWS = 10

router = APIRouter(prefix=CONSOLE, include_in_schema=False)


@router.get("/parties")
def parties_page(
    request: Request, user: ConsoleUser, context: Context, parts: Parts, wanted: PageQuery
) -> HTMLResponse:
    """List the departments."""
    with context.read() as session:
        authorise(session, context, user.principal, "party.read", system_resource())
        found = list_parties(session, wanted)
        departments = [row for row in found.rows if row.name != CENTRE]
        readable = {row.name for row in departments if _reads_report(context, user, row.name)}
        reports = parts.report_summaries.newest(session, readable)
        ages = newest_lists(session, [CENTRE, *(row.name for row in departments)])
        now = now_s(session)
        return page(
            request,
            "parties.html.j2",
            user,
            departments=departments,
            cards={row.name: _card(row) for row in departments},
            readable=readable,
            reports=reports,
            states={row.name: node_state(row.last_seen_at, reports.get(row.name), now) for row in departments},
            badges=BADGES,
            ages=ages,
            old={name for name in (CENTRE, *(row.name for row in departments)) if is_old(ages.get(name), now)},
            next_cursor=found.next_cursor,
            cursor=wanted.cursor,
            now=now,
        )


@router.get("/node")
def own_node(request: Request, user: ConsoleUser, context: Context, parts: Parts) -> Response:
    """Show the node of the person's own department; whoever acts for the centre has none."""
    if user.principal.party == CENTRE:
        return RedirectResponse(PARTIES, 303)
    with context.read() as session:
        return _party_page(request, user, context, parts, session, user.principal.party, own=True)


@router.get("/parties/{name}")
def party_page(request: Request, user: ConsoleUser, context: Context, parts: Parts, name: NameInPath) -> HTMLResponse:
    """Show one department: its card, and to whom it concerns how its node is."""
    with context.read() as session:
        return _party_page(request, user, context, parts, session, name, own=False)


@router.get("/parties/{name}/sent")
def sent_page(request: Request, user: ConsoleUser, context: Context, name: NameInPath) -> HTMLResponse:
    """List what left the department's node, by a report of it."""
    number, row = wanted_number(request, "report"), wanted_number(request, "row") or 1
    with context.read() as session:
        authorise(session, context, user.principal, "report.read", party_resource(name))
        found = sent_by(session, name, number, row, SENT_ROWS)
    return page(request, "party_sent.html.j2", user, name=name, sent=found)


def _party_page(
    request: Request,
    user: SignedIn,
    context: AppContext,
    parts: ConsoleParts,
    session: Session,
    name: str,
    *,
    own: bool,
) -> HTMLResponse:
    resource = party_resource(name)
    authorise(session, context, user.principal, "party.read", resource)
    row = session.get(PartyRow, name)
    if row is None or row.name == CENTRE:
        raise DoudiError("party.unknown", "there is no such department")
    language, now, card = choose_language(request), now_s(session), _card(row)
    age = newest_lists(session, [name]).get(name)
    values: dict[str, Any] = {"reads_report": _reads_report(context, user, name)}
    if values["reads_report"]:
        history = parts.report_summaries.history(session, name)
        values |= _of_node(request, session, row, history)
        report = history[-1] if history else None
        values["state"] = node_state(row.last_seen_at, report, now)
        values["checks"] = checks_of(language, row.last_seen_at, report, age, card.program_hash, now)
    return page(
        request,
        "party.html.j2",
        user,
        party=row,
        card=card,
        age=age,
        old=is_old(age, now),
        purposes=[purpose_title(language, purpose) for purpose in card.allowed_purposes],
        dataset=dataset_title(language, card.dataset, card.standard_version),
        now=now,
        own=own,
        badges=BADGES,
        **values,
    )


def _of_node(request: Request, session: Session, row: PartyRow, history: Sequence[ReportSummary]) -> Mapping[str, Any]:
    """Return what the node's reports say; the newest is parsed whole."""
    language = choose_language(request)
    report = newest_report(session, row.name).report if history else None
    return {
        "report": report,
        "received_at": history[-1].received_at if history else None,
        "budgets": budget_groups(language, history[-1].budgets) if history else [],
        "budget_series": budget_history(language, history),
        "budget_changes": changed_budgets(history)[:_FIRST_ROWS],
        "sent": report.sent[:_FIRST_ROWS] if report else (),
    }


def _reads_report(context: AppContext, user: SignedIn, name: str) -> bool:
    return may(context, user.principal, "report.read", party_resource(name))


def _card(row: PartyRow) -> DepartmentCard:
    if row.card is None:
        # The table has no department without one; the type does not know that.
        raise DoudiError("party.unknown", "the department has no card")
    return _parsed(row.card)


@lru_cache(maxsize=512)
def _parsed(card: bytes) -> DepartmentCard:
    """Return a card. Kept, because a list of many parses each of them at every look, and a card's bytes never change."""
    return DepartmentCard.parse(card)
