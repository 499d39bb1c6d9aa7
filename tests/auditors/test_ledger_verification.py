"""What the verification of a mirror accepts, and what each of its steps finds."""

import dataclasses
import random
import shutil
from pathlib import Path

import pytest
from ledger_world import GRANT, START, LedgerWorld

from auditors.verification.findings import CODES, MAXIMUM_PER_CODE, Findings, Severity, exit_code_of
from auditors.verification.verifier import verify_store
from crypto import signing
from crypto.checkpoint import Checkpoint, Note, sign_checkpoint
from crypto.errors import DoudiError
from crypto.ledger_entries import Plain, seal_batch
from crypto.tiles import encode_bundle, parse_bundle
from policies.contracts.ledger.batches import sign_batch
from policies.contracts.ledger.placed import pack_page, parse_page
from policies.contracts.ledger.terms import COORDINATOR, SignedLedgerTerms, sign_terms


@pytest.fixture
def world(tmp_path):
    made = LedgerWorld(tmp_path / "log")
    made.fill(300)
    made.publish()
    return made


@pytest.fixture
def home(world, tmp_path):
    return world.home(tmp_path / "audit")


def found(home, **options):
    """Return the codes of what a full verification finds, notices left out."""
    result = verify_store(home, full=True, **options)
    return {one.code for one in result.findings if one.severity is not Severity.NOTICE}


def places(home, code):
    return {one.place for one in verify_store(home, full=True).findings if one.code == code}


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


def edit_page(home, change) -> None:
    """Let `change` edit the batches of the only, partial page."""
    (path,) = (home.store.folder / "batches" / "0.p").iterdir()
    page = parse_page(path.read_bytes(), int(path.name))
    change(page)
    path.write_bytes(pack_page(page))


def edited(page, number, **values):
    page[number] = dataclasses.replace(page[number], **values)


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
    from ledger_world import AuditorKeys

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


def write_note(home, note: Note, *names: str) -> None:
    for name in names or ("checkpoint", "witnessed", "checkpoints/300"):
        (home.store.folder / name).write_bytes(note.to_bytes())


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


# (4), (5) Tree and tiles.


def test_a_changed_entry_is_found_at_its_place(home):
    path = home.store.folder / "tile/entries/001.p/44"
    entries = parse_bundle(path.read_bytes(), 44)
    entries[7] = entries[7][:-40] + bytes([entries[7][-40] ^ 1]) + entries[7][-39:]
    path.write_bytes(encode_bundle(entries))
    codes = found(home)
    assert {"tree.wrong_root", "tree.entry_changed"} <= codes
    assert "tree.tile_differs" not in codes
    assert places(home, "tree.entry_changed") == {"entry/263"}


def test_an_entry_that_was_taken_out_is_found(home):
    path = home.store.folder / "tile/entries/001.p/44"
    entries = parse_bundle(path.read_bytes(), 44)
    path.write_bytes(encode_bundle(entries[:20] + entries[21:]))
    assert places(home, "store.malformed") == {"tile/entries/001.p/44"}


def test_entries_in_another_order_are_found(home):
    path = home.store.folder / "tile/entries/000"
    entries = parse_bundle(path.read_bytes(), 256)
    entries[3], entries[4] = entries[4], entries[3]
    path.write_bytes(encode_bundle(entries))
    assert places(home, "tree.entry_changed") == {"entry/3", "entry/4"}


