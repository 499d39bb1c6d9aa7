"""Who can open what: auditors who come later, who leave, who change their keys, who are left out; and wraps for them."""

import hashlib

import pytest
from ledger_story import open_home_records
from ledger_world import AuditorKeys, LedgerWorld
from opened_logs import bodies, found_in, opened_of

from auditors.keys import all_keys, rotate_keys
from auditors.verification.findings import Severity
from auditors.wrapping import make_wraps, require_auditors
from crypto import ledger_entries
from crypto.errors import DoudiError
from crypto.ledger_entries import parse_wraps
from policies.contracts.ledger.records import Record
from policies.contracts.ledger.terms import COORDINATOR


@pytest.fixture
def world(tmp_path):
    return LedgerWorld(tmp_path / "log")


def test_an_auditor_who_was_added_later_opens_old_records_once_an_earlier_auditor_gave_wraps(world, tmp_path):
    world.fill(300)
    world.auditors.append(AuditorKeys("later"))
    terms = world.renew_terms()
    world.add(COORDINATOR, [Record("ledger.terms_changed", world.now, counts={"number": 2})])
    world.fill(60)
    home, opened = opened_of(world, tmp_path / "later", auditor=1)
    with opened:
        assert bodies(opened) == [0] * 300 + [1] * 61
        finding = found_in(home, opened)["batch.sealed_to_others"]
        assert (finding.severity, finding.detail["entries"]) == (Severity.NOTICE, 300)
    first_home, first = opened_of(world, tmp_path / "first")
    with first:
        assert bodies(first) == [1] * 361
        keys = all_keys(first_home)
        receiver = world.auditors[1].card
        require_auditors(terms, keys[0].card, receiver)
        made = make_wraps(first_home.store, first, keys, receiver, (0, 299), world.now)
    assert (made.batches, made.already, made.closed) == (6, 0, 0)
    for signed in made.documents:
        signed.verify(terms)
        wraps = signed.added.packed
        record = Record("ledger.wraps_added", world.now, actor="centre", wraps=wraps, hashes=signed.record_hashes())
        world.add(COORDINATOR, [record])
    _, opened = opened_of(world, tmp_path / "later")
    with opened:
        assert bodies(opened) == [1] * 362
        again = make_wraps(first_home.store, opened, all_keys(home), world.auditors[0].card, (0, 299), world.now)
    assert (again.batches, again.already) == (0, 6)


def test_wraps_are_given_in_documents_of_sixteen_and_for_the_wanted_entries_only(world, tmp_path):
    world.fill(40, per_batch=1)
    home, opened = opened_of(world, tmp_path / "audit")
    with opened:
        receiver = AuditorKeys("later").card
        made = make_wraps(home.store, opened, all_keys(home), receiver, (3, 36), world.now)
    assert [len(signed.added.wraps) for signed in made.documents] == [16, 16, 2]


def test_wraps_are_for_auditors_of_the_terms_only(world):
    own, stranger = world.auditors[0].card, AuditorKeys("stranger").card
    terms = world.terms[-1].terms
    for giver, receiver in ((own, stranger), (stranger, own), (own, own)):
        with pytest.raises(DoudiError, match=r"wraps\.not_an_auditor"):
            require_auditors(terms, giver, receiver)


