"""From cards and terms to a grant that nobody has signed: the same draft at the lead's node and at the coordinator's console.

A draft binds nobody. Who signs it compares its keys with the cards that they pinned themselves. Pure: the caller brings cards,
time and randomness of the operating system comes in here for the nonce and the grant's name. May import crypto and
policies.standards.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from crypto.errors import DoudiError
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.grant import EvidenceTerms, Grant, LabelTerms, LinkageTerms, Participant, Scheduler
from policies.contracts.grant_terms import Operation
from policies.contracts.run_windows import RunWindow
from policies.standards.tier_loader import load_tier

DAY_S = 24 * 3600
ATTEMPTS = 3


@dataclass(frozen=True)
class GrantTerms:
    """What the lead's officer decides when drafting a region's grant."""

    project_id: str
    purpose: str
    target: str
    label_period: str
    epsilon_milli: int
    days: int = 365
    runs_allowed: int = 5
    min_key_holders: int = 3
    bits_per_person_and_year: int = 60
    modes: tuple[Literal["evidence", "sum_only"], ...] = ("evidence", "sum_only")
    # Whether the released bits may train the departments' lines, and a line's model may be the start of training here.
    lines: bool = False
    windows: tuple[RunWindow, ...] = ()


def draft_region_grant(
    centre: CentreCard, lead: DepartmentCard, supporting: Sequence[DepartmentCard], terms: GrantTerms, now_s: int
) -> Grant:
    """Return a grant that `lead` leads. Raises `tier.operation` when an asset's tier does not allow what the modes need."""
    cards = [lead, *supporting]
    for card in cards:
        _require_modes(card, lead, terms)
    return Grant(
        grant_id=f"grant-{secrets.token_hex(8)}",
        project_id=terms.project_id,
        purpose=terms.purpose,
        region=lead.region,
        not_before=now_s,
        expires_at=now_s + terms.days * DAY_S,
        program_hash=lead.program_hash,
        participants=tuple(_participant(card, card is lead, terms) for card in cards),
        linkage=LinkageTerms(
            project_id=terms.project_id,
            nonce=secrets.token_hex(32),
            participants=tuple(card.department for card in cards),
            min_key_holders=terms.min_key_holders,
        ),
        label=LabelTerms(target=terms.target, label_period=terms.label_period, epsilon_milli=terms.epsilon_milli),
        evidence=EvidenceTerms(
            levels=32,
            # The union is at most the sum of the lists; a tenth more leaves room for the coordinator's padding slots.
            max_slots=sum(card.people for card in cards) * 11 // 10 + 100,
            bits_per_person_and_year=terms.bits_per_person_and_year,
        ),
        modes=terms.modes,
        runs_allowed=terms.runs_allowed,
        attempts_allowed=ATTEMPTS,
        scheduler=Scheduler(department=lead.department, key=lead.scheduling_key),
        windows=terms.windows,
        **centre_keys(centre),
    )


def centre_keys(centre: CentreCard) -> dict[str, Any]:
    """Return the fields by which any grant names the centre's keys, as its card has them."""
    return {
        "centre_key": centre.approval_key,
        "centre_co_keys": centre.co_approval_keys,
        "centre_revocation_key": centre.revocation_key,
    }


def share_of_card(
    card: DepartmentCard, lead: bool, columns: Sequence[str], operations: Sequence[Operation]
) -> dict[str, Any]:
    """Return the fields of a department's share in any grant (`grant_terms.Share`), as its card has them."""
    return {
        "department": card.department,
        "role": "lead" if lead else "supporting",
        "dataset": card.dataset,
        "standard_version": card.standard_version,
        "standard_hash": card.standard_hash,
        "columns": tuple(columns),
        "operations": tuple(operations),
        "declared_people": max(card.people, 1),
        "tier": card.tier,
        "tier_version": card.tier_version,
        "tier_hash": card.tier_hash,
        "identity_key": card.identity_key,
        "approval_key": card.approval_key,
        "co_approval_keys": card.co_approval_keys,
        "revocation_key": card.revocation_key,
    }


def _participant(card: DepartmentCard, lead: bool, terms: GrantTerms) -> Participant:
    share = share_of_card(card, lead, card.columns, _operations(lead, terms))
    return Participant(**share, evaluation_limit=max(card.people, 1) * terms.runs_allowed * ATTEMPTS)


def _operations(lead: bool, terms: GrantTerms) -> list[Operation]:
    supporting = [Operation.LINK, Operation.TRAIN]
    supporting += [Operation.EVIDENCE] if "evidence" in terms.modes else []
    supporting += [Operation.SUM_ONLY] if "sum_only" in terms.modes else []
    operations = [Operation.LINK, Operation.RELEASE, Operation.COMBINE] if lead else supporting
    return [*operations, Operation.LINE] if terms.lines else operations


def _require_modes(card: DepartmentCard, lead: DepartmentCard, terms: GrantTerms) -> None:
    allowed = load_tier(card.tier, card.tier_version).operations
    forbidden = [operation.value for operation in _operations(card is lead, terms) if operation.value not in allowed]
    if forbidden:
        raise DoudiError(
            "tier.operation",
            f"{card.department}'s data are {card.tier}, which does not allow {', '.join(forbidden)}",
            "Draft with --mode sum-only, without --lines, or without this department.",
        )
