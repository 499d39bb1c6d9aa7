"""What tiers, purposes, the site's rules, revocation and windows ask of a grant: each accepted, and refused with its code."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from region import LEAD, Region, Stages, code_of

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.config import write_config
from department_nodes.grant_clauses import grant_refusals, verify_grant
from department_nodes.guard import parse_request, verify_request
from department_nodes.home import CENTRE, SITE_POLICY_FILE
from policies.contracts.grant import Grant, GrantSignature, SignedGrant, required_signatures, sign_grant
from policies.contracts.revocations import RevokedGrant
from policies.contracts.run_windows import parse_window
from policies.contracts.steps import Step, pack_request
from policies.standards.tier_loader import load_tier

NODE = "tax"
HOUR_S = 3600
OTHER_KEY = signing_public_key(generate_signing_key()).hex()


@pytest.fixture(scope="module")
def region(stages: Stages) -> Region:
    """The region before its first step; read, never changed, by the tests that ask for it."""
    return stages.before(Step.BLIND)


def outcome(region: Region, signed: SignedGrant, now_s: int | None = None, node: str = NODE) -> str:
    """Return the code with which a node refuses a grant, or `ok`."""
    try:
        verify_grant(signed, region.engines[node].site(), now_s or int(region.clock()))
    except DoudiError as error:
        return error.code
    return "ok"


def first_refusal(region: Region, grant: Grant, node: str = NODE) -> str:
    """Return the code of the first clause that refuses a grant's terms, whoever signed it, or `ok`."""
    refusals = grant_refusals(grant, region.engines[node].site(), int(region.clock()))
    return next((refusal.code for refusal in refusals), "ok")


def changed_share(grant: Grant, department: str, **fields: Any) -> Grant:
    shares = tuple(
        each.model_copy(update=fields) if each.department == department else each for each in grant.participants
    )
    return grant.model_copy(update={"participants": shares})


def in_tier(grant: Grant, department: str, name: str) -> Grant:
    tier = load_tier(name)
    return changed_share(grant, department, tier=name, tier_version=1, tier_hash=tier.standard_hash())


def revoked(signed: SignedGrant, at_s: int) -> RevokedGrant:
    return RevokedGrant(
        grant_hash=signed.grant_hash, reason="misuse", revoked_at=at_s, expires_at=signed.grant.expires_at
    )


# ---- tiers ----


TIERS: list[tuple[str, Callable[[Grant], Grant], str]] = [
    ("own tier is another", lambda g: in_tier(g, NODE, "general_1"), "grant.wrong_tier"),
    ("tier of another version", lambda g: changed_share(g, "housing", tier_version=9), "grant.wrong_tier"),
    ("tier with other bytes", lambda g: changed_share(g, "housing", tier_hash="ab" * 32), "grant.wrong_tier"),
    ("another's is core", lambda g: in_tier(g, "housing", "core"), "tier.never_federates"),
    ("another's gives sums only", lambda g: in_tier(g, "housing", "important"), "tier.operation"),
    ("too many runs", lambda g: g.model_copy(update={"runs_allowed": 51}), "tier.runs"),
    ("too long", lambda g: g.model_copy(update={"expires_at": g.not_before + 731 * 24 * HOUR_S}), "tier.duration"),
    ("unpublished purpose", lambda g: g.model_copy(update={"purpose": "curiosity"}), "grant.unknown_purpose"),
]


@pytest.mark.parametrize(("change", "code"), [case[1:] for case in TIERS], ids=[case[0] for case in TIERS])
def test_a_grant_beyond_the_tiers_is_refused_whoever_signed_it(
    region: Region, stages: Stages, change: Callable[[Grant], Grant], code: str
) -> None:
    assert first_refusal(region, change(stages.signed.grant)) == code


def test_a_tier_that_is_not_published_here_tells_nobody_who_must_sign(region: Region, stages: Stages) -> None:
    grant = changed_share(stages.signed.grant, "housing", tier_version=9)
    unsigned = SignedGrant(grant=grant, signatures=stages.signed.signatures)
    assert outcome(region, unsigned) == "standard.unknown_tier"


def test_a_grant_within_the_tiers_is_accepted(region: Region, stages: Stages) -> None:
    grant = stages.signed.grant.model_copy(update={"runs_allowed": 50})
    assert outcome(region, region.sign(grant)) == "ok"


