"""/console/accounts…: the centre's officers make accounts, change their roles, reset their factors and end them.

A one-time code is shown on one page, once. What somebody may do is asked of the rules, for the page and for each button.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from coordinator.accounts import services
from coordinator.accounts.enrolment import CODE_LIVES_S
from coordinator.accounts.models import AccountRow
from coordinator.accounts.roles import CENTRE, CENTRE_ROLES, DEPARTMENT_ROLES, Role, require_roles
from coordinator.accounts.sessions import SignedIn
from coordinator.authorization.resources import account_resource
from coordinator.authorization.services import may
from coordinator.console.addresses import CONSOLE, with_query
from coordinator.console.errors import RefusedForm, refused_form
from coordinator.console.filters import NumberInPath
from coordinator.console.languages import N_, Language, choose_language
from coordinator.console.parties_in_lists import department_names
from coordinator.console.parts import Parts, console_parts
from coordinator.console.permission import require_offered
from coordinator.console.rendering import page
from coordinator.console.security import CheckedForm, ConsoleUser
from coordinator.console.titles import title_of
from coordinator.context import AppContext, Context
from coordinator.db.session import now_s
from coordinator.paging import PageQuery
from crypto.errors import DoudiError
from policies.authorization.engine import Entity, EntityRef, Value

ACCOUNTS = f"{CONSOLE}/accounts"
# What the address may say was done; anything else in its place says nothing.
DONE: Mapping[str, str] = {
    "roles": N_("The roles are changed. The person has to sign in again."),
    "same": N_("These are the roles that the account has."),
    "created": N_("The account is made. The person signs in at the identity provider."),
    "reset": N_("The sessions and tokens of the account are ended."),
    "disabled": N_("The account is ended, with its sessions and tokens."),
}
WHAT_ROLES_DO: Mapping[Role, str] = {
    Role.CENTRE_OFFICER: N_("Administers accounts, departments and projects. Decides on no request."),
    Role.CENTRE_APPROVER: N_("Decides for the centre on requests and on changes of the rules."),
    Role.DEPARTMENT_IT: N_("Operates the node, keeps its assets, drafts requests of the department."),
    Role.DEPARTMENT_APPROVER: N_("Data steward: decides on requests for the department's data."),
    Role.SCHEDULER: N_("Creates, stops and restarts runs, where the department holds the scheduling right."),
    Role.AUDITOR: N_("Reads everything and changes nothing; has no other role."),
}
_FIELD_OF_CODE = {
    "account.bad_login_name": "login_name",
    "account.name_in_use": "login_name",
    "party.unknown": "party",
    "account.unknown_role": "roles",
    "account.role_of_other_party": "roles",
    "account.roles_not_segregated": "roles",
    "account.bad_subject": "subject",
    "account.subject_in_use": "subject",
    "oidc.not_configured": "signs_in",
}

# Whether somebody makes accounts at all, whatever roles they get.
_NO_ROLES: Mapping[str, Value] = {"new_roles": frozenset[str | EntityRef]()}

router = APIRouter(prefix=ACCOUNTS, include_in_schema=False)


@router.get("")
def accounts_page(request: Request, user: ConsoleUser, context: Context, wanted: PageQuery) -> HTMLResponse:
    """List all accounts, also those that ended."""
    with context.read() as session:
        found = services.list_accounts(session, context, user.principal, wanted)
        return page(
            request,
            "accounts.html.j2",
            user,
            accounts=found,
            cursor=wanted.cursor,
            now=now_s(session),
            may_create=_may_create(context, user),
        )


@router.get("/new")
def new_account_page(request: Request, user: ConsoleUser, context: Context) -> HTMLResponse:
    """Ask for whom the account is."""
    require_offered(context, user, "account.create", _any_account(user), _NO_ROLES)
    return _new_account_page(request, user, context, given={"signs_in": "here"})


@router.post("")
def create_account(request: Request, user: ConsoleUser, form: CheckedForm, context: Context) -> Response:
    """Make an account and lead to the page that shows its one-time code."""
    require_offered(context, user, "account.create", _any_account(user), _NO_ROLES)
    try:
        # The rules refuse such roles too, but cannot say at which field.
        require_roles(form.line("party"), form.choices("roles"))
        with context.begin() as session:
            account, code = services.create_account(
                session,
                context,
                user.principal,
                form.line("login_name"),
                form.line("party"),
                form.choices("roles"),
                at_provider=form.line("signs_in") == "provider",
                subject=form.line("subject", 255) or None,
            )
    except DoudiError as error:
        refused = refused_form(choose_language(request), error, _FIELD_OF_CODE)
        given = {name: form.line(name, 255) for name in ("login_name", "party", "signs_in", "subject")}
        return refused.on(
            _new_account_page(request, user, context, refused, given={**given, "roles": form.choices("roles")})
        )
    if code is None:
        return RedirectResponse(with_query(_address(account.number), done="created"), 303)
    return _led_to_code(request, user, account.number, code)


@router.get("/{number}")
def account_page(
    request: Request, user: ConsoleUser, context: Context, number: NumberInPath, done: str = ""
) -> HTMLResponse:
    """Show one account, and what may be done with it."""
    with context.read() as session:
        account = services.get_account(session, context, user.principal, number)
        return _account_page(request, user, context, session, account, done=DONE.get(done, ""))


@router.get("/{number}/code")
def code_page(request: Request, user: ConsoleUser, context: Context, parts: Parts, number: NumberInPath) -> Response:
    """Show the one-time code of an account, this once."""
    with context.read() as session:
        account = services.get_account(session, context, user.principal, number)
        code = parts.shown_once.take(user.account_number, _about(number))
        if code is None:
            return RedirectResponse(_address(number), 303)
        return page(
            request,
            "account_code.html.j2",
            user,
            account=account,
            code=code,
            expires_at=now_s(session) + CODE_LIVES_S,
            # The page cannot be asked for again: whoever switches the language comes to the account.
            here=_address(number),
        )


@router.post("/{number}/roles")
def change_roles(
    request: Request, user: ConsoleUser, form: CheckedForm, context: Context, number: NumberInPath
) -> Response:
    """Give the account other roles."""
    roles = form.choices("roles")
    try:
        with context.begin() as session:
            account = services.get_account(session, context, user.principal, number)
            before = list(account.roles)
            if number != user.account_number:
                require_roles(account.party, roles)
            account = services.change_roles(session, context, user.principal, number, roles)
    except DoudiError as error:
        refused = refused_form(choose_language(request), error, _FIELD_OF_CODE)
        with context.read() as session:
            account = services.get_account(session, context, user.principal, number)
            return refused.on(
                _account_page(request, user, context, session, account, refused=refused, given={"roles": roles})
            )
    return RedirectResponse(with_query(_address(number), done="same" if before == account.roles else "roles"), 303)


@router.post("/{number}/reset")
def reset(request: Request, user: ConsoleUser, form: CheckedForm, context: Context, number: NumberInPath) -> Response:
    """Make the account's factors void and lead to the page that shows the code for new ones."""
    with context.begin() as session:
        _, code = services.reset_account(session, context, user.principal, number)
    if code is None:
        return RedirectResponse(with_query(_address(number), done="reset"), 303)
    return _led_to_code(request, user, number, code)


