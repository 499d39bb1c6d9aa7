"""What nodes, witnesses, auditors and the centre do to the ledger of a test's coordinator, each with its own keys."""

from dataclasses import dataclass, field
from typing import Any

import httpx
from coordinator_world import DEPARTMENTS, World, public
from opened_records import Auditor

from crypto import ledger_entries
from crypto.canonical import canonical_json
from crypto.checkpoint import Note, cosign, parse_checkpoint, parse_note
from crypto.ledger_entries import auditor_id, open_wrap, parse_wraps, wrap_batch_key
from policies.contracts.ledger.added_wraps import SignedAddedWraps, added_wraps, sign_added_wraps
from policies.contracts.ledger.batches import Batch, sign_batch
from policies.contracts.ledger.record_types import NODE_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import LedgerTerms, SignedLedgerTerms, Witness, sign_terms, tolerable_faults

BINARY = {"Content-Type": "application/octet-stream"}


@dataclass
class Hands:
    """The parties of the ledger of one world. `sequences`: how many records each department has submitted."""

    world: World
    sequences: dict[str, int] = field(default_factory=dict)

    @property
    def terms(self) -> LedgerTerms:
        """The terms in force, as anybody reads them."""
        return SignedLedgerTerms.parse(self.world.send("centre", "GET", "/log/terms/newest").content).terms

    def next_terms(self, **changes: Any) -> LedgerTerms:
        """Return the terms that may follow those in force."""
        known = self.terms
        return LedgerTerms.model_validate({**known.model_dump(), "number": known.number + 1, **changes})

    def put_terms(self, terms: LedgerTerms, party: str = "centre", key: bytes | None = None) -> httpx.Response:
        """Sign terms as the centre's approver and send them."""
        signed = sign_terms(terms, key or self.world.approval_key)
        return self.world.send(party, "POST", "/v1/ledger/terms", signed.to_bytes())

    def name_witnesses(self, *departments: str, auditors: tuple[Auditor, ...] = ()) -> None:
        """Have these departments witness, all by default; `auditors`: in the place of those of the terms."""
        names = sorted(departments or DEPARTMENTS)
        changes: dict[str, Any] = {
            "witnesses": [Witness(department=name, key=public(self.world.keys[name].identity)) for name in names],
            "tolerated_faulty_witnesses": tolerable_faults(len(names)),
        }
        if auditors:
            changes["auditors"] = [auditor.card for auditor in auditors]
        answer = self.put_terms(self.next_terms(**changes))
        assert answer.status_code == 201, answer.text

    def sealed(self, department: str, count: int = 2, first: int | None = None, **changes: Any) -> Batch:
        """Return a department's next batch; `auditors` (cards), `key`, `producer`, `kinds`, `origin` replace what is right."""
        terms = self.terms
        start = self.sequences.get(department, 0) + 1 if first is None else first
        kinds = changes.get("kinds", ["node.project.joined"] * count)
        plains = [to_plain(Record(kind, int(self.world.now), project="winter-aid"), NODE_TYPES) for kind in kinds]
        cards = changes.get("auditors", terms.auditors)
        keys = [bytes.fromhex(card.sealing_key) for card in cards]
        origin, producer = changes.get("origin", terms.origin), changes.get("producer", department)
        sealed = ledger_entries.seal_batch(origin, producer, start, plains, keys)
        return sign_batch(origin, producer, start, sealed, changes.get("key", self.world.keys[department].identity))

    def submit(self, batch: Batch | bytes, party: str = "", **options: Any) -> httpx.Response:
        """Send a batch as its producer, or as `party`."""
        body = batch if isinstance(batch, bytes) else batch.to_bytes()
        sender = party or (batch.producer if isinstance(batch, Batch) else "tax")
        answer = self.world.send(sender, "POST", "/v1/ledger/batches", body, **options)
        if answer.status_code == 200 and isinstance(batch, Batch):
            self.sequences[sender] = max(self.sequences.get(sender, 0), batch.first_sequence + len(batch.entries) - 1)
        return answer

    def advance(self) -> int:
        """Have the log's writer place and publish what waits; return the size of the newest checkpoint."""
        # A checkpoint that lacks cosignatures is followed by another only after a while.
        self.world.now += self.world.config.ledger.republish_after_s
        self.world.context.ledger.sequencer.advance()
        return int(self.world.send("tax", "GET", "/log/summary").json()["size"])

    def note(self, size: int | None = None) -> Note:
        """Return the newest checkpoint, or that of one size."""
        path = "/log/checkpoint" if size is None else f"/log/checkpoint/{size}"
        return parse_note(self.world.send("tax", "GET", path).content)

    def line(self, department: str, **changes: Any) -> tuple[int, str]:
        """Return a checkpoint's size and a department's line under it; `note`, `key`, `name`, `time_s` replace what is right."""
        note = changes.get("note") or self.note()
        key, name = changes.get("key") or self.world.keys[department].identity, changes.get("name", department)
        signature = cosign(note, name, key, int(changes.get("time_s", self.world.now)))
        return parse_checkpoint(note.text).size, signature.line().rstrip("\n")

    def cosign(self, department: str, party: str = "", **changes: Any) -> httpx.Response:
        """Cosign the newest checkpoint; `size`, `line` replace what is right."""
        size, line = self.line(department, **changes)
        body = {"size": changes.get("size", size), "line": changes.get("line", line)}
        return self.world.send(party or department, "POST", "/v1/ledger/cosignatures", canonical_json(body))

    def witness(self, *departments: str) -> int:
        """Publish what waits and have these departments cosign it, all by default; return the checkpoint's size."""
        size = self.advance()
        for department in departments or DEPARTMENTS:
            answer = self.cosign(department)
            assert answer.status_code == 200, answer.text
        return size

    def rewrapped(self, batch: Batch, giver: Auditor, receiver: Auditor, **changes: Any) -> SignedAddedWraps:
        """Return a batch's key as an auditor gives it to a later one; `batch_id`, `private`, `origin` replace what is right."""
        terms = self.terms
        batch_id: bytes = changes.get("batch_id") or batch.batch_id
        if batch_id == batch.batch_id and giver.card in terms.auditors:
            own = parse_wraps(batch.wraps)[auditor_id(bytes.fromhex(giver.card.sealing_key))]
            key = open_wrap(terms.origin, batch.producer, batch_id, own, giver.sealing_key)
        else:
            # What nobody was given: any key.
            key = bytes(32)
        wraps = wrap_batch_key(terms.origin, batch.producer, batch_id, key, [bytes.fromhex(receiver.card.sealing_key)])
        (wrap,) = parse_wraps(wraps).values()
        origin = changes.get("origin", terms.origin)
        added = added_wraps(origin, giver.card, receiver.card, int(self.world.now), [(batch_id, wrap)])
        return sign_added_wraps(added, changes.get("private", giver.signing_key))
