"""`doudi audit keys`, `open`, `search`, `wrap`: the auditor's own keys and what they open. Offline."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from auditors.acts import Act, proof_command
from auditors.cli.options import DEFAULT_HOME, AsJson, HomeOption, console, open_home
from auditors.cli.showing import progress_of, show_findings
from auditors.keys import all_keys, load_keys, make_keys, rotate_keys
from auditors.opened import OpenedRecords
from auditors.opening_home import open_home_log, verified_terms
from auditors.searching import DEFAULT_LIMIT, MAXIMUM_LIMIT, Query, moment, search
from auditors.verification.findings import exit_code_of
from auditors.wrapping import make_wraps, require_auditors
from command_line.console import ending_with_code, show_time
from command_line.documents import read_document_bytes, write_document
from policies.contracts.ledger.terms import AuditorCard

app = typer.Typer()
_SEARCH_COLUMNS = ("index", "time", "type", "who", "run", "code")


@app.command()
@ending_with_code
def keys(
    home: HomeOption = DEFAULT_HOME,
    name: Annotated[str, typer.Option(help="this auditor's name in the log's terms, for example court-of-audit")] = "",
    rotate: Annotated[
        bool, typer.Option("--rotate", help="make a new pair; the old one is kept and goes on opening")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make this auditor's keys, or show the fingerprint of its card. The card goes to the centre's officer."""
    opened = open_home(home)
    if rotate:
        pair, key = rotate_keys(opened), "keys_rotated"
    elif name:
        pair, key = make_keys(opened, name), "keys_made"
    else:
        pair, key = load_keys(opened), "keys_shown"
    facts = {"auditor": pair.card.auditor, "fingerprint": pair.card.fingerprint(), "file": str(opened.card_file)}
    console.fact(key, facts, as_json=as_json)


@app.command("open")
@ending_with_code
def open_(
    home: HomeOption = DEFAULT_HOME,
    unverified: Annotated[
        bool,
        typer.Option("--unverified", help="also what no verification has confirmed: for looking into a broken log"),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Open what was verified with this auditor's keys, into opened.db, which this auditor alone may read.

    Exit codes: 0 ok; 15 destroyed or missing keys; 16 records that do not open or break their type.
    """
    with progress_of("progress.open") as step:
        opening = open_home_log(open_home(home), unverified=unverified, progress=step)
    code = exit_code_of(opening.findings)
    facts = {
        "opened": opening.portion.entries,
        "batches": opening.portion.batches,
        "entries": opening.size,
        "verified": opening.verified,
        "count": len(opening.findings),
        "exit": code,
    }
    if as_json:
        print(json.dumps({**facts, "findings": [one.shown() for one in opening.findings]}, ensure_ascii=False))
    else:
        show_findings(opening.findings)
        console.fact("open_ok", facts, as_json=False)
        if opening.size > opening.verified:
            console.note("open_unverified", **facts)
    if code:
        raise typer.Exit(code)


@app.command("search")
@ending_with_code
def search_(
    home: HomeOption = DEFAULT_HOME,
    party: Annotated[str | None, typer.Option(help="who recorded it, who acted, or whom it is about")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="a day or ISO 8601 time; UTC unless it says otherwise")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="a day (included) or ISO 8601 time (not included)")] = None,
    purpose: Annotated[str | None, typer.Option(help="also through the grant")] = None,
    asset: Annotated[str | None, typer.Option(help="owner/dataset; also through the grant")] = None,
    kind: Annotated[str | None, typer.Option(help="a type of record, or its beginning: run, node.step")] = None,
    account: Annotated[
        int | None, typer.Option(min=1, help="number of the person who acted, or whom it is about")
    ] = None,
    run: Annotated[str | None, typer.Option(help="a run")] = None,
    grant: Annotated[str | None, typer.Option(help="a grant's hash, or its first 8 characters and more")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAXIMUM_LIMIT, help="at most so many, the newest")] = DEFAULT_LIMIT,
    as_json: AsJson = False,
) -> None:
    """Search the opened records; all conditions together, the newest first."""
    query = Query(
        party=party,
        start=None if start is None else moment(start),
        end=None if end is None else moment(end, as_end=True),
        purpose=purpose,
        asset=asset,
        kind=kind,
        account=account,
        run=run,
        grant=grant,
        limit=limit,
    )
    with OpenedRecords.read(open_home(home).opened_file) as opened:
        result = search(opened, query)
    if as_json:
        print(json.dumps([act.shown() for act in result.acts], ensure_ascii=False))
        return
    if not result.acts:
        print(console.text("search_nothing"))
        return
    console.rows(_SEARCH_COLUMNS, [_row(act) for act in result.acts], as_json=False)
    console.note("search_prove", command=proof_command(result.acts[0].index))
    if result.more:
        console.note("search_more", limit=limit)


@app.command()
@ending_with_code
def wrap(
    card: Annotated[Path, typer.Option("--for", metavar="CARD", help="the later auditor's card.json")],
    start: Annotated[int, typer.Option("--from", min=0, help="number of the first entry")],
    end: Annotated[int, typer.Option("--to", min=0, help="number of the last entry")],
    out: Annotated[Path, typer.Option(help="a folder for the signed documents, 16 batches in each")],
    home: HomeOption = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Seal the keys of old batches to an auditor who was appointed later. The centre's officer brings them to the log.

    They become records of the log, so every auditor sees who was given what. Then the new auditor fetches, verifies and opens.
    """
    opened_home = open_home(home)
    receiver = AuditorCard.parse(read_document_bytes(card))
    own = all_keys(opened_home)
    chain = verified_terms(opened_home)
    require_auditors(chain.newest, own[0].card, receiver)
    if end < start:
        raise typer.BadParameter("--to is below --from")
    with OpenedRecords.read(opened_home.opened_file) as opened:
        last = min(end, opened.size - 1)
        made = make_wraps(opened_home.store, opened, own, receiver, (start, last), int(time.time()))
    for number, document in enumerate(made.documents, start=1):
        write_document(out / f"wraps-{start}-{number:04d}.json", document.to_bytes())
    facts: dict[str, Any] = {
        "auditor": receiver.auditor,
        "fingerprint": receiver.fingerprint(),
        "batches": made.batches,
        "files": len(made.documents),
        "already": made.already,
        "closed": made.closed,
        "folder": str(out),
    }
    console.fact("wrap_ok", facts, as_json=as_json)


def _row(act: Act) -> dict[str, Any]:
    who = f"{act.who} #{act.account}" if act.account else act.who
    kind = act.type if act.opened else f"{act.type} ({console.text('search_sealed')})"
    return {"index": act.index, "time": show_time(act.at), "type": kind, "who": who, "run": act.run, "code": act.code}
