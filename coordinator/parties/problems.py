"""What is refused about registering parties and their Flower nodes: one line per code."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

PROBLEMS: Mapping[str, Problem] = {
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
        503, "SuperLink unavailable", "The Flower node could not be registered.", "Start the SuperLink and repeat.", 30
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
    "flower.refused": Problem(
        503, "SuperLink refused", "The SuperLink did not register the node.", "Look at its log.", 30
    ),
}
