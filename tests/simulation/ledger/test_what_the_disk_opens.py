"""Whoever takes the coordinator's disk opens nothing of the ledger: with no key and with nothing else that lies on it.

The disk is copied while the coordinator runs, with its write-ahead log, its log key and its configuration, after a run was agreed
and scheduled and every party recorded; some records wait in the outbox. Each search also finds what is planted.
"""

import hashlib
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from coordinator_world import DEPARTMENTS, PROJECT
from sqlalchemy import select
from whole_ledger import WholeLedger, serious

from auditors.checking import check_proof
from auditors.home import Cards
from auditors.keys import all_keys
from auditors.opening import OwnKeys
from auditors.proofs import make_proof
from auditors.terms_chain import verify_terms
from auditors.verification.findings import Findings
from auditors.verification.verifier import verify_store
from coordinator.config import write_config
from coordinator.db.session import read
from coordinator.events import Event, EventType, record
from coordinator.ledger.models import LedgerBatchRow, LedgerOutboxRow
from crypto import domains
from crypto.canonical import canonical_json
from crypto.errors import CryptoError, DoudiError
from crypto.ledger_entries import entry_key, key_commitment, open_entry, open_wrap, parse_entry, parse_wraps
from policies.contracts.ledger.batches import unframe

_HEXADECIMAL = re.compile(rb"[0-9a-f]{64}")


