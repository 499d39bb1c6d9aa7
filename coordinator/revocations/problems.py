"""What is refused about revocation lists: one line per code."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

_CLOCKS = "Set the clocks of both hosts."

PROBLEMS: Mapping[str, Problem] = {
    "revocation.wrong_party": Problem(
        403, "Another's list", "The list and its address name different parties.", "Send the own party's list."
    ),
    "revocation.bad_signature": Problem(
        422, "Bad signature", "The list is not signed by its party's revocation key.", "Sign it with that key."
    ),
    "revocation.from_the_future": Problem(422, "Time has not come", "The list's time lies in the future.", _CLOCKS),
    "revocation.rollback": Problem(
        409, "Older list", "A newer list of this party is known.", "Issue the next list and send that."
    ),
    "revocation.fork": Problem(
        409,
        "Two lists with one number",
        "Another list with this number is known.",
        "Ask who else holds the revocation key; then issue the next list.",
    ),
    "revocation.dropped": Problem(
        409,
        "A revocation is missing",
        "The list leaves out a grant that was revoked.",
        "A revocation cannot be taken back: have a new grant signed.",
    ),
}
