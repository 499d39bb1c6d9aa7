"""Grants and manifests as documents: one canonical form, contradictions refused, and each signature for one role only."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.base import MAXIMUM_DOCUMENT_BYTES
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.grant import (
    Grant,
    SignedGrant,
    required_signatures,
    sign_grant,
    verify_grant_signatures,
)
from policies.contracts.manifest import KeyOffer, Manifest, SignedManifest, sign_manifest
from policies.standards.tier_loader import load_tier

PARTIES = ("civil_affairs", "tax", "housing", "health")
KEYS = {name: generate_signing_key() for name in (*PARTIES, "centre")}
PUBLIC = {name: signing_public_key(key).hex() for name, key in KEYS.items()}
HASH = "ab" * 32


def participant(name: str) -> dict[str, Any]:
    lead = name == PARTIES[0]
    return {
        "department": name,
        "role": "lead" if lead else "supporting",
        "dataset": name,
        "standard_version": 1,
        "standard_hash": HASH,
        "columns": ["A"],
        "operations": ["link", "release", "combine"] if lead else ["link", "train", "evidence", "sum_only"],
        "declared_people": 100,
        "tier": "general_2",
        "tier_version": 1,
        "tier_hash": load_tier("general_2").standard_hash(),
        "evaluation_limit": 300,
        "identity_key": PUBLIC[name],
        "approval_key": PUBLIC[name],
        "co_approval_keys": [],
        "revocation_key": PUBLIC[name],
    }


def grant_values() -> dict[str, Any]:
    return {
        "format_version": 1,
        "kind": "region",
        "grant_id": "grant-1",
        "project_id": "project-1",
        "purpose": "social_assistance",
        "region": "test",
        "not_before": 1000,
        "expires_at": 2000,
        "program_hash": HASH,
        "participants": [participant(name) for name in PARTIES],
        "linkage": {"project_id": "project-1", "nonce": HASH, "participants": list(PARTIES), "min_key_holders": 3},
        "label": {"target": "t", "label_period": "2026", "epsilon_milli": 1000, "held_out_percent": 20},
        "evidence": {"levels": 32, "max_slots": 500, "bits_per_person_and_year": 60},
        "modes": ["evidence", "sum_only"],
        "runs_allowed": 5,
        "attempts_allowed": 3,
        "scheduler": {"department": "civil_affairs", "key": PUBLIC["civil_affairs"]},
        "windows": [],
        "centre_key": PUBLIC["centre"],
        "centre_co_keys": [],
        "centre_revocation_key": PUBLIC["centre"],
    }


GRANT = Grant.model_validate(grant_values())


def signed_by_all() -> SignedGrant:
    return SignedGrant(
        grant=GRANT,
        signatures=tuple(
            sign_grant(GRANT, needed.party, needed.role, KEYS[needed.party]) for needed in required_signatures(GRANT)
        ),
    )


def offer(name: str = "tax", **changes: Any) -> KeyOffer:
    values = {
        "grant_hash": GRANT.digest(),
        "run_id": "run-1",
        "attempt": 1,
        "department": name,
        "sealing_key": "cd" * 1217,
        "mask_key": HASH,
        "people": 10,
        "program_hash": HASH,
    }
    return KeyOffer.model_validate(values | changes).signed(KEYS[name])


def manifest(*offers: KeyOffer, **changes: Any) -> Manifest:
    values = {
        "grant_hash": GRANT.digest(),
        "run_id": "run-1",
        "run_number": 1,
        "attempt": 1,
        "mode": "both",
        "created_at": 1000,
        "expires_at": 2000,
        "offers": offers or (offer("tax"), offer("housing")),
    }
    return Manifest.model_validate(values | changes)


DOCUMENTS = [
    GRANT,
    signed_by_all(),
    offer(),
    manifest(),
    sign_manifest(manifest(), KEYS["civil_affairs"]),
    CentreCard(approval_key=HASH, revocation_key=HASH, api_key=HASH, url="https://x", superlink="x:1"),
    DepartmentCard(
        department="tax",
        region="test",
        identity_key=HASH,
        approval_key=HASH,
        scheduling_key=HASH,
        revocation_key=HASH,
        flower_key="ecdsa",
        dataset="tax",
        standard_version=1,
        standard_hash=HASH,
        people=3,
        columns=("A",),
        tier="general_2",
        tier_version=1,
        tier_hash=HASH,
        allowed_purposes=("social_assistance",),
        program_hash=HASH,
    ),
]
KINDS = [type(document) for document in DOCUMENTS]


@pytest.mark.parametrize("document", DOCUMENTS, ids=[kind.__name__ for kind in KINDS])
def test_a_document_comes_back_from_its_canonical_form(document: Any) -> None:
    data = document.to_bytes()
    again = type(document).parse(data)
    assert again == document
    assert again.to_bytes() == data
    assert again.digest() == document.digest()


@pytest.mark.parametrize("document", DOCUMENTS, ids=[kind.__name__ for kind in KINDS])
def test_another_form_or_field_of_a_document_is_refused(document: Any) -> None:
    values = json.loads(document.to_bytes())
    first = next(iter(values))
    cases = [
        json.dumps(values, indent=1).encode(),
        document.to_bytes() + b" ",
        canonical_json(values | {"extra": 1}),
        canonical_json(
            {
                name: value
                for name, value in values.items()
                if name not in {"grant_hash", "grant", "approval_key", "manifest", "purpose"}
            }
        ),
        canonical_json(values | {first: {"x": [1]}}),
        canonical_json([values]),
        b"null",
        b" " * (MAXIMUM_DOCUMENT_BYTES + 1),
    ]
    for data in cases:
        with pytest.raises(DoudiError) as caught:
            type(document).parse(data)
        assert caught.value.code == "document.malformed"


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=100), kind=st.sampled_from(KINDS))
def test_random_bytes_are_no_document_and_raise_our_error(data: bytes, kind: Any) -> None:
    with pytest.raises(DoudiError) as caught:
        kind.parse(data)
    assert caught.value.code == "document.malformed"


@settings(max_examples=150, deadline=None)
@given(
    document=st.sampled_from(DOCUMENTS),
    field=st.integers(0, 30),
    value=st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
)
def test_odd_values_in_a_document_raise_our_error_or_are_valid(document: Any, field: int, value: Any) -> None:
    values = json.loads(document.to_bytes())
    name = sorted(values)[field % len(values)]
    try:
        data = canonical_json(values | {name: value})
    except DoudiError:
        return
    try:
        parsed = type(document).parse(data)
    except DoudiError as error:
        assert error.code == "document.malformed"  # noqa: PT017
    else:
        assert type(document).parse(parsed.to_bytes()) == parsed


def test_the_digest_separates_types_and_contents() -> None:
    assert len({document.digest() for document in DOCUMENTS}) == len(DOCUMENTS)
    assert GRANT.model_copy(update={"runs_allowed": 6}).digest() != GRANT.digest()


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that sets one field, for example `linkage.min_key_holders` or `participants.0.role`."""

    def apply(values: dict[str, Any]) -> None:
        *where, last = path.split(".")
        for step in where:
            values = values[int(step)] if isinstance(values, list) else values[step]  # type: ignore[assignment]
        values[last] = value

    return apply