@router.post("/{number}/disable")
def disable(user: ConsoleUser, form: CheckedForm, context: Context, number: NumberInPath) -> Response:
    """End the account for good."""
    with context.begin() as session:
        services.disable_account(session, context, user.principal, number)
    return RedirectResponse(with_query(_address(number), done="disabled"), 303)


def role_options(language: Language, roles: Sequence[Role]) -> list[tuple[str, str, str]]:
    """Return name, title and meaning of roles, as choices of a form."""
    return [(role.value, title_of(language, "role", role), language.gettext(WHAT_ROLES_DO[role])) for role in roles]


def _roles_of(party: str) -> list[Role]:
    own = CENTRE_ROLES if party == CENTRE else DEPARTMENT_ROLES
    return [role for role in Role if role in own or role is Role.AUDITOR]


def _account_page(
    request: Request,
    user: SignedIn,
    context: AppContext,
    session: Session,
    account: AccountRow,
    *,
    refused: RefusedForm | None = None,
    given: Mapping[str, Any] | None = None,
    done: str = "",
) -> HTMLResponse:
    resource = account_resource(account.number, account.party, account.roles)
    roles = {"new_roles": frozenset(account.roles)}
    acts = {
        "change_roles": may(context, user.principal, "account.change_roles", resource, values=roles),
        "reset": may(context, user.principal, "account.reset", resource),
        "disable": may(context, user.principal, "account.disable", resource),
    }
    ended = account.state == "disabled"
    return page(
        request,
        "account_of_another.html.j2",
        user,
        refused.status if refused else 200,
        account=account,
        now=now_s(session),
        acts={act: allowed and not ended for act, allowed in acts.items()},
        lists_accounts=_may_create(context, user),
        role_options=role_options(choose_language(request), _roles_of(account.party)),
        errors=refused.errors if refused else {},
        given=given if given is not None else {"roles": account.roles},
        done=done,
        here=_address(account.number),
    )


def _new_account_page(
    request: Request,
    user: SignedIn,
    context: AppContext,
    refused: RefusedForm | None = None,
    given: Mapping[str, Any] | None = None,
) -> HTMLResponse:
    language = choose_language(request)
    with context.read() as session:
        departments = department_names(session)
    return page(
        request,
        "account_new.html.j2",
        user,
        refused.status if refused else 200,
        parties=[(name, title_of(language, "party", name)) for name in (CENTRE, *departments)],
        role_options=role_options(language, list(Role)),
        has_provider=context.accounts.provider is not None,
        errors=refused.errors if refused else {},
        given=given or {},
        here=f"{ACCOUNTS}/new",
    )


def _may_create(context: AppContext, user: SignedIn) -> bool:
    return may(context, user.principal, "account.create", _any_account(user), values=_NO_ROLES)


def _any_account(user: SignedIn) -> Entity:
    return account_resource(None, user.principal.party, ())


def _led_to_code(request: Request, user: SignedIn, number: int, code: str) -> RedirectResponse:
    console_parts(request).shown_once.keep(user.account_number, _about(number), code)
    return RedirectResponse(f"{_address(number)}/code", 303)


def _about(number: int) -> str:
    return f"account-{number}"


def _address(number: int) -> str:
    return f"{ACCOUNTS}/{number}"
