"""Proof files: what a third person learns from one with the centre's card alone, and what it refuses."""

import dataclasses

import ledger_world
import pytest
from ledger_world import LedgerWorld

from auditors.checking import check_proof
from auditors.home import Cards, collected_cards
from auditors.keys import AuditorKeys, all_keys, rotate_keys
from auditors.opening import OwnKeys
from auditors.proofs import make_proof
from auditors.terms_chain import verify_terms
from auditors.verification.findings import Findings, Severity
from crypto import signing
from crypto.checkpoint import Checkpoint, parse_note, sign_checkpoint
from crypto.errors import DoudiError
from crypto.ledger_entries import Plain, open_entry, parse_entry
from policies.contracts.ledger.batches import BATCH_SIGNATURE_DOMAIN, statement_of_root
from policies.contracts.ledger.entry_proof import EntryProof
from policies.contracts.ledger.placed import pack_page, parse_page
from policies.contracts.ledger.terms import sign_terms


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = LedgerWorld(tmp_path_factory.mktemp("proofs") / "log")
    made.fill(700)
    made.publish()
    return made


@pytest.fixture(scope="module")
def home(world, tmp_path_factory):
    return world.home(tmp_path_factory.mktemp("prover") / "audit")


@pytest.fixture(scope="module")
def centre(world):
    """Return what a third person has: the centre's card, nothing of the departments and no mirror."""
    return Cards(world.centre_card(), (), {})


def made(home, index, *, disclosed=True):
    chain = verify_terms(home.store, home.cards(), Findings())
    return make_proof(home.store, chain, index, OwnKeys(all_keys(home)) if disclosed else None)


def codes(checked):
    return {one.code for one in checked.findings if one.severity is not Severity.NOTICE}


@pytest.mark.parametrize("index", [0, 1, 49, 50, 255, 256, 257, 511, 512, 649, 699])
def test_a_proof_of_any_entry_shows_who_said_what_and_since_when_it_was_witnessed(world, home, centre, index):
    proof = EntryProof.parse(made(home, index).to_bytes())
    checked = check_proof(proof, centre)
    assert len(checked.findings) == 0
    assert checked.header == parse_entry(home.store.entry(index)).header
    assert checked.record.type == checked.header.type
    assert checked.checkpoint.size == 700
    assert checked.witnessed_at == world.now


def test_a_proof_without_a_key_shows_everything_but_the_content(home, centre):
    proof = made(home, 60, disclosed=False)
    checked = check_proof(proof, centre)
    assert [(one.code, one.severity) for one in checked.findings] == [("proof.without_key", Severity.NOTICE)]
    assert (checked.record, checked.header.producer) == (None, "health")


def test_a_proof_discloses_no_other_entry(home):
    proof = made(home, 60)
    other = parse_entry(home.store.entry(61))
    with pytest.raises(DoudiError, match=r"ledger\.wrong_key"):
        open_entry(proof.terms[0].terms.origin, other, bytes.fromhex(proof.entry_key))


