"""`doudi audit fetch`: copies what is new of the log into the mirror, from the network or from a copy that was carried here."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from auditors.carried_copy import CarriedCopy
from auditors.cli.options import DEFAULT_HOME, AsJson, HomeOption, console, open_home
from auditors.cli.showing import progress_of
from auditors.fetching import LogSource
from auditors.fetching import fetch as fetch_log
from command_line.console import ending_with_code
from crypto.errors import DoudiError

app = typer.Typer()

_URL = typer.Option("--url", help="the coordinator's address, for example https://centre.example:8443")
_CA = typer.Option("--ca", help="the centre's certificate authority, ca.crt")
_TOKEN_FILE = typer.Option("--token-file", help="a file with the auditor's API token, 0600")
Url, CaFile, TokenFile = Annotated[str, _URL], Annotated[Path, _CA], Annotated[Path, _TOKEN_FILE]


@app.command()
@ending_with_code
def fetch(
    url: Annotated[str | None, _URL] = None,
    ca: Annotated[Path | None, _CA] = None,
    token_file: Annotated[Path | None, _TOKEN_FILE] = None,
    carried: Annotated[
        Path | None,
        typer.Option("--from", help="a copy that was carried here: the folder of `doudi centre ledger export`"),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Copy what is new of the log into the mirror. Verifies nothing: run `verify` afterwards. Goes on where it ended.

    From the network with --url, --ca and --token-file, or from a carried copy with --from.
    """
    opened = open_home(home)
    with _source(url, ca, token_file, carried) as source, progress_of("progress.fetch") as step:
        fetched = fetch_log(source, opened.store, url or "", int(time.time()), step)
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


@contextmanager
def _source(url: str | None, ca: Path | None, token_file: Path | None, carried: Path | None) -> Iterator[LogSource]:
    given = [one is not None for one in (url, ca, token_file)]
    if carried is not None and not any(given):
        yield CarriedCopy(carried)
        return
    if carried is not None or url is None or ca is None or token_file is None:
        raise DoudiError(
            "usage.no_source",
            "it is not clear where to fetch from",
            "Give --url, --ca and --token-file, or --from alone.",
        )
    # httpx belongs to the extra `audit`; everything else works without it.
    from auditors.log_client import LogClient, read_token

    with LogClient(url, ca, read_token(token_file)) as client:
        yield client
