"""`doudi centre ledger found | rotate-key | export`: on the coordinator's host, where the log and its key lie."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from command_line.console import ending_with_code, note
from command_line.documents import read_document_bytes, write_atomically
from coordinator.cli.start import AsJson, Home, OfficerHome, console, open_officer
from coordinator.config import CoordinatorConfig, load_config
from coordinator.ledger.founding import found_ledger, load_log_key, new_origin
from coordinator.ledger.founding_auditor import FOLDER, make_founding_auditor
from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.ledger.terms import AuditorCard

app = typer.Typer()

AuditorCards = Annotated[
    list[Path] | None,
    typer.Option("--auditor", metavar="CARD", help="card.json of an auditor (`doudi audit keys`); may be repeated"),
]


def read_auditors(paths: list[Path] | None) -> tuple[AuditorCard, ...]:
    """Return the auditors' cards in files, and show their fingerprints for comparing. Raises `document.malformed`."""
    cards = tuple(AuditorCard.parse(read_document_bytes(path)) for path in paths or ())
    for card in cards:
        note(console.text("ledger.auditor", auditor=card.auditor, fingerprint=card.fingerprint()))
    return cards


@app.command()
@ending_with_code
def found(home: Home, officer_home: OfficerHome, auditor: AuditorCards = None, as_json: AsJson = False) -> None:
    """Once, for an installation of a version without a ledger, while the coordinator is stopped: its key and its first terms.

    `doudi centre init` does this by itself. Afterwards start the coordinator and run `doudi centre ledger renew-terms`.
    """
    os.umask(0o077)
    config, officer = load_config(home), open_officer(officer_home)
    key_file, terms_file = config.path(config.ledger.log_key_file), config.path(config.ledger.terms_file)
    if key_file.exists() or terms_file.exists():
        raise DoudiError("install.exists", "this installation has a ledger", "Run `doudi centre ledger renew-terms`.")
    host = officer.centre_card.url.removeprefix("https://").rpartition(":")[0]
    cards = read_auditors(auditor) or (make_founding_auditor(officer.home),)
    signed = found_ledger(
        config.home,
        config.ledger,
        officer.approval_key(),
        cards,
        new_origin(host, config.api_port),
        int(time.time()),
    )
    note_founding_auditor(auditor, officer.home)
    facts = {"origin": signed.terms.origin, "auditors": len(signed.terms.auditors)}
    console.fact("ledger.founded", facts, as_json=as_json)


def note_founding_auditor(given: list[Path] | None, officer_home: Path) -> None:
    """Say on stderr that nobody was appointed and whose keys were made instead, if so."""
    if not given:
        console.note("ledger.founding_auditor", folder=officer_home / FOLDER)


@app.command("rotate-key")
@ending_with_code
def rotate_key(home: Home, as_json: AsJson = False) -> None:
    """Put a new log key in the place of the old one, which is destroyed. Former terms keep verifying what the old one signed.

    Restart the coordinator, carry log.pub to the officer's device, and run `doudi centre ledger renew-terms --log-key log.pub`
    there. Until then records wait in the outbox, and no step is taken.
    """
    os.umask(0o077)
    config = load_config(home)
    # There is a ledger, and its key is one.
    former = signing_public_key(load_log_key(config.home, config.ledger)).hex()
    key = generate_signing_key()
    public = signing_public_key(key).hex()
    path = _public_key_file(config)
    # The public half first: a crash in between leaves the old key at work, and the command is repeated.
    write_atomically(path, public.encode() + b"\n")
    write_atomically(config.path(config.ledger.log_key_file), key.hex().encode())
    console.fact("ledger.key_rotated", {"file": str(path), "log_key": public, "former": former}, as_json=as_json)


@app.command()
@ending_with_code
def export(
    home: Home,
    out: Annotated[
        Path, typer.Option(help="folder for the copy; one that holds an earlier copy is brought up to date")
    ],
    as_json: AsJson = False,
) -> None:
    """Write a copy of the log to carry to auditors who are not on this network; they read it with `doudi audit fetch --from`.

    It holds what `/log/` serves: sealed entries, hashes, checkpoints, terms. Runs beside the coordinator.
    """
    from coordinator.db.session import open_engine, read, require_known_schema
    from coordinator.ledger.exporting import export_log

    config = load_config(home)
    engine = open_engine(config.resolved_database_url)
    try:
        require_known_schema(engine)
        with read(engine) as session, _progress() as step:
            summary = export_log(session, out.absolute(), step)
    finally:
        engine.dispose()
    console.fact("ledger.exported", {"folder": str(out), **asdict(summary)}, as_json=as_json)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr while it is a terminal."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Terminal(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _public_key_file(config: CoordinatorConfig) -> Path:
    return config.path(config.ledger.log_key_file).with_suffix(".pub")
