"""How findings and long work look on a terminal, for every command of `doudi audit`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from auditors.cli.options import console
from auditors.verification.findings import Finding, Findings

_COLUMNS = ("severity", "code", "place", "meaning")


class Step(Protocol):
    """Shows how far long work has come."""

    def __call__(self, done: int, total: int) -> None: ...


@contextmanager
def progress_of(text: str) -> Iterator[Step]:
    """Show a bar on stderr while it is a terminal; `text` is a key of the texts."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Terminal(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(console.text(text), total=None)

        def step(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield step


def show_findings(findings: Findings) -> None:
    """Print findings as a table on stdout, in the language of this call."""
    rows = [
        {
            "severity": console.text(f"severity.{one.severity}"),
            "code": one.code,
            "place": one.place,
            "meaning": meaning(one),
        }
        for one in findings
    ]
    if rows:
        console.rows(_COLUMNS, rows, as_json=False)


def meaning(finding: Finding) -> str:
    """Return what a finding means, in the language of this call."""
    return console.text(f"finding.{finding.code}", **finding.detail)
