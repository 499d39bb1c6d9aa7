"""`doudi centre ledger`: how the ledger is, who reads it and who witnesses it, from the officer's device.

Opening records is the auditors' part: `doudi audit`. What is done on the coordinator's host is in `ledger_host_commands.py`.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from command_line.console import ending_with_code, note, show_time
from command_line.documents import read_document_bytes
from command_line.paging import every_item
from coordinator.cli.start import AsJson, OfficerHome, Yes, console, open_officer
from coordinator.keeping_terms import Renewal, former_terms, renew, terms_in_force
from coordinator.ledger.administering import ShredReason
from coordinator.ledger.next_terms import Changes, with_auditor, without_auditor
from coordinator.ledger.standing import Standing, standing_of
from coordinator.officer import Officer, read_file
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from policies.contracts.ledger.added_wraps import SignedAddedWraps
from policies.contracts.ledger.terms import AuditorCard, LedgerTerms

app = typer.Typer(
    name="ledger",
    help="The audit ledger 审计账本: its state, its terms, who reads and who witnesses it.",
    no_args_is_help=True,
)

REASONS = get_args(ShredReason)
_NONE = "–"
_KEY_CHARACTERS = 64


@app.command()
@ending_with_code
def status(officer_home: OfficerHome, as_json: AsJson = False) -> None:
    """Show the newest checkpoints, which departments cosigned them and when, and what waits in the outbox.

    Terms and signatures are verified here; the rest is the coordinator's word.
    """
    officer = open_officer(officer_home)
    found, terms, now_s = officer.get("/v1/ledger/status"), terms_in_force(officer), int(officer.clock())
    newest, witnessed = (_standing(officer, path, terms) for path in ("/log/checkpoint", "/log/checkpoint/witnessed"))
    facts = {
        **found,
        "terms": terms.number,
        "auditors": {card.auditor: card.fingerprint() for card in terms.auditors},
        "verified_size": None if newest is None else newest.size,
        "verified_witnessed_size": None if witnessed is None or witnessed.witnessed_at is None else witnessed.size,
    }
    shown = {
        "placed": found["placed"],
        "waiting": found["waiting"],
        "terms": terms.number,
        "count": len(terms.witnesses),
        "quorum": terms.quorum,
    }
    console_line = console.text("ledger.status", **shown)
    if as_json:
        console.fact("ledger.status", facts, as_json=True)
        return
    print(console_line)
    print(_checkpoint_line("ledger.newest", newest, now_s))
    print(_checkpoint_line("ledger.witnessed", witnessed, now_s))
    for card in terms.auditors:
        print(console.text("ledger.auditor", auditor=card.auditor, fingerprint=card.fingerprint()))
    rows = [_witness_row(row, now_s) for row in found["witnesses"]]
    console.rows(["department", "size", "cosigned_at", "age"], rows, as_json=False)


@app.command("renew-terms")
@ending_with_code
def renew_terms(
    officer_home: OfficerHome,
    faulty: Annotated[int | None, typer.Option(min=0, help="how many witnesses may be faulty")] = None,
    max_age_s: Annotated[
        int | None, typer.Option(min=10, max=86_400, help="how old the witnessed checkpoint of a step may be")
    ] = None,
    log_key: Annotated[Path | None, typer.Option(help="log.pub of the host, after `rotate-key`")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Sign new terms: the registered departments are the witnesses. Without a change nothing is signed."""
    officer = open_officer(officer_home)
    key = None if log_key is None else _read_log_key(log_key)
    if key is not None:
        note(console.text("ledger.compare_key", log_key=key))
        _confirm("ledger.confirm_key", yes)
    wanted = Changes(faulty=faulty, checkpoint_max_age_s=max_age_s, log_key=key)
    _say(renew(officer, lambda _known: wanted), as_json)


