"""Lines: drafting the grant of a line, and the models that came of them. Everything else is as for any grant and run."""

from typing import Any

import typer

from command_line.console import ending_with_code, show_time
from department_nodes.cli.start import AsJson, HomeOption, console, open_home, write_and_name
from department_nodes.cli.terms import Out, line_draft, with_options_of

app = typer.Typer()


@app.command("draft-line")
@ending_with_code
@with_options_of(line_draft)
def draft_line(home: HomeOption, out: Out, **terms: Any) -> None:
    """Draft the grant of a line that this department leads, in a file. Nobody is bound before every party has signed it.

    What is not given has the measured default of the chosen placement. The noise follows from ε by the accountant.
    """
    from policies.contracts.grant import SignedGrant

    grant = line_draft(open_home(home), **terms)
    write_and_name(out, SignedGrant(grant=grant).to_bytes())
    console.fact("drafted", {"hash": grant.digest()}, as_json=False)


@app.command("line-models")
@ending_with_code
def line_models(home: HomeOption, as_json: AsJson = False) -> None:
    """List the models that came of this node's lines, newest first. The newest may be the start of the region's training."""
    from department_nodes.engine import NodeEngine
    from department_nodes.lines.start import adopted_models

    found = adopted_models(NodeEngine(open_home(home)).db)
    if not found and not as_json:
        console.note("no_line_models")
        return
    rows = [{**row, "at": show_time(row["at"]) if not as_json else row["at"]} for row in found]
    console.rows(["at", "model", "target", "run", "bytes"], rows, as_json=as_json)
