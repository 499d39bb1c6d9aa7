"""What the verification of a mirror accepts, and what it finds of terms, signatures, witnesses and their age."""

import dataclasses
import shutil

import pytest
from ledger_world import AuditorKeys, LedgerWorld
from mirror_hands import flip, found, places, write_note

from auditors.verification.findings import Severity
from auditors.verification.verifier import verify_store
from crypto import signing
from crypto.checkpoint import Checkpoint, Note, sign_checkpoint
from crypto.errors import DoudiError
from policies.contracts.ledger.terms import SignedLedgerTerms, sign_terms


@pytest.fixture
def world(tmp_path):
    made = LedgerWorld(tmp_path / "log")
    made.fill(300)
    made.publish()
    return made


@pytest.fixture
def home(world, tmp_path):
    return world.home(tmp_path / "audit")


# A sound log.


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513, 1_000])
def test_a_sound_log_of_any_size_verifies(tmp_path, size):
    world = LedgerWorld(tmp_path / "log")
    world.fill(size)
    world.publish()
    result = verify_store(world.home(tmp_path / "audit"))
    assert (result.exit_code, len(result.findings)) == (0, 0)
    assert (result.newest.size, result.newest.root, result.entries) == (size, world.root(), size)
    assert result.batches == world.batches
    assert result.signatures == world.batches
    assert sorted(result.witnessed.times) == ["health", "pension", "tax"]


