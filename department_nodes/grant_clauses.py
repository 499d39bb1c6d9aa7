"""What a grant must satisfy at this node, checked offline before officers sign it, before keys are offered and at every step.

Signatures are verified with the keys that this department pinned in its own list, required approvers are derived from this node's
own copy of the tier files. Pure: no database, no clock.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from crypto.errors import DoudiError
from department_nodes.config import NodeConfig
from department_nodes.home import CENTRE, PublicKeys, Trust
from department_nodes.lines.clauses import line_refusals
from department_nodes.revocations import require_not_revoked
from policies.authorization.engine import Decision
from policies.authorization.site import SiteQuestion, SiteRules
from policies.contracts.cards import DepartmentCard
from policies.contracts.grant import Grant, LineGrant, Operation, SignedGrant, verify_grant_signatures
from policies.contracts.grant_terms import Share
from policies.contracts.revocations import RevocationList
from policies.contracts.tier_rules import tier_refusals
from policies.standards.loader import load_dataset_standard
from policies.standards.tier_loader import is_laxer

CLOCK_TOLERANCE_S = 60
DAY_S = 24 * 3600
HOUR_S = 3600


@dataclass(frozen=True)
class Site:
    """What grants are compared with: all of it is the department's own, or was verified with keys that it pinned."""

    config: NodeConfig
    trust: Trust
    program_hash: str
    keys: PublicKeys
    rules: SiteRules
    revocations: Mapping[str, RevocationList]


def verify_grant(signed: SignedGrant, site: Site, now_s: int) -> Share:
    """Return this department's share of a grant; raises the code of the first clause that fails.

    1. Enough people of every required party signed, as many as this node's own tier files ask for. 2. The keys are those that
    this department pinned, and its own are its own. 3. It is in time, no list revokes it, and the centre's list is recent. 4. It
    names the program that is installed here. 5. The asset, its tier, its data standard and its columns are this node's. 6. It is
    within the tiers of all assets. 7. The purpose, the site's limits and the site's own rules allow it.
    """
    grant_hash = verify_grant_signatures(signed)  # 1
    me = verify_grant_terms(signed.grant, site, now_s)
    verify_not_revoked(grant_hash, signed.grant.departments, (CENTRE,), (), site, now_s)  # 3
    return me


def verify_not_revoked(
    grant_hash: str,
    departments: Iterable[str],
    fresh: Iterable[str],
    left_out: Iterable[str],
    site: Site,
    now_s: int,
) -> None:
    """Raise unless no party of the grant revoked it and the lists of those in `fresh` and `left_out` are recent enough.

    Codes: `revocations.require_not_revoked`.
    """
    me, max_age_s = site.config.department, site.config.policy.max_revocation_age_hours * HOUR_S
    others, rest = ([party for party in parties if party != me] for parties in (fresh, left_out))
    require_not_revoked(grant_hash, departments, site.revocations, others, rest, now_s, max_age_s)


def verify_grant_terms(grant: Grant | LineGrant, site: Site, now_s: int) -> Share:
    """Check clauses 2 to 7 of `verify_grant` but for revocations: what an officer wants to know before signing."""
    for refusal in grant_refusals(grant, site, now_s):
        raise refusal
    return grant.share(site.config.department)


def grant_refusals(grant: Grant | LineGrant, site: Site, now_s: int) -> Iterator[DoudiError]:
    """Yield every one of these clauses that refuses, in their order; nothing for a grant that this node accepts.

    Raises `grant.not_a_participant` where this department is not named: then there is nothing to compare.
    """
    me = grant.share(site.config.department)
    yield from _key_refusals(grant, me, site)  # 2
    yield from _time_refusals(grant, now_s)  # 3
    if grant.program_hash != site.program_hash:  # 4
        yield DoudiError(
            "grant.wrong_program",
            "the grant names another program than the one installed here",
            "Install that version.",
        )
    yield from _asset_refusals(me, site.config)  # 5
    yield from tier_refusals(grant)  # 6
    if grant.purpose not in site.config.allowed_purposes:  # 7
        yield DoudiError(
            "policy.purpose",
            "this department's data are not for the grant's purpose",
            "See allowed_purposes in node.toml; only this department changes it.",
        )
    if isinstance(grant, LineGrant):
        yield from line_refusals(grant, site.config, {card.department: card for card in site.trust.departments})
    else:
        yield from _target_refusals(grant, me, site.config)
        yield from _policy_refusals(grant, me, site.config)
    yield from _rule_refusals(grant, me, site, now_s)


