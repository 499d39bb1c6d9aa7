"""The batches of the log: that they cover it without a gap, hold what their producers signed, and leave out no number.

The pages under `batches/` are not in the tree. What they say is confirmed by the entries (producer, batch, position, number, hash
of the wraps) and by the producer's signature over exactly these entries.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from auditors.terms_chain import TermsChain
from auditors.verification.findings import Findings, Severity
from auditors.verification.walk import EntryWalk
from crypto.errors import CryptoError, DoudiError
from crypto.ledger_entries import Entry, auditor_id, parse_entry, parse_wraps
from policies.contracts.ledger.batches import batch_statement, require_entries, require_wraps, verify_statement
from policies.contracts.ledger.placed import PlacedBatch
from policies.contracts.ledger.terms import COORDINATOR

FIRST_SEQUENCE = 1


@dataclass
class ProducerState:
    """`terms_number`: of those under which the producer signed last. `following`: by public key, the next number."""

    terms_number: int = 0
    following: dict[bytes, int] = field(default_factory=dict)


@dataclass
class BatchesState:
    """What checking goes on with. `ids`: of every batch so far. `next_index`: of the entry that the next batch begins with."""

    number: int = 0
    next_index: int = 0
    producers: dict[str, ProducerState] = field(default_factory=dict)
    ids: set[bytes] = field(default_factory=set)


class BatchPass:
    """Checks batch after batch. `sound`: they cover the log so far. `signature_s`: time spent on signatures alone."""

    def __init__(self, chain: TermsChain, state: BatchesState, findings: Findings) -> None:
        self._origin = chain.origin
        self._numbers = chain.signer_numbers
        self._auditors = {
            frozenset(auditor_id(key) for key in terms.sealing_keys): terms.number for terms in chain.terms
        }
        self._findings = findings
        self.state = state
        self.sound = True
        self.signature_s = 0.0
        self.signatures = 0

    def run(self, batches: Iterable[tuple[int, PlacedBatch]], walk: EntryWalk, size: int) -> None:
        """Check the batches of the log up to `size`, in order.

        (1) Each begins where the one before ended, and ends within the log. (2) Its entries are those of its producer, its id,
        its places and its numbers, and name one hash of wraps. (3) Its wraps have that hash and are to the auditors of some
        terms, or were destroyed. (4) The signer is a key of the producer's, and no earlier one than before. (5) It signed these
        entries.
        (6) The numbers under a key go on without gap or repetition. (7) No batch stands twice.
        """
        for number, batch in batches:
            place = f"batch/{number}"
            if batch.first_index >= size:
                # The page already holds batches that the next checkpoint will cover.
                break
            if batch.first_index != self.state.next_index or batch.first_index + batch.count > size:  # (1)
                self._findings.add(
                    "batch.not_contiguous", place, expected=self.state.next_index, found=batch.first_index, size=size
                )
                self.sound = False
                if batch.first_index < self.state.next_index or batch.first_index + batch.count > size:
                    continue
            entries, hashes = walk.take(batch.first_index, batch.count)
            self.state.next_index = batch.first_index + batch.count
            self.state.number = number + 1
            if len(hashes) == batch.count:
                self._check(place, batch, entries, hashes)
        if self.state.next_index < size:
            self._findings.add("batch.uncovered", f"entry/{self.state.next_index}", size=size)
            self.sound = False

    def _check(self, place: str, batch: PlacedBatch, data: Sequence[bytes | None], hashes: Sequence[bytes]) -> None:
        wraps_hash = self._check_entries(place, batch, data)  # (2)
        if wraps_hash is not None:
            self._check_wraps(place, batch, wraps_hash)  # (3)
        if self._check_signer(place, batch):  # (4)
            if wraps_hash is not None:
                self._check_signature(place, batch, hashes, wraps_hash)  # (5)
            self._check_sequence(place, batch)  # (6)
        if batch.batch_id in self.state.ids:  # (7)
            self._findings.add("batch.repeated", place, producer=_shown(batch.producer))
        self.state.ids.add(batch.batch_id)

    def _check_entries(self, place: str, batch: PlacedBatch, data: Sequence[bytes | None]) -> bytes | None:
        present = [entry for entry in data if entry is not None]
        try:
            if len(present) != len(data):
                # The missing bundle is reported already; what is left of the batch still says which wraps were signed.
                return parse_entry(present[0]).wraps_hash if present else None
            entries: list[Entry] = require_entries(batch.producer, batch.batch_id, batch.first_sequence, present)
        except CryptoError:
            return None
        except DoudiError as error:
            self._findings.add(error.code, place, producer=_shown(batch.producer))
            return None
        digest = entries[0].wraps_hash
        if any(entry.wraps_hash != digest for entry in entries):
            self._findings.add("batch.wrong_wraps", place, producer=batch.producer)
            return None
        return digest

    def _check_wraps(self, place: str, batch: PlacedBatch, digest: bytes) -> None:
        if not batch.wraps:
            # A stated fact, not a forgery: the entries' hash of the wraps, and so every signature and proof, stays valid.
            self._findings.add(
                "batch.wraps_destroyed", place, Severity.WARNING, entries=batch.count, producer=_shown(batch.producer)
            )
            return
        try:
            require_wraps(batch.wraps, digest)
        except DoudiError as error:
            self._findings.add(error.code, place, producer=batch.producer)
            return
        if frozenset(parse_wraps(batch.wraps)) not in self._auditors:
            self._findings.add("batch.other_auditors", place, producer=batch.producer)

    def _check_signer(self, place: str, batch: PlacedBatch) -> bool:
        numbers = self._numbers.get((batch.producer, batch.signer))
        if numbers is None:
            self._findings.add("batch.unknown_signer", place, producer=_shown(batch.producer))
            return False
        state = self._producer(batch.producer)
        later = [number for number in numbers if number >= state.terms_number]
        if not later:
            self._findings.add("batch.former_key", place, producer=batch.producer)
            return True
        state.terms_number = later[0]
        return True

    def _check_signature(self, place: str, batch: PlacedBatch, hashes: Sequence[bytes], digest: bytes) -> None:
        statement = batch_statement(self._origin, batch.producer, batch.batch_id, batch.first_sequence, hashes, digest)
        begun = time.perf_counter()
        try:
            verify_statement(statement, batch.signer, batch.signature)
        except DoudiError as error:
            self._findings.add(error.code, place, producer=batch.producer)
        self.signature_s += time.perf_counter() - begun
        self.signatures += 1

    def _check_sequence(self, place: str, batch: PlacedBatch) -> None:
        if batch.producer == COORDINATOR:
            if batch.first_sequence:
                self._findings.add("batch.inconsistent", place, producer=batch.producer)
            return
        following = self._producer(batch.producer).following
        expected = following.get(batch.signer, FIRST_SEQUENCE)
        if batch.first_sequence != expected:
            code = "batch.gap" if batch.first_sequence > expected else "batch.out_of_order"
            self._findings.add(
                code, place, producer=_shown(batch.producer), expected=expected, found=batch.first_sequence
            )
        following[batch.signer] = max(expected, batch.first_sequence + batch.count)

    def _producer(self, name: str) -> ProducerState:
        return self.state.producers.setdefault(name, ProducerState())


def _shown(producer: str) -> str:
    """Return a producer's name for a finding: what a page says is untrusted until an entry confirms it."""
    return producer if len(producer) <= 63 and producer.isprintable() else "?"
