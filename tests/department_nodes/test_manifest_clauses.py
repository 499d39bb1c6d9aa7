"""Every clause of the guard's check of a run's manifest and its offers, and the node's own book of run numbers and keys."""

from collections.abc import Callable
from typing import Any

import pytest
from region import LEAD, Region, Stages, code_of, edited

from crypto.errors import DoudiError
from crypto.sealing import generate_sealing_key, sealing_public_key
from crypto.signing import generate_signing_key
from department_nodes.guard import parse_request, verify_request
from department_nodes.home import IDENTITY_KEY, SCHEDULING_KEY
from department_nodes.offers import make_offer
from policies.contracts.grant import SignedGrant
from policies.contracts.manifest import KeyOffer, Manifest, SignedManifest, sign_manifest
from policies.contracts.steps import Step, pack_request

NODE = "tax"


@pytest.fixture(scope="module")
def region(stages: Stages) -> Region:
    """The region before its first step; read, never changed, by the tests that ask for it."""
    return stages.before(Step.BLIND)


def scheduled(region: Region, manifest: Manifest) -> SignedManifest:
    """Return the manifest signed with the true scheduling key, so that only the clause under test can refuse it."""
    return sign_manifest(manifest, region.homes[LEAD].key(SCHEDULING_KEY))


def refusal(
    region: Region, signed: SignedGrant, manifest: SignedManifest, now_s: int | None = None, step: Step = Step.BLIND
) -> str:
    request = parse_request(pack_request(step, signed, manifest))
    try:
        verify_request(request, region.engines[NODE].site(), now_s or int(region.clock()))
    except DoudiError as error:
        return error.code
    return "ok"


def with_offer(manifest: Manifest, offer: KeyOffer) -> Manifest:
    """Return the manifest with one department's offer replaced."""
    offers = tuple(offer if each.department == offer.department else each for each in manifest.offers)
    return manifest.model_copy(update={"offers": offers})


def without(manifest: Manifest, *departments: str) -> Manifest:
    offers = tuple(each for each in manifest.offers if each.department not in departments)
    return manifest.model_copy(update={"offers": offers})


def test_the_scheduled_manifest_is_accepted(region: Region, stages: Stages) -> None:
    assert refusal(region, stages.signed, stages.manifest) == "ok"


def test_a_manifest_that_the_scheduler_did_not_sign_is_refused(region: Region, stages: Stages) -> None:
    by_another_department = sign_manifest(stages.manifest.manifest, region.homes["housing"].key(SCHEDULING_KEY))
    assert refusal(region, stages.signed, by_another_department) == "manifest.bad_signature"
    by_the_leads_identity = sign_manifest(stages.manifest.manifest, region.homes[LEAD].key(IDENTITY_KEY))
    assert refusal(region, stages.signed, by_the_leads_identity) == "manifest.bad_signature"


def test_a_manifest_changed_after_signing_is_refused(region: Region, stages: Stages) -> None:
    changed = stages.manifest.manifest.model_copy(update={"run_number": 2})
    tampered = stages.manifest.model_copy(update={"manifest": changed})
    assert refusal(region, stages.signed, tampered) == "manifest.bad_signature"


def test_a_manifest_of_another_grant_is_refused(region: Region, stages: Stages) -> None:
    other = region.sign(stages.signed.grant.model_copy(update={"grant_id": "grant-other"}))
    assert refusal(region, other, stages.manifest) == "manifest.wrong_grant"


@pytest.mark.parametrize("header", [{"run_id": "run-2"}, {"attempt": 2}])
def test_a_manifest_of_another_run_or_attempt_is_refused(
    region: Region, stages: Stages, header: dict[str, object]
) -> None:
    request = edited(pack_request(Step.BLIND, stages.signed, stages.manifest), header=header)
    with pytest.raises(DoudiError) as caught:
        verify_request(parse_request(request), region.engines[NODE].site(), int(region.clock()))
    assert caught.value.code == "manifest.wrong_run"


