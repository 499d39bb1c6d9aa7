"""What is refused about the ledger: one line per code."""

from collections.abc import Mapping

from coordinator.problem_types import Problem

_ASK_CENTRE = "Tell the centre: `doudi centre ledger status` on the officer's device shows more."
_RENEW = "The centre's officer runs `doudi centre ledger renew-terms`."
_NEWEST = "Take the newest checkpoint and ask again."
_ITS_OWN = "Send what the doudi command of this version makes."

# Refusals that are not recorded in the ledger. A node repeats what these are about by itself, and each record makes the log grow,
# which wakes the nodes: one wrong clock would fill the log for ever. Who may not do it at all (`authorization.denied`), or
# submits what no honest node makes, is recorded like everywhere.
NOT_RECORDED = frozenset(
    {
        "batch.gap",
        "batch.wrong_auditors",
        "checkpoint.unknown",
        "checkpoint.malformed",
        "checkpoint.no_signature",
        "checkpoint.bad_signature",
        "ledger.not_a_witness",
        "ledger.cosignature_time",
        "ledger.not_published",
        "ledger.not_set_up",
        "ledger.other_log_key",
        "ledger.damaged",
    }
)

PROBLEMS: Mapping[str, Problem] = {
    "ledger.not_set_up": Problem(
        409,
        "No ledger",
        "The audit ledger has no terms yet, so nothing can be recorded and nothing is done.",
        "The centre's officer founds it with `doudi centre ledger found`.",
    ),
    "ledger.other_log_key": Problem(
        409,
        "Another log key",
        "The log's key on the coordinator's host is not the one of the terms in force.",
        _RENEW,
    ),
    "ledger.damaged": Problem(
        500,
        "Ledger damaged",
        "The ledger's database contradicts itself; nothing more is signed.",
        "Ask the centre to look at its log, and the auditors to verify.",
    ),
    "ledger.savepoint": Problem(
        500, "Internal error", "An act could not be recorded, so it was not done.", "Ask the centre to look at its log."
    ),
    "ledger.not_witnessed": Problem(
        409,
        "Not witnessed in time",
        "Too few departments cosigned the record of what was to be done, so it was not done.",
        "See which nodes are away: `doudi centre ledger status`.",
    ),
    "ledger.no_auditor": Problem(
        422, "No auditor", "The ledger needs an auditor to seal its records to.", "Appoint an auditor first."
    ),
    "ledger.not_a_witness": Problem(
        403, "Not a witness", "The ledger's terms do not name this department's key as a witness's.", _RENEW
    ),
    "ledger.cosignature_time": Problem(
        409,
        "Impossible time",
        "The cosignature's time lies in the future, or before its checkpoint was published.",
        "Set the host's clock.",
    ),
    "ledger.too_many_waiting": Problem(
        429, "Too many wait", "Too many requests wait for the log.", "Ask again in some seconds.", 5
    ),
    "ledger.unknown_tile": Problem(
        404, "No such tile", "The newest checkpoint of the log covers no such tile, bundle or page.", _NEWEST
    ),
    "ledger.not_published": Problem(
        404, "Not published", "The log has published no checkpoint of this size or a larger one.", _NEWEST
    ),
    "ledger.too_many_proofs": Problem(
        422, "Too many proofs", "At most 500 proofs are made at once.", "Ask for them in portions."
    ),
    "ledger.unknown_batch": Problem(404, "Unknown batch", "The ledger has no batch with this id.", "Check the id."),
    "ledger.unknown_entry": Problem(
        404,
        "Unknown entry",
        "The newest checkpoint of the log covers no entry with this number.",
        "Choose a smaller one.",
    ),
    "ledger.no_timestamp": Problem(
        404, "No time stamp", "This checkpoint has no time stamp.", "Take a checkpoint that has one."
    ),
    "ledger.wrong_log_key": Problem(
        409,
        "Another log key",
        "The terms name a log key that the coordinator's host does not hold.",
        "Take the key's file from the host, which `doudi centre ledger rotate-key` wrote.",
    ),
    "tile.bad_path": Problem(404, "No such tile", "The path is not the canonical name of a tile.", _NEWEST),
    "merkle.bad_index": Problem(422, "No such proof", "An index or a size lies outside of the tree.", _NEWEST),
    "batch.malformed": Problem(422, "Malformed batch", "The bytes are not those of a batch.", _ITS_OWN),
    "batch.inconsistent": Problem(
        422, "Inconsistent batch", "An entry is not the one that stands at its place in the batch.", _ITS_OWN
    ),
    "batch.wrong_wraps": Problem(
        422, "Wrong wraps", "The wraps are missing, or are not those that the entries name.", _ITS_OWN
    ),
    "batch.wrong_auditors": Problem(
        409,
        "Wrong auditors",
        "The batch is not sealed to exactly the auditors of the newest terms or of those before.",
        "Take the newest terms and seal the records to their auditors.",
    ),
    "batch.bad_signature": Problem(422, "Wrong signature", "The batch is not signed by its producer's key.", _ITS_OWN),
    "batch.conflict": Problem(
        409,
        "Another batch",
        "Another batch has this id, or these numbers of its producer.",
        "Send a batch as it was sent first. If it was made anew, the node's journal was changed: tell an auditor.",
    ),
    "batch.gap": Problem(
        409,
        "Numbers are missing",
        "The batch does not begin with the next number of its producer's key.",
        "Send the producer's batches in order.",
    ),
    "checkpoint.unknown": Problem(
        404, "Unknown checkpoint", "The log has published no checkpoint of this size.", _NEWEST
    ),
    "checkpoint.malformed": Problem(
        422, "Malformed cosignature", "The text is no signature line of a checkpoint.", _ITS_OWN
    ),
    "checkpoint.no_signature": Problem(
        422, "Another key", "The line is not of the key that the ledger's terms name.", _ITS_OWN
    ),
    "checkpoint.bad_signature": Problem(
        422, "Wrong cosignature", "The signature does not fit the log's own checkpoint.", _ASK_CENTRE
    ),
    "terms.unknown": Problem(404, "Unknown terms", "The ledger has no terms of this number.", "Take the newest."),
    "terms.bad_signature": Problem(
        422,
        "Wrong signature",
        "The terms are not signed by an approver of the centre's card.",
        "Sign them with the officer's or a further approver's key.",
    ),
    "terms.rollback": Problem(409, "Old terms", "The terms are older than those in force.", "Begin from the newest."),
    "terms.fork": Problem(
        409, "Other terms", "There are other terms with this number.", "Begin from the newest; ask who signed them."
    ),
    "terms.gap": Problem(
        409, "Numbers are missing", "Terms are numbered one above those in force.", "Begin from the newest."
    ),
    "terms.other_log": Problem(
        409, "Another log", "The terms name another log than this coordinator's.", "Sign terms of this log."
    ),
    "wraps.other_log": Problem(409, "Another log", "The wraps are of another log.", "Check the file."),
    "wraps.not_an_auditor": Problem(
        409,
        "Not an auditor",
        "Wraps are given by an auditor of the newest terms to another one.",
        "Add the new auditor first: `doudi centre ledger add-auditor CARD`.",
    ),
    "wraps.bad_signature": Problem(
        422, "Wrong signature", "The wraps are not signed by the auditor who gives them.", "Make them anew."
    ),
    "wraps.unknown_batch": Problem(
        422, "Unknown batch", "The wraps are of a batch that the ledger does not have.", "Make them from this log."
    ),
}
