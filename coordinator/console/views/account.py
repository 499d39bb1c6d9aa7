"""/console/account…: what a person sees and changes about the own account: factors, sessions, API tokens."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from coordinator.accounts import services
from coordinator.accounts.own_sessions import end_numbered_session, list_sessions
from coordinator.accounts.passwords import MINIMUM_CHARACTERS
from coordinator.accounts.sessions import LONGEST_S
from coordinator.accounts.sign_in import change_password, new_recovery_codes, sign_in_refused
from coordinator.accounts.tokens import LONGEST_DAYS
from coordinator.console.addresses import CONSOLE, with_query
from coordinator.console.errors import RefusedForm, refused_form
from coordinator.console.forms import Form
from coordinator.console.languages import N_, choose_language
from coordinator.console.rendering import page
from coordinator.console.security import SESSION_COOKIE, CheckedForm, ConsoleUser, set_cookie
from coordinator.context import Context
from coordinator.db.session import now_s
from coordinator.paging import PageQuery
from crypto.errors import DoudiError

ACCOUNT = f"{CONSOLE}/account"
# What the address may say was done; anything else in its place says nothing.
DONE: Mapping[str, str] = {
    "password": N_("Your password is changed. All other sessions are ended."),
    "session": N_("The session is ended."),
    "revoked": N_("The token is revoked."),
}
_FIELD_OF_CODE = {
    "account.weak_password": "new_password",
    "token.bad_label": "label",
    "token.bad_expiry": "days",
    "token.bad_scopes": "scopes",
}

router = APIRouter(prefix=ACCOUNT, include_in_schema=False)


@router.get("")
def account_page(
    request: Request, user: ConsoleUser, context: Context, wanted: PageQuery, done: str = ""
) -> HTMLResponse:
    """Show the account, its sessions and its tokens."""
    with context.read() as session:
        account = services.get_account(session, context, user.principal, user.account_number)
        tokens = services.list_tokens(session, context, user.principal, wanted)
        sessions = list_sessions(session, user.account_number, _token(request))
        return page(
            request,
            "account.html.j2",
            user,
            account=account,
            sessions=sessions,
            tokens=tokens,
            cursor=wanted.cursor,
            now=now_s(session),
            done=DONE.get(done, ""),
        )


@router.get("/password")
def password_page(request: Request, user: ConsoleUser) -> HTMLResponse:
    """Ask for the old and the new password."""
    return page(request, "account_password.html.j2", user, minimum_characters=MINIMUM_CHARACTERS)


@router.post("/password")
def give_new_password(request: Request, user: ConsoleUser, form: CheckedForm, context: Context) -> Response:
    """Change the password, which ends every other session."""
    language, new = choose_language(request), form.secret("new_password")
    if new != form.secret("password_again"):
        refused = RefusedForm(422, {"password_again": language.gettext("The two passwords differ.")})
    else:
        try:
            token = change_password(context, user.account_number, form.secret("password"), new, language=language.code)
        except DoudiError as error:
            refused = refused_form(language, error, _FIELD_OF_CODE)
        else:
            answer = RedirectResponse(with_query(ACCOUNT, done="password"), 303)
            set_cookie(answer, SESSION_COOKIE, token, LONGEST_S)
            return answer
    return _form_again(request, user, "account_password.html.j2", refused, minimum_characters=MINIMUM_CHARACTERS)


@router.get("/recovery-codes")
def recovery_codes_page(request: Request, user: ConsoleUser) -> HTMLResponse:
    """Ask for a second factor before new recovery codes."""
    return page(request, "account_recovery_codes.html.j2", user)


@router.post("/recovery-codes")
def replace_recovery_codes(request: Request, user: ConsoleUser, form: CheckedForm, context: Context) -> Response:
    """Show new recovery codes, this once."""
    try:
        codes = new_recovery_codes(context, user.account_number, form.code("code"))
    except DoudiError as error:
        refused = refused_form(choose_language(request), error)
        return _form_again(request, user, "account_recovery_codes.html.j2", refused)
    return page(request, "recovery_codes.html.j2", user, codes=codes, next_address=ACCOUNT)


@router.post("/sessions/{number}/end")
def end_own_session(user: ConsoleUser, form: CheckedForm, context: Context, number: int) -> Response:
    """End one of the own sessions."""
    with context.begin() as session:
        end_numbered_session(session, user.account_number, number)
    return RedirectResponse(with_query(ACCOUNT, done="session"), 303)


@router.get("/tokens/new")
def token_page(request: Request, user: ConsoleUser, context: Context) -> HTMLResponse:
    """Ask what a new API token is for."""
    return page(request, "account_token.html.j2", user, **_token_values(user, context))


@router.post("/tokens/new")
def make_token(request: Request, user: ConsoleUser, form: CheckedForm, context: Context) -> Response:
    """Make an API token and show it, this once."""
    language = choose_language(request)
    try:
        with context.begin() as session:
            made = services.create_token(
                session,
                context,
                user.principal,
                form.line("label"),
                form.line("scopes").split(),
                form.integer("days") or 0,
                form.code("code"),
            )
        # Only after the commit: a wrong code has to stay counted.
        if made is None:
            raise sign_in_refused()
    except DoudiError as error:
        refused = refused_form(language, error, _FIELD_OF_CODE)
        return _form_again(
            request, user, "account_token.html.j2", refused, given=_typed(form), **_token_values(user, context)
        )
    token, row = made
    return page(request, "account_token_made.html.j2", user, token=token, made=row)


@router.post("/tokens/{number}/revoke")
def revoke(user: ConsoleUser, form: CheckedForm, context: Context, number: int) -> Response:
    """Make one of the own tokens void."""
    with context.begin() as session:
        services.revoke_token(session, context, user.principal, number)
    return RedirectResponse(with_query(ACCOUNT, done="revoked"), 303)


def _form_again(request: Request, user: ConsoleUser, template: str, refused: RefusedForm, **values: Any) -> Response:
    return refused.on(page(request, template, user, refused.status, errors=refused.errors, **values))


def _typed(form: Form) -> dict[str, str]:
    return {name: form.line(name) for name in ("label", "scopes", "days")}


def _token_values(user: ConsoleUser, context: Context) -> dict[str, Any]:
    with context.read() as session:
        account = services.get_account(session, context, user.principal, user.account_number)
        return {"days_offered": (1, 7, 30, LONGEST_DAYS), "needs_code": account.oidc_issuer is None}


def _token(request: Request) -> str:
    return request.cookies.get(SESSION_COOKIE, "")
