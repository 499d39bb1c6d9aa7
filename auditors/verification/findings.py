"""What a check found: a stable code, how serious it is, where, and facts; and with which exit code a command ends for it.

Findings are collected, not raised: one fault must not hide the next. The texts for people are `finding.<code>` in `texts`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

# A log whose every entry is wrong must not fill the memory: what is above this is counted only.
MAXIMUM_PER_CODE = 1_000


class Severity(StrEnum):
    """ERROR: something is wrong. WARNING: something is missing or stated to be gone. NOTICE: to know; the command ends well."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


class FindingExit(IntEnum):
    """The exit codes of findings, most serious first. Beside `command_line.console.ExitCode`; scripts branch on both."""

    LOG = 10
    SIGNATURES = 11
    WITNESSES = 12
    HISTORY = 13
    GAPS = 14
    WRAPS = 15
    RECORDS = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """`place`: what it is about: "entry/17", "batch/3", "checkpoints/300" or another path of the store. `detail`: facts."""

    code: str
    severity: Severity
    place: str
    detail: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def exit(self) -> FindingExit:
        """The exit code of a command that found this alone."""
        return CODES[self.code]

    def shown(self) -> dict[str, Any]:
        """Return the finding for JSON."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "place": self.place,
            "detail": dict(self.detail),
            "exit": int(self.exit),
        }


class Findings:
    """The findings of one check, in the order in which they were made. `uncounted`: by code, those above the limit."""

    def __init__(self, found: Iterable[Finding] = ()) -> None:
        self._found = list(found)
        self._counts: dict[str, int] = {}
        for one in self._found:
            self._counts[one.code] = self._counts.get(one.code, 0) + 1

    def add(self, code: str, place: str, severity: Severity = Severity.ERROR, **detail: str | int) -> None:
        """Add a finding; its code is one of `CODES`."""
        count = self._counts[code] = self._counts.get(code, 0) + 1
        if count <= MAXIMUM_PER_CODE:
            self._found.append(Finding(code, severity, place, detail))
        else:
            _ = CODES[code]

    def extend(self, found: Iterable[Finding]) -> None:
        """Add findings that another check made."""
        for one in found:
            self.add(one.code, one.place, one.severity, **one.detail)

    def has(self, *codes: str) -> bool:
        """Return whether one of these codes was found."""
        return any(code in self._counts for code in codes)

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each code was found, also above the limit."""
        return dict(self._counts)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found)

    def __len__(self) -> int:
        return sum(self._counts.values())


def exit_code_of(findings: Iterable[Finding]) -> int:
    """Return the exit code for findings: the most serious one's, which is the lowest; 0 for none and for notices alone."""
    return min((int(one.exit) for one in findings if one.severity is not Severity.NOTICE), default=0)


CODES: Mapping[str, FindingExit] = {
    # The tree, the log's own signature, and the files that they rest on.
    "store.missing": FindingExit.LOG,
    "store.malformed": FindingExit.LOG,
    "checkpoint.bad_signature": FindingExit.LOG,
    "checkpoint.former_key": FindingExit.LOG,
    "checkpoint.other_log": FindingExit.LOG,
    "tree.wrong_root": FindingExit.LOG,
    "tree.entry_changed": FindingExit.LOG,
    "tree.tile_differs": FindingExit.LOG,
    "tree.incomplete": FindingExit.LOG,
    "proof.not_in_log": FindingExit.LOG,
    # Who signed: terms, batches, what a proof discloses.
    "terms.bad_key": FindingExit.SIGNATURES,
    "terms.bad_signature": FindingExit.SIGNATURES,
    "terms.former_key": FindingExit.SIGNATURES,
    "terms.other_log": FindingExit.SIGNATURES,
    "terms.other_number": FindingExit.SIGNATURES,
    "terms.unpinned": FindingExit.SIGNATURES,
    "batch.bad_signature": FindingExit.SIGNATURES,
    "batch.former_key": FindingExit.SIGNATURES,
    "batch.inconsistent": FindingExit.SIGNATURES,
    "batch.not_contiguous": FindingExit.SIGNATURES,
    "batch.uncovered": FindingExit.SIGNATURES,
    "batch.unknown_signer": FindingExit.SIGNATURES,
    "proof.malformed_entry": FindingExit.SIGNATURES,
    "proof.not_in_batch": FindingExit.SIGNATURES,
    "evidence.bad_signature": FindingExit.SIGNATURES,
    "evidence.unfounded": FindingExit.SIGNATURES,
    # The witnesses' word.
    "witness.bad_cosignature": FindingExit.WITNESSES,
    "witness.future_time": FindingExit.WITNESSES,
    "witness.no_card": FindingExit.WITNESSES,
    "witness.none": FindingExit.WITNESSES,
    "witness.old": FindingExit.WITNESSES,
    "witness.other_key": FindingExit.WITNESSES,
    "witness.too_few": FindingExit.WITNESSES,
    "witness.unknown_line": FindingExit.WITNESSES,
    "timestamp.unjudged": FindingExit.WITNESSES,
    "timestamp.wrong": FindingExit.WITNESSES,
    # A past that changed.
    "history.fork": FindingExit.HISTORY,
    "history.newer": FindingExit.HISTORY,
    "history.rollback": FindingExit.HISTORY,
    "history.terms_changed": FindingExit.HISTORY,
    "history.unconfirmed": FindingExit.HISTORY,
    "history.withheld": FindingExit.HISTORY,
    "evidence.claims": FindingExit.HISTORY,
    "evidence.fork": FindingExit.HISTORY,
    "evidence.two_terms": FindingExit.HISTORY,
    "witness.reports_refusal": FindingExit.HISTORY,
    # What is missing, stands twice or in another order.
    "batch.gap": FindingExit.GAPS,
    "evidence.omission": FindingExit.GAPS,
    "batch.out_of_order": FindingExit.GAPS,
    "batch.repeated": FindingExit.GAPS,
    "run.unrecorded": FindingExit.GAPS,
    "run.without_end": FindingExit.GAPS,
    "step.outcome_unknown": FindingExit.GAPS,
    "witness.reports_omission": FindingExit.GAPS,
    # To whom it was sealed.
    "proof.without_key": FindingExit.WRAPS,
    "batch.other_auditors": FindingExit.WRAPS,
    "batch.wraps_destroyed": FindingExit.WRAPS,
    "batch.wrong_wraps": FindingExit.WRAPS,
    "batch.left_out": FindingExit.WRAPS,
    "batch.sealed_to_others": FindingExit.WRAPS,
    "batch.shredded": FindingExit.WRAPS,
    "batch.shredded_unstated": FindingExit.WRAPS,
    # What does not open, or says what its type does not allow.
    "batch.wrong_key": FindingExit.RECORDS,
    "ledger.cannot_open": FindingExit.RECORDS,
    "ledger.wrong_key": FindingExit.RECORDS,
    "record.malformed": FindingExit.RECORDS,
    "record.two_purposes": FindingExit.RECORDS,
}