@app.command("add-auditor")
@ending_with_code
def add_auditor(
    card: Annotated[Path, typer.Argument(metavar="CARD", help="card.json of `doudi audit keys`")],
    officer_home: OfficerHome,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Appoint an auditor: what is recorded from now on is sealed to it, too. Compare the fingerprint by telephone before."""
    added = AuditorCard.parse(read_document_bytes(card))
    note(console.text("ledger.auditor", auditor=added.auditor, fingerprint=added.fingerprint()))
    _confirm("ledger.confirm_auditor", yes)
    officer = open_officer(officer_home)
    _say(renew(officer, lambda known: Changes(auditors=with_auditor(known.auditors, added))), as_json)


@app.command("remove-auditor")
@ending_with_code
def remove_auditor(
    name: Annotated[str, typer.Argument(help="the auditor's name in the terms")],
    officer_home: OfficerHome,
    as_json: AsJson = False,
) -> None:
    """End an appointment: what is recorded from now on is not sealed to this auditor. What it could open it still can."""
    officer = open_officer(officer_home)
    _say(renew(officer, lambda known: Changes(auditors=without_auditor(known.auditors, name))), as_json)


@app.command()
@ending_with_code
def entries(
    officer_home: OfficerHome,
    after: Annotated[int, typer.Option(min=0, help="index of the first entry")] = 0,
    last: Annotated[int | None, typer.Option(min=1, help="only the newest so many")] = None,
    as_json: AsJson = False,
) -> None:
    """List the headers of the entries: who recorded what kind of event when. What it says is sealed to the auditors."""
    officer = open_officer(officer_home)
    if last is not None:
        after = max(after, int(officer.get("/log/summary")["size"]) - last)
    found = list(every_item(officer.get, f"/v1/ledger/entries?after={after}"))
    rows = [
        {
            "index": row["index"],
            "at": show_time(row["at"]),
            "type": row["type"],
            "producer": row["producer"],
            "sequence": _NONE if row["sequence"] is None else row["sequence"],
            "batch": row["batch"],
            "grant": _NONE if row["grant_hash"] is None else row["grant_hash"],
        }
        for row in found
    ]
    columns = ["index", "at", "type", "producer", "sequence", "batch", "grant"]
    console.rows(columns, found if as_json else rows, as_json=as_json)


@app.command()
@ending_with_code
def shred(
    batch: Annotated[str, typer.Argument(help="id of the batch, 32 hexadecimal digits: see `entries`")],
    officer_home: OfficerHome,
    reason: Annotated[str, typer.Option(help=", ".join(REASONS))],
    token_file: Annotated[Path, typer.Option(help="file with an approver's API token, which may write")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Destroy the keys of a batch, for good: nobody who has not fetched it before opens it again. It is an approver's act.

    The entries stay, provable and unreadable, and auditors see it. Backups of the database are yours to treat alike.
    """
    if reason not in REASONS:
        raise typer.BadParameter(f"expected {', '.join(REASONS)}", param_hint="--reason")
    token = _read_token(token_file)
    _confirm("ledger.confirm_shred", yes)
    body = canonical_json({"batch": batch, "reason": reason})
    found = open_officer(officer_home).request_as(token, "POST", "/v1/ledger/shred", body)
    console.fact("ledger.shredded", {"batch": found["batch"]}, as_json=as_json)


@app.command("add-wraps")
@ending_with_code
def add_wraps(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="files of `doudi audit wrap`")],
    officer_home: OfficerHome,
    as_json: AsJson = False,
) -> None:
    """Bring keys of old batches that one auditor sealed to a later one; nobody else can open them."""
    officer = open_officer(officer_home)
    # All files are read before the first is sent.
    documents = [SignedAddedWraps.parse(read_document_bytes(path)) for path in files]
    batches = sum(officer.request("POST", "/v1/ledger/wraps", document.to_bytes())["batches"] for document in documents)
    console.fact("ledger.wraps_added", {"batches": batches}, as_json=as_json)


def renew_after_registration(officer: Officer) -> None:
    """Make the registered departments the witnesses, and say so on stderr."""
    renewal = renew(officer)
    if renewal.changed:
        console.note("ledger.terms", **_facts(renewal))


def _say(renewal: Renewal, as_json: bool) -> None:
    text = "ledger.terms" if renewal.changed else "ledger.terms_unchanged"
    console.fact(text, {**_facts(renewal), "changed": renewal.changed}, as_json=as_json)


def _facts(renewal: Renewal) -> dict[str, Any]:
    terms = renewal.terms
    return {
        "number": terms.number,
        "auditors": len(terms.auditors),
        "witnesses": len(terms.witnesses),
        "quorum": terms.quorum,
        "faulty": terms.tolerated_faulty_witnesses,
    }


def _standing(officer: Officer, path: str, terms: LedgerTerms) -> Standing | None:
    """Return what the coordinator's checkpoint is worth; `None` when there is none. Raises "checkpoint.…" for a wrong one."""
    try:
        data = officer.fetch(path)
    except DoudiError as error:
        if error.code == "checkpoint.unknown":
            return None
        raise
    try:
        return standing_of(data, terms)
    except DoudiError as error:
        if error.code != "checkpoint.no_signature" or terms.number == 1:
            raise
        # The key was rotated a moment ago, and the newest checkpoint is still one of the time before.
        return standing_of(data, former_terms(officer, terms.number - 1))


def _checkpoint_line(key: str, standing: Standing | None, now_s: int) -> str:
    if standing is None:
        return console.text(f"{key}_none")
    since = standing.witnessed_at
    age = _NONE if since is None else str(max(0, now_s - since))
    return console.text(key, size=standing.size, count=len(standing.cosigned), quorum=standing.quorum, age=age)


def _witness_row(row: dict[str, Any], now_s: int) -> dict[str, Any]:
    at = row["cosigned_at"]
    return {
        "department": row["department"],
        "size": _NONE if row["size"] is None else row["size"],
        "cosigned_at": show_time(at),
        "age": _NONE if at is None else max(0, now_s - at),
    }


def _read_log_key(path: Path) -> str:
    """Return the key that `rotate-key` wrote. Raises `file.unreadable`."""
    text = read_file(path).decode("ascii", "replace").strip()
    if len(text) != _KEY_CHARACTERS or not set(text) <= set("0123456789abcdef"):
        raise DoudiError(
            "file.unreadable", f"{path.name} holds no log key", "Take log.pub from the coordinator's host."
        )
    return text


def _read_token(path: Path) -> str:
    """Return the token in a file, which no command line and no list of processes shows. Raises `file.unreadable`."""
    text = read_file(path).decode("ascii", "replace").strip()
    if not text.startswith("doudi_") or " " in text:
        raise DoudiError("file.unreadable", f"{path.name} holds no API token", "Make one at the console.")
    return text


def _confirm(key: str, yes: bool) -> None:
    if sys.stdin.isatty() and not yes:
        typer.confirm(console.text(key), abort=True, err=True)
