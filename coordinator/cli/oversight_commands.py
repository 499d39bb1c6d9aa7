"""`doudi centre queue | assets | reports | decisions`: what waits, what there is, how nodes are, and what the rules decided."""

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from command_line.console import ending_with_code, show_time
from command_line.paging import every_item
from coordinator.cli.start import AsJson, OfficerHome, console, open_officer

app = typer.Typer()

_NONE = "–"


@app.command()
@ending_with_code
def queue(officer_home: OfficerHome, as_json: AsJson = False) -> None:
    """List the runs that wait, in their order and with the reason, and those that are under way."""
    found = open_officer(officer_home).get("/v1/queue")
    waiting = [{**_run(row), "position": row["position"], "why": _why(row)} for row in found["waiting"]]
    running = [{**_run(row), "position": _NONE, "why": console.text("queue.running")} for row in found["running"]]
    columns = ["position", "run", "project", "run_number", "departments", "why"]
    console.rows(columns, [found] if as_json else [*running, *waiting], as_json=as_json)


@app.command()
@ending_with_code
def assets(
    officer_home: OfficerHome,
    owner: Annotated[str | None, typer.Option(help="only this department's")] = None,
    region: Annotated[str | None, typer.Option(help="only of this region")] = None,
    tier: Annotated[str | None, typer.Option(help="only of this tier")] = None,
    purpose: Annotated[str | None, typer.Option(help="only those allowed for this purpose")] = None,
    dataset: Annotated[str | None, typer.Option(help="a part of the data set's name")] = None,
    as_json: AsJson = False,
) -> None:
    """List the catalogue: whose data there are, how sensitive they are, and what they may be used for."""
    wanted = {"owner": owner, "region": region, "tier": tier, "purpose": purpose, "dataset": dataset}
    found = list(every_item(open_officer(officer_home).get, _with_query("/v1/assets", wanted)))
    rows = [
        {
            **row,
            "purposes": ", ".join(row["allowed_purposes"]) or _NONE,
            "state": console.text(_asset_state(row)),
        }
        for row in found
    ]
    columns = ["owner", "dataset", "region", "people", "tier", "purposes", "state"]
    console.rows(columns, found if as_json else rows, as_json=as_json)


@app.command()
@ending_with_code
def reports(officer_home: OfficerHome, as_json: AsJson = False) -> None:
    """List how the departments' nodes are, by their own reports: when they were seen, faults in the data, runs, budgets."""
    found = list(every_item(open_officer(officer_home).get, "/v1/reports"))
    rows = [
        {
            "name": row["department"],
            "last_seen": show_time(row["last_seen_at"]),
            "reported": show_time(row["received_at"]),
            "people": _or_none(row["people"]),
            "faults": _or_none(row["faults"]),
            "runs": _NONE if row["active_runs"] is None else f"{row['active_runs']}/{row['max_concurrent_runs']}",
            "budgets": ", ".join(f"{one['name']} {one['reserved']}/{one['cap']}" for one in row["budgets"]) or _NONE,
        }
        for row in found
    ]
    columns = ["name", "last_seen", "reported", "people", "faults", "runs", "budgets"]
    console.rows(columns, found if as_json else rows, as_json=as_json)


@app.command()
@ending_with_code
def decisions(
    officer_home: OfficerHome,
    denied: Annotated[bool, typer.Option("--denied", help="only what was denied")] = False,
    action: Annotated[str | None, typer.Option(help="only this action, for example request.centre_approve")] = None,
    as_json: AsJson = False,
) -> None:
    """List what the rules decided, newest first, and by which rules."""
    wanted = {"allowed": "false" if denied else None, "action": action}
    found = list(every_item(open_officer(officer_home).get, _with_query("/v1/decisions", wanted)))
    rows = [
        {
            "sequence": row["sequence"],
            "at": show_time(row["at"]),
            "actor": row["party"] if row["account"] is None else f"{row['party']} {row['account']}",
            "action": row["action"],
            "subject": f"{row['resource_type']} {row['resource_id']}",
            "decision": console.text("decision.allowed" if row["allowed"] else "decision.denied"),
            "rules": ", ".join(row["rules"]) or _NONE,
        }
        for row in found
    ]
    columns = ["sequence", "at", "actor", "action", "subject", "decision", "rules"]
    console.rows(columns, found if as_json else rows, as_json=as_json)


def _run(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "run": row["run_id"],
        "project": row["project_id"],
        "run_number": row["run_number"],
        "departments": ", ".join(row["departments"]),
    }


def _why(row: dict[str, Any]) -> str:
    """Return in words why a run waits; a reason of a newer coordinator as its code."""
    texts = {"": "queue.starting", "queue.order": "queue.order", "queue.node_busy": "queue.node_busy"}
    if row["code"] == "queue.window":
        return console.text("queue.window", at=show_time(row["opens_at"]))
    return console.text(texts[row["code"]]) if row["code"] in texts else str(row["code"])


def _asset_state(row: dict[str, Any]) -> str:
    if row["withdrawn"]:
        return "asset.withdrawn"
    return "asset.offered" if row["federates"] else "asset.never_federates"


def _with_query(path: str, wanted: dict[str, str | None]) -> str:
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    return f"{path}?{query}" if query else path


def _or_none(value: int | None) -> str:
    return _NONE if value is None else str(value)
