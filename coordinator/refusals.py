"""How what is raised in a request becomes an answer: every refusal is a problem document, the framework's own too.

One place for all handlers, so that no status leaves in another form. Refused acts of authenticated principals are recorded.
"""

from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Route

from coordinator.authorization.principals import Principal
from coordinator.context import AppContext
from coordinator.events import Event, EventType, record, safe_code
from coordinator.idempotency import ReplayedError
from coordinator.ledger.batch_store import BatchGap
from coordinator.ledger.problems import NOT_RECORDED
from coordinator.parties.authentication import READING_METHODS
from coordinator.problems import problem_response
from crypto.errors import DoudiError

METHOD_NOT_ALLOWED = 405
_HTTP_CODES = {404: "request.not_found", METHOD_NOT_ALLOWED: "request.method_not_allowed"}


def answer_refusals(app: FastAPI, refusal: Callable[[Request, str], Response]) -> None:
    """Have the application answer what its handlers and the framework raise. `refusal` makes the answer of a code."""

    def refuse(request: Request, error: Exception) -> Response:
        code = error.code if isinstance(error, DoudiError) else "coordinator.unknown_code"
        _record(request, code)
        if isinstance(error, BatchGap):
            # A number of our own, and the one fact with which the node can go on.
            return problem_response(code, f"Its next number is {error.expected}.")
        return refusal(request, code)

    def refuse_values(request: Request, _error: Exception) -> Response:
        return refusal(request, "request.malformed")

    def refuse_address(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        answer = refusal(request, _HTTP_CODES.get(status, "request.malformed"))
        if status == METHOD_NOT_ALLOWED:
            # The framework names the methods of the first route at this address; there may be one route per method.
            answer.headers["Allow"] = ", ".join(_methods(request))
        return answer

    app.add_exception_handler(DoudiError, refuse)
    app.add_exception_handler(ReplayedError, _replay)
    app.add_exception_handler(RequestValidationError, refuse_values)
    app.add_exception_handler(HTTPException, refuse_address)


def _record(request: Request, code: str) -> None:
    """Record a refusal if an authenticated principal tried to change something."""
    principal = getattr(request.state, "principal", None)
    if isinstance(principal, Principal) and request.method not in READING_METHODS and code not in NOT_RECORDED:
        context: AppContext = request.app.state.context
        # The act's own transaction was rolled back, so the refusal has one of its own.
        with context.begin() as session:
            event = Event(EventType.REQUEST_REFUSED, principal.party, code=safe_code(code), account=principal.number)
            record(session, event)


def _replay(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ReplayedError):
        raise error
    return error.response


def _methods(request: Request) -> list[str]:
    """Return the methods that there are at the request's address."""
    found: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        route = context.original_route
        if isinstance(route, Route) and route.path_regex.match(request.scope["path"]):
            found |= route.methods or set()
    return sorted(found)
