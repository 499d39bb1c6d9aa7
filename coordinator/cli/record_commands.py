"""`doudi centre runs`: what happens, from the officer's device. What was done is in the ledger."""

from typing import Annotated, Any

import typer

from command_line.console import ending_with_code
from command_line.paging import every_item
from coordinator.cli.start import AsJson, OfficerHome, console, open_officer

app = typer.Typer()


@app.command()
@ending_with_code
def runs(
    officer_home: OfficerHome,
    state: Annotated[str | None, typer.Option(help="only runs in this state")] = None,
    as_json: AsJson = False,
) -> None:
    """List the runs, newest first."""
    found = list(every_item(open_officer(officer_home).get, f"/v1/runs?state={state}" if state else "/v1/runs"))
    rows = [
        {
            **row,
            "run": row["run_id"],
            "project": row["project_id"],
            "reason": row["reason_code"],
            "progress": _rounds(row),
        }
        for row in found
    ]
    columns = ["run", "project", "mode", "attempt", "state", "progress", "reason"]
    console.rows(columns, found if as_json else rows, as_json=as_json)


def _rounds(row: dict[str, Any]) -> str:
    """Return how far a line is; the steps of the main job are too few to count."""
    return "–" if row["rounds"] is None else console.text("rounds", round=row["round"], rounds=row["rounds"])