def verify_in_time(grant: Grant | LineGrant, now_s: int) -> None:
    """Raise `grant.not_yet_valid` or `grant.expired` unless the grant is in force."""
    for refusal in _time_refusals(grant, now_s):
        raise refusal


def site_question(grant: Grant | LineGrant, me: Share, config: NodeConfig, now_s: int) -> SiteQuestion:
    """Return what the department's own rules are asked about a grant, at a time."""
    epsilon_milli = grant.label.epsilon_milli if isinstance(grant, Grant) else 0
    at = datetime.fromtimestamp(now_s, UTC)
    return SiteQuestion(
        owner=config.department,
        region=config.region,
        dataset=config.dataset,
        tier=config.tier,
        lead=grant.lead_department,
        project=grant.project_id,
        purpose=grant.purpose,
        target=grant.label.target if isinstance(grant, Grant) else grant.target,
        operations=frozenset(operation.value for operation in me.operations),
        columns=frozenset(me.columns),
        departments=frozenset(grant.departments),
        epsilon_milli=epsilon_milli,
        runs_allowed=grant.runs_allowed,
        duration_days=-(-(grant.expires_at - grant.not_before) // DAY_S),
        weekday=at.isoweekday(),
        hour_utc=at.hour,
    )


def site_decision(grant: Grant | LineGrant, me: Share, site: Site, now_s: int) -> Decision:
    """Return what the department's own rules (`site-policy.cedar`) say to a grant, with the ids of the rules that forbid it."""
    return site.rules.decide(site_question(grant, me, site.config, now_s))


def _rule_refusals(grant: Grant | LineGrant, me: Share, site: Site, now_s: int) -> Iterator[DoudiError]:
    """Anything but a clean "allowed" of the department's own rules is a refusal."""
    decision = site_decision(grant, me, site, now_s)
    if not decision.allowed:
        named = ", ".join(decision.rules) or "no rule could be evaluated"
        yield DoudiError(
            "policy.site_rule",
            f"the site's own rules forbid the grant: {named}",
            "See `doudi node policy test GRANT`; only this department changes site-policy.cedar.",
        )


def _keys(party: Share | DepartmentCard | PublicKeys) -> tuple[str, ...]:
    """Return the keys that a grant pins of a department, in one order."""
    return (party.identity_key, party.approval_key, *party.co_approval_keys, party.revocation_key)


def _key_refusals(grant: Grant | LineGrant, me: Share, site: Site) -> Iterator[DoudiError]:
    if _keys(me) != _keys(site.keys):
        yield DoudiError(
            "grant.wrong_key",
            "the grant names other keys for this department than its own",
            "Give the lead this node's present card and ask for a new draft.",
        )
    centre = site.trust.centre
    named = (grant.centre_keys, grant.centre_revocation_key)
    if centre is None or ((centre.approval_key, *centre.co_approval_keys), centre.revocation_key) != named:
        yield DoudiError(
            "grant.untrusted_key",
            "the centre's keys are not the ones that this department pinned",
            "Compare fingerprints with the centre, then `doudi node trust`.",
        )
    for participant in grant.shares:
        if participant.department == me.department:
            continue
        try:
            card = site.trust.department(participant.department)
        except DoudiError as error:
            yield error
            continue
        if _keys(card) != _keys(participant):
            yield DoudiError(
                "grant.untrusted_key",
                f"the keys of {participant.department} are not the ones that this department pinned",
                "Compare fingerprints with that department before you trust its new card.",
            )
        # Fewer people sign for a laxer tier: an operator without an approver's key must not choose how many.
        if is_laxer(participant.tier, card.tier):
            yield DoudiError(
                "grant.wrong_tier",
                f"the grant names a less strict tier for {participant.department}'s data than the pinned card does",
                "Compare the fingerprint of that department's new card by telephone before you trust it.",
            )
    yield from _scheduler_refusals(grant, site)


def _scheduler_refusals(grant: Grant | LineGrant, site: Site) -> Iterator[DoudiError]:
    """The scheduling key must be pinned too: it alone can start runs."""
    name = grant.scheduler.department
    pinned = {card.department: card.scheduling_key for card in site.trust.departments}
    pinned[site.config.department] = site.keys.scheduling_key
    # A scheduler is a participant; one whose card is not pinned is refused for that.
    if pinned.get(name, grant.scheduler.key) != grant.scheduler.key:
        yield DoudiError("grant.untrusted_key", "the scheduling key is not the one that this department pinned")


def _time_refusals(grant: Grant | LineGrant, now_s: int) -> Iterator[DoudiError]:
    if now_s < grant.not_before - CLOCK_TOLERANCE_S:
        yield DoudiError("grant.not_yet_valid", "the grant is not valid yet", "Wait for its first day.")
    if now_s > grant.expires_at:
        yield DoudiError("grant.expired", "the grant has expired", "Ask for a new grant.")


def _asset_refusals(me: Share, config: NodeConfig) -> Iterator[DoudiError]:
    if (me.tier, me.tier_version) != (config.tier, config.tier_version):
        yield DoudiError(
            "grant.wrong_tier",
            "the grant names another tier for this department's data than the department does",
            "Give the lead this node's present card and ask for a new draft.",
        )
    standard = load_dataset_standard(config.dataset, config.standard_version)
    named = (me.dataset, me.standard_version, me.standard_hash)
    if named != (config.dataset, config.standard_version, standard.standard_hash()):
        yield DoudiError(
            "grant.wrong_standard",
            "the grant names another data standard than this node's",
            "Install the standard that the grant names, or ask for a new draft.",
        )
    unknown = set(me.columns) - set(standard.feature_names)
    if unknown or set(me.columns) & set(config.policy.excluded_columns):
        yield DoudiError(
            "grant.column_not_allowed",
            "the grant names a column that this department does not give",
            "See excluded_columns in node.toml.",
        )


def _target_refusals(grant: Grant, me: Share, config: NodeConfig) -> Iterator[DoudiError]:
    standard = load_dataset_standard(config.dataset, config.standard_version)
    outcomes = {column.name for column in standard.columns if column.role == "outcome"}
    if me.role == "lead" and grant.label.target not in outcomes:
        yield DoudiError(
            "grant.unknown_target",
            "the lead's data standard has no such outcome",
            f"It has: {', '.join(outcomes) or '–'}.",
        )


def _policy_refusals(grant: Grant, me: Share, config: NodeConfig) -> Iterator[DoudiError]:
    policy = config.policy
    refusals = [
        (grant.region != config.region, "policy.region", "the grant is for another region"),
        (
            grant.label.epsilon_milli > policy.max_epsilon_milli,
            "policy.epsilon",
            "the grant's ε is above the site's cap",
        ),
        (
            grant.linkage.min_key_holders < policy.min_key_holders,
            "policy.min_key_holders",
            "the grant accepts fewer key holders than the site does",
        ),
        (
            len(grant.participants) < policy.min_declared_parties,
            "policy.parties",
            "the grant has fewer parties than the site asks for",
        ),
        (grant.evidence.levels > policy.max_levels, "policy.levels", "the grant asks for more evidence levels"),
        (
            grant.evidence.bits_per_person_and_year > policy.max_evidence_bits_per_person_and_year,
            "policy.evidence_bits",
            "the grant's yearly evidence is above the site's cap",
        ),
        (
            Operation.EVIDENCE in me.operations and not policy.allow_evidence,
            "policy.evidence",
            "the site does not give evidence",
        ),
        (
            Operation.SUM_ONLY in me.operations and not policy.allow_sum_only,
            "policy.sum_only",
            "the site takes no part in sums",
        ),
    ]
    for refused, code, message in refusals:
        if refused:
            yield DoudiError(code, message, "See [policy] in node.toml; only this department changes it.")
