"""What a request asks of each asset, beside what the asset's tier and its owner allow: the table that approvers read. Pure.

Only a reading aid: what may be asked for is decided by `tier_rules.verify_tier_rules` and `drafts.require_registered`, and by
every node again. A test holds the two against each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from policies.contracts.assets import AssetRegistration
from policies.contracts.grant import Grant, LineGrant
from policies.contracts.grant_terms import Operation, Share
from policies.contracts.line_grant import LineShare
from policies.contracts.tier_rules import DAY_S
from policies.standards.tier_loader import load_tier

Rule = Literal[
    "registered",
    "purpose",
    "region",
    "tier",
    "federates",
    "standard",
    "columns",
    "operations",
    "people",
    "parties",
    "runs",
    "days",
    "label_epsilon_milli",
    "evidence_bits",
]
Value = int | str | tuple[str, ...]


@dataclass(frozen=True)
class RuleRow:
    """One rule: what is asked, what is allowed at most (or exactly), and whether it is within."""

    rule: Rule
    asked: Value
    allowed: Value
    within: bool


@dataclass(frozen=True)
class AssetComparison:
    """One asset of a request against its rules. `owner_approvals`, `centre_approvals`: people who must sign for it."""

    department: str
    role: Literal["lead", "supporting"]
    dataset: str
    tier: str
    tier_version: int
    owner_approvals: int
    centre_approvals: int
    rows: tuple[RuleRow, ...]

    @property
    def within(self) -> bool:
        """Whether everything that is asked of the asset is allowed."""
        return all(row.within for row in self.rows)


def asked_against_rules(
    grant: Grant | LineGrant, assets: Mapping[str, AssetRegistration]
) -> tuple[AssetComparison, ...]:
    """Return one table per asset, in the grant's order. `assets`: the newest registrations, by owner.

    Raises `standard.unknown_tier` for a grant whose tiers are not published here; none is stored.
    """
    return tuple(_compare(grant, share, assets.get(share.department)) for share in grant.shares)


def _compare(grant: Grant | LineGrant, share: Share, asset: AssetRegistration | None) -> AssetComparison:
    tier = load_tier(share.tier, share.tier_version)
    return AssetComparison(
        department=share.department,
        role=share.role,
        dataset=share.dataset,
        tier=share.tier,
        tier_version=share.tier_version,
        owner_approvals=tier.approvals.owner.count,
        centre_approvals=tier.approvals.centre.count,
        rows=(*_of_catalogue(grant, share, asset), *tier_rows(grant, share)),
    )


def _of_catalogue(grant: Grant | LineGrant, share: Share, asset: AssetRegistration | None) -> list[RuleRow]:
    if asset is None:
        return [RuleRow("registered", share.dataset, "", within=False)]
    asked_tier, own_tier = (f"{name}/{version}" for name, version in _tiers(share, asset))
    same_tier = (share.tier, share.tier_version, share.tier_hash) == (asset.tier, asset.tier_version, asset.tier_hash)
    same_standard = (share.standard_version, share.standard_hash) == (asset.standard_version, asset.standard_hash)
    region = share.region if isinstance(share, LineShare) else grant.region
    return [
        RuleRow("registered", share.dataset, "" if asset.withdrawn else asset.dataset, within=not asset.withdrawn),
        RuleRow("purpose", grant.purpose, asset.allowed_purposes, within=grant.purpose in asset.allowed_purposes),
        RuleRow("region", region, asset.region, within=region == asset.region),
        RuleRow("tier", asked_tier, own_tier, within=same_tier),
        RuleRow("standard", share.standard_version, asset.standard_version, within=same_standard),
        RuleRow("columns", share.columns, asset.columns, within=set(share.columns) <= set(asset.columns)),
        # The declared number is a bound for the lists of runs; a smaller one than the asset stops runs, and harms nobody.
        RuleRow("people", share.declared_people, asset.people, within=True),
    ]


def tier_rows(grant: Grant | LineGrant, share: Share) -> list[RuleRow]:
    """Return what is asked of one asset beside its tier's rules, by this program's own copy of the tier.

    Raises `standard.unknown_tier`.
    """
    tier = load_tier(share.tier, share.tier_version)
    operations = tuple(operation.value for operation in share.operations)
    days = -(-(grant.expires_at - grant.not_before) // DAY_S)
    rows = [
        RuleRow("federates", "yes", "yes" if tier.federates else "no", within=tier.federates),
        RuleRow("operations", operations, tuple(tier.operations), within=set(operations) <= set(tier.operations)),
        RuleRow("parties", len(grant.shares), tier.minimum_parties, within=len(grant.shares) >= tier.minimum_parties),
        _at_most("runs", grant.runs_allowed, tier.maximum_runs),
        _at_most("days", days, tier.maximum_grant_days),
    ]
    if isinstance(grant, Grant):
        if share.role == "lead":
            rows.append(_at_most("label_epsilon_milli", grant.label.epsilon_milli, tier.maximum_label_epsilon_milli))
        if Operation.EVIDENCE in share.operations:
            bits = grant.evidence.bits_per_person_and_year
            rows.append(_at_most("evidence_bits", bits, tier.maximum_evidence_bits_per_person_and_year))
    return rows


def _at_most(rule: Rule, asked: int, allowed: int) -> RuleRow:
    return RuleRow(rule, asked, allowed, within=asked <= allowed)


def _tiers(share: Share, asset: AssetRegistration) -> tuple[tuple[str, int], tuple[str, int]]:
    return (share.tier, share.tier_version), (asset.tier, asset.tier_version)
