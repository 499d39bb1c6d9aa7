"""What the verification of a mirror finds of entries, tiles and batches."""

import dataclasses

import pytest
from ledger_world import START, AuditorKeys, LedgerWorld
from mirror_hands import edit_page, edited, flip, found, next_records, places, plain_event, write_note

from auditors.verification.findings import Severity
from auditors.verification.verifier import verify_store
from crypto import signing
from crypto.checkpoint import Checkpoint, sign_checkpoint
from crypto.ledger_entries import Plain, seal_batch
from crypto.tiles import encode_bundle, parse_bundle
from policies.contracts.ledger.batches import sign_batch
from policies.contracts.ledger.placed import pack_page, parse_page
from policies.contracts.ledger.terms import COORDINATOR


@pytest.fixture
def world(tmp_path):
    made = LedgerWorld(tmp_path / "log")
    made.fill(300)
    made.publish()
    return made


@pytest.fixture
def home(world, tmp_path):
    return world.home(tmp_path / "audit")


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
    appointed, world.auditors = world.auditors, [AuditorKeys("shadow")]
    world.add(COORDINATOR, next_records(world, 3))
    world.auditors = appointed
    world.publish()
    world.refresh(home)
    assert found(home) == {"batch.other_auditors"}


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
