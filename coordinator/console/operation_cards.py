"""Cards of the home page about the operation: runs, nodes, the rules, accounts, assets."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.accounts.models import AccountRow
from coordinator.accounts.sessions import SignedIn
from coordinator.authorization.changes import approvals_of, open_changes
from coordinator.catalogue.models import AssetRow
from coordinator.console.addresses import CONSOLE
from coordinator.console.home_content import HomeCard, HomeContent
from coordinator.console.languages import N_, Language
from coordinator.console.node_states import SILENT_S, is_old
from coordinator.console.titles import title_of
from coordinator.db.session import now_s
from coordinator.grants.models import GrantPartyRow
from coordinator.parties.models import PartyRow
from coordinator.revocations.ages import newest_lists
from coordinator.runs.models import RunRow
from coordinator.runs.states import RunState

_SHOWN = 4
_ALIVE = [state.value for state in (RunState.GATHERING_KEYS, RunState.SCHEDULED, RunState.RUNNING)]


def _runs(session: Session, user: SignedIn, language: Language) -> HomeContent:
    """Runs that are not over: of the own department, or all for those who see all."""
    query = select(RunRow).where(RunRow.state.in_(_ALIVE))
    if not user.principal.reads_all:
        own = select(GrantPartyRow.grant_hash).where(GrantPartyRow.department == user.principal.party)
        query = query.where(RunRow.grant_hash.in_(own))
    count = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    link = (f"{CONSOLE}/runs", language.gettext("All runs"))
    if not count:
        return HomeContent(language.gettext("No run is under way or waits to start."), link=link)
    newest = session.scalars(query.order_by(RunRow.created_at.desc(), RunRow.run_id.desc()).limit(_SHOWN)).all()
    items = [
        (
            f"{CONSOLE}/runs/{row.run_id}",
            _with_state(language, row.project_id, title_of(language, "run_state", row.state)),
        )
        for row in newest
    ]
    text = language.ngettext("run is under way or waits to start.", "runs are under way or wait to start.", count)
    return HomeContent(text, count=count, items=items, link=link)


def _nodes(session: Session, _user: SignedIn, language: Language) -> HomeContent:
    """Departments whose node is silent, or whose revocation list is old: their work stands still or soon will."""
    now = now_s(session)
    rows = session.execute(
        select(PartyRow.name, PartyRow.last_seen_at).where(PartyRow.role == "department").order_by(PartyRow.name)
    ).all()
    link = (f"{CONSOLE}/parties", language.gettext("All departments"))
    if not rows:
        text = language.gettext("No department is registered. Next: “doudi centre register” on the officer's device.")
        return HomeContent(text, link=link, waiting=True)
    ages = newest_lists(session, [name for name, _seen in rows])
    silent, old = language.gettext("not heard from"), language.gettext("revocation list old")
    why = {
        name: silent if seen is None or now - seen > SILENT_S else old
        for name, seen in rows
        if seen is None or now - seen > SILENT_S or is_old(ages.get(name), now)
    }
    troubled = list(why)
    if not troubled:
        text = language.ngettext(
            "department is registered; its node is heard from.",
            "departments are registered; all nodes are heard from.",
            len(rows),
        )
        return HomeContent(text, count=len(rows), link=link)
    text = language.gettext("of %(all)s departments need a look: the node is silent, or the revocation list is old.")
    items = [
        (f"{CONSOLE}/parties/{name}", _with_state(language, title_of(language, "party", name), why[name]))
        for name in troubled[:_SHOWN]
    ]
    return HomeContent(text % {"all": len(rows)}, count=len(troubled), items=items, link=link, waiting=True)


def _own_node(session: Session, user: SignedIn, language: Language) -> HomeContent:
    """The own node: whether it is heard from."""
    now, party = now_s(session), user.principal.party
    seen = session.scalar(select(PartyRow.last_seen_at).where(PartyRow.name == party))
    link = (f"{CONSOLE}/node", language.gettext("Checks, budgets, what left it"))
    if seen is None or now - seen > SILENT_S:
        text = language.gettext("Your node was not heard from in the last five minutes. Start it: “doudi node run”.")
        return HomeContent(text, link=link, waiting=True)
    if is_old(newest_lists(session, [party]).get(party), now):
        text = language.gettext(
            "Your revocation list is old, and nodes refuse to work on it: “doudi node publish-revocations”."
        )
        return HomeContent(text, link=link, waiting=True)
    return HomeContent(language.gettext("Your node is heard from, and your revocation list is fresh."), link=link)


def _changes(session: Session, user: SignedIn, language: Language) -> HomeContent | None:
    """Changes of the rules that the person may still approve."""
    rows = open_changes(session)
    approved = approvals_of(session, rows)
    mine = [
        row for row in rows if row.proposer != user.account_number and user.account_number not in approved[row.number]
    ]
    if not mine:
        return None
    title = language.gettext("Version %(number)s of the rules")
    items = [(f"{CONSOLE}/policy/changes/{row.policy_hash}", title % {"number": row.number}) for row in mine[:_SHOWN]]
    text = language.ngettext(
        "change of the rules waits for your approval.", "changes of the rules wait for your approval.", len(mine)
    )
    return HomeContent(text, count=len(mine), items=items, waiting=True)


def _not_enrolled(session: Session, _user: SignedIn, language: Language) -> HomeContent | None:
    """Accounts whose people have not set their factors yet."""
    query = select(AccountRow).where(AccountRow.state == "invited", AccountRow.oidc_issuer.is_(None))
    count = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    if not count:
        return None
    rows = session.scalars(query.order_by(AccountRow.number.desc()).limit(_SHOWN))
    items = [(f"{CONSOLE}/accounts/{row.number}", row.login_name) for row in rows]
    text = language.ngettext(
        "person has not enrolled yet. A one-time code lives 24 hours.",
        "people have not enrolled yet. A one-time code lives 24 hours.",
        count,
    )
    return HomeContent(text, count=count, items=items, link=(f"{CONSOLE}/accounts", language.gettext("Accounts")))


def _assets(session: Session, user: SignedIn, language: Language) -> HomeContent:
    """The own department's assets in the catalogue."""
    own = select(func.count()).select_from(AssetRow).where(AssetRow.owner == user.principal.party)
    count = session.scalar(own.where(AssetRow.withdrawn.is_(False))) or 0
    address = f"{CONSOLE}/catalogue?owner={user.principal.party}"
    if not count:
        text = language.gettext("Your department offers no data asset. Next, on the node: “doudi node register-asset”.")
        return HomeContent(text, link=(f"{CONSOLE}/catalogue", language.gettext("Catalogue")), waiting=True)
    text = language.ngettext(
        "data asset of your department is offered.", "data assets of your department are offered.", count
    )
    return HomeContent(text, count=count, link=(address, language.gettext("See them")))


def _with_state(language: Language, name: str, state: str) -> str:
    return language.gettext("%(name)s: %(state)s") % {"name": name, "state": state}


_OVERSEERS = frozenset({"centre_officer", "centre_approver", "auditor"})
_OPERATORS = frozenset({"department_it", "scheduler"})

OPERATION_CARDS: tuple[HomeCard, ...] = (
    HomeCard(N_("Rules"), _changes, frozenset({"centre_approver"})),
    HomeCard(N_("Departments"), _nodes, _OVERSEERS),
    HomeCard(N_("My node"), _own_node, frozenset({"department_it", "department_approver", "scheduler"})),
    HomeCard(N_("Runs"), _runs),
    HomeCard(N_("Catalogue"), _assets, _OPERATORS),
    HomeCard(N_("Accounts"), _not_enrolled, frozenset({"centre_officer"})),
)
