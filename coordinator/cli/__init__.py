"""`doudi centre`: the data-management centre's command line, one module per group of commands.

`init`, `run` and `superlink` run on the coordinator's host with its home folder; the other commands run on the officer's
device with the officer's folder and reach the coordinator through its API. Exit codes: `console.ExitCode`.
"""

from typing import Annotated

import typer

from command_line.console import LANGUAGE_OPTION, Language
from coordinator.cli import (
    account_commands,
    description_commands,
    grant_commands,
    host_commands,
    ledger_commands,
    ledger_host_commands,
    oversight_commands,
    party_commands,
    record_commands,
    request_commands,
    revocation_commands,
    rules_commands,
)

app = typer.Typer(
    name="centre",
    help="The data-management centre 数据管理中心: runs the coordinator, registers departments, approves requests.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (
    host_commands,
    account_commands,
    party_commands,
    grant_commands,
    request_commands,
    revocation_commands,
    record_commands,
    oversight_commands,
    rules_commands,
    description_commands,
):
    app.registered_commands += group.app.registered_commands
ledger_commands.app.registered_commands += ledger_host_commands.app.registered_commands
app.add_typer(ledger_commands.app)


@app.callback()
def _language(
    context: typer.Context,
    lang: Annotated[Language, LANGUAGE_OPTION] = Language.ENGLISH,
) -> None:
    """Exit codes: 0 ok, 1 internal, 2 usage, 3 refused, 4 not reachable, 5 bad input file."""
    context.obj = lang
