"""A log of any size in a real database, and an auditor's mirror of it: what the verification's figures are measured on.

Half of the batches are the coordinator's, the others are signed by four departments, which cosign the checkpoints.
"""

import time
from itertools import cycle
from pathlib import Path

from auditors.home import Home
from auditors.keys import make_keys
from auditors.store import CHECKPOINT, CHECKPOINTS, STATE, TERMS, WITNESSED
from auditors.visits import StoreState, Visit
from command_line.documents import write_atomically
from coordinator.db.session import begin, open_engine, read, upgrade
from coordinator.ledger import log_reader
from coordinator.ledger.recording import seal_into_outbox
from coordinator.ledger.sequencer import Sequencer
from coordinator.ledger.terms_store import store_terms
from crypto.checkpoint import cosign
from crypto.ledger_entries import Plain, seal_batch
from crypto.sealing import generate_sealing_key, sealing_public_key
from crypto.signing import generate_signing_key, signing_public_key
from crypto.tiles import TILE_WIDTH, bundles_of, new_bundles, new_tiles
from policies.contracts.cards import CentreCard
from policies.contracts.ledger.batches import sign_batch
from policies.contracts.ledger.placed import PAGE_BATCHES, page_path
from policies.contracts.ledger.record_types import COORDINATOR_TYPES, NODE_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import AuditorCard, LedgerTerms, Witness, sign_terms, tolerable_faults

ORIGIN = "bench.example/ledger"
DEPARTMENTS = ("health", "housing", "human_resources", "tax")
FURTHER_AUDITORS = 2
BATCH = 500


class LargeLog:
    """One log with three auditors, of whom one has a folder; `grow` adds entries, `mirror` brings that folder to them."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'ledger.db'}")
        upgrade(self.engine)
        self.home = Home(folder / "audit")
        self.log_key, self.approval = generate_signing_key(), generate_signing_key()
        self.departments = {name: generate_signing_key() for name in DEPARTMENTS}
        self.sequences = dict.fromkeys(DEPARTMENTS, 1)
        own = make_keys(self.home, "auditor-0").card
        self.terms = LedgerTerms(
            number=1,
            issued_at=int(time.time()),
            origin=ORIGIN,
            log_key=signing_public_key(self.log_key).hex(),
            auditors=(own, *(_auditor(number + 1) for number in range(FURTHER_AUDITORS))),
            witnesses=tuple(
                Witness(department=name, key=signing_public_key(key).hex()) for name, key in self.departments.items()
            ),
            tolerated_faulty_witnesses=tolerable_faults(len(DEPARTMENTS)),
        )
        self.signed_terms = sign_terms(self.terms, self.approval)
        with begin(self.engine) as session:
            store_terms(session, self.signed_terms)
        self.sequencer = Sequencer(self.engine, self.log_key, republish_after_s=0)
        self.mirrored, self.visits = 0, 0
        card = CentreCard(
            approval_key=signing_public_key(self.approval).hex(),
            revocation_key="01" * 32,
            api_key="02" * 32,
            url="https://bench.example:8443",
            superlink="bench.example:9092",
        )
        write_atomically(self.home.cards_folder / "centre-card.json", card.to_bytes())

    def grow(self, entries: int) -> None:
        """Add so many entries in batches of 500, place them, and have the departments cosign one checkpoint."""
        producers = cycle((None, *DEPARTMENTS))
        while entries:
            count = min(entries, BATCH)
            producer = next(producers)
            if producer is None:
                with begin(self.engine) as session:
                    seal_into_outbox(session, [_coordinators(number) for number in range(count)])
                self.sequencer.place()
            else:
                self._submit(producer, [_nodes(number) for number in range(count)])
            entries -= count
        note = self.sequencer.publish()
        size = note and int(note.text.split("\n")[1])
        for name, key in self.departments.items():
            if note is not None and size:
                self.sequencer.add_cosignature(name, size, cosign(note, name, key, int(time.time())).line())

    def mirror(self) -> None:
        """Bring the auditor's folder to the newest checkpoint: the files that `doudi audit fetch` would write."""
        store = self.home.store.folder
        with read(self.engine) as session:
            size = log_reader.published_size(session)
            batches = log_reader.batches_within(session, size)
            for address in new_tiles(self.mirrored, size):
                _write(store / address.path, log_reader.tile(session, address.level or 0, address.index, address.width))
            bundles = new_bundles(self.mirrored, size) if self.mirrored else bundles_of(size)
            for address in bundles:
                _write(store / address.path, log_reader.bundle(session, address.index, address.width))
            for number in range(-(-batches // PAGE_BATCHES)):
                width = min(PAGE_BATCHES, batches - number * PAGE_BATCHES)
                _write(store / page_path(number, width), log_reader.page(session, number, width))
            note = log_reader.checkpoint_note(session, witnessed=True)
        if note is None:
            raise RuntimeError("the log has no witnessed checkpoint")
        for place in (CHECKPOINT, WITNESSED, f"{CHECKPOINTS}/{size}"):
            _write(store / place, note.to_bytes())
        _write(store / TERMS / "1", self.signed_terms.to_bytes())
        visit = Visit(at=int(time.time()), size=size, witnessed=size, batches=batches, terms=1)
        _write(store / STATE, StoreState(batches=batches, visits=(visit,)).to_bytes())
        self._drop_partial(size)
        self.mirrored = size

    def _submit(self, producer: str, events: list[Plain]) -> None:
        first = self.sequences[producer]
        sealed = seal_batch(ORIGIN, producer, first, events, self.terms.sealing_keys)
        self.sequencer.append_and_place([sign_batch(ORIGIN, producer, first, sealed, self.departments[producer])])
        self.sequences[producer] = first + len(events)

    def _drop_partial(self, size: int) -> None:
        """Remove the right edges of the mirror before, as a further visit does."""
        kept = {address.path for address in (*new_tiles(0, size), *bundles_of(size)) if address.width < TILE_WIDTH}
        store = self.home.store.folder
        for path in store.glob("tile/**/*.p/*"):
            if path.is_file() and str(path.relative_to(store)) not in kept:
                path.unlink()


def _coordinators(number: int) -> Plain:
    record = Record(
        "run.step_answered",
        int(time.time()),
        actor="tax",
        project="household-support",
        run=f"run-{number:016x}",
        counts={"attempt": 1, "step": 2, "request_bytes": 812_345, "reply_bytes": 412_345},
        grant_hash="ab" * 32,
    )
    return to_plain(record, COORDINATOR_TYPES)


def _nodes(number: int) -> Plain:
    record = Record(
        "node.step.answered",
        int(time.time()),
        project="household-support",
        run=f"run-{number:016x}",
        attempt=1,
        step="blind",
        counts={"bytes": 412_345, "milliseconds": 1_234},
        grant_hash="ab" * 32,
    )
    return to_plain(record, NODE_TYPES)


def _auditor(number: int) -> AuditorCard:
    return AuditorCard(
        auditor=f"auditor-{number}",
        sealing_key=sealing_public_key(generate_sealing_key()).hex(),
        signing_key=signing_public_key(generate_signing_key()).hex(),
    )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
