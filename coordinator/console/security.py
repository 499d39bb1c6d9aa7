"""What protects the console in the browser: headers, cookies, and the proof that a form was ours.

Three things stand against a forged form, each enough by itself: the session's cookie is `SameSite=Strict`; the browser's own word
on where a form comes from (`Sec-Fetch-Site`, `Origin`); a secret of the session in a hidden field. May import accounts.
"""

import re
import secrets
from collections.abc import Mapping
from hmac import compare_digest
from typing import Annotated, Final

from fastapi import Depends, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.accounts.sessions import SignedIn, find_session, keep_session
from coordinator.console.addresses import in_console
from coordinator.console.forms import Form, read_form
from coordinator.context import Context
from crypto.errors import DoudiError

# `__Host-`: the browser takes the cookie over TLS only, for this host only, so no neighbour of the host can plant one.
SESSION_COOKIE: Final = "__Host-doudi"
FORM_COOKIE: Final = "__Host-doudi-form"
CSRF_FIELD: Final = "csrf"
_FORM_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_TOKEN_BYTES = 32

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that are too old for frame-ancestors
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Strict-Transport-Security": "max-age=31536000",
}
# Pages show who is asked for what; a shared computer must not keep them.
NO_STORE = "no-store"


class ConsoleHeaders:
    """ASGI middleware: every answer of the console bears the headers, also an error's. HEAD is GET without the body.

    It stands outside the border, so that what the border answers bears them too. It also gives the browser the session's new
    token when there is one, whatever the answer is: a token that changed and did not arrive would sign the person out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; what is not the console's passes through."""
        if scope["type"] != "http" or not in_console(scope["path"]):
            await self._app(scope, receive, send)
            return
        without_body = scope["method"] == "HEAD"
        # Made here, so that handlers write into the same dictionary that is read below.
        state = scope.setdefault("state", {})

        async def protected_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", NO_STORE)
                _renew(headers, state.get("fresh_session_token"))
            elif without_body and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"} if without_body else scope, receive, protected_send)


def _renew(headers: MutableHeaders, token: str | None) -> None:
    given = any(value.startswith(f"{SESSION_COOKIE}=") for value in headers.getlist("set-cookie"))
    if token is not None and not given:
        carrier = Response()
        set_cookie(carrier, SESSION_COOKIE, token)
        headers.append("set-cookie", carrier.headers["set-cookie"])


class SignInNeeded(Exception):
    """Nobody is signed in; the answer is the sign-in page."""


def signed_in_user(request: Request, context: Context) -> SignedIn | None:
    """Return who is signed in, if anybody. What is found stays with the request, for error pages and the record of refusals."""
    if "user" in request.scope.setdefault("state", {}):
        known: SignedIn | None = request.state.user
        return known
    token = request.cookies.get(SESSION_COOKIE, "")
    user = None
    if token:
        with context.read() as session:
            user = find_session(session, token)
    if user is not None:
        request.state.principal = user.principal
        if user.keeping_due:
            with context.begin() as session:
                request.state.fresh_session_token = keep_session(session, token)
    request.state.user = user
    return user


Visitor = Annotated[SignedIn | None, Depends(signed_in_user)]


def console_user(user: Visitor) -> SignedIn:
    """Return who is signed in. Raises `SignInNeeded`, which leads to the sign-in page and back here afterwards."""
    if user is None:
        raise SignInNeeded
    return user


ConsoleUser = Annotated[SignedIn, Depends(console_user)]


def watching_user(request: Request, context: Context) -> SignedIn:
    """Return who is signed in, for what a page asks for by itself. It counts as no use, or an open page would keep a session.

    Raises `SignInNeeded`.
    """
    with context.read() as session:
        user = find_session(session, request.cookies.get(SESSION_COOKIE, ""))
    if user is None:
        raise SignInNeeded
    request.state.user = user
    return user


Watcher = Annotated[SignedIn, Depends(watching_user)]


async def require_csrf(request: Request, user: ConsoleUser) -> Form:
    """Return the form of a signed-in person. Every POST needs this or `require_visitor_csrf`; a test looks for it.

    Raises `console.foreign_form` unless it was made by a page of this very session.
    """
    return await _own_form(request, user.csrf_token)


CheckedForm = Annotated[Form, Depends(require_csrf)]


async def require_visitor_csrf(request: Request) -> Form:
    """Return the form of somebody who is not signed in yet. Raises `console.foreign_form`."""
    return await _own_form(request, request.cookies.get(FORM_COOKIE, ""))


VisitorForm = Annotated[Form, Depends(require_visitor_csrf)]


def form_token(request: Request, user: SignedIn | None) -> str:
    """Return the secret for the hidden field. Without a session it is the visitor's own cookie, made when there is none."""
    if user is not None:
        return user.csrf_token
    kept = request.cookies.get(FORM_COOKIE, "")
    return kept if _FORM_TOKEN.fullmatch(kept) else secrets.token_urlsafe(_TOKEN_BYTES)


def client_address(request: Request) -> str:
    """Return the network address that a request came from, for the bounds on guessing."""
    return request.client.host if request.client is not None else ""


def set_cookie(response: Response, name: str, value: str, max_age_s: int | None = None) -> None:
    """Set a cookie that scripts cannot read and other sites cannot use."""
    response.set_cookie(name, value, max_age=max_age_s, path="/", secure=True, httponly=True, samesite="strict")


def forget_cookie(response: Response, name: str) -> None:
    """Have the browser forget a cookie of ours."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="strict")


async def _own_form(request: Request, expected: str) -> Form:
    require_same_origin(request)
    form = await read_form(request)
    given = form.secret(CSRF_FIELD)
    if not expected or not compare_digest(given.encode(), expected.encode()):
        raise DoudiError("console.foreign_form", "the form does not bear the secret of this session")
    return form


def require_same_origin(request: Request) -> None:
    """Raise `console.foreign_form` when the browser says that another site sent this.

    A browser that says nothing is believed, because the secret field still has to be right. So is `Origin: null`: that is what
    our own forms send, since the pages' referrer policy is `no-referrer` (Fetch, "append a request Origin header").
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "null")
    if site != "same-origin" or origin not in ("null", f"https://{request.headers.get('host', '')}"):
        raise DoudiError("console.foreign_form", "the form was sent by another site")
