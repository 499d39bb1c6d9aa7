"""Where the console is put onto the application: its pages, its headers, its way to the sign-in page.

A new feature's pages are one more router in `_VIEWS`.
"""

from fastapi import FastAPI, Request, Response

from coordinator.console import static_files
from coordinator.console.addresses import in_console
from coordinator.console.errors import refusal_page, to_sign_in
from coordinator.console.parts import ConsoleParts
from coordinator.console.security import ConsoleHeaders, SignInNeeded
from coordinator.console.views import (
    account,
    accounts,
    catalogue,
    decisions,
    enrolment,
    grants,
    home,
    ledger,
    ledger_entries,
    parties,
    policy,
    queue,
    request_drafting,
    requests,
    run_events,
    runs,
    sign_in,
    standards,
)
from coordinator.problems import problem_response

_VIEWS = (
    static_files,
    sign_in,
    enrolment,
    account,
    home,
    standards,
    # Before the requests: "new" is no request's number.
    request_drafting,
    requests,
    grants,
    runs,
    run_events,
    queue,
    catalogue,
    parties,
    accounts,
    policy,
    decisions,
    ledger,
    ledger_entries,
)


def mount_console(app: FastAPI) -> None:
    """Add the console to the application, around every other layer that there is by now."""
    app.state.console = ConsoleParts()
    for view in _VIEWS:
        app.include_router(view.router)
    app.include_router(home.no_page)
    app.add_exception_handler(SignInNeeded, to_sign_in)
    app.add_middleware(ConsoleHeaders)


def refusal(request: Request, code: str) -> Response:
    """Return what a refusal looks like at this address: a page for people, a problem document for programs."""
    return refusal_page(request, code) if in_console(request.url.path) else problem_response(code)
