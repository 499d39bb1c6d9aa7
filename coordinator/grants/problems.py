"""What is refused about grants: one line per code."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

PROBLEMS: Mapping[str, Problem] = {
    "grant.unknown": Problem(404, "No grant", "The project has no such grant.", "Have the lead ask for one."),
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
    "grant.not_yet_valid": Problem(409, "Not yet valid", "The grant is not valid yet.", "Wait for its first day."),
    "grant.expired": Problem(409, "Expired", "The grant has expired.", "Have the parties sign a new grant."),
    "grant.revoked": Problem(
        409, "Revoked", "A party has revoked the grant.", "Ask that party why; ask for a new grant."
    ),
    "grant.not_granted": Problem(
        409, "Not granted", "The request for this grant was refused or withdrawn.", "Have the lead ask for a new one."
    ),
    "grant.mode_not_allowed": Problem(
        409, "Mode not granted", "The grant does not allow this mode.", "Choose another."
    ),
    "grant.runs_exhausted": Problem(409, "No runs left", "All runs of the grant are used.", "Ask for a new grant."),
    "grant.attempts_exhausted": Problem(
        409, "No attempts left", "All attempts of this run are used.", "Start another run of the grant."
    ),
}
