"""What leaves the coordinator when something is refused: problem documents (RFC 9457) from one table.

The texts here are fixed: an exception's own message may quote what a caller sent, so it never reaches the wire. Each feature
has its own `problems.py`; a new one is a line in `_TABLES`.
"""

from collections.abc import Iterable, Mapping

from fastapi.responses import JSONResponse

from coordinator.accounts.problems import PROBLEMS as ACCOUNTS
from coordinator.authorization.problems import PROBLEMS as AUTHORIZATION
from coordinator.catalogue.problems import PROBLEMS as CATALOGUE
from coordinator.console.problems import PROBLEMS as CONSOLE
from coordinator.events import is_code
from coordinator.grants.problems import PROBLEMS as GRANTS
from coordinator.ledger.problems import PROBLEMS as LEDGER
from coordinator.parties.problems import PROBLEMS as PARTIES
from coordinator.problem_types import Problem
from coordinator.projects.problems import PROBLEMS as PROJECTS
from coordinator.reports.problems import PROBLEMS as REPORTS
from coordinator.requests.problems import PROBLEMS as REQUESTS
from coordinator.revocations.problems import PROBLEMS as REVOCATIONS
from coordinator.runs.problems import PROBLEMS as RUNS

__all__ = ["PROBLEMS", "Problem", "collect", "problem_content", "problem_response", "status_of"]

MEDIA_TYPE = "application/problem+json"
INTERNAL_ERROR = "coordinator.internal_error"
UNKNOWN_STATUS = 400
UNAUTHENTICATED_STATUS = 401
# How to authenticate: the four signed headers of a party, or a person's token.
CHALLENGE = "Doudi-Signature, Bearer"

_SIGN = "Use the doudi command, which signs each request."
_CLOCK = "Set the host's clock and send the request again."

_GENERAL: Mapping[str, Problem] = {
    "request.unauthenticated": Problem(
        401, "Not authenticated", "No registered party signed this request, and it shows no token in force.", _SIGN
    ),
    "request.clock": Problem(401, "Clock is off", "The request's time is off by more than two minutes.", _CLOCK),
    "request.replayed": Problem(401, "Seen before", "A request with this nonce was already accepted.", _SIGN),
    "request.too_many": Problem(
        429, "Too many requests", "This principal has sent too many requests in this minute.", "Wait a minute.", 60
    ),
    "request.in_progress": Problem(
        409, "Being worked on", "A request with this idempotency key is not finished.", "Send it again in a second.", 1
    ),
    "request.idempotency_mismatch": Problem(
        422, "Another request", "The idempotency key was used for another request.", "Use a new key for each act."
    ),
    "request.answered_once": Problem(
        409,
        "Answered before",
        "The request was carried out; its answer held a secret and is not shown again.",
        "Take back what was made and make it again with a new key.",
    ),
    "request.unsupported_media_type": Problem(
        415,
        "Wrong kind of body",
        "The body is declared as something else than this address takes.",
        "Send canonical JSON, or the bytes of a batch where the API's description says so.",
    ),
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
    "coordinator.busy": Problem(503, "Busy", "The database did not answer in time.", "Send the request again.", 1),
    INTERNAL_ERROR: Problem(500, "Internal error", "The coordinator failed.", "Ask the centre to look at its log."),
}

_TABLES = (
    _GENERAL,
    ACCOUNTS,
    AUTHORIZATION,
    PARTIES,
    PROJECTS,
    GRANTS,
    RUNS,
    CONSOLE,
    CATALOGUE,
    REQUESTS,
    REVOCATIONS,
    REPORTS,
    LEDGER,
)


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


def problem_response(code: str, fact: str = "") -> JSONResponse:
    """Return the problem document of a code. `fact`: a sentence of this program's own for the detail, never what was sent."""
    problem = PROBLEMS.get(code, _UNKNOWN)
    return JSONResponse(problem_content(code, fact), problem.status, _headers(problem), MEDIA_TYPE)


def problem_content(code: str, fact: str = "") -> dict[str, str | int]:
    """Return what the problem document of a code says."""
    problem = PROBLEMS.get(code, _UNKNOWN)
    # A code that is none could carry text: only its form is trusted, never its origin.
    name = code if is_code(code) else "coordinator.unknown_code"
    return {
        "type": f"urn:doudi:{name}",
        "title": problem.title,
        "status": problem.status,
        "detail": f"{problem.detail} {fact}".rstrip(),
        "next_step": problem.next_step,
    }


def _headers(problem: Problem) -> dict[str, str]:
    headers = {}
    if problem.status == UNAUTHENTICATED_STATUS:
        headers["WWW-Authenticate"] = CHALLENGE
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    return headers