@pytest.mark.parametrize("tile", ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"])
def test_a_changed_tile_is_found_and_the_entries_are_not_blamed(home, tile):
    flip(home.store.folder / tile, 11)
    assert found(home) == {"tree.tile_differs"}
    assert places(home, "tree.tile_differs") == {tile.partition(".p")[0]}


@pytest.mark.parametrize("tile", ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"])
def test_a_missing_or_short_tile_is_found(home, tile):
    (home.store.folder / tile).write_bytes(b"short")
    assert found(home) == {"store.malformed"}
    (home.store.folder / tile).unlink()
    assert found(home) == {"store.missing"}


def test_a_missing_bundle_does_not_end_the_verification(home):
    (home.store.folder / "tile/entries/000").unlink()
    edit_page(home, lambda page: edited(page, 5, signature=bytes(64)))
    assert found(home) == {"store.missing", "batch.bad_signature"}


def test_where_neither_entries_nor_hashes_are_the_pass_ends_and_says_so(home):
    for name in ("tile/entries/000", "tile/0/000"):
        (home.store.folder / name).unlink()
    codes = found(home)
    assert {"store.missing", "tree.incomplete", "history.unconfirmed"} >= codes >= {"store.missing", "tree.incomplete"}


def test_a_log_that_signs_another_root_is_found(world, home):
    note = sign_checkpoint(Checkpoint(world.origin, 300, bytes(32)), world.origin, world.log_private)
    write_note(home, world.cosigned(note, world.departments))
    assert found(home) == {"tree.wrong_root"}


def test_a_checkpoint_for_more_entries_than_there_are_ends(world, home):
    note = sign_checkpoint(Checkpoint(world.origin, 2**62, bytes(32)), world.origin, world.log_private)
    write_note(home, world.cosigned(note, world.departments), "checkpoint", "witnessed")
    assert {"tree.incomplete", "batch.uncovered"} <= found(home)


# (6) Batches.


def test_a_batch_with_another_signature_is_found(home):
    edit_page(home, lambda page: edited(page, 2, signature=page[3].signature))
    result = verify_store(home)
    assert [(one.code, one.place) for one in result.findings] == [("batch.bad_signature", "batch/2")]
    assert result.exit_code == 11


def test_a_batch_of_a_signer_whom_no_terms_name_is_found(home):
    stranger = signing.signing_public_key(signing.generate_signing_key())
    edit_page(home, lambda page: edited(page, 2, signer=stranger))
    assert found(home) == {"batch.unknown_signer"}


def test_a_batch_under_another_producer_is_found(home):
    edit_page(home, lambda page: edited(page, 1, producer="tax"))
    assert "batch.inconsistent" in found(home)


def test_a_batch_that_is_left_out_of_the_page_is_found(home):
    edit_page(home, lambda page: page.pop(2))
    # The page's file says how many batches it has.
    assert "store.malformed" in found(home)


def test_batches_that_do_not_follow_each_other_are_found(home):
    edit_page(home, lambda page: edited(page, 2, first_index=page[2].first_index + 1))
    assert "batch.not_contiguous" in found(home)


def test_a_batch_beyond_the_end_is_found(home):
    edit_page(home, lambda page: edited(page, 5, count=51))
    assert {"batch.not_contiguous", "batch.uncovered"} <= found(home)


def test_entries_without_a_batch_are_found(home):
    (path,) = (home.store.folder / "batches/0.p").iterdir()
    page = parse_page(path.read_bytes(), 6)
    path.unlink()
    (path.parent / "5").write_bytes(pack_page(page[:5]))
    result = verify_store(home)
    assert [(one.code, one.place) for one in result.findings] == [("batch.uncovered", "entry/250")]


def test_a_malformed_page_is_a_finding(home):
    (path,) = (home.store.folder / "batches/0.p").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert {"store.malformed", "batch.uncovered"} <= found(home)


def test_changed_wraps_are_found_and_destroyed_ones_are_stated(home):
    edit_page(home, lambda page: edited(page, 1, wraps=page[1].wraps[:-1] + b"\x00"))
    assert found(home) == {"batch.wrong_wraps"}
    edit_page(home, lambda page: edited(page, 1, wraps=b""))
    result = verify_store(home, full=True)
    assert [(one.code, one.severity, one.detail["entries"]) for one in result.findings] == [
        ("batch.wraps_destroyed", Severity.WARNING, 50)
    ]
    assert result.exit_code == 15


def test_a_batch_that_is_sealed_to_others_than_the_auditors_is_found(world, home):
    from ledger_world import AuditorKeys

    appointed, world.auditors = world.auditors, [AuditorKeys("shadow")]
    world.add(COORDINATOR, next_records(world, 3))
    world.auditors = appointed
    world.publish()
    world.refresh(home)
    assert found(home) == {"batch.other_auditors"}


def next_records(world, count, producer=COORDINATOR):
    from itertools import islice

    return list(islice(world.records(producer), count))


def test_entries_that_name_another_batch_are_found(world, home):
    """The producer signs a batch whose entries carry another batch's id: every header must be its own."""
    keys = [bytes.fromhex(keys.card.sealing_key) for keys in world.auditors]
    plain = [Plain("account.signed_in", 1, START, b'{"account":1}')]
    one, other = (seal_batch(world.origin, COORDINATOR, 0, plain, keys) for _ in range(2))
    mixed = dataclasses.replace(one, entries=other.entries)
    world.place(sign_batch(world.origin, COORDINATOR, 0, mixed, world.log_private))
    world.publish()
    world.refresh(home)
    assert found(home) == {"batch.inconsistent"}


def test_entries_with_different_wraps_in_one_batch_are_found(world, home):
    batch = world.batch(COORDINATOR, [plain_event(), plain_event()])
    entries = (batch.entries[0], batch.entries[1][:-32] + bytes(32))
    world.place(dataclasses.replace(batch, entries=entries))
    world.publish()
    world.refresh(home)
    assert found(home) == {"batch.wrong_wraps"}


def plain_event():
    return Plain("account.signed_in", 1, START, b'{"account":1}')


def test_an_entry_that_is_none_is_found(world, home):
    batch = world.batch(COORDINATOR, [plain_event()])
    world.place(dataclasses.replace(batch, entries=(b"\x00nothing",)))
    world.publish()
    world.refresh(home)
    assert found(home) == {"batch.inconsistent"}


def test_a_former_key_after_a_later_one_is_found(world, home):
    old, new = world.departments["tax"], signing.generate_signing_key()
    world.departments["tax"] = new
    world.renew_terms()
    (home.cards_folder / "tax.json").write_bytes(world.department_card("tax").to_bytes())
    world.add("tax", next_records(world, 5, "tax"))
    world.departments["tax"] = old
    world.add("tax", next_records(world, 5, "tax"))
    world.departments["tax"] = new
    world.publish()
    world.refresh(home)
    assert found(home) == {"batch.former_key"}


def test_a_missing_number_of_a_node_is_found(world, home):
    left_out = world.batch("tax", [plain_event()] * 4)
    world.add("tax", next_records(world, 5, "tax"))
    world.publish()
    world.refresh(home)
    result = verify_store(home)
    assert [(one.code, one.place) for one in result.findings] == [("batch.gap", "batch/6")]
    detail = result.findings.__iter__().__next__().detail
    assert (detail["expected"], detail["found"]) == (left_out.first_sequence, left_out.first_sequence + 4)
    assert result.exit_code == 14


def test_batches_of_a_node_in_another_order_are_found(world, home):
    first, second = (world.batch("tax", [plain_event()] * 4) for _ in range(2))
    world.place(second)
    world.place(first)
    world.publish()
    world.refresh(home)
    assert found(home) == {"batch.gap", "batch.out_of_order"}


def test_a_batch_that_stands_twice_is_found(world, home):
    batch = world.batch(COORDINATOR, [plain_event()] * 4)
    world.place(batch)
    world.place(batch)
    world.publish()
    world.refresh(home)
    assert found(home) == {"batch.repeated"}


def test_a_numbered_batch_of_the_coordinator_is_found(world, home):
    keys = [bytes.fromhex(keys.card.sealing_key) for keys in world.auditors]
    sealed = seal_batch(world.origin, COORDINATOR, 7, [plain_event()], keys)
    world.place(sign_batch(world.origin, COORDINATOR, 7, sealed, world.log_private))
    world.publish()
    world.refresh(home)
    assert found(home) == {"batch.inconsistent"}


def test_an_unnumbered_batch_of_a_node_is_found(world, home):
    keys = [bytes.fromhex(keys.card.sealing_key) for keys in world.auditors]
    sealed = seal_batch(world.origin, "tax", 0, [plain_event()], keys)
    world.place(sign_batch(world.origin, "tax", 0, sealed, world.departments["tax"]))
    world.publish()
    world.refresh(home)
    assert found(home) == {"batch.out_of_order"}


def test_a_batch_for_another_log_is_found(world, home):
    origin, world.origin = world.origin, "other.example/ledger-1"
    world.add(COORDINATOR, [plain_event()])
    world.origin = origin
    world.publish()
    world.refresh(home)
    assert found(home) == {"batch.bad_signature"}


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


# Untrusted bytes.


def test_every_changed_byte_is_found_wherever_it_stands(world, home):
    """One changed byte in turn, in every file of the log: sampled over its bytes, with a fixed seed."""
    chosen = random.Random(5)
    for path in sorted(path for path in home.store.folder.rglob("*") if path.is_file() and path.name != "state.json"):
        whole = path.read_bytes()
        for position in chosen.sample(range(len(whole)), min(12, len(whole))):
            flip(path, position)
            result = verify_store(home, full=True)
            assert result.exit_code >= 10, (path.relative_to(home.store.folder), position)
            path.write_bytes(whole)
    assert verify_store(home, full=True).exit_code == 0


def test_garbage_in_every_file_is_a_finding_and_never_more(world, home):
    chosen = random.Random(6)
    for path in sorted(path for path in home.store.folder.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for garbage in (b"", b"{", b"\x01", chosen.randbytes(300), whole + b"\x00", whole[: len(whole) // 2]):
            path.write_bytes(garbage)
            assert verify_store(home, full=True).exit_code >= 10, path
        path.unlink()
        path.mkdir()
        if path.name == "checkpoint":
            with pytest.raises(DoudiError, match=r"audit\.not_fetched"):
                verify_store(home, full=True)
        else:
            verify_store(home, full=True)
        path.rmdir()
        path.write_bytes(whole)


def test_names_in_findings_hold_no_control_characters(home):
    edit_page(home, lambda page: edited(page, 1, producer="\x1b[2J"))
    for one in verify_store(home).findings:
        assert "\x1b" not in str(one.shown())


# Findings.


def test_the_most_serious_finding_decides_and_notices_do_not():
    findings = Findings()
    assert exit_code_of(findings) == 0
    findings.add("witness.no_card", "terms/1", Severity.NOTICE, department="tax")
    assert exit_code_of(findings) == 0
    findings.add("batch.wraps_destroyed", "batch/1", Severity.WARNING, entries=1, producer="tax")
    assert exit_code_of(findings) == 15
    findings.add("batch.gap", "batch/2", producer="tax", expected=1, found=2)
    findings.add("tree.wrong_root", "checkpoint", size=1)
    assert exit_code_of(findings) == 10


def test_findings_above_the_limit_are_counted_and_not_kept():
    findings = Findings()
    for number in range(MAXIMUM_PER_CODE + 5):
        findings.add("tree.entry_changed", f"entry/{number}")
    assert len(findings) == findings.counts["tree.entry_changed"] == MAXIMUM_PER_CODE + 5
    assert len(list(findings)) == MAXIMUM_PER_CODE


def test_a_code_that_is_not_in_the_table_is_a_mistake_of_the_program():
    with pytest.raises(KeyError):
        _ = [one.exit for one in _one_unknown()]


def _one_unknown():
    findings = Findings()
    findings.add("no.such_code", "nowhere")
    return findings


def test_every_code_ends_between_10_and_16():
    assert {int(code) for code in CODES.values()} <= set(range(10, 17))
    assert GRANT  # the world's records carry a grant
