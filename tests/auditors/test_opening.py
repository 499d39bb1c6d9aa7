"""Opening a verified mirror: what comes out, what does not open and is found, and who can open what."""

import hashlib
import sqlite3

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from ledger_world import LedgerWorld
from opened_logs import bodies, found_in, opened_of

from auditors.acts import Acts
from auditors.home import Home
from auditors.keys import all_keys
from auditors.opened import OpenedRecords
from auditors.opening import OwnKeys, open_pending
from auditors.verification.findings import Severity
from auditors.verification.verifier import verify_store
from crypto import domains, ledger_entries
from crypto.errors import DoudiError
from crypto.ledger_entries import Plain, entry_key, open_wrap, parse_entry, parse_wraps
from policies.contracts.ledger.batches import Batch, sign_batch
from policies.contracts.ledger.record_types import RECORD_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import COORDINATOR


@pytest.fixture
def world(tmp_path):
    return LedgerWorld(tmp_path / "log")


def test_every_record_comes_out_as_it_was_recorded(world, tmp_path):
    expected = [
        Record("account.signed_in", 1_772_000_000, account=7, actor="centre", counts={"about_account": 7}),
        Record("request.drafted", 1_772_000_001, actor="tax", account=3, purpose="audit", assets=("tax/people",)),
    ]
    world.add(COORDINATOR, expected)
    step = Record("node.step.refused", 1_772_000_002, run="run-1", attempt=2, step="train", code="grant.expired")
    world.add("tax", [step])
    home, opened = opened_of(world, tmp_path / "audit")
    with opened:
        first, second, third = Acts(opened).where("TRUE")
    assert (first.type, first.at, first.who, first.producer, first.account) == (
        "account.signed_in",
        1_772_000_000,
        "centre",
        "coordinator",
        7,
    )
    assert (second.purpose, second.assets, second.who, second.traced) == ("audit", ("tax/people",), "tax", False)
    assert (third.run, third.attempt, third.step, third.code, third.who) == (
        "run-1",
        2,
        "train",
        "grant.expired",
        "tax",
    )
    assert home.opened_file.stat().st_mode & 0o777 == 0o600


def test_the_side_files_of_the_database_are_the_auditors_alone_too(world, tmp_path):
    world.fill(60)
    home, opened = opened_of(world, tmp_path / "audit")
    modes = {path.name: path.stat().st_mode & 0o777 for path in home.path.glob("opened.db*")}
    opened.close()
    assert len(modes) > 1
    assert set(modes.values()) == {0o600}


def test_a_further_opening_takes_only_what_is_new(world, tmp_path):
    world.fill(300)
    _, opened = opened_of(world, tmp_path / "audit")
    opened.close()
    world.fill(100)
    world.publish()
    home = Home(tmp_path / "audit")
    world.refresh(home)
    verify_store(home)
    with OpenedRecords.create(home.opened_file, world.origin) as opened:
        portion = open_pending(home.store, opened, OwnKeys(all_keys(home)), world.size)
        assert (portion.entries, opened.size) == (100, 400)
        assert bodies(opened) == [1] * 400
        assert open_pending(home.store, opened, OwnKeys(all_keys(home)), world.size).entries == 0


def test_an_opening_that_ends_in_the_middle_goes_on_where_it_was(world, tmp_path):
    world.fill(400)
    world.publish()
    home = world.home(tmp_path / "audit")
    keys = OwnKeys(all_keys(home))

    class Stopped(Exception):
        pass

    def stop(done, total):
        if done >= 200:
            raise Stopped

    opened = OpenedRecords.create(home.opened_file, world.origin)
    with pytest.raises(Stopped):
        open_pending(home.store, opened, keys, 400, stop, portion_entries=50)
    opened.close()
    with OpenedRecords.create(home.opened_file, world.origin) as opened:
        assert opened.size == 200
        assert open_pending(home.store, opened, keys, 400).entries == 200
        assert bodies(opened) == [1] * 400
        named = {
            row["name"] for row in opened.connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
        }
        assert "records_run" in named


