"""What the rules refuse, and what is refused of changes to them: one line per code."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

PROBLEMS: Mapping[str, Problem] = {
    "authorization.denied": Problem(
        403, "Not allowed", "The rules do not let this principal do this.", "Ask the party or the role that may."
    ),
    "policy.invalid": Problem(
        422,
        "Unusable rules",
        "The rules do not parse, or do not fit the schema.",
        "Read them with the program of this version, which says where.",
    ),
    "policy.breaks_invariant": Problem(
        422,
        "Breaks an invariant",
        "These rules lack something that every version must hold.",
        "Keep every rule that bears @invariant as it is.",
    ),
    "policy.unchanged": Problem(409, "Nothing changes", "These rules are in force already.", "Change something."),
    "policy.already_proposed": Problem(
        409, "Proposed already", "Somebody else proposed these rules.", "Approve that change instead."
    ),
    "policy.too_many_changes": Problem(
        409, "Too many changes", "Too many changes are open.", "Decide on them, or withdraw some."
    ),
    "policy.unknown_change": Problem(404, "Unknown change", "No change has this hash.", "List the changes."),
    "policy.not_proposed": Problem(
        409,
        "Not open",
        "The change is in force, or was refused or withdrawn.",
        "Propose it again if it is still wanted.",
    ),
    "policy.not_loadable": Problem(
        500,
        "Rules unusable",
        "The approved rules cannot be used, so everything is denied.",
        "Run `doudi centre shipped-rules` on the coordinator's host.",
    ),
}
