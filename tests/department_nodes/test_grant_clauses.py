"""Every clause of the guard's check of a grant: the grant as agreed passes, and each deviation is refused with its code."""

from collections.abc import Callable
from typing import Any

import pytest
from region import LEAD, Region, Stages, code_of, edited

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.grant_clauses import verify_grant
from department_nodes.guard import verify_operation
from department_nodes.home import APPROVAL_KEY
from policies.contracts.grant import Grant, GrantSignature, Operation, SignedGrant, sign_grant
from policies.contracts.steps import Step

NODE = "tax"
OTHER_KEY = signing_public_key(generate_signing_key()).hex()
OTHER_HASH = "ab" * 32
DAY_S = 24 * 3600


@pytest.fixture(scope="module")
def region(stages: Stages) -> Region:
    """The region before its first step; read, never changed, by the tests of this file."""
    return stages.before(Step.BLIND)


def changed(grant: Grant, section: str | None = None, **fields: Any) -> Grant:
    """Return the grant with fields of a section, or of itself, replaced."""
    if section is not None:
        fields = {section: getattr(grant, section).model_copy(update=fields)}
    return grant.model_copy(update=fields)


def changed_share(grant: Grant, department: str, **fields: Any) -> Grant:
    """Return the grant with fields of one department's share replaced."""
    shares = tuple(
        each.model_copy(update=fields) if each.department == department else each for each in grant.participants
    )
    return grant.model_copy(update={"participants": shares})


def refusal(region: Region, signed: SignedGrant, now_s: int | None = None, node: str = NODE) -> str:
    with pytest.raises(DoudiError) as caught:
        verify_grant(signed, region.engines[node].site(), now_s or int(region.clock()))
    return caught.value.code


def resigned(region: Region, grant: Grant) -> SignedGrant:
    """Return the grant signed anew by all with their true keys, so that only the clause under test can refuse it."""
    return region.sign(grant)


def signed_with_true_keys(region: Region, grant: Grant) -> SignedGrant:
    """Return the grant signed with every party's true approval key, also where the grant names another one."""
    centre = sign_grant(grant, "centre", "centre", region.centre_key)
    departments = tuple(
        sign_grant(grant, name, "lead" if name == LEAD else "owner", region.homes[name].key(APPROVAL_KEY))
        for name in grant.departments
    )
    return SignedGrant(grant=grant, signatures=(centre, *departments))


def without(signed: SignedGrant, party: str) -> tuple[GrantSignature, ...]:
    return tuple(signature for signature in signed.signatures if signature.party != party)


def test_the_agreed_grant_is_accepted_by_every_department(region: Region, stages: Stages) -> None:
    for name in region.departments:
        assert verify_grant(stages.signed, region.engines[name].site(), int(region.clock())).department == name


@pytest.mark.parametrize("party", ["centre", LEAD, NODE, "housing"])
def test_a_grant_without_a_required_signature_is_refused(region: Region, stages: Stages, party: str) -> None:
    signed = SignedGrant(grant=stages.signed.grant, signatures=without(stages.signed, party))
    assert refusal(region, signed) == "grant.signature_missing"


def test_an_owners_signature_does_not_count_as_the_centres(region: Region, stages: Stages) -> None:
    grant = stages.signed.grant
    as_owner = sign_grant(grant, "centre", "owner", region.centre_key)
    missing = SignedGrant(grant=grant, signatures=(*without(stages.signed, "centre"), as_owner))
    assert refusal(region, missing) == "grant.signature_missing"
    relabelled = as_owner.model_copy(update={"role": "centre"})
    wrong = SignedGrant(grant=grant, signatures=(*without(stages.signed, "centre"), relabelled))
    assert refusal(region, wrong) == "grant.bad_signature"


def test_a_signature_by_another_key_is_refused(region: Region, stages: Stages) -> None:
    grant = stages.signed.grant
    by_other_key = sign_grant(grant, "housing", "owner", generate_signing_key())
    signed = SignedGrant(grant=grant, signatures=(*without(stages.signed, "housing"), by_other_key))
    assert refusal(region, signed) == "grant.bad_signature"


def test_a_signature_by_another_key_under_the_right_keys_name_is_refused(region: Region, stages: Stages) -> None:
    grant = stages.signed.grant
    forged = sign_grant(grant, "housing", "owner", generate_signing_key())
    forged = forged.model_copy(update={"key": grant.participant("housing").approval_key})
    signed = SignedGrant(grant=grant, signatures=(*without(stages.signed, "housing"), forged))
    assert refusal(region, signed) == "grant.bad_signature"


def test_a_grant_changed_after_signing_is_refused(region: Region, stages: Stages) -> None:
    grant = changed(stages.signed.grant, runs_allowed=6)
    assert refusal(region, SignedGrant(grant=grant, signatures=stages.signed.signatures)) == "grant.bad_signature"


def test_a_grant_out_of_time_is_refused(region: Region, stages: Stages) -> None:
    grant = stages.signed.grant
    site = region.engines[NODE].site()
    assert verify_grant(stages.signed, site, grant.expires_at)
    assert refusal(region, stages.signed, grant.expires_at + 1) == "grant.expired"
    assert verify_grant(stages.signed, site, grant.not_before - 60)
    assert refusal(region, stages.signed, grant.not_before - 61) == "grant.not_yet_valid"