def test_another_logs_records_do_not_mix_with_these(world, tmp_path):
    world.fill(10)
    home, opened = opened_of(world, tmp_path / "audit")
    opened.close()
    with pytest.raises(DoudiError, match=r"opened\.other_log"):
        OpenedRecords.create(home.opened_file, "other.example/ledger-1")


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_a_damaged_file_of_opened_records_says_what_to_do(tmp_path, content):
    path = tmp_path / "opened.db"
    path.write_bytes(content)
    with pytest.raises(DoudiError, match=r"opened\.unreadable.*open` again"):
        OpenedRecords.read(path)


def test_no_file_of_opened_records_says_what_to_do(tmp_path):
    with pytest.raises(DoudiError, match=r"opened\.missing.*doudi audit open"):
        OpenedRecords.read(tmp_path / "opened.db")


# What does not open.


def shredded(batch):
    return Batch(**{**batch.__dict__, "wraps": b""})


def test_a_shredded_batch_is_a_stated_finding_and_the_rest_opens(world, tmp_path):
    world.fill(50)
    events = [to_plain(Record("node.report.signed", world.now, counts={"number": 1}), RECORD_TYPES)] * 3
    batch = world.batch("tax", events)
    world.place(shredded(batch))
    world.fill(50)
    stated = Record(
        "ledger.batch_shredded",
        world.now,
        actor="centre",
        account=4,
        code="legal_order",
        hashes={"batch": hashlib.sha256(batch.batch_id).hexdigest()},
    )
    world.add(COORDINATOR, [stated])
    home, opened = opened_of(world, tmp_path / "audit")
    with opened:
        assert bodies(opened) == [1] * 50 + [0] * 3 + [1] * 51
        finding = found_in(home, opened)["batch.shredded"]
        act = next(Acts(opened).where("number = 51"))
    assert (finding.severity, finding.place, finding.exit) == (Severity.WARNING, "entry/50", 15)
    assert (finding.detail["record"], finding.detail["reason"], finding.detail["entries"]) == (103, "legal_order", 3)
    # The header stays, so the list has no hole.
    assert (act.type, act.producer, act.opened) == ("node.report.signed", "tax", False)


def test_wraps_that_are_gone_without_a_record_are_an_error(world, tmp_path):
    batch = world.batch("tax", [to_plain(Record("node.report.signed", world.now), RECORD_TYPES)])
    world.place(shredded(batch))
    home, opened = opened_of(world, tmp_path / "audit")
    with opened:
        assert found_in(home, opened)["batch.shredded_unstated"].severity is Severity.ERROR


def forged(world, batch, change):
    """Return the batch with its second entry made by `change(header, key, entry)`, signed again by its producer."""
    own = world.auditors[0]
    (wrap,) = parse_wraps(batch.wraps).values()
    key = open_wrap(world.origin, batch.producer, batch.batch_id, wrap, own.sealing)
    entries = list(batch.entries)
    entry = parse_entry(entries[1])
    entries[1] = change(entry, entry_key(key, batch.batch_id, 1))
    sealed = ledger_entries.SealedBatch(batch.batch_id, tuple(entries), batch.wraps)
    return sign_batch(world.origin, batch.producer, batch.first_sequence, sealed, world.private(batch.producer))


def entry_bytes(header, ciphertext, wraps_hash):
    return b"\x01" + len(header).to_bytes(2, "big") + header + ciphertext + wraps_hash


def another_commitment(world):
    """A header that commits to another key than the one that opens the ciphertext: two readers, two contents."""

    def change(entry, key):
        other = ledger_entries.key_commitment(bytes(32))
        header = entry.header_bytes.replace(entry.header.key_commitment, other)
        associated = domains.LEDGER_ENTRY + domains.frame(world.origin.encode()) + header
        return entry_bytes(header, AESGCM(key).encrypt(bytes(12), b"{}", associated), entry.wraps_hash)

    return change


