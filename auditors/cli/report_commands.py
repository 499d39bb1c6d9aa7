"""`doudi audit report`, `lineage`, `watch`: what an auditor reads. Only `watch` uses the network."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from auditors.checkpoints_here import CheckpointsHere
from auditors.cli.options import DEFAULT_HOME, AsJson, HomeOption, console, open_home
from auditors.cli.showing import progress_of, show_findings
from auditors.home import Home
from auditors.keys import all_keys
from auditors.lineage import lineage_document
from auditors.opened import OpenedRecords
from auditors.opening import OwnKeys
from auditors.opening_home import verified_terms
from auditors.reporting.document import Sources, build_document
from auditors.reporting.period import DEFAULT_ZONE, Period, zone_named
from auditors.searching import moment
from auditors.verification.findings import Finding, Severity, exit_code_of
from auditors.verification.state import load_state
from auditors.watching import Seen, keep, look
from command_line.console import current_language, ending_with_code, show_time
from command_line.documents import write_atomically
from crypto.errors import DoudiError

app = typer.Typer()
# Watching has no carried copy to take instead, so these are required here.
Url = Annotated[str, typer.Option("--url", help="the coordinator's address, for example https://centre.example:8443")]
CaFile = Annotated[Path, typer.Option("--ca", help="the centre's certificate authority, ca.crt")]
TokenFile = Annotated[Path, typer.Option("--token-file", help="a file with the auditor's API token, 0600")]
Zone = Annotated[str, typer.Option("--zone", help="time zone of hours and days")]
_LINEAGE_COLUMNS = ("part", "time", "type", "who", "what", "index", "witnessed")
_UNREACHABLE = frozenset({"coordinator.unreachable", "coordinator.busy"})
_MINUTE_S = 60


@app.command()
@ending_with_code
def report(
    out: Annotated[Path, typer.Option(help="a folder for report.html and report.json")],
    home: HomeOption = DEFAULT_HOME,
    start: Annotated[
        str | None, typer.Option("--from", help="a day or ISO 8601 time; UTC unless it says otherwise")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="a day (included) or ISO 8601 time (not included)")] = None,
    zone: Zone = DEFAULT_ZONE,
    as_json: AsJson = False,
) -> None:
    """Write what the opened records say: uses by purpose, runs, budgets, refusals, gaps, witnesses, unusual hours, changes.

    One page in English and Chinese with plots, and the same as JSON. Findings end the command as they end `verify` and `open`.
    """
    opened_home = open_home(home)
    period = Period(zone_named(zone))
    period = Period(
        period.zone,
        period.start if start is None else moment(start),
        period.end if end is None else moment(end, as_end=True),
    )
    # The template engine belongs to the extra `audit`; everything but the pages works without it.
    from auditors.reporting.page import render_report

    with _sources(opened_home) as sources:
        document = build_document(sources, period, int(time.time()))
    page = render_report(document, period.zone, current_language().value)
    _write(out / "report.json", json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    _write(out / "report.html", page)
    findings = [Finding(row["code"], Severity(row["severity"]), row["place"]) for row in document["findings"]]
    facts = {
        "page": str(out / "report.html"),
        "data": str(out / "report.json"),
        "entries": document["coverage"]["entries"],
        "opened": document["coverage"]["opened"],
        "runs": document["runs"]["total"],
        "count": len(findings),
        "exit": exit_code_of(findings),
    }
    console.fact("report_ok", facts, as_json=as_json)
    if facts["exit"]:
        raise typer.Exit(int(facts["exit"]))


@app.command()
@ending_with_code
def lineage(
    run: Annotated[str, typer.Argument(metavar="RUN")],
    home: HomeOption = DEFAULT_HOME,
    html: Annotated[Path | None, typer.Option("--html", help="also write a page in English and Chinese")] = None,
    zone: Zone = DEFAULT_ZONE,
    as_json: AsJson = False,
) -> None:
    """Show where a run's result comes from: program, grant, signatures, labels, evidence, steps, results, each with its proof."""
    opened_home = open_home(home)
    named = zone_named(zone)
    with _sources(opened_home) as sources:
        document = lineage_document(sources.opened, sources.checkpoints, run)
    if html is not None:
        from auditors.reporting.page import render_lineage

        _write(html, render_lineage(document, named, current_language().value))
    if as_json:
        print(json.dumps(document, ensure_ascii=False))
        return
    facts = {name: document[name] or "–" for name in ("run", "project", "purpose", "grant", "state")}
    facts |= {"programs": ", ".join(document["programs"]) or "–", "code": document["code"]}
    print(console.text("lineage_head", **facts))
    rows = [_lineage_row(part, act) for part, acts in document["parts"].items() for act in acts]
    console.rows(_LINEAGE_COLUMNS, rows, as_json=False)
    if document["unknown_steps"]:
        console.note("lineage_unknown", count=len(document["unknown_steps"]))
    if document["missing"]:
        console.note("lineage_missing", types=", ".join(document["missing"]))
    console.note("search_prove", command="doudi audit prove INDEX --out FILE")


