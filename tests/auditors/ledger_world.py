"""A log without a coordinator, of any size: terms signed by a centre, sealed and signed batches, tree, tiles, checkpoints.

    world = LedgerWorld(tmp_path / "log")      # terms number 1, three departments, one auditor
    world.fill(300)                            # records of every producer in turn, at most 50 a batch
    world.publish()                            # a checkpoint with the departments' cosignatures, and the files of its size
    home = world.home(tmp_path / "audit")      # an auditor's folder: cards, keys, a copy of the log's files as `fetch` leaves it

Everything is made by the contracts' own functions; the tree and the tiles are kept here as plain lists of hashes, so they are
other code than what verifies them. Times are the world's own (`now`).
"""

import copy
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from auditors.home import Home
from auditors.visits import StoreState, Visit
from crypto import merkle, merkle_log, sealing, signing
from crypto.checkpoint import Checkpoint, Note, cosign, sign_checkpoint, with_signatures
from crypto.ledger_entries import Plain, seal_batch
from crypto.tiles import TILE_WIDTH, encode_bundle, entries_path, new_tiles, tile_path
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.ledger.batches import Batch, sign_batch
from policies.contracts.ledger.placed import PAGE_BATCHES, PlacedBatch, pack_page, page_path
from policies.contracts.ledger.record_types import RECORD_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import (
    COORDINATOR,
    AuditorCard,
    LedgerTerms,
    SignedLedgerTerms,
    Witness,
    sign_terms,
    tolerable_faults,
)

ORIGIN = "centre.example:8443/ledger-0a1b2c3d"
START = 1_772_330_400
DEPARTMENTS = ("health", "pension", "tax")
GRANT = "ab" * 32


@dataclass(frozen=True)
class AuditorKeys:
    """An auditor's keys and its card."""

    name: str
    sealing: bytes = field(default_factory=sealing.generate_sealing_key)
    signing: bytes = field(default_factory=signing.generate_signing_key)

    @property
    def card(self) -> AuditorCard:
        return AuditorCard(
            auditor=self.name,
            sealing_key=sealing.sealing_public_key(self.sealing).hex(),
            signing_key=signing.signing_public_key(self.signing).hex(),
        )