def test_false_wraps_open_nothing_and_harm_nothing(world, tmp_path):
    world.fill(50)
    world.auditors.append(AuditorKeys("later"))
    world.renew_terms()
    home, opened = opened_of(world, tmp_path / "first")
    keys, receiver = all_keys(home), world.auditors[1].card
    with opened:
        (signed,) = make_wraps(home.store, opened, keys, receiver, (0, 49), world.now).documents
    (item,) = signed.added.wraps
    other_key = ledger_entries.wrap_batch_key(
        world.origin, COORDINATOR, bytes.fromhex(item.batch), bytes(32), [bytes.fromhex(receiver.sealing_key)]
    )
    (false_wrap,) = parse_wraps(other_key).values()
    hashes = signed.record_hashes()
    for wrap in (false_wrap, bytes(len(false_wrap))):
        packed = (item.batch + wrap.hex(),)
        world.add(COORDINATOR, [Record("ledger.wraps_added", world.now, wraps=packed, hashes=hashes)])
    home, opened = opened_of(world, tmp_path / "later", auditor=1)
    with opened:
        assert bodies(opened) == [0] * 50 + [1] * 2
        assert "batch.wrong_key" in found_in(home, opened)
    right = Record("ledger.wraps_added", world.now, wraps=signed.added.packed, hashes=hashes)
    world.add(COORDINATOR, [right])
    home, opened = opened_of(world, tmp_path / "later")
    with opened:
        assert bodies(opened) == [1] * 53
        assert "batch.wrong_key" not in found_in(home, opened)


def test_an_auditor_who_was_removed_opens_nothing_new(world, tmp_path):
    world.auditors.append(AuditorKeys("leaving"))
    world.renew_terms()
    world.fill(100)
    home, opened = opened_of(world, tmp_path / "leaving", auditor=1)
    opened.close()
    world.auditors.pop()
    world.renew_terms()
    world.add(COORDINATOR, [Record("ledger.terms_changed", world.now, counts={"number": 3})])
    world.fill(100)
    home, opened = opened_of(world, tmp_path / "leaving")
    with opened:
        assert bodies(opened) == [1] * 100 + [0] * 101
        assert found_in(home, opened)["batch.sealed_to_others"].detail["entries"] == 101


def test_an_auditor_who_is_left_out_although_the_terms_name_it_finds_it(world, tmp_path):
    world.auditors.append(AuditorKeys("second"))
    for number in (2, 3):
        world.renew_terms()
        world.add(COORDINATOR, [Record("ledger.terms_changed", world.now, counts={"number": number})])
    present = world.auditors
    world.auditors = present[:1]
    world.add("tax", [Record("node.terms.accepted", world.now, counts={"number": 3})])
    world.auditors = present
    home, opened = opened_of(world, tmp_path / "second", auditor=1)
    with opened:
        finding = found_in(home, opened)["batch.left_out"]
    assert (finding.severity, finding.place, finding.detail["producer"]) == (Severity.ERROR, "entry/2", "tax")


def test_what_was_sealed_to_a_former_key_opens_with_the_former_key(world, tmp_path):
    world.fill(50)
    home, opened = opened_of(world, tmp_path / "audit")
    opened.close()
    home.opened_file.unlink()
    new = rotate_keys(home)
    world.auditors = [AuditorKeys("court", new.sealing, new.signing)]
    world.renew_terms()
    world.fill(50)
    home, opened = opened_of(world, tmp_path / "audit")
    with opened:
        assert bodies(opened) == [1] * 100


def test_a_key_that_comes_back_later_opens_what_was_closed(world, tmp_path):
    world.fill(50)
    home, opened = opened_of(world, tmp_path / "audit")
    opened.close()
    home.opened_file.unlink()
    rotate_keys(home)
    former = next((home.keys / "former").iterdir())
    former.rename(tmp_path / "safe")
    with open_home_records(home) as opened:
        assert bodies(opened) == [0] * 50
    (tmp_path / "safe").rename(former)
    with open_home_records(home) as opened:
        assert bodies(opened) == [1] * 50


def test_the_keys_of_a_shredded_batch_are_not_given_on_by_who_has_a_copy(world, tmp_path):
    (placed,) = world.add("tax", [Record("node.report.signed", world.now)])
    digest = hashlib.sha256(placed.batch_id).hexdigest()
    world.add(COORDINATOR, [Record("ledger.batch_shredded", world.now, code="legal_order", hashes={"batch": digest})])
    home, opened = opened_of(world, tmp_path / "audit")
    with opened:
        made = make_wraps(home.store, opened, all_keys(home), AuditorKeys("later").card, (0, 0), world.now)
    assert (made.batches, made.closed) == (0, 1)
