"""A grant within the tiers of its assets passes; each rule of a tier refuses with its code, and says how many must sign."""

from typing import Any

import pytest

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.drafting import GrantTerms, draft_region_grant
from policies.contracts.grant import (
    Grant,
    Operation,
    SignedGrant,
    required_signatures,
    sign_grant,
    verify_grant_signatures,
)
from policies.contracts.tier_rules import verify_tier_rules
from policies.standards.tier_loader import load_tier

NOW = 1_800_000_000
NAMES = ("civil_affairs", "tax", "housing", "health")
KEYS = {name: [generate_signing_key() for _ in range(3)] for name in (*NAMES, "centre")}


def public(private: bytes) -> str:
    return signing_public_key(private).hex()


CENTRE = CentreCard(
    approval_key=public(KEYS["centre"][0]),
    co_approval_keys=(public(KEYS["centre"][1]),),
    revocation_key="11" * 32,
    api_key="22" * 32,
    url="https://c",
    superlink="c:1",
)


def card(name: str, tier: str) -> DepartmentCard:
    return DepartmentCard(
        department=name,
        region="kentucky",
        identity_key="33" * 32,
        approval_key=public(KEYS[name][0]),
        co_approval_keys=(public(KEYS[name][1]),),
        scheduling_key="44" * 32,
        revocation_key="55" * 32,
        flower_key="ecdsa",
        dataset=name,
        standard_version=1,
        standard_hash="ab" * 32,
        people=1000,
        columns=("A",),
        tier=tier,
        tier_version=1,
        tier_hash=load_tier(tier).standard_hash(),
        allowed_purposes=("social_assistance",),
        program_hash="cd" * 32,
    )


def draft(tiers: dict[str, str] | None = None, names: tuple[str, ...] = NAMES, **terms: Any) -> Grant:
    values = {
        "project_id": "winter",
        "purpose": "social_assistance",
        "target": "coverage",
        "label_period": "2026",
        "epsilon_milli": 1000,
    }
    cards = [card(name, (tiers or {}).get(name, "general_3")) for name in names]
    return draft_region_grant(CENTRE, cards[0], cards[1:], GrantTerms(**(values | terms)), NOW)


def code_of(grant: Grant) -> str:
    with pytest.raises(DoudiError) as caught:
        verify_tier_rules(grant)
    return caught.value.code


def with_share(grant: Grant, department: str, **changes: Any) -> Grant:
    shares = tuple(
        each.model_copy(update=changes) if each.department == department else each for each in grant.participants
    )
    return grant.model_copy(update={"participants": shares})


def test_a_drafted_grant_is_within_its_tiers() -> None:
    verify_tier_rules(draft())
    verify_tier_rules(draft({"tax": "important"}, modes=("sum_only",), days=180, runs_allowed=4))


def test_a_tier_of_another_content_or_name_is_refused() -> None:
    assert code_of(with_share(draft(), "tax", tier_hash="ab" * 32)) == "grant.wrong_tier"
    assert code_of(with_share(draft(), "tax", tier="general_9")) == "grant.wrong_tier"
    assert code_of(with_share(draft(), "tax", tier_version=2)) == "grant.wrong_tier"
    # The hash of a stricter tier under the name of a wider one.
    assert code_of(with_share(draft(), "tax", tier="general_1")) == "grant.wrong_tier"


def test_core_data_are_refused_in_any_grant() -> None:
    core = load_tier("core")
    grant = with_share(draft(), "tax", tier="core", tier_hash=core.standard_hash())
    assert code_of(grant) == "tier.never_federates"


def test_a_purpose_that_is_not_published_is_refused() -> None:
    assert code_of(draft(purpose="anything")) == "grant.unknown_purpose"


def test_evidence_of_important_data_is_refused_when_drafting_and_when_verifying() -> None:
    with pytest.raises(DoudiError) as caught:
        draft({"tax": "important"}, days=180, runs_allowed=4)
    assert caught.value.code == "tier.operation"
    grant = draft({"tax": "important"}, modes=("sum_only",), days=180, runs_allowed=4)
    operations = (*grant.participant("tax").operations, Operation.EVIDENCE)
    assert code_of(with_share(grant, "tax", operations=operations)) == "tier.operation"


@pytest.mark.parametrize(
    ("grant", "code"),
    [
        (draft(runs_allowed=21), "tier.runs"),
        (draft(days=366), "tier.duration"),
        (draft(epsilon_milli=3001), "tier.epsilon"),
        (draft(bits_per_person_and_year=121), "tier.evidence_bits"),
        (draft(names=NAMES[:2], modes=("evidence",), min_key_holders=2), "tier.parties"),
        (draft({"civil_affairs": "general_4"}, epsilon_milli=2001, bits_per_person_and_year=60), "tier.epsilon"),
        (draft({"health": "general_4"}, bits_per_person_and_year=61), "tier.evidence_bits"),
    ],
)
def test_each_limit_of_a_tier_refuses_with_its_code(grant: Grant, code: str) -> None:
    assert code_of(grant) == code


def test_the_limits_themselves_are_allowed() -> None:
    verify_tier_rules(draft(runs_allowed=20, days=365, epsilon_milli=3000, bits_per_person_and_year=120))


def signatures(grant: Grant, people: dict[str, int]) -> SignedGrant:
    signed = [
        sign_grant(grant, needed.party, needed.role, KEYS[needed.party][person])
        for needed in required_signatures(grant)
        for person in range(people.get(needed.party, 1))
    ]
    return SignedGrant(grant=grant, signatures=tuple(signed))


def test_higher_tiers_need_two_people_of_the_owner_and_of_the_centre() -> None:
    grant = draft({"tax": "important"}, modes=("sum_only",), days=180, runs_allowed=4)
    counts = {needed.party: needed.count for needed in required_signatures(grant)}
    assert counts == {"centre": 2, "civil_affairs": 1, "tax": 2, "housing": 1, "health": 1}
    verify_grant_signatures(signatures(grant, {"centre": 2, "tax": 2}))
    for people in ({"centre": 1, "tax": 2}, {"centre": 2, "tax": 1}):
        with pytest.raises(DoudiError) as caught:
            verify_grant_signatures(signatures(grant, people))
        assert caught.value.code == "grant.signature_missing"


def test_one_person_who_signs_twice_is_one_person() -> None:
    grant = draft({"health": "general_4"})
    signed = signatures(grant, {})
    again = sign_grant(grant, "health", "owner", KEYS["health"][0])
    with pytest.raises(DoudiError) as caught:
        verify_grant_signatures(SignedGrant(grant=grant, signatures=(*signed.signatures, again)))
    assert caught.value.code == "grant.signature_missing"


def test_a_key_that_the_grant_does_not_name_is_refused_also_as_second_person() -> None:
    grant = draft({"health": "general_4"})
    stranger = sign_grant(grant, "health", "owner", KEYS["health"][2])
    signed = signatures(grant, {})
    with pytest.raises(DoudiError) as caught:
        verify_grant_signatures(SignedGrant(grant=grant, signatures=(*signed.signatures, stranger)))
    assert caught.value.code == "grant.bad_signature"
