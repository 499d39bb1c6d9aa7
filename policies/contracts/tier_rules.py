"""Whether a grant stays within the tiers of its assets. Every party asks its own copy of the tier files; pure.

May import crypto and policies.standards.
"""

from collections.abc import Iterator

from crypto.errors import DoudiError
from policies.contracts.grant import Grant, LineGrant
from policies.contracts.grant_terms import Operation, Share
from policies.standards.purpose_loader import load_purpose
from policies.standards.tier_loader import TierStandard, load_tier

DAY_S = 24 * 3600
ASK_OWNER = "Ask the owner which tier holds, and for a request within its rules."


def tier_of(share: Share) -> TierStandard:
    """Return the tier of a share. Raises `grant.wrong_tier` unless it is published here with the same bytes."""
    try:
        tier = load_tier(share.tier, share.tier_version)
    except DoudiError:
        raise _wrong_tier() from None
    if tier.standard_hash() != share.tier_hash:
        raise _wrong_tier()
    return tier


def verify_tier_rules(grant: Grant | LineGrant) -> None:
    """Raise the code of the first rule of the assets' tiers that a grant breaks: the first of `tier_refusals`."""
    for refusal in tier_refusals(grant):
        raise refusal


def tier_refusals(grant: Grant | LineGrant) -> Iterator[DoudiError]:
    """Yield every rule of the assets' tiers that a grant breaks, in this order; nothing for a grant within them.

    1. The purpose is published (`grant.unknown_purpose`). 2. Each tier is one that is published here (`grant.wrong_tier`) and
    federates (`tier.never_federates`). 3. It allows the share's operations (`tier.operation`). 4. Parties, runs and duration are
    within it (`tier.parties`, `tier.runs`, `tier.duration`). 5. So are ε of labels at the lead and evidence bits at the others
    (`tier.epsilon`, `tier.evidence_bits`). ε of lines is composed at each node, which knows what was spent: it is not here.
    """
    try:
        load_purpose(grant.purpose)  # 1
    except DoudiError:
        yield DoudiError(
            "grant.unknown_purpose", "the grant's purpose is not a published one", "Name one of the published purposes."
        )
    for share in grant.shares:
        try:
            tier = tier_of(share)  # 2
        except DoudiError as error:
            yield error
            continue
        if not tier.federates:
            yield _beyond("never_federates", share, "takes part in no federation")
            continue
        forbidden = set(map(str, share.operations)) - set(tier.operations)  # 3
        if forbidden:
            yield _beyond("operation", share, f"does not allow {', '.join(sorted(forbidden))}")
        if len(grant.shares) < tier.minimum_parties:  # 4
            yield _beyond("parties", share, f"asks for at least {tier.minimum_parties} parties")
        if grant.runs_allowed > tier.maximum_runs:
            yield _beyond("runs", share, f"allows at most {tier.maximum_runs} runs")
        if grant.expires_at - grant.not_before > tier.maximum_grant_days * DAY_S:
            yield _beyond("duration", share, f"allows at most {tier.maximum_grant_days} days")
        if isinstance(grant, Grant):
            yield from _privacy_refusals(grant, share, tier)  # 5


def _privacy_refusals(grant: Grant, share: Share, tier: TierStandard) -> Iterator[DoudiError]:
    if share.role == "lead" and grant.label.epsilon_milli > tier.maximum_label_epsilon_milli:
        yield _beyond("epsilon", share, f"allows ε of at most {tier.maximum_label_epsilon_milli / 1000:g}")
    gives_evidence = Operation.EVIDENCE in share.operations
    if gives_evidence and grant.evidence.bits_per_person_and_year > tier.maximum_evidence_bits_per_person_and_year:
        limit = tier.maximum_evidence_bits_per_person_and_year
        yield _beyond("evidence_bits", share, f"allows at most {limit} bits of evidence per person and year")


def _beyond(rule: str, share: Share, why: str) -> DoudiError:
    return DoudiError(f"tier.{rule}", f"{share.department}'s data are {share.tier}, which {why}", ASK_OWNER)


def _wrong_tier() -> DoudiError:
    return DoudiError(
        "grant.wrong_tier",
        "the grant names a tier that is not published here in this form",
        "Install the version of Doudi that the grant was drafted with, or ask for a new draft.",
    )
