"""A whole audit log in memory, honest until a test makes it lie: a real tree, real signatures, the coordinator's answers.

`HostileLog.client(department)` is what a node calls. Each department is shown a `View`; views that share nothing but their first
leaves are an equivocation. The log places, publishes and collects cosignatures at once, as the coordinator does.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from crypto import merkle, merkle_log, sealing
from crypto.checkpoint import (
    Checkpoint,
    Note,
    NoteKey,
    cosignature_times,
    parse_note,
    sign_checkpoint,
    verify_cosignature,
    with_signatures,
)
from crypto.errors import CryptoError, DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.ledger.batches import Batch, parse_batch, verify_batch
from policies.contracts.ledger.terms import AuditorCard, LedgerTerms, SignedLedgerTerms, Witness, sign_terms

ORIGIN = "log.example:8443/ledger-0a1b2c3d"
AWAY = "coordinator.unreachable"


def auditor_card(name: str, private: bytes | None = None) -> AuditorCard:
    """Return the card of an auditor with this sealing key, or a fresh one that nobody holds."""
    public = sealing.sealing_public_key(private or sealing.generate_sealing_key())
    return AuditorCard(auditor=name, sealing_key=public.hex(), signing_key=public_hex(generate_signing_key()))


def public_hex(private: bytes) -> str:
    return signing_public_key(private).hex()


@dataclass
class View:
    """One history: its leaves, the checkpoints that were signed of it, and the cosignatures they got."""

    leaves: list[bytes] = field(default_factory=list)
    notes: dict[int, Note] = field(default_factory=dict)
    latest: int = 0
    witnessed: int = 0
    # What is said instead of the truth.
    shown_latest: Note | None = None
    shown_witnessed: Note | None = None
    proof: list[str] | None = None

    def root(self, size: int) -> bytes:
        return merkle_log.root_of(self.leaves[:size])

    def fork(self, shared: int) -> "View":
        """Return another history that begins with the first `shared` leaves of this one."""
        kept = {size: note for size, note in self.notes.items() if size <= shared}
        return View(self.leaves[:shared], kept, max(kept, default=0), min(self.witnessed, max(kept, default=0)))


class HostileLog:
    """`keys`: the private identity key of each witness."""

    def __init__(
        self, keys: dict[str, bytes], clock: Callable[[], float] = time.time, faulty: int | None = None
    ) -> None:
        self.keys, self.clock = keys, clock
        self.log_key, self.approval = generate_signing_key(), generate_signing_key()
        self.auditor = sealing.generate_sealing_key()
        self.changed = threading.Condition()
        self.main = View()
        self.views: dict[str, View] = {}
        self.batches: dict[bytes, tuple[int, Batch]] = {}
        # (department, size, root) of every cosignature that came, in order; and every call.
        self.cosigned: list[tuple[str, int, bytes]] = []
        self.calls: list[tuple[str, str]] = []
        # (seen, witnessed, terms) of every long poll.
        self.polls: list[tuple[int, int, int]] = []
        self.away = False
        self.omitting = False
        # Batches that are refused because their auditors are those of former terms.
        self.wrong_auditors: set[bytes] = set()
        self.publishing = True
        # Whether the proof that the log only grew comes with the news.
        self.volunteering = True
        self.collecting = True
        self.republish_after_s = 2.0
        self._published_s = 0.0
        number = len(keys)
        self.terms = LedgerTerms(
            number=1,
            issued_at=int(clock()),
            origin=ORIGIN,
            log_key=public_hex(self.log_key),
            auditors=(auditor_card("audit-office", self.auditor),),
            witnesses=tuple(Witness(department=name, key=public_hex(keys[name])) for name in sorted(keys)),
            tolerated_faulty_witnesses=max(0, (number - 1) // 3) if faulty is None else faulty,
        )
        self.signed_terms = sign_terms(self.terms, self.approval)

    def client(self, department: str) -> "LogClient":
        return LogClient(self, department)

    def view(self, department: str) -> View:
        return self.views.get(department, self.main)

    # ---- what an honest log does ----

    def renew_terms(self, **changes: Any) -> LedgerTerms:
        """Put the next terms into force."""
        values = self.terms.model_dump() | {"number": self.terms.number + 1} | changes
        self.terms = LedgerTerms.model_validate(values)
        self.signed_terms = sign_terms(self.terms, self.approval)
        with self.changed:
            self.changed.notify_all()
        return self.terms

    def grow(self, leaves: int = 1, view: View | None = None, label: str = "leaf") -> Note:
        """Add so many leaves of nobody and publish a checkpoint of them all."""
        with self.changed:
            view = view or self.main
            for _ in range(leaves):
                view.leaves.append(merkle.leaf_hash(f"{label}-{len(view.leaves)}".encode()))
            return self.publish(view)

    def publish(self, view: View | None = None) -> Note:
        """Sign a checkpoint of the whole view now."""
        with self.changed:
            view = view or self.main
            size = len(view.leaves)
            if size not in view.notes:
                view.notes[size] = self.note(size, view.root(size))
                view.latest = size
                self._published_s = time.monotonic()
            self.changed.notify_all()
            return view.notes[size]

    def note(self, size: int, root: bytes, key: bytes | None = None) -> Note:
        """Return a checkpoint that the log, or another key in its name, signed."""
        return sign_checkpoint(Checkpoint(ORIGIN, size, root), ORIGIN, key or self.log_key)

    def _submit(self, department: str, data: bytes) -> dict[str, int]:
        batch = parse_batch(data)
        signer = self.terms.signer(department)
        if batch.producer != department or signer is None:
            raise DoudiError("ledger.not_a_witness", "the department is no witness")
        if data in self.wrong_auditors:
            raise DoudiError("batch.wrong_auditors", "the batch is not sealed to the auditors in force")
        known = self.batches.get(batch.batch_id)
        if known is None:
            verify_batch(ORIGIN, batch, bytes.fromhex(signer))
            own = [item for _, item in self.batches.values() if item.signer == batch.signer]
            expected = 1 + sum(len(item.entries) for item in own)
            if batch.first_sequence != expected:
                raise DoudiError("batch.gap", f"the batch does not begin with number {expected}")
            view = self.view(department)
            known = self.batches[batch.batch_id] = (len(view.leaves), batch)
            # An omitting log gives the receipt, and puts something else in the entries' places.
            placed = [b"other" + item if self.omitting else item for item in batch.entries]
            view.leaves += [merkle.leaf_hash(item) for item in placed]
            self._pace(view)
        elif known[1].to_bytes() != data:
            raise DoudiError("batch.conflict", "another batch has this id")
        return {"first_index": known[0], "count": len(batch.entries), "size": known[0] + len(batch.entries)}

    def _pace(self, view: View) -> None:
        """Publish when the last checkpoint is witnessed, or has waited for too long."""
        waited = time.monotonic() - self._published_s
        due = view.latest == view.witnessed or not self.terms.witnesses or waited > self.republish_after_s
        if self.publishing and due and len(view.leaves) > view.latest:
            self.publish(view)

    def _cosign(self, department: str, size: int, line: str) -> dict[str, Any]:
        view = self.view(department)
        note = view.notes[size]
        (signature,) = parse_note(f"{note.text}\n{line.rstrip()}\n".encode()).signatures
        key = next(item.note_key for item in self.terms.witnesses if item.department == department)
        verify_cosignature(Note(note.text, (signature,)), key)
        self.cosigned.append((department, size, view.root(size)))
        if self.collecting:
            view.notes[size] = with_signatures(note, (signature,))
            times = cosignature_times(view.notes[size], [item.note_key for item in self.terms.witnesses])
            if len(times) >= self.terms.quorum:
                view.witnessed = max(view.witnessed, size)
        self._pace(view)
        self.changed.notify_all()
        return {"size": size, "witnessed": view.witnessed >= size}

    def _newest(self, department: str) -> dict[str, Any]:
        view = self.view(department)
        latest = view.shown_latest or view.notes.get(view.latest)
        witnessed = view.shown_witnessed or view.notes.get(view.witnessed)
        return {"latest": _text(latest), "witnessed": _text(witnessed), "terms": self.signed_terms.terms.number}

    def _wait(self, client: "LogClient", seen: int, witnessed: int, terms: int, wait_s: float) -> None:
        def news() -> bool:
            view = self.view(client.department)
            latest = view.shown_latest is not None or view.latest > seen
            more = view.shown_witnessed is not None or view.witnessed > witnessed
            ended = self.away or client.interrupted.is_set()
            return ended or latest or more or self.signed_terms.terms.number > terms

        self.changed.wait_for(news, timeout=wait_s)

    def wake(self) -> None:
        """Let every long poll look again."""
        with self.changed:
            self.changed.notify_all()

    def witness_keys(self) -> Sequence[NoteKey]:
        return [item.note_key for item in self.terms.witnesses]


@dataclass(frozen=True)
class LogClient:
    """The calls of one department. Raises what the coordinator's client raises."""

    log: HostileLog
    department: str
    interrupted: threading.Event = field(default_factory=threading.Event)

    def get(self, path: str) -> Any:
        with self.log.changed:
            self._reach("GET", path)
            parts = urlsplit(path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            view = self.log.view(self.department)
            if parts.path == "/v1/ledger/checkpoint":
                seen, witnessed = int(query["seen"]), int(query["witnessed"])
                self.log.polls.append((seen, witnessed, int(query["terms"])))
                self.log._wait(self, *self.log.polls[-1], float(query["wait_s"]))
                self._reach("GET", path)
                answer = self.log._newest(self.department)
                if self.log.volunteering and 0 < seen < view.latest and view.shown_latest is None:
                    answer["consistency"] = self._consistency(view, seen, view.latest)
                return answer
            if parts.path == "/v1/ledger/consistency":
                old, new = int(query["old"]), int(query["new"])
                return {"hashes": self._consistency(view, old, new)}
        raise DoudiError("request.not_found", path)

    def get_bytes(self, path: str) -> bytes:
        with self.log.changed:
            self._reach("GET", path)
            if path == "/log/terms/newest":
                return self.log.signed_terms.to_bytes()
            if path == "/log/checkpoint/witnessed":
                text = self.log._newest(self.department)["witnessed"]
                if text is not None:
                    return str(text).encode()
        raise DoudiError("request.not_found", path)

    def post(self, path: str, document: Any, key: str | None = None) -> Any:
        with self.log.changed:
            self._reach("POST", path)
            if path == "/v1/ledger/cosignatures":
                return self.log._cosign(self.department, document["size"], document["line"])
            if path == "/v1/ledger/proofs":
                size, leaves = document["size"], self.log.view(self.department).leaves
                read = merkle_log.leaves_reader(leaves[:size])
                proofs = [merkle_log.inclusion_proof(read, index, size) for index in document["indices"]]
                return {"proofs": [[item.hex() for item in proof] for proof in proofs]}
        raise DoudiError("request.not_found", path)

    def post_bytes(self, path: str, body: bytes) -> Any:
        with self.log.changed:
            self._reach("POST", path)
            if path == "/v1/ledger/batches":
                return json.loads(json.dumps(self.log._submit(self.department, body)))
        raise DoudiError("request.not_found", path)

    def interrupt(self) -> None:
        with self.log.changed:
            self.interrupted.set()
            self.log.changed.notify_all()

    def close(self) -> None:
        """Nothing to close."""

    def _consistency(self, view: View, old: int, new: int) -> list[str]:
        if view.proof is not None:
            return view.proof
        read = merkle_log.leaves_reader(view.leaves)
        return [item.hex() for item in merkle_log.consistency_proof(read, min(old, new), new)]

    def _reach(self, method: str, path: str) -> None:
        if self.log.away or self.interrupted.is_set():
            raise DoudiError(AWAY, "away")
        self.log.calls.append((method, urlsplit(path).path))


def signed_by(log: HostileLog, terms: LedgerTerms, private: bytes | None = None) -> SignedLedgerTerms:
    """Return terms signed by the centre, or by somebody else."""
    return sign_terms(terms, private or log.approval)


def is_error(act: Callable[[], object]) -> str:
    """Return the code that an act is refused with."""
    try:
        act()
    except (DoudiError, CryptoError) as error:
        return error.code
    raise AssertionError("nothing was refused")


def _text(note: Note | None) -> str | None:
    return note.to_bytes().decode() if note is not None else None
