"""What would leave this node under a line's grant, and what a run would cost: for the officer, before consenting."""

from typing import Any

from command_line.console import show_time
from crypto.errors import DoudiError
from department_nodes.grant_clauses import verify_grant_terms
from department_nodes.home import NodeHome
from department_nodes.site import site_of
from policies.contracts.grant import LineGrant, SignedGrant

SHARES_BYTES = 1800  # HPKE X-Wing encapsulation, signature, header, two Shamir shares
KEYS_BYTES = 2900
CONSENT_BYTES = 300
UNMASK_BYTES_PER_MEMBER = 180
TEXT_KEYS = ("preview.heading", "preview.line_terms", "preview.line_privacy", "preview.columns", "preview.line_limits")


def preview_line(home: NodeHome, signed: SignedGrant, now_s: int) -> dict[str, Any]:
    """Return the terms of a line, the ε of a run by the accountant, and the refusal if there would be one."""
    from department_nodes.lines.costs import line_epsilon

    grant, config = signed.line_grant, home.config
    me, training = grant.share(config.department), grant.training
    refusal = None
    try:
        verify_grant_terms(grant, site_of(home), now_s)
    except DoudiError as error:
        refusal = {"code": error.code, "message": error.message}
    return {
        "refusal": refusal,
        "keys": TEXT_KEYS,
        "texts": {
            "department": me.department,
            "grant": signed.grant_hash[:16],
            "project": grant.project_id,
            "purpose": grant.purpose,
            "region": grant.region,
            "lead": grant.lead_department,
            "runs": grant.runs_allowed,
            "until": show_time(grant.expires_at),
            "target": grant.target,
            "period": grant.label_period,
            "columns": ", ".join(me.columns),
            "departments": len(grant.participants),
            "survivors": grant.aggregation.min_survivors,
            "method": grant.aggregation.method,
            "placement": training.placement,
            "clip": training.clip_norm,
            "sigma": training.noise_multiplier,
            "rate": training.sample_rate,
            "steps": training.local_steps,
            "rounds": training.rounds,
            "epsilon": line_epsilon(grant, config.policy.line_delta_exponent),
            "delta": f"1e-{config.policy.line_delta_exponent}",
            "cap": config.policy.max_line_epsilon_milli / 1000,
            "honest": training.honest_percent,
        },
    }


def line_leaves(grant: LineGrant, me: str, parameters: int) -> list[dict[str, Any]]:
    """Return every message of one run of a line, with its receiver and size."""
    rounds, others = grant.training.rounds, [name for name in grant.departments if name != me]
    rows: list[dict[str, Any]] = []

    def add(step: str, receiver: str, kind: str, size: int) -> None:
        rows.append({"step": step, "receiver": receiver, "kind": kind, "items": rounds, "bytes": rounds * size})

    if grant.aggregation.method != "secure":
        add("line_update", "coordinator", "update of a line, unmasked", 4 * parameters)
        return rows
    add("line_keys", "coordinator", "keys of a line round", KEYS_BYTES)
    for other in others:
        add("line_shares", other, "shares of a line round", SHARES_BYTES)
    add("line_shares", "coordinator", "commitment to a line mask", 32)
    add("line_update", "coordinator", "masked update of a line", 8 * parameters)
    add("line_consent", "coordinator", "consent to the survivors", CONSENT_BYTES)
    unmask_bytes = UNMASK_BYTES_PER_MEMBER * len(grant.participants)
    add("line_unmask", "coordinator", "shares that unmask a sum", unmask_bytes)
    return rows
