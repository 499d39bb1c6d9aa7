"""What is refused about runs, key offers and manifests: one line per code."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

_CLOCK = "Set the host's clock and send the request again."
_READ_STATE = "Read the run's state, then decide."

PROBLEMS: Mapping[str, Problem] = {
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
}
