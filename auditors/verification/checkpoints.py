"""Signatures under checkpoints: the log's own, and the witnesses' with their times. Pure: notes in, findings out.

A log's key may be replaced by later terms. A checkpoint is accepted under the key of any terms, but over growing sizes the keys
never go back: whoever finds an old key cannot sign the future with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from auditors.terms_chain import TermsChain
from auditors.verification.findings import Findings, Severity
from crypto.checkpoint import Checkpoint, Note, parse_checkpoint, verify_checkpoint, verify_cosignature
from crypto.errors import DoudiError
from policies.contracts.ledger.terms import LedgerTerms


@dataclass(frozen=True)
class SeenCheckpoint:
    """A checkpoint that the log signed. `place`: where it came from. `times`: of the right cosignatures, by department."""

    place: str
    checkpoint: Checkpoint
    note: Note
    terms_number: int
    times: dict[str, int]

    @property
    def size(self) -> int:
        """The size of the tree."""
        return self.checkpoint.size

    def witnessed_at(self, terms: LedgerTerms) -> int | None:
        """Return since when a quorum of these terms' witnesses had cosigned; `None` if none has.

        Of the cosignatures in force the quorum takes the newest ones; the oldest of those decides.
        """
        names = {witness.department for witness in terms.witnesses}
        times = sorted((time for name, time in self.times.items() if name in names), reverse=True)
        return times[terms.quorum - 1] if names and len(times) >= terms.quorum else None


def verify_note(note: Note, place: str, chain: TermsChain, findings: Findings) -> SeenCheckpoint | None:
    """Return the checkpoint of a note that the log signed, with its cosignatures; else `None`, with a finding.

    (1) One key of the log in these terms signed it. (2) Every other line is a known witness's and right: a line that is not does
    not count, and is reported. Cosignatures of several keys of one witness count once, with the newest.
    """
    # (1)
    keys = chain.log_keys
    numbers = {terms.log_note_key.key_hash: terms.number for terms in chain.terms}
    lines = [line for line in note.signatures if line.name == chain.origin and line.key_hash in keys]
    if not lines:
        code = "checkpoint.bad_signature" if _origin_of(note) in ("", chain.origin) else "checkpoint.other_log"
        findings.add(code, place)
        return None
    try:
        checkpoint = verify_checkpoint(note, keys[lines[0].key_hash])
    except DoudiError:
        findings.add("checkpoint.bad_signature", place)
        return None
    # (2)
    known = chain.witness_keys
    current = {witness.department: witness.key for witness in chain.newest.witnesses}
    times: dict[str, int] = {}
    met = set()
    for line in note.signatures:
        if line is lines[0]:
            continue
        key = known.get((line.name, line.key_hash))
        if key is None:
            findings.add("witness.unknown_line", place, Severity.WARNING)
            continue
        try:
            # A note of this line alone: the work does not grow with the square of the witnesses.
            time_s = verify_cosignature(Note(note.text, (line,)), key)
        except DoudiError:
            time_s = -1
        if time_s < 0 or key in met:
            findings.add("witness.bad_cosignature", place, department=key.name)
            continue
        met.add(key)
        if current.get(key.name) == key.public.hex():
            times[key.name] = max(time_s, times.get(key.name, 0))
    return SeenCheckpoint(place, checkpoint, note, numbers[lines[0].key_hash], times)


def require_growing_keys(seen: Iterable[SeenCheckpoint], findings: Findings) -> None:
    """Report every checkpoint that an earlier key of the log signed although a smaller one carries a later key."""
    newest = 0
    for one in sorted(seen, key=lambda item: item.size):
        if one.terms_number < newest:
            findings.add("checkpoint.former_key", one.place, size=one.size)
        newest = max(newest, one.terms_number)


def require_witnesses(
    seen: Sequence[SeenCheckpoint], place: str, chain: TermsChain, findings: Findings
) -> SeenCheckpoint | None:
    """Return the largest checkpoint that a quorum of the newest terms' witnesses cosigned; else `None`, with a finding."""
    terms = chain.newest
    if not terms.witnesses:
        findings.add("witness.none", place, Severity.WARNING)
        return None
    counted = [one for one in seen if one.witnessed_at(terms) is not None]
    if counted:
        return max(counted, key=lambda one: one.size)
    most = max((len(one.times) for one in seen), default=0)
    findings.add("witness.too_few", place, have=most, need=terms.quorum, witnesses=len(terms.witnesses))
    return None


def _origin_of(note: Note) -> str:
    try:
        return parse_checkpoint(note.text).origin
    except DoudiError:
        return ""
