"""/console/sign-in…, /console/sign-out: password, second factor, recovery code, and the way through the identity provider.

Between password and second factor the session's cookie holds a pending session, which signs nobody in. Refusals are those of the
accounts: a page never says which of name, password and code was wrong.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from coordinator.accounts.oidc import KEPT_S, begin_oidc, finish_oidc
from coordinator.accounts.sessions import LONGEST_S, PENDING_S, find_pending
from coordinator.accounts.sign_in import give_password, give_second_factor, sign_out
from coordinator.console.addresses import CONSOLE, safe_back, with_query
from coordinator.console.errors import SIGN_IN, refused_form
from coordinator.console.languages import choose_language
from coordinator.console.rendering import page
from coordinator.console.security import (
    SESSION_COOKIE,
    CheckedForm,
    Visitor,
    VisitorForm,
    client_address,
    forget_cookie,
    set_cookie,
)
from coordinator.context import AppContext, Context
from crypto.errors import DoudiError

CODE = f"{SIGN_IN}/code"
RECOVERY = f"{SIGN_IN}/recovery"
OIDC_COOKIE = "__Host-doudi-oidc"

router = APIRouter(include_in_schema=False)


@router.get(SIGN_IN)
def sign_in_page(request: Request, user: Visitor, context: Context, back: str | None = None) -> Response:
    """Ask for name and password."""
    if user is not None:
        return RedirectResponse(safe_back(back), 303)
    return _password_page(request, context, back=safe_back(back))


@router.post(SIGN_IN)
def sign_in(request: Request, form: VisitorForm, context: Context) -> Response:
    """Check name and password, and go on to the second factor."""
    login_name, back = form.line("login_name"), safe_back(form.line("back", 500))
    language = choose_language(request)
    try:
        token = give_password(
            context, login_name, form.secret("password"), address=client_address(request), language=language.code
        )
    except DoudiError as error:
        refused = refused_form(language, error)
        return refused.on(
            _password_page(
                request, context, refused.status, back=back, errors=refused.errors, given={"login_name": login_name}
            )
        )
    answer = RedirectResponse(with_query(CODE, back=None if back == CONSOLE else back), 303)
    set_cookie(answer, SESSION_COOKIE, token, PENDING_S)
    return answer


@router.get(CODE)
def code_page(request: Request, context: Context, back: str | None = None) -> Response:
    """Ask for the code of the authenticator app."""
    return _second_factor_page(request, context, "sign_in_code.html.j2", back)


@router.get(RECOVERY)
def recovery_page(request: Request, context: Context, back: str | None = None) -> Response:
    """Ask for a recovery code, in the place of the app's."""
    return _second_factor_page(request, context, "sign_in_recovery.html.j2", back)


@router.post(CODE)
def give_code(request: Request, form: VisitorForm, context: Context) -> Response:
    """Check the app's code and sign the person in."""
    return _finish(request, context, "sign_in_code.html.j2", form.code("code"), form.line("back", 500))


@router.post(RECOVERY)
def give_recovery_code(request: Request, form: VisitorForm, context: Context) -> Response:
    """Check the recovery code and sign the person in."""
    return _finish(request, context, "sign_in_recovery.html.j2", form.code("code"), form.line("back", 500))


@router.post(f"{CONSOLE}/sign-out")
def end(request: Request, form: CheckedForm, context: Context) -> Response:
    """End the session, here and in the browser."""
    sign_out(context, request.cookies.get(SESSION_COOKIE, ""))
    answer = RedirectResponse(with_query(SIGN_IN, signed_out=1), 303)
    forget_cookie(answer, SESSION_COOKIE)
    return answer


@router.get(f"{SIGN_IN}/oidc")
def begin(request: Request, context: Context) -> Response:
    """Lead to the identity provider. It is a link and no form: the pages' policy lets forms lead nowhere else."""
    callback = f"{context.config.public_url}{SIGN_IN}/oidc/callback"
    address, kept = begin_oidc(context, callback, language=choose_language(request).code)
    answer = RedirectResponse(address, 303)
    # Lax, because the provider's page leads back here; it holds nothing that signs anybody in.
    answer.set_cookie(OIDC_COOKIE, kept, max_age=KEPT_S, path="/", secure=True, httponly=True, samesite="lax")
    return answer


@router.get(f"{SIGN_IN}/oidc/callback")
def callback(request: Request, context: Context) -> Response:
    """Sign in whom the provider sent back.

    The answer is a page that goes on by itself. A redirection would still count as coming from the provider's site, and the
    browser would not send the session's cookie with it.
    """
    token = finish_oidc(
        context, request.cookies.get(OIDC_COOKIE, ""), dict(request.query_params), address=client_address(request)
    )
    answer = page(request, "signed_in.html.j2", None, here=CONSOLE)
    set_cookie(answer, SESSION_COOKIE, token, LONGEST_S)
    forget_cookie(answer, OIDC_COOKIE)
    return answer


def _password_page(request: Request, context: AppContext, status: int = 200, **values: Any) -> HTMLResponse:
    return page(
        request,
        "sign_in.html.j2",
        None,
        status,
        has_provider=context.accounts.provider is not None,
        signed_out="signed_out" in request.query_params,
        **values,
    )


def _second_factor_page(request: Request, context: AppContext, template: str, back: str | None) -> Response:
    with context.read() as session:
        pending = find_pending(session, request.cookies.get(SESSION_COOKIE, ""))
    if pending is None:
        return RedirectResponse(SIGN_IN, 303)
    return page(request, template, None, back=safe_back(back))


def _finish(request: Request, context: AppContext, template: str, code: str, back: str) -> Response:
    language, wanted = choose_language(request), safe_back(back)
    try:
        token = give_second_factor(
            context, request.cookies.get(SESSION_COOKIE, ""), code, address=client_address(request)
        )
    except DoudiError as error:
        refused = refused_form(language, error)
        return refused.on(page(request, template, None, refused.status, back=wanted, errors=refused.errors))
    answer = RedirectResponse(wanted, 303)
    set_cookie(answer, SESSION_COOKIE, token, LONGEST_S)
    return answer