def test_a_manifest_out_of_time_is_refused(region: Region, stages: Stages) -> None:
    manifest = stages.manifest.manifest
    assert refusal(region, stages.signed, stages.manifest, manifest.expires_at) == "ok"
    assert refusal(region, stages.signed, stages.manifest, manifest.expires_at + 1) == "manifest.expired"
    later = scheduled(region, manifest.model_copy(update={"created_at": manifest.created_at + 3600}))
    assert refusal(region, stages.signed, later, manifest.created_at) == "manifest.expired"


CHANGES: list[tuple[str, Callable[[Manifest], Manifest], str]] = [
    ("run number", lambda m: m.model_copy(update={"run_number": 6}), "manifest.too_many_runs"),
    ("no lead", lambda m: without(m, LEAD).model_copy(update={"mode": "evidence"}), "manifest.wrong_participants"),
    ("sum without one", lambda m: without(m, "housing"), "manifest.sum_needs_everyone"),
    (
        "sum-only without one",
        lambda m: without(m, "housing").model_copy(update={"mode": "sum_only"}),
        "manifest.sum_needs_everyone",
    ),
    (
        "two key holders",
        lambda m: without(m, "housing", "health_disability", "human_resources", "public_security").model_copy(
            update={"mode": "evidence"}
        ),
        "manifest.too_few_key_holders",
    ),
    (
        "without this department",
        lambda m: without(m, NODE).model_copy(update={"mode": "evidence"}),
        "manifest.not_a_participant",
    ),
]


@pytest.mark.parametrize(("change", "code"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES])
def test_a_run_beyond_the_grant_is_refused_although_the_scheduler_signed_it(
    region: Region, stages: Stages, change: Callable[[Manifest], Manifest], code: str
) -> None:
    assert refusal(region, stages.signed, scheduled(region, change(stages.manifest.manifest))) == code


def test_a_run_without_a_department_is_accepted_in_evidence_mode(region: Region, stages: Stages) -> None:
    manifest = without(stages.manifest.manifest, "housing").model_copy(update={"mode": "evidence"})
    assert refusal(region, stages.signed, scheduled(region, manifest)) == "ok"


def test_an_attempt_beyond_the_grant_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    assert stages.signed.grant.attempts_allowed == 3
    last = region.schedule(stages.signed, attempt=3)
    assert refusal(region, stages.signed, last) == "ok"
    beyond = region.schedule(stages.signed, attempt=4)
    assert refusal(region, stages.signed, beyond) == "manifest.too_many_attempts"


@pytest.mark.parametrize(
    ("granted", "mode"), [("evidence", "both"), ("evidence", "sum_only"), ("sum_only", "evidence")]
)
def test_a_mode_that_is_not_granted_is_refused(region_before: Any, granted: Any, mode: Any) -> None:
    region = region_before(Step.BLIND)
    signed = region.sign(region.draft(modes=(granted,)))
    assert refusal(region, signed, region.schedule(signed, "run-a", mode=granted)) == "ok"
    assert refusal(region, signed, region.schedule(signed, "run-b", mode=mode)) == "manifest.mode_not_granted"


def test_a_department_outside_the_grant_is_refused(region: Region, stages: Stages) -> None:
    manifest = stages.manifest.manifest
    stranger = manifest.offer("housing").model_copy(update={"department": "education"})
    wider = manifest.model_copy(update={"offers": (*manifest.offers, stranger), "mode": "evidence"})
    assert refusal(region, stages.signed, scheduled(region, wider)) == "manifest.wrong_participants"


def resigned_offer(region: Region, stages: Stages, **fields: object) -> SignedManifest:
    """Return the manifest with housing's offer changed and signed by housing's true key."""
    offer = stages.manifest.manifest.offer("housing").model_copy(update=fields)
    offer = offer.signed(region.homes["housing"].key(IDENTITY_KEY))
    return scheduled(region, with_offer(stages.manifest.manifest, offer))


def test_an_offer_signed_by_another_key_is_refused(region: Region, stages: Stages) -> None:
    swapped_key = sealing_public_key(generate_sealing_key()).hex()
    offer = stages.manifest.manifest.offer("housing").model_copy(update={"sealing_key": swapped_key})
    for forged in (offer, offer.signed(generate_signing_key()), offer.signed(region.homes[LEAD].key(IDENTITY_KEY))):
        manifest = scheduled(region, with_offer(stages.manifest.manifest, forged))
        assert refusal(region, stages.signed, manifest) == "offer.bad_signature"