CONTRADICTIONS = [
    ("two leads", change("participants.1.role", "lead")),
    ("no lead", change("participants.0.role", "supporting")),
    ("a department twice", change("participants.2.department", "tax")),
    ("linkage names others", change("linkage.participants", ["civil_affairs", "tax", "housing", "education"])),
    ("linkage of another project", change("linkage.project_id", "project-2")),
    ("more key holders than parties", change("linkage.min_key_holders", 5)),
    ("one key holder", change("linkage.min_key_holders", 1)),
    ("scheduler outside", change("scheduler.department", "education")),
    ("expires before it starts", change("expires_at", 1000)),
    ("ε of nothing", change("label.epsilon_milli", 0)),
    ("ε too large", change("label.epsilon_milli", 8001)),
    ("33 levels", change("evidence.levels", 33)),
    ("no run", change("runs_allowed", 0)),
    ("no mode", change("modes", [])),
    ("unknown mode", change("modes", ["gradients"])),
    ("unknown operation", change("participants.1.operations", ["link", "copy"])),
    ("no column", change("participants.1.columns", [])),
    ("short key", change("centre_key", "ab")),
    ("a path as name", change("project_id", "../x")),
    ("a float", change("runs_allowed", "1.5")),
    ("another format", change("format_version", 2)),
]


@pytest.mark.parametrize("apply", [case[1] for case in CONTRADICTIONS], ids=[case[0] for case in CONTRADICTIONS])
def test_a_grant_that_contradicts_itself_is_refused(apply: Callable[[dict[str, Any]], None]) -> None:
    values = grant_values()
    Grant.parse(canonical_json(values))
    apply(values)
    with pytest.raises(DoudiError) as caught:
        Grant.parse(canonical_json(values))
    assert caught.value.code == "document.malformed"


def test_sum_only_needs_three_supporting_departments() -> None:
    values = grant_values()
    values["participants"] = values["participants"][:3]
    values["linkage"]["participants"] = list(PARTIES[:3])
    with pytest.raises(DoudiError):
        Grant.parse(canonical_json(values))
    values["modes"] = ["evidence"]
    assert len(Grant.parse(canonical_json(values)).supporting) == 2


