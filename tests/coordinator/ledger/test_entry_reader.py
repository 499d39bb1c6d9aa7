"""One entry with its proofs, which an auditor's tool checks: `coordinator/ledger/entry_reader.py`."""

import pytest
from coordinator_world import DEPARTMENTS

from auditors.checking import check_proof
from auditors.home import Cards
from auditors.verification.findings import Severity, exit_code_of
from coordinator.db.session import read
from coordinator.ledger.entry_reader import first_witnessed, placed_entry, prove_entry, prove_place
from coordinator.ledger.log_reader import published_size
from crypto.checkpoint import parse_checkpoint, parse_note
from crypto.errors import DoudiError
from crypto.merkle_log import verify_inclusion
from policies.contracts.cards import CentreCard
from policies.contracts.ledger.entry_proof import EntryProof, InclusionProof


@pytest.fixture
def log(hands):
    """A witnessed log with batches of a node and of the coordinator."""
    for count in (1, 5, 70):
        assert hands.submit(hands.sealed("tax", count)).status_code == 200
    hands.witness()
    return hands


def cards(world) -> Cards:
    """Return what a third person has: the centre's card alone."""
    keys = world.config.centre_keys
    approval, *more = keys.approval_keys
    card = CentreCard(
        approval_key=approval,
        co_approval_keys=tuple(more),
        revocation_key=world.config.centre_revocation_key,
        api_key=world.config.centre_api_key,
        url=world.config.public_url,
        superlink="127.0.0.1:9092",
    )
    return Cards(card, (), {})


def proof_of(world, index: int) -> EntryProof:
    with read(world.engine) as session:
        proof = prove_entry(session, placed_entry(session, index))
    return EntryProof.parse(proof.to_bytes())


def sizes(world) -> tuple[int, int]:
    with read(world.engine) as session:
        return published_size(session), published_size(session, witnessed=True)


def checked(world, index: int):
    """Return what an auditor's tool says about an entry's proof: codes by severity, and what it shows."""
    result = check_proof(proof_of(world, index), cards(world))
    return [(one.code, one.severity) for one in result.findings], result


def test_every_entrys_proof_is_accepted_with_the_centres_card_alone(log):
    size, witnessed = sizes(log.world)
    assert size == witnessed > 80
    for index in range(size):
        findings, result = checked(log.world, index)
        assert findings == [("proof.without_key", Severity.NOTICE)], index
        assert exit_code_of(result.findings) == 0
        assert result.checkpoint.checkpoint.size == size
        assert result.witnessed_at is not None
        assert result.record is None


def test_a_proof_names_the_keys_of_former_terms(log):
    """The department is no witness any more: the proof holds the terms that named its key, beside those in force."""
    world = log.world
    index = sizes(world)[0] - 1
    others = [name for name in DEPARTMENTS if name != "tax"]
    log.name_witnesses(*others)
    log.put_terms(log.next_terms(checkpoint_max_age_s=600))
    log.witness(*others)
    proof = proof_of(world, index)
    assert [signed.terms.number for signed in proof.terms] == [2, 4]
    assert proof.terms[0].terms.signer("tax") == proof.batch.signer
    assert proof.terms[1].terms.signer("tax") is None
    findings, _ = checked(world, index)
    assert findings == [("proof.without_key", Severity.NOTICE)]


def test_an_entry_beyond_the_witnessed_checkpoint_is_proven_by_the_published_one_and_said_to_lack_witnesses(log):
    index = sizes(log.world)[0]
    assert log.submit(log.sealed("health", 1)).status_code == 200
    size = log.advance()
    findings, result = checked(log.world, index)
    assert result.checkpoint.checkpoint.size == size
    assert exit_code_of(result.findings) == 12
    assert ("proof.not_in_log", Severity.ERROR) not in findings
    with read(log.world.engine) as session:
        assert first_witnessed(session, index) is None
        assert first_witnessed(session, 0).size < size


def test_a_proof_of_another_index_is_refused(log):
    proof = proof_of(log.world, 3)
    wrong = proof.model_copy(update={"index": 4})
    assert exit_code_of(check_proof(wrong, cards(log.world)).findings) == 10


def test_a_place_is_proven_without_the_entry(log):
    with read(log.world.engine) as session:
        placed = placed_entry(session, 5)
        proof = InclusionProof.parse(prove_place(session, placed).to_bytes())
    checkpoint = parse_checkpoint(parse_note(proof.checkpoint.encode()).text)
    path = [bytes.fromhex(one) for one in proof.path]
    leaf = bytes.fromhex(proof.leaf_hash)
    verify_inclusion(checkpoint.root, leaf, 5, checkpoint.size, path)
    assert placed.data.hex() not in proof.to_bytes().decode()


def test_an_entry_is_found_at_each_place_of_its_batch(log):
    with read(log.world.engine) as session:
        last = published_size(session) - 1
        found = [placed_entry(session, index) for index in range(last + 1)]
    assert [one.first_index + one.position for one in found] == list(range(last + 1))
    assert {one.entry.header.position for one in found[-70:]} == set(range(70))
    assert all(one.position == one.entry.header.position for one in found)


@pytest.mark.parametrize("beyond", [0, 1, 10**12])
def test_an_entry_that_no_checkpoint_covers_is_unknown(log, beyond):
    assert log.submit(log.sealed("health", 1)).status_code == 200
    with read(log.world.engine) as session, pytest.raises(DoudiError) as caught:
        placed_entry(session, published_size(session) + beyond)
    assert caught.value.code == "ledger.unknown_entry"