def test_a_proof_carries_the_terms_of_a_former_key(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    world.fill(200)
    former = world.departments["tax"]
    world.departments["tax"], world.log_private = (signing.generate_signing_key() for _ in range(2))
    world.renew_terms()
    world.renew_terms()
    world.fill(10)
    world.publish()
    home = world.home(tmp_path / "audit")
    proof = made(home, 160)
    assert bytes.fromhex(proof.batch.signer) == signing.signing_public_key(former)
    assert [signed.terms.number for signed in proof.terms] == [1, 3]
    assert codes(check_proof(proof, Cards(world.centre_card(), (), {}))) == set()


# What a third person refuses.


def broken(proof, **values):
    return proof.model_copy(update=values)


def flipped(text, at=-1):
    """Return hexadecimal text with one bit changed."""
    data = bytearray(bytes.fromhex(text))
    data[at] ^= 1
    return data.hex()


def test_another_entry_under_the_proof_is_refused(home, centre):
    proof = broken(made(home, 60), entry=made(home, 61).entry)
    assert codes(check_proof(proof, centre)) == {"proof.not_in_batch", "proof.not_in_log", "ledger.wrong_key"}


def test_bytes_that_are_no_entry_are_refused(home, centre):
    assert codes(check_proof(broken(made(home, 60), entry="00"), centre)) == {
        "proof.malformed_entry",
        "proof.not_in_log",
    }


@pytest.mark.parametrize("change", ["index", "path", "short", "long"])
def test_another_place_or_path_in_the_log_is_refused(home, centre, change):
    proof = made(home, 60)
    values = {
        "index": {"index": 61},
        "path": {"path": (flipped(proof.path[0]), *proof.path[1:])},
        "short": {"path": proof.path[:-1]},
        "long": {"path": (*proof.path, "00" * 32)},
    }[change]
    assert codes(check_proof(broken(proof, **values), centre)) == {"proof.not_in_log"}


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("signature", "batch.bad_signature"),
        ("root", "proof.not_in_batch"),
        ("path", "proof.not_in_batch"),
        ("count", "proof.not_in_batch"),
    ],
)
def test_what_the_producer_did_not_sign_is_refused(home, centre, field, code):
    proof = made(home, 60)
    batch = proof.batch
    changed = {
        "signature": flipped(batch.signature),
        "root": flipped(batch.root),
        "path": (flipped(batch.path[0]), *batch.path[1:]),
        "count": 10,
    }[field]
    checked = check_proof(broken(proof, batch=batch.model_copy(update={field: changed})), centre)
    assert codes(checked) == {code}


def test_a_signer_whom_the_terms_do_not_name_is_refused(world, home, centre):
    """Somebody signs the very same batch with a key of its own."""
    proof, private = made(home, 60), signing.generate_signing_key()
    entry = parse_entry(bytes.fromhex(proof.entry))
    header = entry.header
    first = header.sequence - header.position
    root = bytes.fromhex(proof.batch.root)
    statement = statement_of_root(
        world.origin, header.producer, header.batch_id, first, proof.batch.count, root, entry.wraps_hash
    )
    values = {
        "signer": signing.signing_public_key(private).hex(),
        "signature": signing.sign(private, BATCH_SIGNATURE_DOMAIN, statement).hex(),
    }
    checked = check_proof(broken(proof, batch=proof.batch.model_copy(update=values)), centre)
    assert codes(checked) == {"batch.unknown_signer"}


def test_a_checkpoint_that_the_log_did_not_sign_is_refused(world, home, centre):
    note = sign_checkpoint(Checkpoint(world.origin, 700, world.root()), world.origin, signing.generate_signing_key())
    proof = broken(made(home, 60), checkpoint=note.to_bytes().decode())
    assert codes(check_proof(proof, centre)) == {"checkpoint.bad_signature"}
    assert codes(check_proof(broken(proof, checkpoint="nothing"), centre)) == {"checkpoint.bad_signature"}
    assert codes(check_proof(broken(proof, checkpoint="\ud800"), centre)) == {"checkpoint.bad_signature"}


def test_too_few_witnesses_are_said(home, centre):
    proof = made(home, 60)
    note = parse_note(proof.checkpoint.encode())
    few = dataclasses.replace(note, signatures=note.signatures[:2])
    checked = check_proof(broken(proof, checkpoint=few.to_bytes().decode()), centre)
    assert codes(checked) == {"witness.too_few"}
    assert checked.witnessed_at is None


def test_terms_that_another_centre_signed_are_refused(world, home, centre):
    proof = made(home, 60)
    stranger = sign_terms(world.terms[0].terms, signing.generate_signing_key())
    assert codes(check_proof(broken(proof, terms=(stranger,)), centre)) == {"terms.bad_signature"}


def test_terms_of_two_logs_or_out_of_order_are_refused(world, home, centre):
    proof, first = made(home, 60), world.terms[0]
    other = first.terms.model_copy(update={"origin": "other.example/l", "number": 2})
    second = first.terms.model_copy(update={"number": 2})
    for terms in (
        (first, sign_terms(other, world.centre_private)),
        (sign_terms(second, world.centre_private), first),
    ):
        assert codes(check_proof(broken(proof, terms=terms), centre)) == {"terms.other_log"}


def test_terms_with_a_key_that_is_none_are_refused(world, home, centre):
    bad = world.terms[0].terms.model_copy(update={"log_key": "00" * 32})
    proof = broken(made(home, 60), terms=(sign_terms(bad, world.centre_private),))
    assert codes(check_proof(proof, centre)) == {"terms.bad_key"}