class LedgerWorld:
    """One log. `folder` is laid out as an auditor's mirror, so it can be served, copied or used as a store itself."""

    def __init__(
        self, folder: Path, departments: Sequence[str] = DEPARTMENTS, auditors: Sequence[str] = ("court",)
    ) -> None:
        self.folder = folder
        self.now = START
        self.origin = ORIGIN
        self.centre_private = signing.generate_signing_key()
        self.log_private = signing.generate_signing_key()
        self.departments = {name: signing.generate_signing_key() for name in departments}
        self.auditors = [AuditorKeys(name) for name in auditors]
        self.terms: list[SignedLedgerTerms] = []
        self.levels: list[list[bytes]] = [[]]
        self.batches = 0
        self.published: list[int] = [0]
        self.notes: dict[int, Note] = {}
        self.witnessed_size = 0
        self.visits: list[Visit] = []
        self._entries: list[bytes] = []
        self._page: list[PlacedBatch] = []
        self._published_batches = 0
        self._sequences: dict[bytes, int] = {}
        self.renew_terms()

    # Parties.

    def centre_card(self) -> CentreCard:
        return CentreCard(
            approval_key=signing.signing_public_key(self.centre_private).hex(),
            revocation_key="01" * 32,
            api_key="02" * 32,
            url="https://centre.example:8443",
            superlink="centre.example:9092",
        )

    def department_card(self, name: str) -> DepartmentCard:
        return DepartmentCard(
            department=name,
            region="kentucky",
            identity_key=signing.signing_public_key(self.departments[name]).hex(),
            approval_key="03" * 32,
            scheduling_key="04" * 32,
            revocation_key="05" * 32,
            flower_key="ssh",
            dataset="people",
            standard_version=1,
            standard_hash="06" * 32,
            people=100,
            columns=("age",),
            tier="general_2",
            tier_version=1,
            tier_hash="07" * 32,
            allowed_purposes=("social_assistance",),
            program_hash="08" * 32,
        )

    def renew_terms(self, faulty: int | None = None, max_age_s: int = 300) -> LedgerTerms:
        """Sign the next terms over the present keys of log, auditors and departments; change those before."""
        names = sorted(self.departments)
        keys = {name: signing.signing_public_key(self.departments[name]).hex() for name in names}
        terms = LedgerTerms(
            number=len(self.terms) + 1,
            issued_at=self.now,
            origin=self.origin,
            log_key=signing.signing_public_key(self.log_private).hex(),
            auditors=tuple(keys_of.card for keys_of in self.auditors),
            witnesses=tuple(Witness(department=name, key=keys[name]) for name in names),
            tolerated_faulty_witnesses=tolerable_faults(len(names)) if faulty is None else faulty,
            checkpoint_max_age_s=max_age_s,
        )
        self.put_terms(sign_terms(terms, self.centre_private))
        return terms

    def put_terms(self, signed: SignedLedgerTerms) -> None:
        self.terms.append(signed)
        self._write(f"terms/{signed.terms.number}", signed.to_bytes())

    # Batches.

    @property
    def size(self) -> int:
        return len(self.levels[0])

    def private(self, producer: str) -> bytes:
        return self.log_private if producer == COORDINATOR else self.departments[producer]

    def add(self, producer: str, records: Sequence[Record | Plain]) -> list[PlacedBatch]:
        """Seal, sign and place records of one producer, at most 500 a batch."""
        placed = []
        for start in range(0, len(records), 500):
            events = [
                to_plain(item, RECORD_TYPES) if isinstance(item, Record) else item
                for item in records[start : start + 500]
            ]
            placed.append(self.place(self.batch(producer, events)))
        return placed

    def batch(self, producer: str, events: Sequence[Plain]) -> Batch:
        """Return a batch under the producer's next numbers, sealed to the present auditors; not placed."""
        private = self.private(producer)
        first = 0
        if producer != COORDINATOR:
            first = self._sequences.get(private, 1)
            self._sequences[private] = first + len(events)
        cards = [keys.card for keys in self.auditors]
        sealed = seal_batch(self.origin, producer, first, events, [bytes.fromhex(card.sealing_key) for card in cards])
        return sign_batch(self.origin, producer, first, sealed, private)

    def place(self, batch: Batch) -> PlacedBatch:
        """Give a batch the next place of the log, whatever it is: also a bad one."""
        placed = PlacedBatch(
            self.size,
            len(batch.entries),
            batch.producer,
            batch.batch_id,
            batch.first_sequence,
            batch.signer,
            batch.signature,
            batch.wraps,
        )
        self.put_page_item(placed)
        self.append(batch.entries)
        return placed

    def put_page_item(self, placed: PlacedBatch) -> None:
        self._page.append(placed)
        self.batches += 1
        if len(self._page) == PAGE_BATCHES:
            self._write(page_path(self.batches // PAGE_BATCHES - 1), pack_page(self._page))
            self._page = []

    def append(self, entries: Iterable[bytes]) -> None:
        """Add entries to the tree and the bundles."""
        for entry in entries:
            self._entries.append(entry)
            self._add_hash(0, merkle.leaf_hash(entry))
            if len(self._entries) == TILE_WIDTH:
                self._write(entries_path(self.size // TILE_WIDTH - 1), encode_bundle(self._entries))
                self._entries = []

    def fill(self, entries: int, per_batch: int = 50) -> None:
        """Add records of all producers in turn."""
        producers = cycle((COORDINATOR, *sorted(self.departments)))
        left = entries
        while left:
            producer = next(producers)
            count = min(left, per_batch)
            self.add(producer, list(islice(self.records(producer), count)))
            left -= count

    def records(self, producer: str) -> Iterator[Record]:
        """Yield records such as a region's day has, without end."""
        for number in range(10**9):
            run = f"run-{number // 6:04d}"
            at = self.now + number
            if producer == COORDINATOR:
                yield Record("account.signed_in", at, account=1 + number % 7)
                yield Record(
                    "request.submitted",
                    at,
                    account=1 + number % 7,
                    project="winter-aid",
                    purpose="social_assistance",
                    assets=("tax/people",),
                    counts={"request": number},
                )
                yield Record("run.started", at, project="winter-aid", run=run, attempt=1, grant_hash=GRANT)
            else:
                common = {"project": "winter-aid", "run": run, "attempt": 1, "grant_hash": GRANT, "step": "evidence"}
                yield Record("node.step.started", at, purpose="social_assistance", counts={"bytes": 512}, **common)
                yield Record("node.step.answered", at + 1, counts={"bytes": 2048, "milliseconds": 900}, **common)

    # Checkpoints.

    def publish(self, cosigners: Iterable[str] | None = None, at: int | None = None) -> Note:
        """Write the files of the present size and its checkpoint, cosigned by these departments (all) at this time (now)."""
        size, before = self.size, self.published[-1]
        for address in new_tiles(before, size):
            start = address.index * TILE_WIDTH
            hashes = self.levels[address.level or 0][start : start + address.width]
            self._write(address.path, b"".join(hashes))
        for level in range(len(self.levels)):
            self._drop_partial(tile_path(level, (before >> 8 * level) // TILE_WIDTH), (size >> 8 * level) % TILE_WIDTH)
        self._write_partial(entries_path(size // TILE_WIDTH), len(self._entries), encode_bundle(self._entries))
        self._drop_partial(entries_path(before // TILE_WIDTH), len(self._entries))
        number = self.batches // PAGE_BATCHES
        self._write_partial(page_path(number), len(self._page), pack_page(self._page))
        self._drop_partial(page_path(self._published_batches // PAGE_BATCHES), len(self._page))
        self._published_batches = self.batches
        self.published.append(size)
        note = sign_checkpoint(Checkpoint(self.origin, size, self.root()), self.origin, self.log_private)
        return self.put_note(self.cosigned(note, self.departments if cosigners is None else cosigners, at))

    def cosigned(self, note: Note, cosigners: Iterable[str], at: int | None = None) -> Note:
        """Return a note with these departments' cosignatures."""
        time_s = self.now if at is None else at
        return with_signatures(note, [cosign(note, name, self.departments[name], time_s) for name in cosigners])

    def put_note(self, note: Note) -> Note:
        """Make this the newest checkpoint, and the newest witnessed one if a quorum cosigned it."""
        size = int(note.text.split("\n")[1])
        self.notes[size] = note
        for place in ("checkpoint", f"checkpoints/{size}"):
            self._write(place, note.to_bytes())
        if len(note.signatures) - 1 >= self.terms[-1].terms.quorum:
            self._write("witnessed", note.to_bytes())
            self.witnessed_size = size
        return note

    def root(self) -> bytes:
        return merkle_log.root_of(self.levels[0])

    # An auditor's folder.

    def visit(self) -> Visit:
        """Return what a visit sees now."""
        return Visit(
            at=self.now,
            size=self.published[-1],
            witnessed=self.witnessed_size,
            batches=self.batches,
            terms=len(self.terms),
        )

    def home(self, path: Path, auditor: int = 0, *, linked: bool = False) -> Home:
        """Return an auditor's folder that has just fetched: with a copy of the log's files, or with the files themselves."""
        home = Home(path)
        home.cards_folder.mkdir(parents=True)
        (home.cards_folder / "centre-card.json").write_bytes(self.centre_card().to_bytes())
        for name in self.departments:
            (home.cards_folder / f"{name}.json").write_bytes(self.department_card(name).to_bytes())
        home.keys.mkdir()
        keys = self.auditors[auditor]
        for file, data in ((home.sealing_key_file, keys.sealing), (home.signing_key_file, keys.signing)):
            file.touch(mode=0o600)
            file.write_bytes(data)
        home.card_file.write_bytes(keys.card.to_bytes())
        if linked:
            home.store.folder.symlink_to(self.folder)
        self.refresh(home)
        return home

    def refresh(self, home: Home) -> None:
        """Bring an auditor's mirror to what the log has now, as a further visit does."""
        self.visits.append(self.visit())
        store = home.store
        if not store.folder.is_symlink():
            older = [path for path in store.folder.rglob("*.p/*") if path.is_file()]
            shutil.copytree(self.folder, store.folder, dirs_exist_ok=True)
            for path in older:
                if not (self.folder / path.relative_to(store.folder)).exists():
                    path.unlink()
        state = store.state()
        state = StoreState(batches=self.batches, visits=(*state.visits, self.visit()), regressions=state.regressions)
        store.folder.joinpath("state.json").write_bytes(state.to_bytes())

    def fork(self, folder: Path) -> "LedgerWorld":
        """Return a log with the same keys and the same past, which goes its own way from here."""
        other = copy.deepcopy(self)
        other.folder = folder
        shutil.copytree(self.folder, folder)
        return other

    def _add_hash(self, level: int, value: bytes) -> None:
        if level == len(self.levels):
            self.levels.append([])
        hashes = self.levels[level]
        hashes.append(value)
        if len(hashes) % TILE_WIDTH == 0:
            self._add_hash(level + 1, merkle_log.root_of(hashes[-TILE_WIDTH:]))

    def _write(self, place: str, data: bytes) -> None:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _write_partial(self, place: str, width: int, data: bytes) -> None:
        if width:
            self._write(f"{place}.p/{width}", data)

    def _drop_partial(self, place: str, but: int) -> None:
        for path in (self.folder / f"{place}.p").glob("*"):
            if path.name != str(but) or (self.folder / place).exists():
                path.unlink()
