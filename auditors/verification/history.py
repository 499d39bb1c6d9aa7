"""Whether the log only grew: what it showed at earlier visits and to the departments, against the tree that it shows now."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from auditors.terms_chain import TermsChain
from auditors.verification.checkpoints import SeenCheckpoint
from auditors.verification.findings import Findings, Severity
from auditors.verification.state import VerifiedState
from auditors.visits import StoreState
from crypto.checkpoint import Checkpoint

RootAt = Callable[[int], bytes | None]
"""The root of the tree at an earlier size, from the entries themselves; `None` if the pass did not get there."""


def compare_checkpoints(
    newest: Checkpoint, others: Sequence[tuple[str, Checkpoint]], root_at: RootAt, *, right: bool, findings: Findings
) -> None:
    """Report every checkpoint, by place, that is not a beginning of the newest one's tree.

    `right`: the newest root is the one of the entries. Otherwise no conclusion about an older root can be drawn, except from two
    roots for one size.
    """
    for place, other in others:
        facts: dict[str, Any] = {"size": other.size, "newest": newest.size}
        if other.size > newest.size:
            findings.add("history.rollback", place, **facts)
        elif other.size == newest.size:
            if other.root != newest.root:
                findings.add("history.fork", place, **facts)
        elif root_at(other.size) != other.root:
            findings.add("history.fork" if right else "history.unconfirmed", place, **facts)


def compare_same_size(seen: Iterable[SeenCheckpoint], findings: Findings) -> None:
    """Report two roots under the log's signature for one size: the proof of a fork, whatever the tree is."""
    first: dict[int, SeenCheckpoint] = {}
    for one in seen:
        known = first.setdefault(one.size, one)
        if known.checkpoint.root != one.checkpoint.root:
            findings.add("history.fork", one.place, size=one.size, newest=known.size)


def compare_departments(
    newest: Checkpoint, visited_at: int, theirs: Sequence[SeenCheckpoint], findings: Findings
) -> list[SeenCheckpoint]:
    """Return the departments' checkpoints that the newest tree must contain; judge those that are larger.

    A department that saw a larger tree before the auditor's visit shows that the auditor was shown an old one.
    """
    within = []
    for one in theirs:
        if one.size <= newest.size:
            within.append(one)
        elif one.times and min(one.times.values()) <= visited_at:
            findings.add("history.withheld", one.place, size=one.size, newest=newest.size)
        else:
            findings.add("history.newer", one.place, Severity.NOTICE, size=one.size, newest=newest.size)
    return within


def compare_visits(state: StoreState, findings: Findings) -> None:
    """Report every visit to which the log showed a smaller tree than to the one before."""
    for one in state.regressions:
        findings.add("history.rollback", f"visit/{one.at}", size=one.before, newest=one.after)


def compare_terms(chain: TermsChain, before: VerifiedState | None, findings: Findings) -> None:
    """Report terms that were verified before and are gone or different now."""
    now = {terms.number: terms.digest() for terms in chain.terms}
    for number, digest in before.terms if before else ():
        if now.get(number) != digest:
            findings.add("history.terms_changed", f"terms/{number}", number=number)
