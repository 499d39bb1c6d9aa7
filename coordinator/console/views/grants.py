"""/console/grants…: grants that are active or have ended, what each allows, what is used of it, and who took it back.

Nobody revokes here: a revocation is signed with a key that never comes to the coordinator. The page records that a person wants
it and shows the command that does it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from coordinator.accounts.sessions import SignedIn
from coordinator.authorization.principals import CENTRE
from coordinator.authorization.resources import system_resource
from coordinator.authorization.services import authorise, may
from coordinator.console.addresses import CONSOLE, with_query
from coordinator.console.charts import Budget
from coordinator.console.errors import RefusedForm, refused_form
from coordinator.console.filters import wanted_choice
from coordinator.console.grants_in_words import purpose_title
from coordinator.console.languages import N_, Language, choose_language
from coordinator.console.rendering import page
from coordinator.console.request_values import parties_in_request, terms_in_words, who
from coordinator.console.security import CheckedForm, ConsoleUser
from coordinator.console.titles import title_of
from coordinator.context import AppContext, Context
from coordinator.db.session import now_s
from coordinator.paging import PageQuery, PageRequest
from coordinator.requests.models import AccessRequestRow
from coordinator.requests.reading import (
    decisions_of,
    get_visible_request,
    grant_of,
    list_requests,
    parties_of,
    runs_used,
)
from coordinator.requests.services import MAXIMUM_REASON_CHARACTERS, grant_resource_of
from coordinator.requests.states import LEGAL, RequestState
from coordinator.revocations.services import newest_list, revocations_of
from coordinator.revocations.wishes import wish_revocation, wishes_of
from crypto.errors import DoudiError
from policies.contracts.grant import Grant, LineGrant
from policies.contracts.revocations import RevocationReason

GRANTS = f"{CONSOLE}/grants"
DAY_S = 24 * 3600
# What the address may say was done; anything else in its place says nothing.
DONE: Mapping[str, str] = {
    "wished": N_(
        "Your wish is recorded. The grant ends when your party's revocation key has signed: see the command below."
    ),
}
REASONS: tuple[RevocationReason, ...] = get_args(RevocationReason)
_ENDED = (RequestState.EXPIRED, RequestState.REVOKED, RequestState.EXHAUSTED)
_STATES: Mapping[str, tuple[RequestState, ...]] = {
    "active": (RequestState.ACTIVE,),
    "ended": _ENDED,
    "all": (RequestState.ACTIVE, *_ENDED),
}

router = APIRouter(prefix=GRANTS, include_in_schema=False)
NumberPath = Annotated[int, Path(ge=1, le=2**53)]
HashPath = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class _View:
    name: str
    label: str


VIEWS = (_View("active", N_("Active")), _View("ended", N_("Ended")), _View("all", N_("All")))


@dataclass(frozen=True)
class _ListOfParty:
    """The newest revocation list of a party, as the coordinator has it; `number` is `None` when it has none."""

    party: str
    number: int | None
    issued_at: int | None
    reason: str | None
    revoked_at: int | None


@router.get("")
def grants_page(request: Request, user: ConsoleUser, context: Context, wanted: PageQuery) -> HTMLResponse:
    """List the grants that concern the own party, with what is used of them as bars."""
    chosen = wanted_choice(request, "view", list(_STATES)) or "active"
    language = choose_language(request)
    with context.read() as session:
        authorise(session, context, user.principal, "grant.read", system_resource())
        found = list_requests(session, user.principal, wanted, states=_STATES[chosen])
        used = runs_used(session, found.rows)
        return page(
            request,
            "grants.html.j2",
            user,
            views=VIEWS,
            chosen=chosen,
            found=found,
            cursor=wanted.cursor,
            used=used,
            days={row.number: _days(row, now_s(session)) for row in found.rows},
            purpose_title=partial(purpose_title, language),
        )


@router.get("/by-hash/{grant_hash}")
def grant_by_hash(user: ConsoleUser, context: Context, grant_hash: HashPath) -> RedirectResponse:
    """Lead to the grant with this hash, which is what runs, nodes and records name."""
    with context.read() as session:
        found = list_requests(session, user.principal, PageRequest(limit=1), grant_hash=grant_hash).rows
        if not found:
            raise DoudiError("request.unknown", "there is no request with this grant for this party")
        return RedirectResponse(_address(found[0].number), 303)


@router.get("/{number}")
def grant_page(
    request: Request, user: ConsoleUser, context: Context, number: NumberPath, done: str = ""
) -> HTMLResponse:
    """Show a grant, by the number of its request."""
    return _grant_page(request, user, context, number, done=DONE.get(done, ""))


@router.post("/{number}/revocation")
def want_revocation(
    request: Request, user: ConsoleUser, form: CheckedForm, context: Context, number: NumberPath
) -> Response:
    """Record that a person wants the own party to take the grant back."""
    language = choose_language(request)
    chosen, note = form.line("why"), form.text("reason", MAXIMUM_REASON_CHARACTERS)
    given = {"why": chosen, "reason": note, "confirm": "revoke"}
    reason = next((one for one in REASONS if one == chosen), None)
    if reason is None:
        refused = RefusedForm(422, {"why": language.gettext("Choose a reason.")})
        return _grant_page(request, user, context, number, refused=refused, given=given)
    try:
        with context.begin() as session:
            wish_revocation(session, context, user.principal, number, reason, note)
    except DoudiError as error:
        if error.code in ("authorization.denied", "request.unknown"):
            raise
        refused = refused_form(language, error)
        return refused.on(_grant_page(request, user, context, number, refused=refused, given=given))
    return RedirectResponse(with_query(_address(number), done="wished"), 303)


def _grant_page(
    request: Request,
    user: SignedIn,
    context: AppContext,
    number: int,
    *,
    refused: RefusedForm | None = None,
    given: Mapping[str, Any] | None = None,
    done: str = "",
) -> HTMLResponse:
    language = choose_language(request)
    with context.read() as session:
        row = get_visible_request(session, user.principal, number)
        grant = grant_of(row)
        authorise(session, context, user.principal, "grant.read", grant_resource_of(row, grant))
        return page(
            request,
            "grant.html.j2",
            user,
            refused.status if refused else 200,
            **_values(session, context, user, language, row, grant),
            errors=refused.errors if refused else {},
            given=given or {},
            done=done,
            here=_address(number),
        )


def _values(
    session: Session,
    context: AppContext,
    user: SignedIn,
    language: Language,
    row: AccessRequestRow,
    grant: Grant | LineGrant,
) -> dict[str, Any]:
    decisions = decisions_of(session, row.number)
    used = runs_used(session, [row]).get(row.grant_hash, 0)
    wishes = wishes_of(session, row.number)
    party = user.principal.party
    own_wish = next((wish for wish in wishes if wish.party == party), None)
    lists = _lists(session, row, grant)
    passed, days = _days(row, now_s(session))
    revocable = RequestState.REVOKED in LEGAL[RequestState(row.state)]
    return {
        "row": row,
        "terms": terms_in_words(language, grant),
        "parties": parties_in_request(parties_of(session, [row])[row.number], decisions),
        "signatures": [(one, who(language, one.person, one.party)) for one in decisions if one.way == "signature"],
        "used": used,
        "run_bars": [Budget(language.gettext("Number of runs"), used, used, row.runs_allowed)],
        "day_bars": [Budget(language.gettext("Days"), passed, passed, days)],
        "lists": lists,
        "wishes": [(wish, who(language, str(wish.account), wish.party)) for wish in wishes],
        "own_wish": own_wish,
        "own_has_revoked": any(one.party == party and one.revoked_at is not None for one in lists),
        "revocable": revocable,
        "may_revoke": revocable
        and own_wish is None
        and may(context, user.principal, "grant.revoke", grant_resource_of(row, grant)),
        "reasons": [("", language.gettext("Choose …")), *_reason_options(language)],
        "command": f"doudi {'centre' if party == CENTRE else 'node'} revoke {row.number}",
        "keys": _keys(grant),
        "may_read_headers": may(context, user.principal, "ledger.read_headers", system_resource()),
    }


def _lists(session: Session, row: AccessRequestRow, grant: Grant | LineGrant) -> list[_ListOfParty]:
    """Return every party's newest revocation list, and whether it took this grant back."""
    revoked = {one.party: one for one in revocations_of(session, row.grant_hash)}
    found = []
    for party in (*grant.departments, CENTRE):
        newest, mine = newest_list(session, party), revoked.get(party)
        found.append(
            _ListOfParty(
                party=party,
                number=newest.content.number if newest is not None else None,
                issued_at=newest.content.issued_at if newest is not None else None,
                reason=mine.reason if mine is not None else None,
                revoked_at=mine.revoked_at if mine is not None else None,
            )
        )
    return found


def _keys(grant: Grant | LineGrant) -> list[tuple[str, str, str]]:
    """Return party, use and key of every key that the grant pins. Uses are sources of translations."""
    keys = [(CENTRE, N_("approval"), key) for key in grant.centre_keys]
    keys.append((CENTRE, N_("revocation"), grant.centre_revocation_key))
    for share in grant.shares:
        keys.append((share.department, N_("identity of the node"), share.identity_key))
        keys += [(share.department, N_("approval"), key) for key in share.approval_keys]
        keys.append((share.department, N_("revocation"), share.revocation_key))
    keys.append((grant.scheduler.department, N_("scheduling"), grant.scheduler.key))
    return keys


def _reason_options(language: Language) -> list[tuple[str, str]]:
    return [(reason, title_of(language, "revocation_reason", reason)) for reason in REASONS]


def _days(row: AccessRequestRow, now: int) -> tuple[int, int]:
    """Return how many of a grant's days have passed, of how many. A day that has begun counts once it is over."""
    total = -(-(row.expires_at - row.not_before) // DAY_S)
    return min(total, max(0, (now - row.not_before) // DAY_S)), total


def _address(number: int) -> str:
    return f"{GRANTS}/{number}"
