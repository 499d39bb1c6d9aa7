"""Runs: starting, scheduling, watching them, and what came of them."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from command_line.console import ending_with_code, show_time
from department_nodes.cli.start import AsJson, HomeOption, Yes, connect, console, open_home, write_and_name

app = typer.Typer()


@app.command("create-run")
@ending_with_code
def create_run(
    project: Annotated[str, typer.Argument(help="project")],
    home: HomeOption,
    mode: Annotated[str, typer.Option(help="evidence, sum-only or both")] = "both",
    as_json: AsJson = False,
) -> None:
    """Begin a run: the coordinator asks the departments' nodes for fresh keys. Only the scheduler may.

    If the answer was lost, call it again: it finds the run that was begun and does not use another one of the grant.
    """
    from department_nodes import scheduling

    node = open_home(home)
    run = scheduling.create_run(node, connect(node), project, mode.replace("-", "_"))
    facts = {"run_id": run.run_id, "run_number": run.run_number, "attempt": run.attempt, "mode": run.mode}
    console.fact("run_created", facts, as_json=as_json)


@app.command("restart-run")
@ending_with_code
def restart_run(run_id: Annotated[str, typer.Argument()], home: HomeOption, as_json: AsJson = False) -> None:
    """Begin the next attempt of a failed or stopped run. Schedule it again afterwards."""
    from department_nodes import scheduling

    node = open_home(home)
    run = scheduling.restart_run(node, connect(node), run_id)
    facts = {"run_id": run.run_id, "run_number": run.run_number, "attempt": run.attempt, "mode": run.mode}
    console.fact("run_created", facts, as_json=as_json)


@app.command("stop-run")
@ending_with_code
def stop_run(run_id: Annotated[str, typer.Argument()], home: HomeOption) -> None:
    """Stop a run: at once before it started, else between two steps. What has left stays charged."""
    found = connect(open_home(home)).post(f"/v1/runs/{run_id}/stop", {})
    facts = {
        "run_id": run_id,
        "state": found["state"],
        "reason": found["reason_code"] or "–",
        "attempt": found["attempt"],
    }
    console.fact("progress", facts, as_json=False)


@app.command()
@ending_with_code
def schedule(
    run_id: Annotated[str, typer.Argument()],
    home: HomeOption,
    wait_s: Annotated[float, typer.Option(min=0, help="how long to wait for every department's keys")] = 60,
    partial: Annotated[bool, typer.Option(help="go on without departments whose keys are missing")] = False,
    out: Annotated[Path | None, typer.Option(help="also write the signed manifest, for an auditor")] = None,
) -> None:
    """Verify the departments' keys, sign the run's manifest with the scheduling key and hand it in."""
    from department_nodes.scheduling import schedule_run

    node = open_home(home)
    signed = schedule_run(node, connect(node), run_id, wait_s, partial, lambda **v: console.note("waiting_keys", **v))
    if out is not None:
        write_and_name(out, signed.to_bytes())
    manifest = signed.manifest
    facts = {
        "run_id": run_id,
        "departments": len(manifest.offers),
        "mode": manifest.mode,
        "number": manifest.run_number,
        "attempt": manifest.attempt,
    }
    console.fact("scheduled", facts, as_json=False)


@app.command()
@ending_with_code
def progress(run_id: Annotated[str, typer.Argument()], home: HomeOption, as_json: AsJson = False) -> None:
    """Show where a run stands, as the coordinator tells it: state, reason, and every department's steps."""
    found = connect(open_home(home)).get(f"/v1/runs/{run_id}")
    if as_json:
        print(json.dumps(found, ensure_ascii=False, sort_keys=True))
        return
    facts = {
        "run_id": run_id,
        "state": found["state"],
        "reason": found["reason_code"] or "–",
        "attempt": found["attempt"],
    }
    console.fact("progress", facts, as_json=False)
    console.rows(["step", "department", "state", "code"], found["steps"], as_json=False)


@app.command()
@ending_with_code
def show(run_id: Annotated[str, typer.Argument()], home: HomeOption, as_json: AsJson = False) -> None:
    """Show what this node sent in a run: what, to whom, how many bytes, under which grant; and the disclosure meter."""
    from department_nodes import accounts_of_runs as accounts
    from department_nodes.engine import NodeEngine

    engine = NodeEngine(open_home(home))
    rows, found = accounts.sent(engine, run_id), accounts.reports(engine, run_id)
    if as_json:
        print(json.dumps({"sent": rows, "reports": found}, ensure_ascii=False, sort_keys=True))
        return
    shown = [{**row, "grant": row["grant"][:16], "at": show_time(row["at"])} for row in rows]
    console.rows(["step", "receiver", "kind", "items", "bytes", "grant", "at"], shown, as_json=False)
    if "disclosure" in found:
        columns = ["column", "largest_share", "base_share", "rank_correlation"]
        console.rows(columns, [_disclosure_row(item) for item in found["disclosure"]["columns"]], as_json=False)


@app.command()
@ending_with_code
def results(
    run_id: Annotated[str, typer.Argument()],
    home: HomeOption,
    top: Annotated[str, typer.Option(help="share of households, for example 10%, or a number")] = "10%",
    mode: Annotated[str, typer.Option(help="evidence or sum-only")] = "",
    as_json: AsJson = False,
) -> None:
    """Lead: list the households most likely in need, with members, probability and contributions. On this host only."""
    from department_nodes.engine import NodeEngine
    from department_nodes.results import top_households

    engine = NodeEngine(open_home(home))
    listed = top_households(engine, run_id, top, mode.replace("-", "_"))
    if as_json:
        print(json.dumps(listed, ensure_ascii=False, sort_keys=True))
        return
    console.note("results.heading", shown=len(listed["rows"]), households=listed["households"], mode=listed["mode"])
    rows = [
        {
            "household": row["household"],
            "members": " ".join(row["members"]),
            "probability": f"{row['probability']:.3f}",
            "contributions": " ".join(f"{name} {value:+.2f}" for name, value in row["contributions"].items()),
        }
        for row in listed["rows"]
    ]
    console.rows(["household", "members", "probability", "contributions"], rows, as_json=False)


@app.command()
@ending_with_code
def leave(project: Annotated[str, typer.Argument()], home: HomeOption, yes: Yes = False) -> None:
    """Leave a project: destroys its keys, models, results and stored replies. No run of it is answered afterwards."""
    from department_nodes.engine import NodeEngine
    from department_nodes.retention import leave_project

    engine = NodeEngine(open_home(home))
    if sys.stdin.isatty() and not yes:
        typer.confirm(console.text("confirm_leave", project_id=project), abort=True, err=True)
    leave_project(engine, project)
    console.fact("left", {"project_id": project}, as_json=False)


def _disclosure_row(item: dict[str, Any]) -> dict[str, Any]:
    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    telling = item.get("most_telling") or {}
    return {
        "column": item["column"],
        "largest_share": shown(telling.get("share")),
        "base_share": shown(telling.get("base_share")),
        "rank_correlation": shown(item.get("rank_correlation")),
    }
