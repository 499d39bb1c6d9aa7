"""A log of 300 entries with everything that one meets in years: batches of all sizes, two terms, rotated keys, a shredded batch.

And the log that a liar makes of it: other batches in another order, placed, hashed and signed anew with every key of the log.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from ledger_world import AuditorKeys, LedgerWorld
from mirror_hands import edit_page, edited

from auditors.home import Home
from crypto import signing
from crypto.ledger_entries import Plain
from policies.contracts.ledger.batches import Batch
from policies.contracts.ledger.record_types import RECORD_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import COORDINATOR

ENTRIES = 300
SHREDDED = 4
_SIZES = (1, 2, 5, 13, 21, 34)


def batches_of(world: LedgerWorld, entries: int, seed: int, last: Sequence[Record] = ()) -> list[Batch]:
    """Return batches of all producers with so many entries, not placed; the coordinator's last one holds `last`."""
    chosen, made = random.Random(seed), []
    left = entries - len(last)
    for producer in cycle((COORDINATOR, *sorted(world.departments))):
        count = min(left, chosen.choice(_SIZES))
        if not count:
            break
        made.append(world.batch(producer, plains(islice(world.records(producer), count))))
        left -= count
    if last:
        made.append(world.batch(COORDINATOR, plains(last)))
    return made


def plains(records) -> list[Plain]:
    return [to_plain(record, RECORD_TYPES) for record in records]


class LogOf300:
    """`world` and `home`: the log, and the mirror of an auditor who reads it from its first entry on."""

    def __init__(self, folder: Path) -> None:
        self.world = world = LedgerWorld(folder / "log")
        for number, batch in enumerate(batches_of(world, 130, seed=1)):
            placed = world.place(batch)
            if number == SHREDDED:
                shredded = placed
            if number == 6:
                world.publish()
        world.publish()
        # The second terms: another key of the log, another key of a department, a second auditor.
        world.log_private = signing.generate_signing_key()
        world.departments["tax"] = signing.generate_signing_key()
        world.auditors.append(AuditorKeys("parliament"))
        world.renew_terms()
        statement = Record(
            "ledger.batch_shredded",
            world.now,
            actor="centre",
            subject=shredded.producer,
            code="retention_over",
            counts={"entries": shredded.count, "first_index": shredded.first_index},
            hashes={"batch": hashlib.sha256(shredded.batch_id).hexdigest()},
        )
        for batch in batches_of(world, ENTRIES - world.size, seed=2, last=[statement]):
            world.place(batch)
        world.publish()
        assert world.size == ENTRIES
        self.home: Home = world.home(folder / "auditor")
        edit_page(self.home, lambda page: edited(page, SHREDDED, wraps=b""))


class Liar:
    """A log that keeps its keys and its witnesses and can say anything, in as many versions as it likes."""

    def __init__(self, folder: Path, entries: int = ENTRIES) -> None:
        self.folder = folder
        self._empty = LedgerWorld(folder / "empty")
        self.batches = batches_of(self._empty, entries, seed=3)
        # What an honest log would go on with.
        self.later = self._empty.batch(COORDINATOR, plains(islice(self._empty.records(COORDINATOR), max(_SIZES))))
        self._versions = 0

    def version(self, batches: Sequence[Batch], cosigners: Sequence[str] | None = None) -> tuple[LedgerWorld, Home]:
        """Return the log of exactly these batches, published and cosigned, and the mirror of an auditor who visits it."""
        self._versions += 1
        world = self._empty.fork(self.folder / f"log-{self._versions}")
        for batch in batches:
            world.place(batch)
        world.publish(cosigners)
        return world, world.home(self.folder / f"auditor-{self._versions}", linked=True)


def without_entry(batch: Batch, position: int) -> Batch:
    """Return a batch that lost an entry; its signature stays as it was."""
    return replace(batch, entries=batch.entries[:position] + batch.entries[position + 1 :])