@app.command()
@ending_with_code
def watch(
    url: Url,
    ca: CaFile,
    token_file: TokenFile,
    home: HomeOption = DEFAULT_HOME,
    every_min: Annotated[int, typer.Option("--every-min", min=1, max=10_080, help="minutes between two looks")] = 60,
    once: Annotated[bool, typer.Option("--once", help="one look, for a timer of the operating system")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch, verify, open (where there are keys) and print what is newly found, again and again.

    With --once it ends with the exit code of what is new. Without, it ends when it is interrupted; a coordinator that is away is
    asked again at the next look.
    """
    from auditors.fetching import fetch
    from auditors.log_client import LogClient, read_token

    opened_home, token = open_home(home), read_token(token_file)

    def visit() -> None:
        with LogClient(url, ca, token) as client, progress_of("progress.fetch") as step:
            fetch(client, opened_home.store, url, int(time.time()), step)

    while True:
        try:
            code = _tell(opened_home, look(opened_home, visit), as_json=as_json)
        except DoudiError as error:
            if once or error.code not in _UNREACHABLE:
                raise
            console.note("watch_unreachable", code=error.code, minutes=every_min)
            code = 0
        if once:
            raise typer.Exit(code)
        time.sleep(every_min * _MINUTE_S)


def _tell(home: Home, seen: Seen, *, as_json: bool) -> int:
    newest = seen.verification.newest
    facts = {
        "entries": newest.size if newest is not None else 0,
        "opened": seen.opened if seen.opened is not None else 0,
        "new": len(seen.new),
        "standing": len(seen.standing),
        "at": show_time(int(time.time())),
    }
    if as_json:
        print(json.dumps({**facts, "findings": [one.shown() for one in seen.new]}, ensure_ascii=False), flush=True)
    else:
        show_findings(seen.new)
        console.fact("watch_seen", facts, as_json=False)
    keep(home, seen)
    return exit_code_of(seen.new)


@contextmanager
def _sources(home: Home) -> Iterator[Sources]:
    with OpenedRecords.read(home.opened_file) as opened:
        checkpoints = CheckpointsHere(home.store, verified_terms(home))
        yield Sources(opened, checkpoints, load_state(home), OwnKeys(all_keys(home)).ids)


def _write(path: Path, text: str) -> None:
    """Write for this auditor alone: what the page says is what was sealed to it."""
    try:
        write_atomically(path, text.encode())
    except OSError:
        raise DoudiError(
            "file.unwritable", f"{path.name} cannot be written", "Check the path and its rights."
        ) from None


def _lineage_row(part: str, act: dict[str, Any]) -> dict[str, Any]:
    said = [f"{name}={value}" for name, value in act["counts"].items()]
    said += [f"{name}={value[:16]}…" for name, value in act["hashes"].items()]
    holding = act["checkpoint"]
    return {
        "part": console.text(f"part.{part}"),
        "time": show_time(act["at"]),
        "type": act["type"],
        "who": f"{act['who']} #{act['account']}" if act["account"] else act["who"],
        "what": " ".join([act["step"], act["code"], *said]).strip(),
        "index": act["index"],
        "witnessed": "–" if holding is None else f"{holding['size']} {show_time(holding['at'])}",
    }
