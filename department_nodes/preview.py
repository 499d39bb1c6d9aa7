"""What would leave this node under a grant, before anybody consents: every message of one run with its receiver and size.

What leaves at any time, whatever was granted, stands below the messages.
"""

from typing import Any

from crypto.errors import DoudiError
from crypto.pseudonyms import POINT_BYTES
from department_nodes.extract import ExtractCache
from department_nodes.grant_clauses import verify_grant_terms
from department_nodes.home import NodeHome
from department_nodes.lines.preview import line_leaves, preview_line
from department_nodes.site import site_of
from policies.contracts.grant import Grant, LineGrant, Participant, SignedGrant

CELL_BYTES = {"evidence": 17, "sum_only": 18, "label": 17}
TEXT_KEYS = ("preview.heading", "preview.terms", "preview.columns", "preview.limits")
ANY_TIME = "any time"
# Of an asset with 60 columns, of a list without revocations, and of a report on a few runs.
ASSET_BYTES, REVOCATION_LIST_BYTES, REPORT_BYTES = 1500, 400, 5000
ENVELOPE_BYTES = 1400  # HPKE X-Wing encapsulation, signature and header


def preview_grant(home: NodeHome, signed: SignedGrant, now_s: int) -> dict[str, Any]:
    """Return the messages of one run, the terms, and the refusal if the guard would refuse."""
    if isinstance(signed.grant, LineGrant):
        return preview_line(home, signed, now_s) | {"leaves": leaves_of(home, signed.grant)}
    grant, config = signed.region_grant, home.config
    me = grant.participant(config.department)
    site = site_of(home)
    refusal = None
    try:
        verify_grant_terms(grant, site, now_s)
    except DoudiError as error:
        refusal = {"code": error.code, "message": error.message}
    from command_line.console import show_time

    policy = config.policy
    return {
        "refusal": refusal,
        "leaves": leaves_of(home, grant),
        "keys": TEXT_KEYS,
        "texts": {
            "department": me.department,
            "grant": signed.grant_hash[:16],
            "project": grant.project_id,
            "purpose": grant.purpose,
            "region": grant.region,
            "lead": grant.lead.department,
            "runs": grant.runs_allowed,
            "until": show_time(grant.expires_at),
            "epsilon": grant.label.epsilon_milli / 1000,
            "period": grant.label.label_period,
            "columns": ", ".join(me.columns),
            "bits": min(grant.evidence.bits_per_person_and_year, policy.max_evidence_bits_per_person_and_year),
            "share": policy.disclosure_max_share,
            "correlation": policy.disclosure_max_rank_correlation,
        },
    }


def leaves_of(home: NodeHome, grant: Grant | LineGrant) -> list[dict[str, Any]]:
    """Return every message of one run, with its receiver and size, and what leaves this node at any time, without a run.

    Sizes are estimates within a few per cent: the number of slots is known only after the linkage.
    """
    department = home.config.department
    if isinstance(grant, LineGrant):
        from department_nodes.lines.costs import line_parameters

        rows = line_leaves(grant, department, line_parameters(grant))
    else:
        rows = _leaves(grant, grant.participant(department), ExtractCache(home).load().people)
    return [*rows, *_leaves_at_any_time(home)]


def _leaves_at_any_time(home: NodeHome) -> list[dict[str, Any]]:
    """What the catalogue, the centre's pages and the other parties get of this node: signed, and nothing about a person."""
    kinds = {"asset registration": ASSET_BYTES, "revocation list": REVOCATION_LIST_BYTES}
    if home.config.policy.report_to_centre:
        kinds["report of the node"] = REPORT_BYTES
    return [
        {"step": ANY_TIME, "receiver": "coordinator", "kind": kind, "items": 1, "bytes": size}
        for kind, size in kinds.items()
    ]


def _leaves(grant: Grant, me: Participant, people: int) -> list[dict[str, Any]]:
    others = [participant for participant in grant.participants if participant.department != me.department]
    # Nobody knows the union before the linkage; it is at least the longest list, and padding adds at most 3 %.
    slots = max(participant.declared_people for participant in grant.participants) * 103 // 100
    rows: list[dict[str, Any]] = []

    def add(step: str, receiver: str, kind: str, items: int, size: int) -> None:
        rows.append({"step": step, "receiver": receiver, "kind": kind, "items": items, "bytes": size})

    for other in others:
        add("blind", other.department, "blinded list", people, POINT_BYTES * people + ENVELOPE_BYTES)
    for other in others:
        count = other.declared_people
        add("evaluate", other.department, "evaluated list", count, POINT_BYTES * count + ENVELOPE_BYTES)
    add("finish", "coordinator", "pseudonyms", people, POINT_BYTES * people)
    if me.role == "lead":
        add("release", "coordinator", "sealed label bits", slots, CELL_BYTES["label"] * slots)
        add("release", "coordinator", "commitment to the labels", slots, 32)
        for other in others:
            add("release", other.department, "key of the label bits", 1, ENVELOPE_BYTES)
        add("combine", "coordinator", "metrics", 1, 20_000)
    else:
        lead = grant.lead.department
        if "evidence" in grant.modes:
            add("train", lead, "evidence levels", slots, CELL_BYTES["evidence"] * slots)
            add("train", lead, "key of the evidence", 1, ENVELOPE_BYTES)
        if "sum_only" in grant.modes:
            add("train", lead, "masked sum vector", slots, CELL_BYTES["sum_only"] * slots)
            add("train", lead, "key of the masked sum", 1, ENVELOPE_BYTES)
    return rows