def test_a_grant_needs_the_signatures_of_centre_lead_and_every_owner() -> None:
    complete = signed_by_all()
    verify_grant_signatures(complete)
    assert {needed.party for needed in required_signatures(GRANT)} == {"centre", *PARTIES}
    for missing in complete.signatures:
        left = tuple(each for each in complete.signatures if each is not missing)
        with pytest.raises(DoudiError) as caught:
            verify_grant_signatures(SignedGrant(grant=GRANT, signatures=left))
        assert caught.value.code == "grant.signature_missing"


def test_a_signature_counts_for_its_party_and_role_only() -> None:
    complete = signed_by_all()
    tax = next(each for each in complete.signatures if each.party == "tax")
    others = tuple(each for each in complete.signatures if each.party != "tax")
    bad = [
        tax.model_copy(update={"signature": "00" * 64}),
        tax.model_copy(update={"key": PUBLIC["housing"]}),
        sign_grant(GRANT, "tax", "owner", KEYS["housing"]),
        next(each for each in others if each.party == "housing").model_copy(update={"party": "tax"}),
        sign_grant(GRANT, "tax", "lead", KEYS["tax"]).model_copy(update={"role": "owner"}),
        sign_grant(GRANT.model_copy(update={"runs_allowed": 9}), "tax", "owner", KEYS["tax"]),
    ]
    for signature in bad:
        with pytest.raises(DoudiError) as caught:
            verify_grant_signatures(SignedGrant(grant=GRANT, signatures=(*others, signature)))
        assert caught.value.code == "grant.bad_signature"


def test_the_linkage_domain_changes_with_every_field_of_its_section() -> None:
    domain = GRANT.linkage.domain()
    for field, value in (("nonce", "cd" * 32), ("project_id", "other"), ("min_key_holders", 2)):
        assert GRANT.linkage.model_copy(update={field: value}).domain() != domain


@pytest.mark.parametrize(
    "offers",
    [
        (offer("tax"), offer("tax")),
        (offer("tax"), offer("housing", run_id="run-2")),
        (offer("tax"), offer("housing", attempt=2)),
        (offer("tax"), offer("housing", grant_hash=HASH)),
        (offer("tax"),),
    ],
    ids=["twice", "other run", "other attempt", "other grant", "alone"],
)
def test_a_manifest_of_offers_that_do_not_belong_together_is_refused(offers: tuple[KeyOffer, ...]) -> None:
    values = json.loads(manifest().to_bytes()) | {"offers": [json.loads(each.to_bytes()) for each in offers]}
    with pytest.raises(DoudiError) as caught:
        Manifest.parse(canonical_json(values))
    assert caught.value.code == "document.malformed"


def test_an_offers_signature_covers_every_field() -> None:
    good = offer()
    good.verify(PUBLIC["tax"])
    for field, value in (("people", 11), ("mask_key", "cd" * 32), ("attempt", 2), ("program_hash", "cd" * 32)):
        with pytest.raises(DoudiError) as caught:
            good.model_copy(update={field: value}).verify(PUBLIC["tax"])
        assert caught.value.code == "offer.bad_signature"


def test_a_manifests_signature_covers_every_field_and_needs_the_scheduling_key() -> None:
    good = sign_manifest(manifest(), KEYS["civil_affairs"])
    good.verify(PUBLIC["civil_affairs"])
    with pytest.raises(DoudiError) as caught:
        good.verify(PUBLIC["tax"])
    assert caught.value.code == "manifest.bad_signature"
    for field, value in (("run_number", 2), ("mode", "evidence"), ("expires_at", 3000)):
        other = SignedManifest(manifest=good.manifest.model_copy(update={field: value}), signature=good.signature)
        with pytest.raises(DoudiError) as caught:
            other.verify(PUBLIC["civil_affairs"])
        assert caught.value.code == "manifest.bad_signature"


def test_an_unknown_department_has_no_share_and_no_offer() -> None:
    for asked, code in (
        (GRANT.participant, "grant.not_a_participant"),
        (manifest().offer, "manifest.not_a_participant"),
    ):
        with pytest.raises(DoudiError) as caught:
            asked("education")
        assert caught.value.code == code


def test_the_fingerprint_of_a_card_changes_with_each_of_its_keys() -> None:
    card = DOCUMENTS[-1]
    assert isinstance(card, DepartmentCard)
    changed = [
        card.model_copy(update={field: "cd" * 32}).fingerprint()
        for field in ("identity_key", "approval_key", "scheduling_key", "revocation_key", "flower_key", "department")
    ]
    changed.append(card.model_copy(update={"co_approval_keys": ("cd" * 32,)}).fingerprint())
    assert len({card.fingerprint(), *changed}) == 8
