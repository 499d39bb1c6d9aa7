"""`doudi audit fetch`: copies what is new of the log into the mirror. The network is used here and in `watch` only."""

import time
from pathlib import Path
from typing import Annotated

import typer

from auditors.cli.options import DEFAULT_HOME, AsJson, HomeOption, console, open_home
from auditors.cli.showing import progress_of
from command_line.console import ending_with_code

app = typer.Typer()

Url = Annotated[str, typer.Option("--url", help="the coordinator's address, for example https://centre.example:8443")]
CaFile = Annotated[Path, typer.Option("--ca", help="the centre's certificate authority, ca.crt")]
TokenFile = Annotated[Path, typer.Option("--token-file", help="a file with the auditor's API token, 0600")]


@app.command()
@ending_with_code
def fetch(
    url: Url, ca: CaFile, token_file: TokenFile, home: HomeOption = DEFAULT_HOME, as_json: AsJson = False
) -> None:
    """Copy what is new of the log into the mirror. Verifies nothing: run `verify` afterwards. Goes on where it ended."""
    # httpx belongs to the extra `audit`; everything else works without it.
    from auditors.fetching import fetch as fetch_log
    from auditors.log_client import LogClient, read_token

    opened = open_home(home)
    with LogClient(url, ca, read_token(token_file)) as client, progress_of("progress.fetch") as step:
        fetched = fetch_log(client, opened.store, url, int(time.time()), step)
    visit = fetched.visit
    facts = {
        "entries": visit.size,
        "new": max(0, visit.size - fetched.before),
        "before": fetched.before,
        "files": fetched.files,
        "witnessed": visit.witnessed,
        "batches": visit.batches,
        "terms": visit.terms,
    }
    if fetched.smaller:
        console.note("fetch_smaller", **facts)
    console.fact("fetch_ok", facts, as_json=as_json)
