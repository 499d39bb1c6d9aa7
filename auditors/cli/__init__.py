"""`doudi audit`: fetch the log, verify it, open it, prove it. Only `fetch` and `watch` use the network; all else is offline.

Exit codes: 0 ok, 1 internal, 2 usage, 3 refused, 4 not reachable, 5 bad input file; findings of a check end with 10 to 16
(`verification.findings.FindingExit`), the most serious one first.
"""

from typing import Annotated

import typer

from auditors.cli import (
    fetch_commands,
    grant_commands,
    proof_commands,
    record_commands,
    report_commands,
    verify_commands,
)
from command_line.console import LANGUAGE_OPTION, Language

app = typer.Typer(
    name="audit",
    help="Auditors 审计: fetch, verify, open and prove the audit ledger, offline, with cards that the auditor collected.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (fetch_commands, verify_commands, record_commands, report_commands, proof_commands, grant_commands):
    app.registered_commands += group.app.registered_commands


@app.callback()
def _language(context: typer.Context, lang: Annotated[Language, LANGUAGE_OPTION] = Language.ENGLISH) -> None:
    """Exit codes: 0 ok, 1 internal, 2 usage, 3 refused, 4 not reachable, 5 bad input file; 10 to 16: findings of a check."""
    context.obj = lang
