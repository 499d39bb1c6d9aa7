"""What the console refuses. Registered in `coordinator/problems.py`; the Chinese texts stand in `locale/`."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

REFUSED = "console.refused"
NO_SUCH_PAGE = "console.no_such_page"

PROBLEMS: Mapping[str, Problem] = {
    "console.foreign_form": Problem(
        403,
        "The form was not accepted",
        "The form does not belong to your present session, or another site sent it. Nothing was changed.",
        "Go back, reload the page and fill in the form again.",
    ),
    "console.bad_form": Problem(
        422,
        "The form was not accepted",
        "A field is missing, too long, or holds characters that are no text. Nothing was changed.",
        "Go back, correct the form and send it again.",
    ),
    NO_SUCH_PAGE: Problem(
        404,
        "Page not found",
        "The console has no page at this address, or you may not see it.",
        "Check the address, or start from the home page.",
    ),
    "console.bad_address": Problem(
        422,
        "Page not found",
        "A value in the address is out of range.",
        "Check the address, or start from the home page.",
    ),
    REFUSED: Problem(
        400,
        "Refused",
        "The request was refused. Nothing was changed.",
        "Look the code up in the README, or ask the centre.",
    ),
    "console.too_many_streams": Problem(
        503,
        "Too many pages are followed",
        "This page cannot be followed live now, because too many are.",
        "Load the page again from time to time, or close other pages of the console.",
        60,
    ),
    "console.method_not_allowed": Problem(
        405,
        "Page not found",
        "This address takes forms only, or shows a page only.",
        "Start from the home page.",
    ),
}