def another_header(world):
    def change(entry, key):
        return entry_bytes(
            entry.header_bytes.replace(b"node.report.signed", b"node.report.signee"), entry.ciphertext, entry.wraps_hash
        )

    return change


@pytest.mark.parametrize(
    ("change", "code"), [(another_commitment, "ledger.wrong_key"), (another_header, "ledger.cannot_open")]
)
def test_an_entry_that_does_not_open_under_its_committed_key_is_found_and_the_rest_opens(world, tmp_path, change, code):
    events = [to_plain(Record("node.report.signed", world.now, counts={"number": 1}), RECORD_TYPES)] * 3
    world.place(forged(world, world.batch("tax", events), change(world)))
    home, opened = opened_of(world, tmp_path / "audit")
    with opened:
        assert bodies(opened) == [1, 0, 1]
        finding = found_in(home, opened)[code]
    assert (finding.place, finding.severity, finding.exit, finding.detail["producer"]) == (
        "entry/1",
        Severity.ERROR,
        16,
        "tax",
    )


@pytest.mark.parametrize(
    ("producer", "plain"),
    [
        ("tax", Plain("node.report.signed", 1, 0, b'{"name":"somebody"}')),
        ("tax", Plain("node.report.signed", 1, 0, b'{"code":"Free text, with a name"}')),
        ("tax", Plain("node.report.signed", 1, 0, b'{"counts":{"income":40000}}')),
        ("tax", Plain("node.report.signed", 2, 0, b"{}")),
        ("tax", Plain("node.report.signed", 1, 0, b"not json")),
        ("tax", Plain("node.never.seen", 1, 0, b"{}")),
        ("tax", Plain("run.finished", 1, 0, b'{"run":"run-1"}')),
        (COORDINATOR, Plain("node.step.answered", 1, 0, b'{"run":"run-1"}')),
        (COORDINATOR, Plain("ledger.wraps_added", 1, 0, b'{"wraps":["00"]}')),
    ],
)
def test_a_record_that_breaks_its_type_is_found_and_shows_nothing_of_its_body(world, tmp_path, producer, plain):
    sound = to_plain(Record("node.report.signed" if producer == "tax" else "ledger.opened", 0), RECORD_TYPES)
    world.place(world.batch(producer, [sound, plain, sound]))
    home, opened = opened_of(world, tmp_path / "audit")
    with opened:
        assert bodies(opened) == [1, 0, 1]
        finding = found_in(home, opened)["record.malformed"]
        row = opened.connection.execute("SELECT * FROM records WHERE number = 1").fetchone()
    assert (finding.place, finding.severity, finding.exit) == ("entry/1", Severity.ERROR, 16)
    assert row["body"] is None


def test_two_purposes_of_one_grant_are_found(world, tmp_path):
    grant = "cd" * 32
    world.add(COORDINATOR, [Record("request.submitted", world.now, grant_hash=grant, purpose="social_assistance")])
    world.add("tax", [Record("node.grant.signed", world.now, grant_hash=grant, purpose="marketing")])
    home, opened = opened_of(world, tmp_path / "audit")
    with opened:
        finding = found_in(home, opened)["record.two_purposes"]
    assert (finding.place, finding.detail["purposes"]) == ("entry/1", 2)


def test_a_file_of_another_format_is_not_read(world, tmp_path):
    world.fill(10)
    home, opened = opened_of(world, tmp_path / "audit")
    opened.close()
    with sqlite3.connect(home.opened_file) as connection:
        connection.execute("UPDATE facts SET value = '99' WHERE name = 'format_version'")
    with pytest.raises(DoudiError, match=r"opened\.unreadable"):
        OpenedRecords.read(home.opened_file)
