"""A coordinator's log without its API, over SQLite or PostgreSQL: what is placed and published is checked again.

`LogWorld.check` is the one way in which tests look at a log: it reads everything that is served, verifies it from the leaves up
with the contracts' functions, and returns the entries. It is called after each thing that a test does to the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from opened_records import Auditor, Recorded
from sqlalchemy import Engine

from coordinator.db.session import begin, open_engine, read
from coordinator.events import Event, EventType, record
from coordinator.grants.keys import CentreKeys
from coordinator.ledger import log_reader
from coordinator.ledger.founding import import_founding_terms, load_log_key
from coordinator.ledger.recording import recorded_batches
from coordinator.ledger.sequencer import Sequencer
from coordinator.ledger.settings import LedgerSettings
from coordinator.ledger.terms_store import newest_terms, store_terms
from crypto import merkle, merkle_log
from crypto.checkpoint import Checkpoint, cosign, cosignature_times, verify_checkpoint
from crypto.ledger_entries import Plain, seal_batch
from crypto.signing import generate_signing_key, signing_public_key
from crypto.tiles import bundles_of, parse_bundle, tiles_of
from policies.contracts.ledger.batches import (
    Batch,
    batch_statement,
    require_entries,
    require_wraps,
    sign_batch,
    verify_statement,
)
from policies.contracts.ledger.placed import PAGE_BATCHES, PlacedBatch, parse_page
from policies.contracts.ledger.record_types import NODE_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import LedgerTerms, Witness, sign_terms

START_S = 1_800_000_000
DEPARTMENTS = ("civil_affairs", "health", "housing", "tax")
SETTINGS = LedgerSettings()


@dataclass
class LogWorld:
    """`keys`: of the departments, which submit batches and cosign. `sequences`: the next number of each."""

    engine: Engine
    home: Path
    now: float = START_S
    auditor: Auditor = field(default_factory=Auditor)
    approval_key: bytes = field(default_factory=generate_signing_key)
    keys: dict[str, bytes] = field(default_factory=lambda: {name: generate_signing_key() for name in DEPARTMENTS})
    sequences: dict[str, int] = field(default_factory=dict)
    # Every checkpoint that `check` has seen, by size: there must never be another root.
    roots: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def founded(cls, url: str, home: Path) -> "LogWorld":
        """Return a log that was just founded, on a migrated database."""
        world = cls(open_engine(url), home)
        world.auditor.found(home, SETTINGS, world.approval_key, START_S)
        with begin(world.engine, world.clock) as session:
            assert import_founding_terms(session, home, SETTINGS, world.centre)
        return world

    def __post_init__(self) -> None:
        self.clock = lambda: self.now

    @property
    def centre(self) -> CentreKeys:
        """The centre's public keys."""
        return CentreKeys((signing_public_key(self.approval_key).hex(),), "ab" * 32)

    @property
    def log_key(self) -> bytes:
        """The log's private key."""
        return load_log_key(self.home, SETTINGS)

    def sequencer(self, engine: Engine | None = None) -> Sequencer:
        """Return a writer of the log, as a process has one."""
        return Sequencer(engine or self.engine, self.log_key, self.clock, SETTINGS.republish_after_s)

    def terms(self) -> LedgerTerms:
        """Return the terms in force."""
        with read(self.engine, self.clock) as session:
            return newest_terms(session)

    def record(self, count: int = 1, run: str = "run-1") -> tuple[int, ...]:
        """Record so many events in one transaction; return the rows of its batches."""
        with begin(self.engine, self.clock) as session:
            for _ in range(count):
                record(session, Event(EventType.RUN_STARTED, "coordinator", run_id=run))
        return recorded_batches(session)

    def records(self) -> list[Recorded]:
        """Return everything recorded, in the outbox too, but what is about the ledger itself."""
        return self.auditor.records(self.engine)

    def batch(self, department: str = "tax", count: int = 1) -> Batch:
        """Return the next batch of a department's records, sealed and signed."""
        first = self.sequences.get(department, 1)
        self.sequences[department] = first + count
        return self.sealed(department, first, count)

    def sealed(self, department: str, first: int, count: int) -> Batch:
        """Return a batch with these numbers, made anew each time."""
        terms = self.terms()
        plains = [self.plain() for _ in range(count)]
        sealed = seal_batch(terms.origin, department, first, plains, terms.sealing_keys)
        return sign_batch(terms.origin, department, first, sealed, self.keys[department])

    def plain(self) -> Plain:
        """Return a node's record of ordinary size."""
        return to_plain(
            Record(
                type="node.step.answered",
                at=int(self.now),
                step="train",
                purpose="social_assistance",
                assets=("tax/tax",),
                project="winter-aid",
                run="run-0123456789ab-1",
                attempt=1,
                counts={"bytes": 1_234_567, "milliseconds": 4_321},
                hashes={"request": "ab" * 32, "reply": "cd" * 32},
                grant_hash="ef" * 32,
            ),
            NODE_TYPES,
        )

    def name_witnesses(self, *departments: str, **changes: Any) -> LedgerTerms:
        """Put terms into force in which these departments are the witnesses."""
        before = self.terms()
        witnesses = tuple(
            Witness(department=name, key=signing_public_key(self.keys[name]).hex()) for name in sorted(departments)
        )
        values = {**before.model_dump(), "number": before.number + 1, "witnesses": witnesses, **changes}
        terms = LedgerTerms.model_validate(values)
        with begin(self.engine, self.clock) as session:
            assert store_terms(session, sign_terms(terms, self.approval_key))
        return terms

    def line(self, department: str, size: int, at: int | None = None) -> str:
        """Return a department's line under the checkpoint of a size."""
        with read(self.engine, self.clock) as session:
            note = log_reader.checkpoint_of_size(session, size)
        return cosign(note, department, self.keys[department], int(self.now) if at is None else at).line()

    def check(self) -> list[bytes]:
        """Verify the whole published log from its leaves up; return its entries.

        (1) The newest checkpoint is the log's, and of each size there was only ever one root. (2) Bundles make the tree of that
        root. (3) Every tile is the tree's. (4) Pages name batches that follow each other without a gap, whose entries and
        signature are right, whose producers' numbers have no gap. (5) Every earlier root is consistent with it, some entries are
        included.
        """
        terms = self.terms()
        with read(self.engine, self.clock) as session:
            note = log_reader.checkpoint_note(session)
            if note is None:
                return []
            # (1)
            checkpoint = verify_checkpoint(note, terms.log_note_key)
            assert self.roots.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root
            cosignature_times(note, [witness.note_key for witness in terms.witnesses])
            # (2)
            entries: list[bytes] = []
            for address in bundles_of(checkpoint.size):
                data = log_reader.bundle(session, address.index, address.width)
                entries += parse_bundle(data, address.width)
            hashes = [merkle.leaf_hash(entry) for entry in entries]
            assert merkle_log.root_of(hashes) == checkpoint.root
            # (3)
            leaves = merkle_log.leaves_reader(hashes)
            for address in tiles_of(checkpoint.size):
                assert address.level is not None
                found = log_reader.tile(session, address.level, address.index, address.width)
                level = 8 * address.level
                expected = [leaves(level, 256 * address.index + at) for at in range(address.width)]
                assert found == b"".join(expected)
            # (4)
            self._check_batches(self._pages(session), entries, terms, checkpoint)
            # (5)
            for size, root in self.roots.items():
                proof = log_reader.prove_consistency(session, size, checkpoint.size)
                merkle_log.verify_consistency(root, size, checkpoint.root, checkpoint.size, proof)
            some = sorted({0, checkpoint.size // 2, checkpoint.size - 1})
            for index, proof in zip(some, log_reader.prove_inclusion(session, some, checkpoint.size), strict=True):
                merkle_log.verify_inclusion(checkpoint.root, hashes[index], index, checkpoint.size, proof)
        return entries

    def _pages(self, session: Any) -> list[PlacedBatch]:
        batches = log_reader.summary(session).batches
        found: list[PlacedBatch] = []
        for number in range(-(-batches // PAGE_BATCHES)):
            width = min(PAGE_BATCHES, batches - number * PAGE_BATCHES)
            found += parse_page(log_reader.page(session, number, width), width)
        return found

    def _check_batches(
        self, batches: Sequence[PlacedBatch], entries: Sequence[bytes], terms: LedgerTerms, checkpoint: Checkpoint
    ) -> None:
        ends = [0, *(batch.first_index + batch.count for batch in batches)]
        assert [batch.first_index for batch in batches] == ends[:-1]
        assert ends[-1] == checkpoint.size
        numbers: dict[tuple[str, bytes], int] = {}
        for batch, (start, end) in zip(batches, pairwise(ends), strict=True):
            own = entries[start:end]
            parsed = require_entries(batch.producer, batch.batch_id, batch.first_sequence, own)
            digest = parsed[0].wraps_hash
            assert all(entry.wraps_hash == digest for entry in parsed)
            if batch.wraps:
                require_wraps(batch.wraps, digest)
            hashes = [merkle.leaf_hash(entry) for entry in own]
            statement = batch_statement(
                terms.origin, batch.producer, batch.batch_id, batch.first_sequence, hashes, digest
            )
            verify_statement(statement, batch.signer, batch.signature)
            if batch.first_sequence:
                expected = numbers.get((batch.producer, batch.signer), 1)
                assert batch.first_sequence == expected, "a producer's numbers have a gap"
                numbers[batch.producer, batch.signer] = expected + batch.count