class Disk:
    """A copy of the coordinator's home folder, and what is known of its sealed batches."""

    def __init__(self, folder: Path) -> None:
        self.files = {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }
        with closing(sqlite3.connect(f"file:{folder / 'coordinator.db'}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT producer, batch_id, wraps, entries FROM ledger_batches").fetchall()
            self.tables = {
                table: database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - of the database itself
                for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
        self.batches = [
            (producer, batch_id, parse_wraps(wraps), [parse_entry(item) for item in unframe(entries)])
            for producer, batch_id, wraps, entries in rows
        ]

    @property
    def commitments(self) -> set[bytes]:
        return {entry.header.key_commitment for *_, entries in self.batches for entry in entries}

    def secrets(self) -> set[bytes]:
        """Return everything that could be a key: files, and values of the database, of 32 bytes or 64 digits."""
        values = [data.strip() for data in self.files.values() if len(data) < 1_000]
        for rows in self.tables.values():
            values += [cell.encode() if isinstance(cell, str) else cell for row in rows for cell in row if cell]
        found = {value for value in values if isinstance(value, bytes) and len(value) == 32}
        for value in values:
            if isinstance(value, bytes):
                found |= {bytes.fromhex(one.decode()) for one in _HEXADECIMAL.findall(value)}
        return found


def opened_with(disk: Disk, secrets: set[bytes], origin: str) -> int:
    """Return how many batches any of these opens, as an auditor's key or as the batch's own."""
    opened = 0
    for producer, batch_id, wraps, entries in disk.batches:
        keys = set(secrets)
        for secret in secrets:
            for wrap in wraps.values():
                try:
                    keys.add(open_wrap(origin, producer, batch_id, wrap, secret))
                except CryptoError:
                    continue
        own = {entry_key(key, batch_id, 0) for key in keys} | keys
        opened += any(key_commitment(key) == entries[0].header.key_commitment for key in own)
    return opened


def entry_keys_in(files: dict[str, bytes], commitments: set[bytes]) -> list[tuple[str, int]]:
    """Return where the key of an entry lies in clear, at whatever byte it begins."""
    found = []
    sha256, label = hashlib.sha256, domains.LEDGER_KEY_COMMITMENT
    seen: set[bytes] = set()
    for name, data in files.items():
        # SQLite writes a page again and again: what was looked at is not looked at once more.
        for start in range(0, len(data), 4_096):
            page = data[start : start + 4_096 + 31]
            if page not in seen:
                seen.add(page)
                found += [
                    (name, start + at)
                    for at in range(len(page) - 31)
                    if sha256(label + page[at : at + 32]).digest() in commitments
                ]
    return found


def bodies_in(files: dict[str, bytes], bodies: set[bytes]) -> list[str]:
    return [name for name, data in files.items() if any(body in data for body in bodies)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, migrated) -> Iterator[WholeLedger]:
    made = WholeLedger(tmp_path_factory.mktemp("whole"), migrated)
    world = made.world
    write_config(world.config, world.config.home)
    world.open_project()
    world.register_assets()
    grant = world.grant()
    assert world.sign_all(world.request(grant), grant)["state"] == "active"
    run = world.start_run()
    world.schedule(run)
    for name in DEPARTMENTS:
        made.nodes[name].act()
    made.settle()
    with world.begin() as session:
        record(session, Event(EventType.RUN_FAILED, "coordinator", run_id=run["run_id"]))
    yield made
    made.close()


@pytest.fixture(scope="module")
def disk(whole, tmp_path_factory) -> Disk:
    stolen = tmp_path_factory.mktemp("stolen") / "home"
    shutil.copytree(whole.world.config.home, stolen)
    assert {"coordinator.db", "coordinator.db-wal", "coordinator.toml", "ledger/log.key"} <= {
        str(path.relative_to(stolen)) for path in stolen.rglob("*")
    }
    with read(whole.world.engine) as session:
        assert session.scalars(select(LedgerOutboxRow.batch)).all()
        assert len(set(session.scalars(select(LedgerBatchRow.producer)))) == 5
    return Disk(stolen)


def auditors_bodies(whole, disk) -> set[bytes]:
    """Return what the sealed records say, opened with the auditor's key, which lies elsewhere."""
    auditor, origin = whole.world.auditor, whole.hands.terms.origin
    found = set()
    for producer, batch_id, wraps, entries in disk.batches:
        (wrap,) = wraps.values()
        key = open_wrap(origin, producer, batch_id, wrap, auditor.sealing_key)
        found |= {
            open_entry(origin, entry, entry_key(key, batch_id, position)) for position, entry in enumerate(entries)
        }
    return found


def test_no_key_that_lies_on_the_disk_opens_an_entry_or_the_outbox(whole, disk):
    origin, auditor = whole.hands.terms.origin, whole.world.auditor
    secrets = disk.secrets()
    assert bytes.fromhex(disk.files["ledger/log.key"].decode()) in secrets
    assert len(secrets) > 50
    assert opened_with(disk, secrets, origin) == 0
    # The same search opens everything with the auditor's key, and one batch with that batch's own.
    assert opened_with(disk, {auditor.sealing_key}, origin) == len(disk.batches)
    producer, batch_id, wraps, _ = disk.batches[0]
    own = open_wrap(origin, producer, batch_id, next(iter(wraps.values())), auditor.sealing_key)
    assert opened_with(disk, {own}, origin) == 1
    assert not [name for name, data in disk.files.items() if auditor.sealing_key in data]


def test_no_key_of_an_entry_lies_on_the_disk_at_any_byte(whole, disk):
    commitments = disk.commitments
    assert entry_keys_in(disk.files, commitments) == []
    producer, batch_id, wraps, _ = disk.batches[-1]
    origin = whole.hands.terms.origin
    key = open_wrap(origin, producer, batch_id, next(iter(wraps.values())), whole.world.auditor.sealing_key)
    planted = disk.files["coordinator.toml"] + b"x" * 5_000 + entry_key(key, batch_id, 0)
    assert entry_keys_in({"planted": planted}, commitments) == [("planted", len(planted) - 32)]


def test_no_record_lies_on_the_disk_in_clear(whole, disk):
    bodies = {body for body in auditors_bodies(whole, disk) if len(body) >= 24}
    assert len(bodies) > 20
    assert bodies_in(disk.files, bodies) == []
    planted = {**disk.files, "planted": b"..." + sorted(bodies)[3] + b"..."}
    assert bodies_in(planted, bodies) == ["planted"]


def test_the_ledgers_tables_name_no_run_project_or_asset(whole, disk):
    """The coordinator's other tables do: it works with them. What is recorded about them is not there in clear."""
    run = next(row for row in disk.tables["runs"])
    words = [PROJECT.encode(), next(cell for cell in run if str(cell).startswith("run-")).encode(), b"tax/tax"]
    ledger = {name: repr(rows).encode() for name, rows in disk.tables.items() if name.startswith("ledger_")}
    assert len(ledger) >= 8
    assert [(name, word) for name, text in ledger.items() for word in words if word in text] == []
    others = b"".join(repr(rows).encode() for name, rows in disk.tables.items() if name not in ledger)
    assert all(word in others for word in words[:2])


def test_destroying_every_wrap_opens_nothing_any_more_and_leaves_every_proof_valid(whole, disk):
    """The last test: it changes the log."""
    home, world = whole.auditor_home("court"), whole.world
    assert whole.visit(home) == set()
    chain = verify_terms(home.store, home.cards(), Findings())
    keys, cards = OwnKeys(all_keys(home)), Cards(home.cards().centre, (), {})
    size = home.store.size
    before = [make_proof(home.store, chain, index, keys) for index in range(size)]
    destroyed = [batch for _, batch in home.store.batches(0)]
    approver = world.token("centre", "centre_approver")
    for batch in destroyed:
        body = canonical_json({"batch": batch.batch_id.hex(), "reason": "retention_over"})
        assert world.ask(approver, "POST", "/v1/ledger/shred", body).status_code == 201
    whole.settle()
    whole.people["parliament"] = world.auditor
    later = whole.auditor_home("parliament")
    whole.fetch(later)
    result = verify_store(later, full=True)
    assert serious(result) == {"batch.wraps_destroyed"}
    assert result.findings.counts["batch.wraps_destroyed"] == len(destroyed)
    for index, former in enumerate(before):
        # Proofs that were handed out stay what they are; new ones prove the same without the content.
        assert not list(check_proof(former, cards).findings)
        with pytest.raises(DoudiError, match=r"proof\.wraps_destroyed"):
            make_proof(later.store, chain, index, keys)
        again = make_proof(later.store, chain, index, None)
        assert (again.entry, again.entry_key) == (former.entry, "")
        assert {one.code for one in check_proof(again, cards).findings} <= {"proof.without_key"}
    with read(world.engine) as session:
        rows = session.execute(select(LedgerBatchRow.batch_id, LedgerBatchRow.wraps)).all()
    gone = {batch.batch_id for batch in destroyed}
    assert all(wraps is None for batch_id, wraps in rows if batch_id in gone)
