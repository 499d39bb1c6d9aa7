"""The opened records, in one SQLite file that the auditor alone may read: `opened.db` in the auditor's folder.

It holds nothing that the store and the keys do not give again: whoever loses it opens again. Rows are written in the order of the
log, in one transaction per portion with the size up to which everything was opened, so a crash repeats a portion at most. What is
not opened (destroyed, or sealed to others) has its header here too, so that nothing is missing from a list.

The standard library's sqlite3 only: no SQLAlchemy, no server. May import crypto, policies.contracts.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from auditors.opened_schema import FORMAT_VERSION, INDICES, SCHEMA
from crypto.errors import DoudiError
from crypto.ledger_entries import NO_GRANT, EntryHeader
from policies.contracts.ledger.placed import PlacedBatch
from policies.contracts.ledger.records import Record

OPENED_FILE = "opened.db"
_CACHE_KIB = 65_536
# Records that say for which purpose and assets a grant is, and which grant a run has.
_OF_GRANTS = ("request.", "grant.", "node.grant.signed", "project.created", "run.created")
_ASKING = ("request.drafted", "request.submitted")


class BatchState(StrEnum):
    """What became of a batch here. OTHERS: sealed to other auditors. WRONG_KEY: no wrap for us gives the key of its entries."""

    OPENED = "opened"
    SHREDDED = "shredded"
    OTHERS = "others"
    WRONG_KEY = "wrong_key"


@dataclass(frozen=True, slots=True)
class OpenedEntry:
    """One entry: `record` and its bytes where it opened and is of its type, else `fault`, a code; neither without a key."""

    index: int
    header: EntryHeader
    record: Record | None = None
    body: bytes = b""
    fault: str = ""


class OpenedRecords:
    """The file of opened records. Raises `opened.missing`, `opened.unreadable`, `opened.other_log`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")

    @classmethod
    def create(cls, path: Path, origin: str) -> "OpenedRecords":
        """Return the file of this log, made where there is none yet."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            # SQLite gives its side files the rights of the main one, so this one must have them before it opens.
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
        try:
            opened = cls(path, sqlite3.connect(path, isolation_level=None))
            opened.connection.execute("PRAGMA journal_mode = WAL")
            with opened.portion():
                if not opened.connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                    for statement in SCHEMA:
                        opened.connection.execute(statement)
                    opened.remember("format_version", str(FORMAT_VERSION))
                    opened.remember("origin", origin)
                    opened.remember("size", "0")
        except sqlite3.Error:
            raise _unreadable() from None
        opened._require(origin)
        return opened

    @classmethod
    def read(cls, path: Path) -> "OpenedRecords":
        """Return the file for reading."""
        if not path.is_file():
            raise DoudiError("opened.missing", "no records were opened here yet", "Run `doudi audit open` first.")
        try:
            opened = cls(path, sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None))
            opened._require(None)
        except sqlite3.Error:
            raise _unreadable() from None
        return opened

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def __enter__(self) -> "OpenedRecords":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def origin(self) -> str:
        """The log whose records these are."""
        return self.fact("origin") or ""

    @property
    def size(self) -> int:
        """The log's entries below this index are here, opened or not."""
        return int(self.fact("size") or 0)

    def fact(self, name: str) -> str | None:
        """Return a fact about this file."""
        row = self.connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row["value"])

    def remember(self, name: str, value: str) -> None:
        """Set a fact about this file."""
        self.connection.execute(
            "INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )

    @contextmanager
    def portion(self) -> Iterator[None]:
        """Do what is within wholly or not at all."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def put_batch(self, placed: PlacedBatch, state: BatchState, entries: Iterable[OpenedEntry]) -> None:
        """Write a batch and its entries, or write them again once more of them is known."""
        self.connection.execute(
            "INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                placed.first_index,
                placed.count,
                placed.batch_id,
                placed.producer,
                placed.signer,
                placed.first_sequence,
                bool(placed.wraps),
                state.value,
            ),
        )
        found = list(entries)
        self.connection.executemany(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_row(placed.first_index, entry) for entry in found],
        )
        self.connection.executemany(
            "INSERT OR IGNORE INTO record_assets VALUES (?, ?)",
            [(asset, entry.index) for entry in found if entry.record is not None for asset in entry.record.assets],
        )
        for entry in found:
            if entry.record is not None and entry.record.type.startswith(_OF_GRANTS):
                self._note_grant(entry.index, entry.header.producer, entry.record)

    def drop_indices(self) -> None:
        """Drop the indices of the records, before many are written."""
        for name in INDICES:
            self.connection.execute(f"DROP INDEX IF EXISTS {name}")

    def make_indices(self) -> None:
        """Make the indices that are missing."""
        for name, columns in INDICES.items():
            self.connection.execute(f"CREATE INDEX IF NOT EXISTS {name} {columns}")

    def added_wraps(self, batch_id: bytes) -> list[tuple[str, bytes]]:
        """Return the wraps of a batch that other auditors gave later: (digest of the receiver's card, wrap)."""
        rows = self.connection.execute("SELECT receiver, wrap FROM added_wraps WHERE batch = ?", (batch_id,))
        return [(row["receiver"], row["wrap"]) for row in rows]

    def put_added_wrap(self, batch_id: bytes, receiver: str, wrap: bytes, index: int) -> None:
        """Write a wrap that stands in the record at `index`."""
        self.connection.execute(
            "INSERT OR IGNORE INTO added_wraps VALUES (?, ?, ?, ?)", (batch_id, receiver, wrap, index)
        )

    def closed_batches(self, receivers: Iterable[str] | None) -> list[int]:
        """Return the first index of every batch that is not opened; with `receivers`, of those for which they got wraps since."""
        states = (BatchState.OPENED.value,)
        if receivers is None:
            found = self.connection.execute("SELECT first_index FROM batches WHERE state <> ?", states)
            return [row["first_index"] for row in found]
        found = self.connection.execute(
            "SELECT DISTINCT b.first_index FROM batches b JOIN added_wraps w ON w.batch = b.batch_id "
            "WHERE b.state <> ? AND w.receiver IN (SELECT value FROM json_each(?)) ORDER BY b.first_index",
            (*states, json.dumps(list(receivers))),
        )
        return [row["first_index"] for row in found]

    def _note_grant(self, index: int, producer: str, record: Record) -> None:
        execute = self.connection.execute
        if record.type == "project.created" and record.purpose:
            execute("INSERT OR IGNORE INTO projects VALUES (?, ?)", (record.project, record.purpose))
        if not record.grant_hash:
            return
        grant = bytes.fromhex(record.grant_hash)
        if record.type == "run.created":
            execute("INSERT OR IGNORE INTO runs VALUES (?, ?)", (record.run, grant))
            return
        asker = record.actor if record.type in _ASKING else ""
        # What was said first of a grant counts; what is said differently later is in `grant_purposes`.
        execute(
            "INSERT INTO grants VALUES (?, ?, ?, ?) ON CONFLICT (grant_hash) DO UPDATE SET "
            "project = coalesce(project, excluded.project), purpose = coalesce(purpose, excluded.purpose), "
            "asker = coalesce(asker, excluded.asker)",
            (grant, record.project or None, record.purpose or None, asker or None),
        )
        if record.purpose:
            execute(
                "INSERT OR IGNORE INTO grant_purposes VALUES (?, ?, ?, ?)", (grant, record.purpose, producer, index)
            )
        for asset in record.assets:
            execute("INSERT OR IGNORE INTO grant_assets VALUES (?, ?)", (grant, asset))

    def _require(self, origin: str | None) -> None:
        try:
            version = self.fact("format_version")
        except sqlite3.Error:
            raise _unreadable() from None
        if version != str(FORMAT_VERSION):
            raise _unreadable()
        if origin is not None and self.origin != origin:
            raise DoudiError(
                "opened.other_log",
                "the opened records are of another log than the store",
                "Use one --home for each log.",
            )


def _row(batch: int, entry: OpenedEntry) -> tuple[object, ...]:
    header, record = entry.header, entry.record
    fixed = (
        entry.index,
        batch,
        header.at,
        header.type,
        header.producer,
        header.sequence,
        None if header.grant_hash == NO_GRANT else header.grant_hash,
        entry.fault or None,
    )
    if record is None:
        return (*fixed, 0, None, None, None, None, None, None, None, None, None, None)
    return (
        *fixed,
        1,
        record.actor if record.actor != header.producer and record.actor else None,
        record.account or None,
        record.subject or None,
        record.project or None,
        record.run or None,
        record.step or None,
        record.purpose or None,
        record.code or None,
        record.counts.get("about_account"),
        entry.body.decode(),
    )


def _unreadable() -> DoudiError:
    return DoudiError(
        "opened.unreadable",
        "the file of opened records cannot be read by this program",
        "Delete opened.db and run `doudi audit open` again: everything in it comes from the store and the keys.",
    )
