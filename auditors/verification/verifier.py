"""The verification of a mirror, step by step. Offline; findings are collected, none ends it while something is left to judge.

(1) Terms: the chain from number 1, signed by the centre; the witnesses' keys are those on the departments' own cards.
(2) The log's signature under the newest checkpoint and every other one: of the mirror, of earlier visits, from departments.
(3) Witnesses: a quorum of the newest terms cosigned; every cosignature that is there is right.
(4) The tree over all entries has the root that the log signed.
(5) The tiles are those of this tree.
(6) The batches cover the log, are what their producers signed, and leave out no number.
(7) History: the tree contains every checkpoint that was seen before: at the last verification, at any visit, by a department; two
    different ones of one size are a fork.
(8) Age: witnesses had cosigned lately when the log was visited.
(9) Time stamps: an authority outside of the log said when a checkpoint existed, where one is used.

A pass goes on from what was verified last, and becomes a full one wherever that cannot be confirmed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auditors.home import Home
from auditors.store import CHECKPOINT, CHECKPOINTS, WITNESSED, Store, StoreError
from auditors.terms_chain import TermsChain, compare_witness_cards, verify_terms
from auditors.verification import history
from auditors.verification.checkpoints import SeenCheckpoint, require_growing_keys, require_witnesses, verify_note
from auditors.verification.findings import FindingExit, Findings, Severity, exit_code_of
from auditors.verification.passes import ProgressOf, run_pass
from auditors.verification.state import VerifiedState, load_state, save_state
from auditors.verification.timestamps import verify_timestamps
from auditors.visits import StoreState
from crypto.checkpoint import MAX_NOTE_BYTES, Checkpoint, Note, parse_note
from crypto.errors import DoudiError
from policies.contracts.ledger.terms import LedgerTerms

DAY_S = 86_400
# Clocks of hosts differ by so much without anything being wrong.
CLOCK_SKEW_S = 300


@dataclass
class Verification:
    """What came out. `entries`: read in this pass. `tree_s`: all of it but the signatures of batches: `signatures_s`."""

    findings: Findings
    chain: TermsChain | None = None
    newest: Checkpoint | None = None
    witnessed: SeenCheckpoint | None = None
    batches: int = 0
    entries: int = 0
    full: bool = True
    tree_s: float = 0.0
    signatures_s: float = 0.0
    signatures: int = 0
    visited_at: int = 0
    stamped: dict[int, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        return exit_code_of(self.findings)


def verify_store(
    home: Home,
    *,
    department_files: Sequence[Path] = (),
    full: bool = False,
    max_age_s: int = DAY_S,
    timestamp_roots: bytes | None = None,
    progress: ProgressOf = lambda done, total: None,
) -> Verification:
    """Return what the verification of an auditor's mirror finds, and keep what was verified for the next one.

    `timestamp_roots`: certificates of the time stamping authority, PEM.
    `full`: use nothing of the last one. `max_age_s`: of the newest cosignatures at the time of the visit, while nothing waits for
    newer ones. Raises `audit.no_card` without the centre's card, `audit.not_fetched` without a visit, "file.unwritable".
    """
    begun = time.perf_counter()
    store, findings = home.store, Findings()
    if not store.has(CHECKPOINT):
        raise DoudiError("audit.not_fetched", "there is no mirror of the log", "Run `doudi audit fetch` first.")
    result = Verification(findings)
    before = load_state(home)
    cards = home.cards()
    visits = _visits(store, findings)
    result.visited_at = visits.visits[-1].at if visits.visits else 0
    chain = result.chain = verify_terms(store, cards, findings)  # (1)
    if chain is None:
        return result
    compare_witness_cards(chain, cards, findings)
    history.compare_terms(chain, before, findings)
    if before is not None and before.origin != chain.origin:
        before = None
    newest, witnessed, seen = _seen(store, chain, before, full, findings)  # (2)
    theirs = [one for path in department_files if (one := _of_department(path, chain, findings)) is not None]
    if newest is None:
        return result
    require_growing_keys({one.place: one for one in (*seen, newest)}.values(), findings)
    candidates = [one for one in (witnessed, newest) if one is not None]
    result.witnessed = require_witnesses(candidates, WITNESSED, chain, findings)  # (3)
    result.newest = newest.checkpoint
    within = history.compare_departments(newest.checkpoint, result.visited_at, theirs, findings)
    others = [(one.place, one.checkpoint) for one in (*seen, *within)]
    if before is not None:
        others.append(("verified.json", before.checkpoint()))
    done = run_pass(home, chain, newest.checkpoint, others, before, full, progress)  # (4), (5), (6)
    result.full = done.full
    findings.extend(done.findings)
    if before is not None and not result.full:
        known = {(one.code, one.place) for one in findings}
        findings.extend(one for one in before.kept_findings() if (one.code, one.place) not in known)
    right = done.root == newest.checkpoint.root
    history.compare_checkpoints(newest.checkpoint, others, done.roots.get, right=right, findings=findings)  # (7)
    history.compare_same_size((*seen, *within), findings)
    history.compare_visits(visits, findings)
    _check_age(result, newest, chain.newest, max_age_s)  # (8)
    result.stamped = verify_timestamps(store, timestamp_roots, findings)  # (9)
    result.batches, result.entries = done.batches.number, done.entries
    result.signatures_s, result.signatures = done.signatures_s, done.signatures
    # What shows a changed past is found again each time, so nothing is kept that would pass over it.
    spoiling = (one for one in findings if one.exit in (FindingExit.LOG, FindingExit.HISTORY))
    if right and done.sound and all(one.severity is Severity.NOTICE for one in spoiling):
        save_state(home, chain, newest.checkpoint, done.batches, findings)
    result.tree_s = time.perf_counter() - begun - done.signatures_s
    return result


def _visits(store: Store, findings: Findings) -> StoreState:
    try:
        return store.state()
    except StoreError as error:
        findings.add(error.code, error.place)
        return StoreState()


def _seen(
    store: Store, chain: TermsChain, before: VerifiedState | None, full: bool, findings: Findings
) -> tuple[SeenCheckpoint | None, SeenCheckpoint | None, list[SeenCheckpoint]]:
    """Return the newest checkpoint, the newest witnessed one, and every other one that was not compared before."""
    newest = _of_store(store, CHECKPOINT, chain, findings)
    witnessed = _of_store(store, WITNESSED, chain, findings) if store.has(WITNESSED) else None
    others = [] if witnessed is None else [witnessed]
    known = -1 if full or before is None else before.size
    for place in store.checkpoint_places():
        name = place.removeprefix(f"{CHECKPOINTS}/")
        size = int(name.partition(".")[0])
        if size < known and "." not in name:
            continue
        one = _of_store(store, place, chain, findings)
        if one is not None and one.size != size:
            findings.add("store.malformed", place)
        elif one is not None:
            others.append(one)
    return newest, witnessed, others


def _of_store(store: Store, place: str, chain: TermsChain, findings: Findings) -> SeenCheckpoint | None:
    try:
        note = store.note(place)
    except StoreError as error:
        findings.add(error.code, error.place)
        return None
    return verify_note(note, place, chain, findings)


def _of_department(path: Path, chain: TermsChain, findings: Findings) -> SeenCheckpoint | None:
    return verify_note(read_note_file(path), path.name, chain, findings)


def read_note_file(path: Path) -> Note:
    """Return the note in a file that somebody handed over; nothing of it is verified. Raises `document.unreadable`."""
    try:
        with path.open("rb") as file:
            return parse_note(file.read(MAX_NOTE_BYTES + 1))
    except (OSError, DoudiError):
        raise DoudiError("document.unreadable", f"{path.name} is no checkpoint", "Check the file's name.") from None


def _check_age(result: Verification, newest: SeenCheckpoint, terms: LedgerTerms, max_age_s: int) -> None:
    """Judge the age of the witnesses' word at the time of the visit: a log that is shown frozen has old cosignatures only.

    While entries wait for witnesses, their word must not be older than the terms allow for a step. A log into which nobody
    wrote since is allowed `max_age_s`.
    """
    witnessed = result.witnessed
    at = witnessed.witnessed_at(terms) if witnessed is not None else None
    if witnessed is None or at is None or not result.visited_at:
        return
    age, allowed = result.visited_at - at, max_age_s
    if newest.size > witnessed.size:
        allowed = min(max_age_s, terms.checkpoint_max_age_s)
    if age > allowed:
        result.findings.add("witness.old", witnessed.place, age_s=age, allowed_s=allowed, size=witnessed.size)
    if age < -CLOCK_SKEW_S:
        result.findings.add("witness.future_time", witnessed.place, Severity.WARNING, ahead_s=-age, size=witnessed.size)
