"""What leaves the coordinator when something is refused: problem documents (RFC 9457) from one table.

The texts here are fixed: an exception's own message may quote what a caller sent, so it never reaches the wire. Each feature
has its own `problems.py`; a new one is a line in `_TABLES`.
"""

from collections.abc import Iterable, Mapping

from fastapi.responses import JSONResponse

from coordinator.events import is_code
from coordinator.grants.problems import PROBLEMS as GRANTS
from coordinator.parties.problems import PROBLEMS as PARTIES
from coordinator.problem_types import Problem
from coordinator.projects.problems import PROBLEMS as PROJECTS
from coordinator.runs.problems import PROBLEMS as RUNS

__all__ = ["PROBLEMS", "Problem", "collect", "problem_response", "status_of"]

MEDIA_TYPE = "application/problem+json"
INTERNAL_ERROR = "coordinator.internal_error"
UNKNOWN_STATUS = 400

_SIGN = "Use the doudi command, which signs each request."
_CLOCK = "Set the host's clock and send the request again."

_GENERAL: Mapping[str, Problem] = {
    "request.unauthenticated": Problem(401, "Not authenticated", "No registered party signed this request.", _SIGN),
    "request.clock": Problem(401, "Clock is off", "The request's time is off by more than two minutes.", _CLOCK),
    "request.replayed": Problem(401, "Seen before", "A request with this nonce was already accepted.", _SIGN),
    "request.not_allowed": Problem(403, "Not allowed", "This party may not do this.", "Ask the party that may."),
    "request.malformed": Problem(
        422, "Malformed request", "A path or query value is out of range.", "See the API table."
    ),
    "request.bad_cursor": Problem(
        422, "Unusable cursor", "The cursor is none that this list gave.", "Begin again without a cursor."
    ),
    "request.not_found": Problem(404, "No such address", "The coordinator has no such address.", "See the API table."),
    "request.method_not_allowed": Problem(
        405, "Wrong method", "This address has no such method.", "See the API table."
    ),
    "request.body_too_large": Problem(413, "Too large", "The request's body is above the limit.", "Send less."),
    "document.malformed": Problem(
        422,
        "Malformed document",
        "The body is not the canonical JSON of the expected document.",
        "Write it with doudi.",
    ),
    "coordinator.busy": Problem(503, "Busy", "The database did not answer in time.", "Send the request again."),
    INTERNAL_ERROR: Problem(500, "Internal error", "The coordinator failed.", "Ask the centre to look at its log."),
}

_TABLES = (_GENERAL, PARTIES, PROJECTS, GRANTS, RUNS)


def collect(tables: Iterable[Mapping[str, Problem]]) -> Mapping[str, Problem]:
    """Return one table. A code that stands in two is a defect, and nothing starts with it: `ValueError`."""
    collected: dict[str, Problem] = {}
    for table in tables:
        if twice := sorted(collected.keys() & table.keys()):
            raise ValueError(f"problem codes in two tables: {', '.join(twice)}")
        collected.update(table)
    return collected


PROBLEMS = collect(_TABLES)

_UNKNOWN = Problem(UNKNOWN_STATUS, "Refused", "The request was refused.", "Look the code up in the README.")


def status_of(code: str) -> int:
    """Return the HTTP status of a code; 400 for one that the table does not know."""
    return PROBLEMS.get(code, _UNKNOWN).status


def problem_response(code: str) -> JSONResponse:
    """Return the problem document of a code."""
    problem = PROBLEMS.get(code, _UNKNOWN)
    # A code that is none could carry text: only its form is trusted, never its origin.
    name = code if is_code(code) else "coordinator.unknown_code"
    content = {
        "type": f"urn:doudi:{name}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "next_step": problem.next_step,
    }
    return JSONResponse(content, status_code=problem.status, media_type=MEDIA_TYPE)
