"""Every type of record, and the whole list of what each may carry. May import crypto.

Names are part of the interface: they are added, never reworded. A type whose list changes gets a new version. Types that a node
records begin with `node.`; all others are the coordinator's. A type that is not here cannot be recorded.
"""

from collections.abc import Mapping

from policies.contracts.ledger.records import RecordType

NODE_PREFIX = "node."
_PERSON = "actor account"
_RUN = "project run attempt grant"


def _type(name: str, fields: str, counts: str = "", hashes: str = "", version: int = 1) -> RecordType:
    given = set(fields.split())
    given |= {"counts"} if counts else set()
    given |= {"hashes"} if hashes else set()
    return RecordType(name, version, frozenset(given), frozenset(counts.split()), frozenset(hashes.split()))


def _family(names: str, fields: str, counts: str = "", hashes: str = "") -> list[RecordType]:
    return [_type(name, fields, counts, hashes) for name in names.split()]


_COORDINATOR = [
    # Enrolment of parties and what they register.
    _type("party.registered", f"{_PERSON} subject assets", "people columns", "card"),
    _type("party.keys_replaced", f"{_PERSON} subject assets", "people columns", "card"),
    *_family("asset.registered asset.withdrawn", f"{_PERSON} subject assets", "revision people columns", "asset"),
    _type("project.created", f"{_PERSON} project subject purpose"),
    # Requests for access: from the draft to the grant. `request` is the request's number.
    *_family(
        "request.drafted request.submitted request.approved request.declined request.withdrawn request.granted "
        "request.activated request.expired request.revoked request.exhausted",
        f"{_PERSON} subject project grant purpose assets code",
        "request added needed gathered runs",
    ),
    *_family(
        "grant.stored grant.signatures_added grant.fully_signed", f"{_PERSON} project grant purpose", "request added"
    ),
    _type("revocation.published", f"{_PERSON} subject", "number grants", "list"),
    _type("revocation.wished", f"{_PERSON} project grant code", "request"),
    # Runs.
    *_family(
        "run.created run.offer_stored run.scheduled run.started run.resumed run.finished run.failed run.stop_requested "
        "run.stopped run.restarted",
        f"{_PERSON} subject code {_RUN}",
        "attempt run_number people departments metrics_bytes",
        "manifest metrics",
    ),
    *_family(
        "run.step_waiting run.step_sent run.step_answered run.step_refused run.step_lost",
        f"actor account subject code {_RUN}",
        "attempt step round request_bytes reply_bytes",
    ),
    # How the union was numbered: commitments to what came in, and the seed that an auditor can repeat the numbering with.
    _type("run.numbered", f"actor {_RUN}", "slots padding lists", "seed lists union"),
    # What was refused to somebody who had signed in or signed the request.
    _type("request.refused", f"{_PERSON} code"),
    # People at the console, by number.
    *_family(
        "account.created account.enrolled account.roles_changed account.disabled account.reset account.password_changed "
        "account.signed_in account.locked account.recovery_code_used account.recovery_codes_replaced token.created "
        "token.revoked",
        f"{_PERSON} subject code",
        "about_account",
    ),
    *_family(
        "policy.proposed policy.approved policy.activated policy.withdrawn policy.refused policy.reset",
        f"{_PERSON} code",
        "version",
        "rules",
    ),
    _type("standard.changed", f"{_PERSON} code", "version", "standard"),
    # The ledger itself.
    _type("ledger.opened", "actor", "size batches", "root"),
    _type("ledger.terms_changed", f"{_PERSON}", "number auditors witnesses faulty", "terms"),
    _type("ledger.batch_shredded", f"{_PERSON} subject code", "entries first_index", "batch"),
    _type("ledger.wraps_added", f"{_PERSON} wraps", "batches", "batches giver receiver signed"),
    _type("ledger.timestamped", "actor", "size", "root token"),
]

_NODE = [
    *_family("node.project.joined node.project.left", "project grant code"),
    _type("node.grant.signed", "project grant purpose assets", "request signatures"),
    _type("node.grant.ended", "project grant code"),
    _type("node.grant.revoked", "project grant code"),
    *_family("node.run.keys_offered node.run.offer_refused", f"subject code {_RUN}", "people"),
    _type("node.run.scheduled", f"{_RUN} code", "departments", "manifest"),
    # The intent is `started`; the outcome is one of the others. `unknown`: the process ended in between, nobody guesses.
    *_family(
        "node.step.started node.step.answered node.step.repeated node.step.refused node.step.failed node.step.unknown",
        f"step round code purpose assets {_RUN}",
        "bytes milliseconds",
        "request reply program manifest",
    ),
    # What the lead released: how many, at which ε, and a salted commitment that it can be held to.
    _type("node.labels.charged", f"step {_RUN}", "epsilon_milli cap_milli"),
    _type("node.labels.released", f"step {_RUN}", "slots households epsilon_milli", "commitment period"),
    # What a department lets a lead know, or withholds: how much, and what the meter read (thousandths, rounded up). The code says
    # whether levels or a masked sum left, or why nothing did. `capped`: columns over the cap, for which levels were `merged`.
    _type("node.evidence.charged", f"step {_RUN}", "bits_per_person cap_bits_per_person"),
    *_family(
        "node.evidence.released node.evidence.withheld",
        f"step purpose assets code {_RUN}",
        "slots held levels merged largest_share_milli largest_rank_milli columns capped",
    ),
    _type("node.list.committed", f"step {_RUN}", "people", "list"),
    *_family(
        "node.budget.reserved node.budget.charged node.budget.settled node.budget.refused",
        f"code round {_RUN}",
        "round rounds steps epsilon_milli cap_milli charged released",
    ),
    _type("node.line.model_adopted", f"step round {_RUN}", "bytes", "model"),
    *_family("node.results.read node.results.destroyed", f"code purpose {_RUN}", "values bytes households"),
    *_family(
        "node.revocation.issued node.revocation.accepted node.revocation.refused", "subject code", "number revoked"
    ),
    _type("node.asset.signed", "assets", "revision people withdrawn"),
    _type("node.report.signed", "code", "number"),
    *_family(
        "node.request.drafted node.request.refused node.request.withdrawn", "project grant purpose code", "request"
    ),
    # The node as a witness: what it refused to cosign, and that its own events were left out.
    _type("node.witness.refused", "code", "size seen_size", "root seen_root evidence"),
    _type("node.witness.omission", "code", "size first_sequence entries", "batch evidence"),
    _type("node.terms.accepted", "code", "number auditors witnesses faulty", "terms"),
    # An officer has seen an alarm; the code says of which kind, or that the node follows the history that was offered.
    _type("node.alarm.acknowledged", "code", "number", "evidence"),
]

RECORD_TYPES: Mapping[str, RecordType] = {kind.name: kind for kind in (*_COORDINATOR, *_NODE)}
COORDINATOR_TYPES: Mapping[str, RecordType] = {kind.name: kind for kind in _COORDINATOR}
NODE_TYPES: Mapping[str, RecordType] = {kind.name: kind for kind in _NODE}