@pytest.fixture(scope="module")
def two_people(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A region of important data: sums only, two people of each owner and of the centre."""
    made = Region(tmp_path_factory.mktemp("important") / "region", people=60, tier="important", further_approvers=1)
    yield made, made.sign(made.draft(modes=("sum_only",), bits_per_person_and_year=40, days=90, runs_allowed=2))
    made.close()


def without(signed: SignedGrant, unwanted: Callable[[GrantSignature], bool]) -> SignedGrant:
    kept = tuple(signature for signature in signed.signatures if not unwanted(signature))
    return SignedGrant(grant=signed.grant, signatures=kept)


def test_important_data_need_two_people_of_each_owner_and_of_the_centre(two_people: Any) -> None:
    region, signed = two_people
    assert outcome(region, signed) == "ok"
    assert len(signed.signatures) == 2 * (len(region.departments) + 1)


@pytest.mark.parametrize("party", [CENTRE, LEAD, NODE, "housing"])
def test_one_person_where_the_tier_asks_for_two_is_too_few(two_people: Any, party: str) -> None:
    region, signed = two_people
    first = next(signature for signature in signed.signatures if signature.party == party)
    one = without(signed, lambda signature: signature is first)
    assert outcome(region, one) == "grant.signature_missing"
    # The other person's signature twice is still one person.
    other = next(signature for signature in one.signatures if signature.party == party)
    twice = SignedGrant(grant=one.grant, signatures=(*one.signatures, other))
    assert outcome(region, twice) == "grant.signature_missing"


def test_a_second_signature_by_a_key_that_is_no_approvers_is_refused(two_people: Any) -> None:
    region, signed = two_people
    first = next(signature for signature in signed.signatures if signature.party == NODE)
    forged = sign_grant(signed.grant, NODE, "owner", generate_signing_key())
    wrong = without(signed, lambda signature: signature is first)
    assert (
        outcome(region, SignedGrant(grant=wrong.grant, signatures=(*wrong.signatures, forged))) == "grant.bad_signature"
    )


@pytest.mark.parametrize(
    ("tier", "people_of_owner", "people_of_centre"), [("general_3", 1, 1), ("general_4", 2, 1), ("important", 2, 2)]
)
def test_the_strictest_asset_decides_how_many_people_of_the_centre_sign(
    region: Region, stages: Stages, tier: str, people_of_owner: int, people_of_centre: int
) -> None:
    needed = {item.party: item.count for item in required_signatures(in_tier(stages.signed.grant, "housing", tier))}
    assert needed == {name: 1 for name in region.departments} | {"housing": people_of_owner, CENTRE: people_of_centre}


def test_the_centre_needs_two_people_as_soon_as_one_asset_asks_for_it(region: Region, stages: Stages) -> None:
    signed = region.sign(in_tier(stages.signed.grant, "housing", "important"))
    one = without(signed, lambda signature: signature is signed.signatures[0])
    with pytest.raises(DoudiError, match=r"of 2 signatures of centre"):
        verify_grant(one, region.engines[NODE].site(), int(region.clock()))


@pytest.mark.parametrize(("party", "code"), [(NODE, "grant.wrong_key"), ("housing", "grant.untrusted_key")])
def test_a_further_approver_that_is_not_on_the_card_is_refused(two_people: Any, party: str, code: str) -> None:
    region, signed = two_people
    # A stranger beside the true approvers, who all sign: a later grant could do with the stranger alone.
    share = signed.grant.share(party)
    for keys in ((*share.co_approval_keys, OTHER_KEY), (OTHER_KEY,), ()):
        grant = changed_share(signed.grant, party, co_approval_keys=keys)
        assert first_refusal(region, grant) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"centre_co_keys": (OTHER_KEY,)}, "grant.untrusted_key"),
        ({"centre_co_keys": ()}, "grant.untrusted_key"),
        # Who names another revocation key for the centre takes away its right to revoke.
        ({"centre_revocation_key": OTHER_KEY}, "grant.untrusted_key"),
    ],
)
def test_other_keys_of_the_centre_than_the_pinned_ones_are_refused(
    region: Region, stages: Stages, changes: dict[str, Any], code: str
) -> None:
    grant = stages.signed.grant.model_copy(update=changes)
    assert first_refusal(region, grant) == code


@pytest.mark.parametrize(("party", "code"), [(NODE, "grant.wrong_key"), ("housing", "grant.untrusted_key")])
def test_another_revocation_key_of_a_department_is_refused(
    region: Region, stages: Stages, party: str, code: str
) -> None:
    signed = region.sign(changed_share(stages.signed.grant, party, revocation_key=OTHER_KEY))
    assert outcome(region, signed) == code


# ---- purposes and the site's own rules ----


def test_a_purpose_that_the_department_does_not_allow_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    config = region.homes[NODE].config
    narrower = config.model_copy(update={"allowed_purposes": ("statistics",)})
    write_config(region.folder / NODE, narrower)
    region.stop(NODE)
    assert outcome(region, stages.signed) == "policy.purpose"
    assert code_of(region.engines[NODE].answer(stages.request(Step.BLIND, NODE))) == "policy.purpose"
    assert outcome(region, stages.signed, node="housing") == "ok"


FORBIDDING = [
    'when { context.purpose == "social_assistance" }',
    f'when {{ context.lead == "{LEAD}" }}',
    'when { context.operations.contains("evidence") }',
    'when { context.columns.contains("WAGP") }',
    'unless { context.departments.contains("education") }',
    "when { context.epsilon_milli > 999 }",
    "when { context.runs_allowed > 4 }",
    'when { resource.tier == "general_2" }',
]


def write_rules(region: Region, text: str) -> None:
    (region.folder / NODE / SITE_POLICY_FILE).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("condition", FORBIDDING)
def test_a_rule_of_the_site_forbids_a_grant_at_once_and_only_here(
    region_before: Any, stages: Stages, condition: str
) -> None:
    region = region_before(Step.BLIND)
    write_rules(region, f'@id("site.own")\nforbid (principal, action, resource)\n{condition};\n')
    assert outcome(region, stages.signed) == "policy.site_rule"
    assert code_of(region.engines[NODE].answer(stages.request(Step.BLIND, NODE))) == "policy.site_rule"
    assert outcome(region, stages.signed, node="housing") == "ok"


def test_a_rule_that_does_not_apply_forbids_nothing(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    write_rules(
        region, '@id("site.own")\nforbid (principal, action, resource) when { context.purpose == "statistics" };\n'
    )
    assert outcome(region, stages.signed) == "ok"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('@id("site.open")\npermit (principal, action, resource);\n', "policy.only_forbids"),
        ('@id("site.bad")\nforbid (principal, action, resource) when { context.purpse == "x" };\n', "policy.invalid"),
        ("forbid (principal", "policy.invalid"),
        (None, "policy.missing"),
    ],
)
def test_rules_that_cannot_be_trusted_stop_the_node(
    region_before: Any, stages: Stages, text: str | None, code: str
) -> None:
    region = region_before(Step.BLIND)
    if text is None:
        (region.folder / NODE / SITE_POLICY_FILE).unlink()
    else:
        write_rules(region, text)
    assert code_of(region.engines[NODE].answer(stages.request(Step.BLIND, NODE))) == code


def test_every_reason_is_told_and_not_only_the_first(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    region.set_policy(NODE, max_epsilon_milli=500, allow_sum_only=False)
    write_rules(region, '@id("site.own")\nforbid (principal, action, resource) when { context.runs_allowed > 1 };\n')
    grant = changed_share(stages.signed.grant, "housing", identity_key=OTHER_KEY)
    grant = grant.model_copy(update={"program_hash": "ab" * 32, "purpose": "statistics"})
    found = [each.code for each in grant_refusals(grant, region.engines[NODE].site(), int(region.clock()))]
    assert found == [
        "grant.untrusted_key",
        "grant.wrong_program",
        "policy.purpose",
        "policy.epsilon",
        "policy.sum_only",
        "policy.site_rule",
    ]


# ---- revocation ----


@pytest.mark.parametrize("party", [CENTRE, LEAD, NODE, "housing"])
def test_a_grant_that_any_of_its_parties_revoked_is_refused(region_before: Any, stages: Stages, party: str) -> None:
    region = region_before(Step.BLIND)
    assert outcome(region, stages.signed) == "ok"
    region.publish_revocations(revoked(stages.signed, int(region.clock())), by=party)
    for name in region.departments:
        assert outcome(region, stages.signed, node=name) == "grant.revoked"
        request = stages.request(Step.BLIND, name)
        assert code_of(region.engines[name].answer(request)) == "grant.revoked"


def test_a_revocation_of_another_grant_changes_nothing(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    other = revoked(region.sign(region.draft()), int(region.clock()))
    region.publish_revocations(other)
    assert outcome(region, stages.signed) == "ok"


def remove_list(region: Region, party: str) -> None:
    (region.folder / NODE / "revocations" / f"{party}.json").unlink()


def step_outcome(region: Region, stages: Stages, now_s: int) -> str:
    request = parse_request(pack_request(Step.BLIND, stages.signed, stages.manifest))
    try:
        verify_request(request, region.engines[NODE].site(), now_s)
    except DoudiError as error:
        return error.code
    return "ok"


def test_without_the_centres_list_no_grant_can_be_used(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    remove_list(region, CENTRE)
    assert outcome(region, stages.signed) == "revocation.missing"


def test_without_a_participants_list_no_step_is_answered(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    now_s = int(region.clock())
    assert step_outcome(region, stages, now_s) == "ok"
    remove_list(region, "housing")
    assert step_outcome(region, stages, now_s) == "revocation.missing"
    # Before the run it is not known who takes part: a department that stays away needs no list.
    assert outcome(region, stages.signed) == "ok"


def test_the_own_list_is_not_needed_because_it_is_always_here_first(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    remove_list(region, NODE)
    assert step_outcome(region, stages, int(region.clock())) == "ok"


def test_a_list_older_than_the_sites_limit_stops_the_node_and_at_the_limit_it_does_not(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    region.set_policy(NODE, max_revocation_age_hours=1)
    issued_at = region.engines[NODE].site().revocations[CENTRE].issued_at
    assert step_outcome(region, stages, issued_at + HOUR_S) == "ok"
    assert step_outcome(region, stages, issued_at + HOUR_S + 1) == "revocation.stale"
    assert outcome(region, stages.signed, issued_at + HOUR_S + 1) == "revocation.stale"


def test_a_participants_old_list_stops_its_run_only(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    region.set_policy(NODE, max_revocation_age_hours=1)
    site = region.engines[NODE].site()
    now_s = int(region.clock())
    old = site.revocations["housing"].model_copy(update={"issued_at": now_s - HOUR_S - 1})
    aged = replace(site, revocations={**site.revocations, "housing": old})
    request = parse_request(pack_request(Step.BLIND, stages.signed, stages.manifest))
    with pytest.raises(DoudiError, match=r"revocation\.stale"):
        verify_request(request, aged, now_s)
    assert verify_grant(stages.signed, aged, now_s).department == NODE


# ---- windows ----


@pytest.mark.parametrize(
    ("window", "code"), [("mon-sun 00:00-24:00+08:00", "ok"), ("closed", "manifest.outside_window")]
)
def test_steps_are_answered_within_the_grants_windows_only(
    region_before: Any, stages: Stages, window: str, code: str
) -> None:
    region = region_before(Step.BLIND)
    now_s = int(region.clock())
    if window == "closed":
        tomorrow = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[(now_s // (24 * HOUR_S) + 3 + 2) % 7]
        window = f"{tomorrow} 00:00-24:00+00:00"
    grant = region.draft(windows=(parse_window(window),))
    signed = region.sign(grant)
    manifest = region.schedule(signed, "run-w")
    assert region.ask(Step.BLIND, NODE, pack_request(Step.BLIND, signed, manifest)) == code
    # A manifest that was signed before its window outlives the wait for it.
    assert manifest.manifest.expires_at > now_s + 20 * HOUR_S


def test_anothers_tier_that_is_laxer_than_on_its_pinned_card_is_refused(region: Region, stages: Stages) -> None:
    """Fewer people sign for a laxer tier: who operates a node without an approver's key must not choose how many."""
    grant = stages.signed.grant
    assert first_refusal(region, in_tier(grant, "housing", "general_2")) == "ok"
    assert first_refusal(region, in_tier(grant, "housing", "general_1")) == "grant.wrong_tier"
    # A stricter one than pinned is the owner's right, and asks for more.
    assert first_refusal(region, in_tier(grant, "housing", "general_3")) in ("ok", "tier.duration", "tier.epsilon")


def test_a_cards_fingerprint_tells_its_tier(region: Region) -> None:
    card = region.cards["housing"]
    assert card.model_copy(update={"tier": "general_1"}).fingerprint() != card.fingerprint()
