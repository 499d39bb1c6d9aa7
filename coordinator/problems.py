"""What leaves the coordinator when something is refused: problem documents (RFC 9457) from one table.

The texts here are fixed: an exception's own message may quote what a caller sent, so it never reaches the wire.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi.responses import JSONResponse

from coordinator.events import is_code

MEDIA_TYPE = "application/problem+json"
INTERNAL_ERROR = "coordinator.internal_error"
UNKNOWN_STATUS = 400


@dataclass(frozen=True)
class Problem:
    """The public side of a code: HTTP status, what it is, what happened, what to do next."""

    status: int
    title: str
    detail: str
    next_step: str = ""


_SIGN = "Use the doudi command, which signs each request."
_CLOCK = "Set the host's clock and send the request again."
_READ_STATE = "Read the run's state, then decide."

PROBLEMS: Mapping[str, Problem] = {
    # Requests
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
    # Parties
    "party.unknown": Problem(
        404, "Unknown party", "This party is not registered.", "Have the centre register its card."
    ),
    "party.reserved_name": Problem(422, "Reserved name", "A department cannot have this name.", "Choose another name."),
    "party.bad_keys": Problem(
        422,
        "Unusable keys",
        "A key of the card proves nothing or stands for two purposes.",
        "Make new keys at the node.",
    ),
    "party.key_in_use": Problem(
        409, "Key in use", "Another party has this identity key.", "Make new keys at the node."
    ),
    "party.keys_changed": Problem(
        409,
        "The keys have changed",
        "The department is registered with other keys.",
        "Compare the fingerprint by telephone, then register it again with replace=true.",
    ),
    "flower.unreachable": Problem(
        503, "SuperLink unavailable", "The Flower node could not be registered.", "Start the SuperLink and repeat."
    ),
    "flower.name_in_use": Problem(
        409,
        "Flower key in use",
        "The SuperLink knows the name or the Flower key already.",
        "Unregister the old node there.",
    ),
    "flower.bad_key": Problem(
        422, "Unusable Flower key", "The Flower key is not ECDSA on a NIST curve.", "Make a new key."
    ),
    "flower.refused": Problem(503, "SuperLink refused", "The SuperLink did not register the node.", "Look at its log."),
    # Projects
    "project.unknown": Problem(404, "Unknown project", "There is no such project.", "List the projects."),
    "project.already_exists": Problem(409, "Name in use", "Another project has this name.", "Choose another name."),
    "project.closed": Problem(
        409, "Project closed", "The project takes no more grants or runs.", "Open a new project."
    ),
    # Grants
    "grant.unknown": Problem(404, "No grant", "The project has no such grant.", "Have a party send the grant."),
    "grant.other_project": Problem(
        409,
        "Grant of another project",
        "Project, purpose, region or lead differ from the project's.",
        "Correct the grant.",
    ),
    "grant.not_a_participant": Problem(403, "Not a participant", "The grant does not name this department."),
    "grant.key_mismatch": Problem(
        409,
        "Keys differ",
        "A key in the grant is not the one on the party's registered card.",
        "Ask by telephone which key is in force; do not sign.",
    ),
    "grant.unsigned": Problem(422, "No signature", "At least one signature is needed.", "Sign the grant first."),
    "grant.bad_signature": Problem(
        422, "Bad signature", "A signature does not verify or is not one that the grant needs.", "Sign the grant again."
    ),
    "grant.signature_missing": Problem(
        409, "Signatures missing", "Not every required party has signed the grant.", "Have the others sign."
    ),
    "grant.too_many_drafts": Problem(
        409, "Too many drafts", "The project has too many grants that nobody finished signing.", "Finish one of them."
    ),
    "grant.not_yet_valid": Problem(409, "Not yet valid", "The grant is not valid yet.", "Wait for its first day."),
    "grant.expired": Problem(409, "Expired", "The grant has expired.", "Have the parties sign a new grant."),
    "grant.mode_not_allowed": Problem(
        409, "Mode not granted", "The grant does not allow this mode.", "Choose another."
    ),
    "grant.runs_exhausted": Problem(409, "No runs left", "All runs of the grant are used.", "Ask for a new grant."),
    "grant.attempts_exhausted": Problem(
        409, "No attempts left", "All attempts of this run are used.", "Start another run of the grant."
    ),
    # Runs
    "run.unknown": Problem(404, "Unknown run", "There is no such run.", "List the runs."),
    "run.illegal_transition": Problem(409, "Not in this state", "The run's state does not allow this.", _READ_STATE),
    "run.not_gathering": Problem(409, "Not gathering keys", "The run does not gather keys now.", _READ_STATE),
    "run.no_results": Problem(404, "No results", "This run has no results.", _READ_STATE),
    "offer.wrong_run": Problem(
        409, "Offer for another run", "Grant, run, attempt or department differ.", "Make the offer for this attempt."
    ),
    "offer.program_mismatch": Problem(
        409,
        "Another program",
        "The offer's program is not the one that the grant names.",
        "Install the granted version.",
    ),
    "offer.too_many_people": Problem(
        409, "Longer than granted", "The list is longer than the grant declares.", "Check the extract."
    ),
    "offer.bad_signature": Problem(
        422,
        "Bad signature",
        "The offer is not signed by the identity key that the grant pins.",
        "Do not schedule this run; ask who replaced the key.",
    ),
    "offer.already_made": Problem(
        409, "Other keys stored", "The department has offered other keys for this attempt.", "Restart the run."
    ),
    "manifest.bad_signature": Problem(
        422, "Bad signature", "The holder of the scheduling right did not sign this manifest.", "Sign it again."
    ),
    "manifest.mismatch": Problem(
        409, "Manifest of another run", "Grant, run, number, attempt or mode differ from the run's.", "Make it again."
    ),
    "manifest.offers_mismatch": Problem(
        409, "Offers differ", "The manifest's keys are not the stored ones.", "Fetch the offers and sign again."
    ),
    "manifest.departments": Problem(
        409,
        "Departments missing",
        "The lead, enough key holders, for sum-only everybody, or enough of a line must take part.",
        "Wait for their keys.",
    ),
    "manifest.expired": Problem(409, "Times are off", "The manifest's times do not fit now and the grant.", _CLOCK),
    "manifest.already_stored": Problem(409, "Already scheduled", "Another manifest is stored.", _READ_STATE),
    # The coordinator itself
    "coordinator.busy": Problem(503, "Busy", "The database did not answer in time.", "Send the request again."),
    INTERNAL_ERROR: Problem(500, "Internal error", "The coordinator failed.", "Ask the centre to look at its log."),
}

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
