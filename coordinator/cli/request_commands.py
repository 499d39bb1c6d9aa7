"""Requests on the officer's device: what waits, what is asked, and the centre's signature, decided from the document alone."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from command_line.console import ending_with_code, note, show_time
from command_line.paging import every_item
from coordinator.cli.start import AsJson, OfficerHome, Yes, console, open_officer
from coordinator.grants.keys import compare_keys, verify_each_signature
from coordinator.grants.summary import grant_summary
from coordinator.officer import Officer
from coordinator.parties.services import CENTRE
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from policies.contracts.grant import SignedGrant, required_signatures, sign_grant
from policies.contracts.tier_rules import verify_tier_rules

app = typer.Typer()

Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="the request's number")]


@app.command()
@ending_with_code
def requests(
    officer_home: OfficerHome,
    waiting: Annotated[bool, typer.Option("--waiting", help="only those that wait for the centre's signature")] = False,
    as_json: AsJson = False,
) -> None:
    """List the requests, newest first: who asks for which project, and how many people of whom have signed."""
    query = f"?waits_for={CENTRE}" if waiting else ""
    found = list(every_item(open_officer(officer_home).get, f"/v1/requests{query}"))
    rows = [
        {
            "number": row["number"],
            "state": row["state"],
            "project": row["project_id"],
            "lead": row["lead"],
            "signed": ", ".join(f"{one['party']} {one['gathered']}/{one['needed']}" for one in row["parties"]),
            "until": show_time(row["expires_at"]),
        }
        for row in found
    ]
    columns = ["number", "state", "project", "lead", "signed", "until"]
    console.rows(columns, found if as_json else rows, as_json=as_json)


@app.command("show-request")
@ending_with_code
def show_request(number: Number, officer_home: OfficerHome, as_json: AsJson = False) -> None:
    """Show in words everything that a request asks, whether its keys are those that you registered, and what was decided."""
    officer = open_officer(officer_home)
    view, signed = _fetch(officer, number)
    if as_json:
        print(json.dumps(view, ensure_ascii=False, sort_keys=True))
    else:
        _show(view, signed)
    _compare(officer, signed)
    if not as_json:
        print(console.text("request.sound"))


@app.command()
@ending_with_code
def approve(
    number: Number,
    officer_home: OfficerHome,
    key: Annotated[Path | None, typer.Option(help="folder with a further approver's approval.key")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Show a request, compare its keys with your copies of the cards and its terms with the tiers, ask, sign as the centre."""
    officer = open_officer(officer_home)
    view, signed = _fetch(officer, number)
    if not as_json:
        _show(view, signed)
    _compare(officer, signed)
    private = officer.approval_key(key)
    if sys.stdin.isatty() and not yes:
        typer.confirm(console.text("request.confirm", number=number), abort=True, err=True)
    own = SignedGrant(grant=signed.grant, signatures=(sign_grant(signed.grant, CENTRE, "centre", private),))
    verify_each_signature(own)
    answer = officer.request("PUT", f"/v1/requests/{number}/signatures", own.to_bytes())
    gathered = sum(party["gathered"] for party in answer["parties"])
    needed = sum(required.count for required in required_signatures(signed.grant))
    facts = {"number": number, "state": answer["state"], "hash": signed.grant_hash, "count": gathered, "needed": needed}
    console.fact("request.approved", facts, as_json=as_json)


@app.command()
@ending_with_code
def refuse(
    number: Number,
    officer_home: OfficerHome,
    reason: Annotated[str, typer.Option(help="why, in a sentence that the other parties will read")],
    as_json: AsJson = False,
) -> None:
    """Refuse a request as the centre. It ends there; a new one can be made."""
    body = canonical_json({"decision": "refuse", "reason": reason})
    answer = open_officer(officer_home).request("POST", f"/v1/requests/{number}/decisions", body)
    console.fact("request.refused", {"number": number, "state": answer["state"]}, as_json=as_json)


def fetch_grant(officer: Officer, number: int) -> SignedGrant:
    """Return the document of a request, which is the one that the coordinator names everywhere else too.

    Raises `request.other_grant` when it is not, and what `Officer.request` raises.
    """
    return _fetch(officer, number)[1]


def _fetch(officer: Officer, number: int) -> tuple[dict[str, Any], SignedGrant]:
    view = officer.get(f"/v1/requests/{number}")
    signed = SignedGrant.parse(officer.document(f"/v1/requests/{number}/grant"))
    if signed.grant_hash != view["grant_hash"]:
        raise DoudiError(
            "request.other_grant",
            "the coordinator delivered another grant than the request names",
            "Do not sign. Ask the lead for the grant's hash by telephone.",
        )
    return view, signed


def _compare(officer: Officer, signed: SignedGrant) -> None:
    # The officer's own copies of the cards, and this device's copy of the tiers: the coordinator is believed for neither.
    compare_keys(signed.grant, officer.cards(), officer.centre_keys)
    verify_tier_rules(signed.grant)
    if signed.signatures:
        verify_each_signature(signed)


def _show(view: dict[str, Any], signed: SignedGrant) -> None:
    for line in grant_summary(signed.grant, console.text):
        note(line)
    for needed in required_signatures(signed.grant):
        people = {item.key for item in signed.signatures if item.party == needed.party and item.key in needed.keys}
        note(console.text("request.people", party=needed.party, count=len(people), needed=needed.count))
    note(console.text("request.state", number=view["number"], state=view["state"], hash=signed.grant_hash))
