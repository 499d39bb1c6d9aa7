"""What the console shows when something is refused: a page with what happened, the next step and the code.

The texts are those of the problem table, in the reader's language; an exception's own message never reaches a page.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from coordinator.console.addresses import CONSOLE, in_console, safe_back, with_query
from coordinator.console.languages import Language
from coordinator.console.problems import REFUSED
from coordinator.console.rendering import page
from coordinator.events import is_code
from coordinator.problems import PROBLEMS
from crypto.errors import DoudiError

SIGN_IN = f"{CONSOLE}/sign-in"
_SERVER_ERRORS = 500
_MINUTE_S = 60
# What the API says about addresses and methods speaks of an API table; people get words about pages.
_FOR_PEOPLE = {
    "request.not_found": "console.no_such_page",
    "request.method_not_allowed": "console.method_not_allowed",
    "request.malformed": "console.bad_address",
}


@dataclass(frozen=True)
class RefusedForm:
    """Why a form comes back: the answer's status, and the text for each field ("" for the whole form)."""

    status: int
    errors: Mapping[str, str]
    retry_after_s: int | None = None

    def on(self, answer: Response) -> Response:
        """Return the page of the form, with the time to wait where there is one."""
        if self.retry_after_s is not None:
            answer.headers["Retry-After"] = str(self.retry_after_s)
        return answer


def refused_form(language: Language, error: DoudiError, fields: Mapping[str, str] | None = None) -> RefusedForm:
    """Return how a form shows a refusal. `fields`: the field that a code is about; else it is about the whole form.

    Raises the error again if it is none of the form's doing: then it gets a page of its own.
    """
    problem = PROBLEMS.get(error.code)
    if problem is None or (problem.status >= _SERVER_ERRORS and problem.retry_after_s is None):
        raise error
    sentences = [language.problem(part) for part in (problem.detail, problem.next_step) if part]
    wait_s = getattr(error, "retry_after_s", None) or problem.retry_after_s
    if wait_s is not None:
        waiting = language.gettext("Time to wait: %(time)s.")
        sentences.append(waiting % {"time": language.duration(_minutes_up(wait_s))})
    text = language.joined(sentences)
    return RefusedForm(problem.status, {(fields or {}).get(error.code, ""): text}, wait_s)


def _minutes_up(seconds: int) -> int:
    return seconds if seconds < _MINUTE_S else -(-seconds // _MINUTE_S) * _MINUTE_S


def refusal_page(request: Request, code: str) -> Response:
    """Return the page of a code, with its HTTP status. It reads no database: that may be what failed."""
    code = _FOR_PEOPLE.get(code, code)
    problem = PROBLEMS.get(code, PROBLEMS[REFUSED])
    # A code that is none could carry text: only its form is trusted, never its origin.
    name = code if is_code(code) else REFUSED
    user = request.scope.get("state", {}).get("user")
    headers = {} if problem.retry_after_s is None else {"Retry-After": str(problem.retry_after_s)}
    answer = page(
        request, "refusal.html.j2", user, problem.status, problem=problem, code=name, here=_back_here(request)
    )
    answer.headers.update(headers)
    return answer


def to_sign_in(request: Request, _error: Exception) -> Response:
    """Lead to the sign-in page, and from there back to the page that was asked for."""
    back = _back_here(request) if request.method == "GET" else CONSOLE
    return RedirectResponse(with_query(SIGN_IN, back=None if back == CONSOLE else back), 303)


def _back_here(request: Request) -> str:
    query = request.scope.get("query_string", b"").decode("latin-1")
    path = request.url.path
    return safe_back(f"{path}?{query}" if query else path) if in_console(path) else CONSOLE
