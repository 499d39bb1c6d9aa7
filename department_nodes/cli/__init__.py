"""`doudi node`: a department's command line. Everything here works on this host; nothing about people is sent by it.

IT uses init, check, card, trust, register-asset, request and run; approvers show-request, approve, refuse and revoke; the
scheduler create-run and schedule. `policy` shows what this site itself allows, `ledger` how the node and the audit ledger stand.
Exit codes: `console.ExitCode`.
"""

from typing import Annotated

import typer

from command_line.console import LANGUAGE_OPTION, Language
from department_nodes.cli import (
    budget_commands,
    governance_commands,
    grant_commands,
    ledger_commands,
    line_commands,
    node_commands,
    policy_commands,
    request_commands,
    run_commands,
)

app = typer.Typer(
    name="node",
    help="A department's node 部门节点: keeps its data, trains on it, and answers granted runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (
    node_commands,
    governance_commands,
    request_commands,
    grant_commands,
    line_commands,
    run_commands,
    budget_commands,
):
    app.registered_commands += group.app.registered_commands
app.add_typer(policy_commands.app)
app.add_typer(ledger_commands.app)


@app.callback()
def _language(context: typer.Context, lang: Annotated[Language, LANGUAGE_OPTION] = Language.ENGLISH) -> None:
    """Exit codes: 0 ok, 1 internal, 2 usage, 3 refused, 4 not reachable, 5 bad input file."""
    context.obj = lang
