"""The terms of the ledger: who signs them, what follows what, and how many cosignatures count."""

import pytest

from crypto import sealing
from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.ledger.terms import (
    COORDINATOR,
    AuditorCard,
    LedgerTerms,
    SignedLedgerTerms,
    Witness,
    require_next_terms,
    sign_terms,
    tolerable_faults,
)

APPROVAL = generate_signing_key()
APPROVERS = (signing_public_key(APPROVAL).hex(),)


def key():
    return signing_public_key(generate_signing_key()).hex()


def auditor(name="audit-office"):
    sealing_key = sealing.sealing_public_key(sealing.generate_sealing_key()).hex()
    return AuditorCard(auditor=name, sealing_key=sealing_key, signing_key=key())


def terms(**changes):
    values = {
        "number": 1,
        "issued_at": 1_800_000_000,
        "origin": "centre.example:8443/ledger-0a1b2c3d",
        "log_key": key(),
        "auditors": (auditor(),),
        "witnesses": tuple(Witness(department=name, key=key()) for name in ("health", "housing", "tax")),
    }
    return LedgerTerms.model_validate({**values, **changes})


def code_of(act):
    with pytest.raises(DoudiError) as error:
        act()
    return error.value.code


def test_terms_signed_by_an_approver_are_read_back():
    signed = sign_terms(terms(), APPROVAL)
    assert SignedLedgerTerms.parse(signed.to_bytes()).verify(APPROVERS) == signed.terms


def test_nobody_but_the_centres_approvers_signs_terms():
    assert code_of(lambda: sign_terms(terms(), generate_signing_key()).verify(APPROVERS)) == "terms.bad_signature"
    signed = sign_terms(terms(), APPROVAL)
    forged = signed.model_copy(update={"terms": terms()})
    assert code_of(lambda: forged.verify(APPROVERS)) == "terms.bad_signature"


def test_newer_terms_follow_and_nothing_else_does():
    first = terms()
    second = first.model_copy(update={"number": 2})
    assert require_next_terms(None, first)
    assert require_next_terms(first, second)
    assert not require_next_terms(second, second)
    assert code_of(lambda: require_next_terms(second, first)) == "terms.rollback"
    other = first.model_copy(update={"checkpoint_max_age_s": 60})
    assert code_of(lambda: require_next_terms(first, other)) == "terms.fork"
    elsewhere = second.model_copy(update={"origin": "other.example/ledger"})
    assert code_of(lambda: require_next_terms(first, elsewhere)) == "terms.other_log"


@pytest.mark.parametrize(
    ("witnesses", "faulty", "quorum"),
    [(0, 0, 1), (1, 0, 1), (2, 0, 2), (3, 0, 2), (4, 1, 3), (6, 1, 4), (7, 2, 5), (9, 2, 6), (10, 3, 7)],
)
def test_more_than_half_of_all_and_the_faulty_cosign(witnesses, faulty, quorum):
    named = tuple(Witness(department=f"department-{number:02}", key=key()) for number in range(witnesses))
    assert terms(witnesses=named, tolerated_faulty_witnesses=faulty).quorum == quorum
    # Strictly more than (n+f)/2: two quorums share at least f + 1 witnesses.
    assert 2 * quorum - max(witnesses, 1) >= faulty + 1


@pytest.mark.parametrize("count", range(1, 40))
def test_the_proposed_number_of_faulty_witnesses_leaves_a_quorum_that_can_be_reached_without_them(count):
    faulty = tolerable_faults(count)
    named = tuple(Witness(department=f"department-{number:02}", key=key()) for number in range(count))
    assert terms(witnesses=named, tolerated_faulty_witnesses=faulty).quorum <= count - faulty


@pytest.mark.parametrize(
    "changes",
    [
        {"auditors": ()},
        {"number": 0},
        {"origin": "Centre Example"},
        {"origin": ""},
        {"tolerated_faulty_witnesses": 3},
        {"checkpoint_max_age_s": 5},
        {"witnesses": (Witness(department="tax", key="ab" * 32), Witness(department="health", key="cd" * 32))},
        {"witnesses": (Witness(department="health", key="ab" * 32), Witness(department="tax", key="ab" * 32))},
        {"log_key": "ab" * 32, "witnesses": (Witness(department="tax", key="ab" * 32),)},
    ],
)
def test_terms_that_contradict_themselves_are_refused(changes):
    with pytest.raises(ValueError):
        terms(**changes)


def test_an_auditor_is_named_once():
    one = auditor()
    with pytest.raises(ValueError):
        terms(auditors=(one, one))
    with pytest.raises(ValueError):
        terms(auditors=(one, auditor()))
    with pytest.raises(ValueError):
        terms(auditors=(one, auditor("second").model_copy(update={"sealing_key": one.sealing_key})))


def test_each_producer_has_its_key():
    found = terms()
    assert found.signer(COORDINATOR) == found.log_key
    assert found.signer("tax") == found.witnesses[2].key
    assert found.signer("stranger") is None


def test_another_key_is_another_fingerprint():
    one = auditor()
    assert len(one.fingerprint().replace(" ", "")) == 40
    assert one.fingerprint() != one.model_copy(update={"sealing_key": auditor().sealing_key}).fingerprint()
    assert one.fingerprint() != one.model_copy(update={"signing_key": key()}).fingerprint()
    assert one.fingerprint() != one.model_copy(update={"auditor": "other"}).fingerprint()
