"""Cards of the home page about requests and grants: what waits for whom."""

from sqlalchemy.orm import Session

from coordinator.accounts.sessions import SignedIn
from coordinator.authorization.principals import CENTRE
from coordinator.console.addresses import CONSOLE
from coordinator.console.home_content import HomeCard, HomeContent
from coordinator.console.languages import N_, Language
from coordinator.console.titles import title_of
from coordinator.paging import PageRequest
from coordinator.requests.models import AccessRequestRow
from coordinator.requests.reading import count_in_state, count_waiting, list_requests
from coordinator.requests.states import RequestState
from coordinator.revocations.wishes import open_wishes

REQUESTS, GRANTS = f"{CONSOLE}/requests", f"{CONSOLE}/grants"
_SHOWN = 3


def _waiting(session: Session, user: SignedIn, language: Language) -> HomeContent:
    """Requests where people of the own party have still to sign, and so to decide."""
    party = user.principal.party
    count = count_waiting(session, party)
    if not count:
        return HomeContent(language.gettext("No request waits for your party."), link=(REQUESTS, _look(language)))
    rows = list_requests(session, user.principal, PageRequest(limit=_SHOWN), waits_for=party).rows
    text = language.ngettext("request waits for your party.", "requests wait for your party.", count)
    if party == CENTRE:
        command = language.gettext("Decide here; the signature: “doudi centre approve” on the officer's device.")
    else:
        command = language.gettext("They are signed at the node: “doudi node approve”.")
    return HomeContent(
        language.joined([text, command]),
        count=count,
        items=[_item(language, row) for row in rows],
        link=(f"{REQUESTS}?view=waiting", language.gettext("All that wait")),
        waiting=True,
    )


def _drafts(session: Session, user: SignedIn, language: Language) -> HomeContent:
    """The own department's drafts that nobody has submitted."""
    party = user.principal.party
    count = count_in_state(session, user.principal, RequestState.DRAFTED, lead=party)
    if not count:
        text = language.gettext("No draft of your department waits to be submitted.")
        return HomeContent(text, link=(f"{REQUESTS}/new", language.gettext("New request")))
    rows = list_requests(
        session, user.principal, PageRequest(limit=_SHOWN), state=RequestState.DRAFTED, lead=party
    ).rows
    text = language.ngettext("draft is not submitted yet.", "drafts are not submitted yet.", count)
    return HomeContent(text, count=count, items=[_item(language, row) for row in rows], waiting=True)


def _active(session: Session, user: SignedIn, language: Language) -> HomeContent:
    count = count_in_state(session, user.principal, RequestState.ACTIVE)
    if not count:
        text = language.gettext("No grant is active. One becomes active when all its parties have signed.")
        return HomeContent(text, link=(GRANTS, language.gettext("Grants")))
    text = language.ngettext("grant is active.", "grants are active.", count)
    return HomeContent(text, count=count, link=(GRANTS, language.gettext("Grants")))


def _open(session: Session, user: SignedIn, language: Language) -> HomeContent:
    submitted, granted = (
        count_in_state(session, user.principal, state) for state in (RequestState.SUBMITTED, RequestState.GRANTED)
    )
    text = language.gettext("Before their approvers: %(submitted)s; granted and not active: %(granted)s.")
    names = {"submitted": language.number(submitted), "granted": language.number(granted)}
    return HomeContent(text % names, link=(REQUESTS, _look(language)))


def _to_revoke(session: Session, user: SignedIn, language: Language) -> HomeContent | None:
    """What the own party's people want to take back and its revocation key has not."""
    wishes = open_wishes(session, user.principal.party, _SHOWN)
    if not wishes:
        return None
    text = language.gettext("A person of your party wants this taken back; the revocation key has not signed yet.")
    items = [
        (
            f"{GRANTS}/{wish.number}",
            language.gettext("Grant %(number)s: %(reason)s")
            % {"number": wish.number, "reason": title_of(language, "revocation_reason", wish.reason)},
        )
        for wish in wishes
    ]
    return HomeContent(text, items=items, waiting=True)


def _item(language: Language, row: AccessRequestRow) -> tuple[str, str]:
    text = language.gettext("No. %(number)s %(project)s, %(lead)s")
    names = {"number": row.number, "project": row.project_id, "lead": title_of(language, "party", row.lead)}
    return f"{REQUESTS}/{row.number}", text % names


def _look(language: Language) -> str:
    return language.gettext("Requests")


_DECIDING = frozenset({"centre_officer", "centre_approver", "department_it", "department_approver"})

# In the order of the page.
REQUEST_CARDS: tuple[HomeCard, ...] = (
    HomeCard(N_("Requests to decide or sign"), _waiting, _DECIDING),
    HomeCard(N_("Grants to take back"), _to_revoke, _DECIDING),
    HomeCard(N_("Own drafts"), _drafts, frozenset({"department_it"})),
    HomeCard(N_("Open requests"), _open, frozenset({"auditor"})),
    HomeCard(N_("Grants"), _active),
)
