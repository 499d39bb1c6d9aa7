"""What the rules refuse: one line per code."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

PROBLEMS: Mapping[str, Problem] = {
    "authorization.denied": Problem(
        403, "Not allowed", "The rules do not let this principal do this.", "Ask the party or the role that may."
    ),
}