def test_a_log_with_tiles_of_three_levels_and_several_pages_verifies(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    world.fill(66_000, 100)
    world.publish()
    result = verify_store(world.home(tmp_path / "audit", linked=True))
    assert (result.exit_code, result.entries, result.batches) == (0, 66_000, 660)
    assert (world.folder / "tile/2/000.p/1").is_file()
    assert (world.folder / "batches/1").is_file()


def test_terms_keys_of_log_and_auditors_may_change_over_time(world, tmp_path):
    world.log_private = signing.generate_signing_key()
    world.auditors.append(AuditorKeys("second"))
    world.departments["tax"] = signing.generate_signing_key()
    world.renew_terms()
    world.fill(100)
    world.publish()
    result = verify_store(world.home(tmp_path / "audit"))
    assert result.exit_code == 0
    assert result.chain.newest.number == 2


def test_what_was_verified_is_only_kept_after_the_tree_was_right(world, home):
    flip(home.store.folder / "tile/entries/000", 500)
    verify_store(home)
    assert not home.verified_file.exists()
    shutil.copytree(world.folder, home.store.folder, dirs_exist_ok=True)
    verify_store(home)
    assert home.verified_file.is_file()


def test_without_the_centres_card_nothing_is_verified(home):
    (home.cards_folder / "centre-card.json").unlink()
    with pytest.raises(DoudiError, match=r"audit\.no_card"):
        verify_store(home)


def test_before_the_first_visit_there_is_nothing_to_verify(home):
    shutil.rmtree(home.store.folder)
    with pytest.raises(DoudiError, match=r"audit\.not_fetched"):
        verify_store(home)


def test_progress_ends_at_the_number_of_entries(home):
    seen = []
    verify_store(home, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(256, 300), (300, 300)]


# (1) Terms.


def resigned(world, of, private=None, **values):
    """Return terms signed anew, with other values."""
    terms = world.terms[of - 1].terms.model_copy(update=values)
    return sign_terms(terms, private or world.centre_private)


def write_terms(home, number, signed: SignedLedgerTerms) -> None:
    (home.store.folder / f"terms/{number}").write_bytes(signed.to_bytes())


def test_terms_that_the_centre_did_not_sign_are_found(world, home):
    write_terms(home, 1, resigned(world, 1, signing.generate_signing_key()))
    assert found(home) == {"terms.bad_signature"}


def test_changed_terms_are_found(home):
    path = home.store.folder / "terms/1"
    path.write_bytes(path.read_bytes().replace(b'"checkpoint_max_age_s":300', b'"checkpoint_max_age_s":301'))
    assert found(home) == {"terms.bad_signature"}


def test_terms_under_another_number_are_found(world, home):
    write_terms(home, 2, world.terms[0])
    assert found(home) == {"terms.other_number"}


def test_terms_of_another_log_are_found(world, home):
    write_terms(home, 2, resigned(world, 1, number=2, origin="other.example/ledger-1"))
    assert found(home) == {"terms.other_log"}


def test_missing_terms_are_found(world, home):
    write_terms(home, 3, resigned(world, 1, number=3))
    assert places(home, "store.missing") == {"terms/2"}


def test_terms_with_a_key_that_is_none_are_found(world, home):
    write_terms(home, 2, resigned(world, 1, number=2, log_key="00" * 32))
    assert found(home) == {"terms.bad_key"}


def test_old_terms_may_be_signed_with_a_former_card_and_new_ones_may_not(world, home):
    former = world.centre_card()
    (home.cards_folder / "former").mkdir()
    (home.cards_folder / "former" / "centre-2025.json").write_bytes(former.to_bytes())
    old, world.centre_private = world.centre_private, signing.generate_signing_key()
    (home.cards_folder / "centre-card.json").write_bytes(world.centre_card().to_bytes())
    assert found(home) == {"terms.former_key"}
    world.renew_terms()
    world.publish()
    world.refresh(home)
    assert found(home) == set()
    write_terms(home, 3, resigned(world, 2, old, number=3))
    assert found(home) == {"terms.bad_signature"}


def test_a_witness_with_another_key_than_on_its_own_card_is_found(world, home):
    card = world.department_card("tax").model_copy(update={"identity_key": "09" * 32})
    (home.cards_folder / "tax.json").write_bytes(card.to_bytes())
    assert found(home) == {"witness.other_key"}


def test_a_witness_without_a_card_is_a_notice_only(home):
    (home.cards_folder / "tax.json").unlink()
    result = verify_store(home)
    assert [(one.code, one.detail) for one in result.findings] == [("witness.no_card", {"department": "tax"})]
    assert result.exit_code == 0


# (2) The log's signature.


def test_a_checkpoint_that_another_key_signed_is_found(world, home):
    note = sign_checkpoint(Checkpoint(world.origin, 300, world.root()), world.origin, signing.generate_signing_key())
    write_note(home, note)
    assert found(home) == {"checkpoint.bad_signature"}


def test_a_checkpoint_with_a_changed_signature_is_found(world, home):
    signature = world.notes[300].signatures[0]
    bad = dataclasses.replace(signature, value=signature.value[:-1] + bytes([signature.value[-1] ^ 1]))
    write_note(home, Note(world.notes[300].text, (bad, *world.notes[300].signatures[1:])), "checkpoint")
    assert found(home) == {"checkpoint.bad_signature"}


def test_a_checkpoint_of_another_log_is_found(world, home):
    write_note(home, sign_checkpoint(Checkpoint("other.example/l", 300, world.root()), "other.example/l", bytes(32)))
    assert found(home) == {"checkpoint.other_log"}


def test_a_checkpoint_under_a_former_key_after_a_later_one_is_found(world, home):
    old = world.log_private
    world.log_private = signing.generate_signing_key()
    world.renew_terms()
    world.publish()
    world.fill(10)
    world.log_private, new = old, world.log_private
    world.publish()
    world.log_private = new
    world.refresh(home)
    assert "checkpoint.former_key" in found(home)


def test_a_checkpoint_file_that_is_none_is_found(home):
    for name in ("checkpoint", "witnessed", "checkpoints/300"):
        (home.store.folder / name).write_bytes(b"\xff not a note")
    assert found(home) == {"store.malformed"}


def test_a_checkpoint_under_another_size_is_found(world, home):
    write_note(home, world.notes[300], "checkpoints/200")
    assert places(home, "store.malformed") == {"checkpoints/200"}


# (3) Witnesses.


def test_two_of_three_witnesses_are_a_quorum_and_one_is_not(world, home):
    bare = Note(world.notes[300].text, world.notes[300].signatures[:1])
    write_note(home, world.cosigned(bare, ["tax", "health"]))
    assert found(home) == set()
    write_note(home, world.cosigned(bare, ["tax"]))
    result = verify_store(home)
    assert [(one.code, one.detail) for one in result.findings] == [
        ("witness.too_few", {"have": 1, "need": 2, "witnesses": 3})
    ]
    assert result.exit_code == 12


def test_an_older_witnessed_checkpoint_counts_while_the_newest_waits(world, home):
    world.fill(20)
    world.publish(cosigners=["tax"])
    world.refresh(home)
    result = verify_store(home)
    assert (result.exit_code, result.newest.size, result.witnessed.size) == (0, 320, 300)


def test_a_wrong_cosignature_is_found_and_does_not_count(world, home):
    lines = list(world.notes[300].signatures)
    lines[1] = dataclasses.replace(lines[1], value=lines[1].value[:-1] + bytes([lines[1].value[-1] ^ 1]))
    write_note(home, Note(world.notes[300].text, tuple(lines)))
    result = verify_store(home)
    assert {one.code for one in result.findings} == {"witness.bad_cosignature"}
    assert len(result.witnessed.times) == 2


def test_a_cosignature_that_stands_twice_counts_once(world, home):
    bare = Note(world.notes[300].text, world.notes[300].signatures[:1])
    once = world.cosigned(bare, ["tax"])
    write_note(home, Note(once.text, (*once.signatures, once.signatures[-1])))
    assert found(home) == {"witness.bad_cosignature", "witness.too_few"}


def test_a_line_of_nobody_in_the_terms_is_found(world, home):
    bare = Note(world.notes[300].text, world.notes[300].signatures[:1])
    world.departments["stranger"] = signing.generate_signing_key()
    write_note(home, world.cosigned(bare, ["tax", "health", "stranger"]))
    assert found(home) == {"witness.unknown_line"}


def test_a_log_without_witnesses_is_said_to_have_none(tmp_path):
    world = LedgerWorld(tmp_path / "log", departments=())
    world.fill(10)
    world.publish()
    result = verify_store(world.home(tmp_path / "audit"))
    assert [(one.code, one.severity) for one in result.findings] == [("witness.none", Severity.WARNING)]
    assert result.exit_code == 12


# (8) Age.


def test_old_witnesses_are_found_when_newer_entries_wait(world, home):
    world.now += 301
    world.fill(10)
    world.publish(cosigners=["tax"])
    world.refresh(home)
    result = verify_store(home)
    assert [(one.code, one.detail["age_s"], one.detail["allowed_s"]) for one in result.findings] == [
        ("witness.old", 301, 300)
    ]


def test_a_quiet_log_may_have_older_witnesses_up_to_the_stated_age(world, home):
    world.now += 86_400
    world.refresh(home)
    assert found(home) == set()
    world.now += 1
    world.refresh(home)
    assert found(home) == {"witness.old"}
    assert found(home, max_age_s=90_000) == set()


def test_witnesses_from_the_future_are_found(world, home):
    bare = Note(world.notes[300].text, world.notes[300].signatures[:1])
    write_note(home, world.cosigned(bare, world.departments, at=world.now + 300))
    assert found(home) == set()
    write_note(home, world.cosigned(bare, world.departments, at=world.now + 301))
    assert found(home) == {"witness.future_time"}
