"""Revocation by the centre: the list is made and signed on the officer's device, and has to be renewed at least daily."""

import sys
import time
from typing import Annotated, cast, get_args

import typer

from command_line.console import ending_with_code, note, show_time
from command_line.paging import every_item
from coordinator.cli.request_commands import Number, fetch_grant
from coordinator.cli.start import AsJson, OfficerHome, Yes, console, open_officer
from coordinator.grants.summary import grant_summary
from coordinator.revoking import entry_of, issue_list, keep_publishing, publish
from crypto.errors import DoudiError
from policies.contracts.revocations import RevocationReason, SignedRevocationList

app = typer.Typer()

REASONS = get_args(RevocationReason)
HOUR_S = 3600


@app.command("publish-revocations")
@ending_with_code
def publish_revocations(
    officer_home: OfficerHome,
    every: Annotated[float | None, typer.Option(min=0.01, help="keep renewing it, every so many hours")] = None,
    as_json: AsJson = False,
) -> None:
    """Renew the centre's revocation list and send it. Nodes refuse to work when it is older than their limit (24 hours)."""
    officer = open_officer(officer_home)
    signed = issue_list(officer)
    publish(officer, signed)
    _say(signed, as_json)
    if every is not None:
        time.sleep(every * HOUR_S)
        keep_publishing(officer, every * HOUR_S, time.sleep, not_sent=_not_sent)


@app.command()
@ending_with_code
def revoke(
    number: Number,
    officer_home: OfficerHome,
    reason: Annotated[str, typer.Option(help=", ".join(REASONS))],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take a grant back as the centre, for good. It works at a node when the list reaches it, at the latest within its limit."""
    if reason not in REASONS:
        raise typer.BadParameter(f"expected {', '.join(REASONS)}", param_hint="--reason")
    officer = open_officer(officer_home)
    grant = fetch_grant(officer, number)
    # The coordinator says which grant a number is: what is taken back is shown, and not its number only.
    for line in grant_summary(grant.grant, console.text)[:3]:
        note(line)
    note(console.text("revocation.of", number=number, lead=grant.grant.lead_department, hash=grant.grant_hash))
    if sys.stdin.isatty() and not yes:
        typer.confirm(console.text("revocation.confirm", number=number), abort=True, err=True)
    signed = issue_list(officer, entry_of(grant, cast(RevocationReason, reason), int(officer.clock())))
    # Signed and stored: from here the grant is revoked, and every further list names it, also if sending fails.
    publish(officer, signed)
    _say(signed, as_json)


@app.command()
@ending_with_code
def revocations(officer_home: OfficerHome, as_json: AsJson = False) -> None:
    """Show the newest revocation list of every party, as the coordinator has it: number, time, how many grants it names."""
    found = list(every_item(open_officer(officer_home).get, "/v1/revocations"))
    rows = [
        {
            "party": item["content"]["party"],
            "number": item["content"]["number"],
            "at": show_time(item["content"]["issued_at"]),
            "grants": len(item["content"]["revoked"]),
        }
        for item in found
    ]
    console.rows(["party", "number", "at", "grants"], found if as_json else rows, as_json=as_json)


def _not_sent(error: DoudiError, seconds: float) -> None:
    console.note("revocation.not_sent", code=error.code, seconds=int(seconds))


def _say(signed: SignedRevocationList, as_json: bool) -> None:
    content = signed.content
    facts = {"number": content.number, "at": show_time(content.issued_at), "grants": len(content.revoked)}
    console.fact("revocation.published", facts, as_json=as_json)