def test_an_offer_of_a_list_longer_than_declared_is_refused(region: Region, stages: Stages) -> None:
    declared = stages.signed.grant.participant("housing").declared_people
    assert refusal(region, stages.signed, resigned_offer(region, stages, people=declared)) == "ok"
    assert refusal(region, stages.signed, resigned_offer(region, stages, people=declared + 1)) == "offer.list_too_long"


def test_an_offer_of_another_program_is_refused(region: Region, stages: Stages) -> None:
    assert (
        refusal(region, stages.signed, resigned_offer(region, stages, program_hash="ab" * 32)) == "offer.wrong_program"
    )


@pytest.mark.parametrize("key", ["ab" * 100, "a" * 65])
def test_an_offer_of_a_malformed_sealing_key_is_refused(region: Region, stages: Stages, key: str) -> None:
    assert refusal(region, stages.signed, resigned_offer(region, stages, sealing_key=key)) == "offer.bad_key"


def test_a_manifest_with_other_run_keys_than_this_node_offered_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    # Even this department's own key under another offer does not count: the node opens envelopes with the keys it stored.
    offer = stages.manifest.manifest.offer(NODE)
    other = offer.model_copy(update={"sealing_key": sealing_public_key(generate_sealing_key()).hex()})
    other = other.signed(region.homes[NODE].key(IDENTITY_KEY))
    manifest = scheduled(region, with_offer(stages.manifest.manifest, other))
    assert (
        code_of(region.engines[NODE].answer(pack_request(Step.BLIND, stages.signed, manifest))) == "manifest.wrong_keys"
    )
    assert region.ask(Step.BLIND, NODE, stages.request(Step.BLIND, NODE)) == "ok"


def test_a_run_without_an_offer_of_this_node_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    twin = region_before(Step.BLIND)
    # The twin stands for a thief of this department's identity key: the offer is well signed, but not from this node.
    offers = [
        make_offer((twin if name == NODE else region).engines[name], stages.signed, "run-9", 1)
        for name in region.departments
    ]
    manifest = stages.manifest.manifest.model_copy(update={"run_id": "run-9", "run_number": 2, "offers": tuple(offers)})
    request = pack_request(Step.BLIND, stages.signed, scheduled(region, manifest))
    assert code_of(region.engines[NODE].answer(request)) == "manifest.wrong_keys"


def test_a_run_number_is_used_by_one_run_only(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)  # run-1 has taken number 1
    same_number = region.schedule(stages.signed, "run-2", run_number=1)
    request = pack_request(Step.BLIND, stages.signed, same_number)
    assert region.ask(Step.BLIND, NODE, request) == "manifest.run_number_taken"
    region.restart(NODE)
    assert region.ask(Step.BLIND, NODE, request) == "manifest.run_number_taken"
    next_number = region.schedule(stages.signed, "run-2", run_number=2)
    assert region.ask(Step.BLIND, NODE, pack_request(Step.BLIND, stages.signed, next_number)) == "ok"


def test_a_run_keeps_its_number_in_a_second_attempt(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    other_number = region.schedule(stages.signed, run_number=2, attempt=2)
    request = pack_request(Step.BLIND, stages.signed, other_number)
    assert region.ask(Step.BLIND, NODE, request) == "manifest.run_number_taken"
    again = region.schedule(stages.signed, run_number=1, attempt=2)
    assert region.ask(Step.BLIND, NODE, pack_request(Step.BLIND, stages.signed, again)) == "ok"


def test_a_runs_name_under_another_grant_is_not_an_uncounted_run(region_before: Any) -> None:
    region = region_before(Step.EVALUATE)
    other = region.sign(region.draft())
    manifest = region.schedule(other, "run-1", run_number=1, attempt=2)
    assert region.ask(Step.BLIND, NODE, pack_request(Step.BLIND, other, manifest)) == "manifest.run_number_taken"
