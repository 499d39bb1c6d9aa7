"""/console/enrol: a person sets password and second factor with a one-time code.

The code is never part of an address, where histories and logs would keep it: both steps are forms.
"""

from dataclasses import replace

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from coordinator.accounts.enrolment import EnrolmentOffer, begin_enrolment, enrol
from coordinator.accounts.passwords import MINIMUM_CHARACTERS
from coordinator.accounts.sessions import LONGEST_S
from coordinator.accounts.totp import provisioning_uri, qr_svg, require_totp_secret
from coordinator.console.addresses import CONSOLE
from coordinator.console.errors import RefusedForm, refused_form
from coordinator.console.languages import choose_language
from coordinator.console.rendering import own_svg, page
from coordinator.console.security import SESSION_COOKIE, VisitorForm, client_address, set_cookie
from coordinator.context import AppContext, Context
from crypto.errors import DoudiError

ENROL = f"{CONSOLE}/enrol"
_FIELD_OF_CODE = {
    "account.weak_password": "password",
    "account.wrong_totp_code": "totp_code",
    "account.bad_enrolment_code": "code",
}

router = APIRouter(prefix=ENROL, include_in_schema=False)


@router.get("")
def enrolment_page(request: Request) -> HTMLResponse:
    """Ask for the one-time code."""
    return page(request, "enrol.html.j2", None)


@router.post("")
def open_enrolment(request: Request, form: VisitorForm, context: Context) -> Response:
    """Show whom the code enrols, and the secret for the authenticator app."""
    code = form.code("code")
    try:
        offer = begin_enrolment(context, code, client_address(request))
    except DoudiError as error:
        refused = refused_form(choose_language(request), error, _FIELD_OF_CODE)
        return refused.on(page(request, "enrol.html.j2", None, refused.status, errors=refused.errors))
    return _set_up_page(request, offer, code)


@router.post("/finish")
def finish_enrolment(request: Request, form: VisitorForm, context: Context) -> Response:
    """Set both factors, sign the person in, and show the recovery codes, this once."""
    code, secret, password = form.code("code"), form.line("totp_secret"), form.secret("password")
    language = choose_language(request)
    if password != form.secret("password_again"):
        refused = RefusedForm(422, {"password_again": language.gettext("The two passwords differ.")})
        return _again(request, context, code, secret, refused)
    try:
        done = enrol(
            context,
            code,
            password,
            secret,
            form.code("totp_code"),
            address=client_address(request),
            language=language.code,
        )
    except DoudiError as error:
        return _again(request, context, code, secret, refused_form(language, error, _FIELD_OF_CODE))
    answer = page(
        request, "recovery_codes.html.j2", None, codes=done.recovery_codes, next_address=CONSOLE, here=CONSOLE
    )
    set_cookie(answer, SESSION_COOKIE, done.token, LONGEST_S)
    return answer


def _again(request: Request, context: AppContext, code: str, secret: str, refused: RefusedForm) -> Response:
    """Return the form again with the same secret, which the person's app may hold already."""
    try:
        require_totp_secret(secret)
        offer = begin_enrolment(context, code, client_address(request))
    except DoudiError as error:
        other = refused_form(choose_language(request), error, _FIELD_OF_CODE)
        return other.on(page(request, "enrol.html.j2", None, other.status, errors=other.errors, here=ENROL))
    uri = provisioning_uri(secret, offer.login_name)
    same = replace(offer, totp_secret=secret, totp_uri=uri, totp_qr_svg=qr_svg(uri))
    return refused.on(_set_up_page(request, same, code, refused))


def _set_up_page(
    request: Request, offer: EnrolmentOffer, code: str, refused: RefusedForm | None = None
) -> HTMLResponse:
    return page(
        request,
        "enrol_set_up.html.j2",
        None,
        refused.status if refused else 200,
        offer=offer,
        qr=own_svg(offer.totp_qr_svg),
        code=code,
        minimum_characters=MINIMUM_CHARACTERS,
        errors=refused.errors if refused else {},
        here=ENROL,
    )
