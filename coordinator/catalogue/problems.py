"""What is refused about data assets: one line per code."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

_PUBLISHED = "Name what is published in this version of Doudi; see the console's standards."

PROBLEMS: Mapping[str, Problem] = {
    "asset.unknown": Problem(404, "Unknown asset", "Nobody registered such an asset.", "List the catalogue."),
    "asset.wrong_owner": Problem(
        403,
        "Another's asset",
        "The registration, its address and its sender name different owners or data sets.",
        "Only the owner's node registers an asset.",
    ),
    "asset.bad_signature": Problem(
        422,
        "Bad signature",
        "The registration is not signed by the identity key of its owner's node.",
        "Register it with `doudi node register-asset`.",
    ),
    "asset.rollback": Problem(
        409,
        "Older revision",
        "A newer revision of the asset is registered, or another one with this number.",
        "Register it again with the next revision.",
    ),
    "asset.from_the_future": Problem(
        422, "Time has not come", "The registration's time lies in the future.", "Set the clock of the node's host."
    ),
    "asset.unknown_standard": Problem(
        422, "Unknown data standard", "No data standard with this hash is published here.", _PUBLISHED
    ),
    "asset.unknown_column": Problem(
        422, "Unknown column", "A column is none that the data standard offers as a feature.", _PUBLISHED
    ),
    "asset.unknown_tier": Problem(422, "Unknown tier", "No tier with this hash is published here.", _PUBLISHED),
    "asset.unknown_purpose": Problem(422, "Unknown purpose", "A purpose is not published here.", _PUBLISHED),
}
