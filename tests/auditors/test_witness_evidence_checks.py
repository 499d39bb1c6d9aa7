"""What a witness's evidence proves by the log's own signatures, and what stays the witness's word."""

import pytest
from ledger_world import LedgerWorld

from auditors.checking_evidence import check_evidence
from auditors.home import Cards
from auditors.store import Store
from auditors.terms_chain import TermsChain
from auditors.verification.findings import Severity
from crypto import signing
from crypto.merkle_log import consistency_proof, leaves_reader
from policies.contracts.ledger.evidence import WitnessEvidence, sign_evidence
from policies.contracts.ledger.terms import sign_terms


@pytest.fixture
def world(tmp_path):
    made = LedgerWorld(tmp_path / "log")
    made.fill(300)
    made.publish()
    return made


@pytest.fixture
def nothing(tmp_path):
    return Store(tmp_path / "no-mirror")


def check(world, store, private=None, cards=None, **values):
    evidence = WitnessEvidence(witness="tax", at=world.now, terms_number=1, **values)
    signed = sign_evidence(evidence, private or world.departments["tax"])
    checked = check_evidence(signed, TermsChain(tuple(world.terms)), cards or Cards(None, (), {}), store)
    return [(one.code, one.severity) for one in checked.findings]


def text(note):
    return note.to_bytes().decode()


def another_history(world, tmp_path, entries, name="other"):
    """Return the checkpoint of a history that leaves this one at 300 entries."""
    other = world.fork(tmp_path / name)
    other.now += 1
    other.fill(entries)
    return other.publish()


def proof_between(world, old, new):
    read = leaves_reader(world.levels[0])
    return tuple(one.hex() for one in consistency_proof(read, old, new))


WORD = [("evidence.claims", Severity.WARNING)]
PROVEN = [("evidence.fork", Severity.ERROR)]
UNFOUNDED = [("evidence.unfounded", Severity.ERROR)]


def test_two_roots_for_one_size_are_proven_whoever_shows_them(world, nothing, tmp_path):
    world.fill(50)
    seen = world.publish()
    other = world.fork(tmp_path / "fork")
    assert check(world, nothing, kind="fork", seen=text(seen), offered=text(seen)) == UNFOUNDED
    other.levels[0][10] = bytes(32)
    offered = other.publish()
    assert check(world, nothing, kind="fork", seen=text(seen), offered=text(offered)) == PROVEN


def test_a_fork_at_another_size_is_the_witnesses_word_without_a_mirror_and_proven_with_one(world, nothing, tmp_path):
    offered = another_history(world, tmp_path, 70)
    world.fill(100)
    seen = world.publish()
    values = {"kind": "fork", "seen": text(offered), "offered": text(seen), "proof": ("00" * 32,)}
    assert check(world, nothing, **values) == WORD
    home = world.home(tmp_path / "audit")
    assert check(world, home.store, **values) == PROVEN


def test_a_fork_whose_own_proof_joins_the_two_is_unfounded(world, nothing):
    seen = world.notes[300]
    world.fill(100)
    offered = world.publish()
    proof = proof_between(world, 300, 400)
    assert check(world, nothing, kind="fork", seen=text(seen), offered=text(offered), proof=proof) == UNFOUNDED
    assert check(world, nothing, kind="bad_proof", seen=text(seen), offered=text(offered), proof=proof) == UNFOUNDED
    other = (proof[0][:-1] + ("0" if proof[0][-1] != "0" else "1"), *proof[1:])
    assert check(world, nothing, kind="bad_proof", seen=text(seen), offered=text(offered), proof=other) == WORD


def test_a_rollback_is_the_witnesses_word_about_the_order(world, nothing):
    offered = world.notes[300]
    world.fill(100)
    seen = world.publish()
    assert check(world, nothing, kind="rollback", seen=text(seen), offered=text(offered)) == WORD
    assert check(world, nothing, kind="rollback", seen=text(offered), offered=text(seen)) == UNFOUNDED


def test_what_the_log_did_not_sign_proves_nothing_against_it(world, nothing, tmp_path):
    seen = world.notes[300]
    world.log_private = signing.generate_signing_key()
    foreign = another_history(world, tmp_path, 5)
    assert check(world, nothing, kind="bad_signature", seen=text(seen), offered=text(foreign)) == WORD
    assert check(world, nothing, kind="bad_signature", seen=text(seen), offered=text(seen)) == UNFOUNDED
    assert check(world, nothing, kind="fork", seen=text(seen), offered=text(foreign)) == UNFOUNDED
    assert check(world, nothing, kind="fork", seen="garbage", offered=text(seen)) == UNFOUNDED
    assert check(world, nothing, kind="rollback", seen=text(seen), offered="") == UNFOUNDED


def test_an_omission_is_compared_with_the_mirror(world, tmp_path):
    home = world.home(tmp_path / "audit")
    _, batch = home.store.batch_of(60)
    values = {"kind": "omission", "first_sequence": 1, "entries": 50}
    there = check(world, home.store, batch_id=batch.batch_id.hex(), **values)
    assert there == UNFOUNDED
    assert check(world, home.store, batch_id="ab" * 16, **values) == [("evidence.omission", Severity.WARNING)]
    assert check(world, home.store, kind="omission") == UNFOUNDED


def test_two_terms_of_one_number_are_proven_by_the_centres_own_signatures(world, nothing):
    cards = Cards(world.centre_card(), (), {})
    known = world.terms[0]
    other = known.terms.model_copy(update={"checkpoint_max_age_s": 60})
    pairs = {
        "two": (sign_terms(other, world.centre_private), [("evidence.two_terms", Severity.ERROR)]),
        "same": (known, WORD),
        "not the centre's": (sign_terms(other, signing.generate_signing_key()), WORD),
        "older": (sign_terms(other.model_copy(update={"number": 7}), world.centre_private), WORD),
    }
    for offered, expected in pairs.values():
        texts = {"seen": known.to_bytes().decode(), "offered": offered.to_bytes().decode()}
        assert check(world, nothing, cards=cards, kind="other_terms", **texts) == expected
    assert check(world, nothing, cards=cards, kind="other_terms", offered="nothing") == WORD


def test_evidence_that_the_witness_did_not_sign_is_refused(world, nothing, tmp_path):
    stranger = signing.generate_signing_key()
    refused = [("evidence.bad_signature", Severity.ERROR)]
    assert check(world, nothing, private=stranger, kind="other_terms") == refused
    # A department that is no witness in the terms is known by the card that the auditor collected.
    world.departments["tax"] = stranger
    cards = Cards(None, (), {"tax": world.department_card("tax")})
    assert check(world, nothing, private=stranger, cards=cards, kind="other_terms") == WORD
