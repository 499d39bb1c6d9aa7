"""What is refused about requests for access: one line per code."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

_OWNER = "Ask the owner, or draft the request without this department."
_AGAIN = "Draft the request again from the present cards."

PROBLEMS: Mapping[str, Problem] = {
    "request.unknown": Problem(404, "Unknown request", "There is no such request.", "List the requests."),
    "request.illegal_transition": Problem(
        409, "Not in this state", "The request's state does not allow this.", "Look at the request, then decide."
    ),
    "request.too_many_open": Problem(
        409,
        "Too many open requests",
        "The project has too many requests that nobody finished.",
        "Withdraw one of them.",
    ),
    "request.asset_not_registered": Problem(
        409, "Asset not registered", "The request names data that their owner did not register.", _OWNER
    ),
    "request.asset_withdrawn": Problem(
        409, "Asset withdrawn", "The request names data that their owner has withdrawn.", _OWNER
    ),
    "request.purpose_not_allowed": Problem(
        409, "Purpose not allowed", "An owner does not allow this purpose for its data.", _OWNER
    ),
    "request.wrong_tier": Problem(
        409, "Another tier", "The request names another tier than the owner registered for its data.", _AGAIN
    ),
    "request.wrong_standard": Problem(
        409, "Another standard", "The request names another data standard than the owner registered.", _AGAIN
    ),
    "request.wrong_region": Problem(
        409, "Another region", "The request names another region than the owner registered.", _OWNER
    ),
    "request.column_not_registered": Problem(
        409, "Column not offered", "The request names a column that the owner did not register.", _OWNER
    ),
    "request.other_grant": Problem(
        409, "Another grant", "The signatures belong to another grant than the request's.", "Fetch the grant again."
    ),
    "request.sign_instead": Problem(
        409,
        "Approved by signature only",
        "A node or a device approves with a signature under the grant.",
        "Use `doudi node approve` or `doudi centre approve`.",
    ),
    "request.reason_missing": Problem(422, "Reason missing", "A refusal needs a reason.", "Say why, in a sentence."),
    "request.already_decided": Problem(
        409, "Already decided", "This person has decided on the request.", "Have another person decide."
    ),
    # The rules of tiers (`policies/contracts/tier_rules.py`), asked here of every request.
    "grant.unknown_purpose": Problem(
        422, "Unknown purpose", "The grant's purpose is not a published one.", "Name one of the published purposes."
    ),
    "grant.wrong_tier": Problem(
        422, "Unknown tier", "The grant names a tier that is not published here in this form.", _AGAIN
    ),
    "tier.never_federates": Problem(
        409, "Never federates", "An asset's tier takes part in no federation.", "Draft it without this asset."
    ),
    "tier.operation": Problem(
        409, "Operation not allowed", "An asset's tier does not allow an operation.", "Ask for less, or leave it out."
    ),
    "tier.parties": Problem(409, "Too few parties", "An asset's tier asks for more parties.", "Add departments."),
    "tier.runs": Problem(409, "Too many runs", "An asset's tier allows fewer runs.", "Ask for fewer runs."),
    "tier.duration": Problem(409, "Too long", "An asset's tier allows a shorter time.", "Ask for fewer days."),
    "tier.epsilon": Problem(409, "ε too high", "An asset's tier allows a smaller ε.", "Ask for a smaller ε."),
    "tier.evidence_bits": Problem(
        409, "Too much evidence", "An asset's tier allows fewer bits of evidence.", "Ask for fewer bits."
    ),
}