def test_without_the_centres_card_a_proof_names_the_key_that_nobody_vouches_for(world, home):
    checked = check_proof(made(home, 60), Cards(None, (), {}))
    assert codes(checked) == {"terms.unpinned"}
    key = signing.key_id(signing.signing_public_key(world.centre_private))
    assert [one.detail["key_id"] for one in checked.findings] == [key]


def test_another_key_for_the_entry_is_refused(home, centre):
    checked = check_proof(broken(made(home, 60), entry_key="00" * 32), centre)
    assert codes(checked) == {"ledger.wrong_key"}
    assert checked.record is None


def test_an_entry_that_does_not_open_or_is_no_record_is_said(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    world.add("coordinator", [Plain("account.signed_in", 1, 5, b'{"project":"winter-aid"}')])
    world.publish()
    home = world.home(tmp_path / "audit")
    assert codes(check_proof(made(home, 0), Cards(world.centre_card(), (), {}))) == {"record.malformed"}


@pytest.mark.parametrize("text", [b"{}", b'{"kind":"ledger-entry-proof"}', b"\xff", b"[" * 5_000])
def test_bytes_that_are_no_proof_are_refused_with_one_code(text):
    with pytest.raises(DoudiError, match=r"document\.malformed"):
        EntryProof.parse(text)


# Making proofs.


@pytest.mark.parametrize("index", [700, 701, 2**40])
def test_an_entry_that_the_mirror_has_not_is_refused(home, index):
    with pytest.raises(DoudiError, match=r"audit\.no_entry"):
        made(home, index)


def test_an_entry_that_waits_for_witnesses_is_proven_under_the_newest_checkpoint(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    world.fill(100)
    world.publish()
    world.fill(10)
    world.publish(cosigners=["tax"])
    home = world.home(tmp_path / "audit")
    cards = Cards(world.centre_card(), (), {})
    assert codes(check_proof(made(home, 99), cards)) == set()
    assert codes(check_proof(made(home, 105), cards)) == {"witness.too_few"}


def test_what_is_not_sealed_to_the_auditor_is_proven_without_its_content(home):
    other = ledger_world.AuditorKeys("second")
    keys = OwnKeys([AuditorKeys(other.card, other.sealing, other.signing)])
    chain = verify_terms(home.store, home.cards(), Findings())
    with pytest.raises(DoudiError, match=r"proof\.not_an_auditor"):
        make_proof(home.store, chain, 60, keys)


def test_destroyed_wraps_leave_the_proof_of_existence(world, tmp_path, centre):
    home = world.home(tmp_path / "audit")
    (path,) = (home.store.folder / "batches/0.p").iterdir()
    page = parse_page(path.read_bytes(), int(path.name))
    path.write_bytes(pack_page([dataclasses.replace(batch, wraps=b"") for batch in page]))
    with pytest.raises(DoudiError, match=r"proof\.wraps_destroyed"):
        made(home, 60)
    assert codes(check_proof(made(home, 60, disclosed=False), centre)) == set()


def test_a_former_pair_of_keys_still_discloses(world, tmp_path, centre):
    home = world.home(tmp_path / "audit")
    rotate_keys(home)
    assert check_proof(made(home, 60), centre).record is not None


def test_a_mirror_with_several_pages_finds_every_batch(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    world.fill(1_300, 2)
    world.publish()
    home = world.home(tmp_path / "audit", linked=True)
    pages = [(number, batch) for number, batch in home.store.batches()]
    assert [number for number, _ in pages] == list(range(650))
    for index in range(1_300):
        number, batch = home.store.batch_of(index)
        assert (number, batch) == pages[index // 2]
    with pytest.raises(DoudiError, match=r"store\.malformed"):
        home.store.batch_of(1_300)


def test_cards_of_one_party_must_agree(world, tmp_path):
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_bytes(world.department_card("tax").to_bytes())
    other.write_bytes(world.department_card("tax").model_copy(update={"people": 5}).to_bytes())
    assert collected_cards([one, one]).departments["tax"].people == 100
    with pytest.raises(DoudiError, match=r"audit\.two_cards"):
        collected_cards([one, other])