TERMS: list[tuple[str, Callable[[Grant], Grant], str]] = [
    ("own identity key", lambda g: changed_share(g, NODE, identity_key=OTHER_KEY), "grant.wrong_key"),
    ("another identity key", lambda g: changed_share(g, "housing", identity_key=OTHER_KEY), "grant.untrusted_key"),
    ("scheduling key", lambda g: changed(g, "scheduler", key=OTHER_KEY), "grant.untrusted_key"),
    ("program", lambda g: changed(g, program_hash=OTHER_HASH), "grant.wrong_program"),
    ("own scheduling key", lambda g: changed(g, "scheduler", department=NODE, key=OTHER_KEY), "grant.untrusted_key"),
    ("dataset", lambda g: changed_share(g, NODE, dataset="housing"), "grant.wrong_standard"),
    ("standard version", lambda g: changed_share(g, NODE, standard_version=2), "grant.wrong_standard"),
    ("standard hash", lambda g: changed_share(g, NODE, standard_hash=OTHER_HASH), "grant.wrong_standard"),
    ("unknown column", lambda g: changed_share(g, NODE, columns=("ZODIAC",)), "grant.column_not_allowed"),
    ("key column", lambda g: changed_share(g, NODE, columns=("resident_id",)), "grant.column_not_allowed"),
    ("region", lambda g: changed(g, region="elsewhere"), "policy.region"),
    ("ε", lambda g: changed(g, "label", epsilon_milli=3001), "policy.epsilon"),
    ("key holders", lambda g: changed(g, "linkage", min_key_holders=2), "policy.min_key_holders"),
    ("evidence bits", lambda g: changed(g, "evidence", bits_per_person_and_year=121), "policy.evidence_bits"),
]


@pytest.mark.parametrize(("change", "code"), [case[1:] for case in TERMS], ids=[case[0] for case in TERMS])
def test_a_fully_signed_grant_with_other_terms_is_refused(
    region: Region, stages: Stages, change: Callable[[Grant], Grant], code: str
) -> None:
    assert refusal(region, resigned(region, change(stages.signed.grant))) == code


@pytest.mark.parametrize("party", [NODE, "housing"])
def test_an_approval_key_that_is_not_pinned_is_refused(region: Region, stages: Stages, party: str) -> None:
    key = generate_signing_key()
    grant = changed_share(stages.signed.grant, party, approval_key=signing_public_key(key).hex())
    signed = signed_with_true_keys(region, grant)
    signed = SignedGrant(grant=grant, signatures=(*without(signed, party), sign_grant(grant, party, "owner", key)))
    assert refusal(region, signed) == ("grant.wrong_key" if party == NODE else "grant.untrusted_key")


def test_a_centre_key_that_is_not_pinned_is_refused(region: Region, stages: Stages) -> None:
    key = generate_signing_key()
    grant = changed(stages.signed.grant, centre_key=signing_public_key(key).hex())
    signatures = (*without(region.sign(grant), "centre"), sign_grant(grant, "centre", "centre", key))
    assert refusal(region, SignedGrant(grant=grant, signatures=signatures)) == "grant.untrusted_key"


def test_a_grant_with_a_department_that_is_not_pinned_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    home = region.homes[NODE]
    others = tuple(card for card in home.trust.departments if card.department != "housing")
    home.write_trust(home.trust.model_copy(update={"departments": others}))
    assert refusal(region, stages.signed) == "trust.unknown_party"


def test_a_grant_that_does_not_name_this_department_is_refused(region: Region, stages: Stages) -> None:
    grant = stages.signed.grant
    names = tuple(each.department for each in grant.participants if each.department != NODE)
    grant = changed(grant, "linkage", participants=names)
    grant = changed(grant, participants=tuple(grant.participant(name) for name in names))
    assert refusal(region, signed_with_true_keys(region, grant)) == "grant.not_a_participant"


POLICIES: list[tuple[dict[str, Any], str]] = [
    ({"excluded_columns": ("WAGP",)}, "grant.column_not_allowed"),
    ({"max_epsilon_milli": 999}, "policy.epsilon"),
    ({"min_key_holders": 4}, "policy.min_key_holders"),
    ({"min_declared_parties": 7}, "policy.parties"),
    ({"max_levels": 31}, "policy.levels"),
    ({"max_evidence_bits_per_person_and_year": 59}, "policy.evidence_bits"),
    ({"allow_evidence": False}, "policy.evidence"),
    ({"allow_sum_only": False}, "policy.sum_only"),
]


@pytest.mark.parametrize(("policy", "code"), POLICIES, ids=[next(iter(case[0])) for case in POLICIES])
def test_a_site_policy_narrows_what_a_grant_allows(
    region_before: Any, stages: Stages, policy: dict[str, Any], code: str
) -> None:
    region = region_before(Step.BLIND)
    region.set_policy(NODE, **policy)
    assert refusal(region, stages.signed) == code
    # The same clause stands before a step: nothing is computed and the refusal is in the journal.
    assert code_of(region.engines[NODE].answer(stages.request(Step.BLIND, NODE))) == code


def test_a_step_whose_operation_is_not_granted_is_refused(stages: Stages) -> None:
    share = stages.signed.grant.participant(NODE)
    verify_operation(share, Step.TRAIN, "both")
    for taken, mode, step in (
        (Operation.LINK, "both", Step.BLIND),
        (Operation.TRAIN, "both", Step.TRAIN),
        (Operation.EVIDENCE, "evidence", Step.TRAIN),
        (Operation.SUM_ONLY, "sum_only", Step.TRAIN),
    ):
        left = tuple(operation for operation in share.operations if operation is not taken)
        with pytest.raises(DoudiError) as caught:
            verify_operation(share.model_copy(update={"operations": left}), step, mode)  # type: ignore[arg-type]
        assert caught.value.code == "grant.operation_not_granted"


def test_a_step_of_the_other_role_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    for name, step in ((NODE, Step.RELEASE), (NODE, Step.COMBINE), (LEAD, Step.TRAIN)):
        request = edited(stages.request(Step.BLIND, name), header={"step": step.value})
        assert code_of(region.engines[name].answer(request)) == "grant.wrong_role"
