"""`doudi centre sign`: a grant in a file, signed as the centre on the officer's device."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import ending_with_code, note
from command_line.documents import write_document
from command_line.paging import every_item
from coordinator.cli.start import OfficerHome, Yes, console, open_officer
from coordinator.grants.keys import compare_keys, merge_signatures, verify_each_signature
from coordinator.grants.summary import grant_summary
from coordinator.officer import Officer, read_grant
from crypto.errors import DoudiError
from policies.contracts.grant import SignedGrant, required_signatures, sign_grant
from policies.contracts.tier_rules import verify_tier_rules

app = typer.Typer()


@app.command()
@ending_with_code
def sign(
    grant: Annotated[Path, typer.Argument(metavar="GRANT", help="a grant, with or without signatures")],
    officer_home: OfficerHome,
    out: Annotated[Path | None, typer.Option(help="where to write the signed grant; else stdout")] = None,
    submit: Annotated[bool, typer.Option(help="also send it to the request that asks for this grant")] = False,
    key: Annotated[Path | None, typer.Option(help="folder with a further approver's approval.key")] = None,
    yes: Yes = False,
) -> None:
    """Show what a grant allows and sign it as the centre, after comparing its keys with the registered cards."""
    officer = open_officer(officer_home)
    unsigned = read_grant(grant)
    for line in grant_summary(unsigned.grant, console.text):
        note(line)
    # The officer's own copies of the cards: the coordinator cannot slip in another key.
    compare_keys(unsigned.grant, officer.cards(), officer.centre_keys)
    verify_tier_rules(unsigned.grant)
    if unsigned.signatures:
        verify_each_signature(unsigned)
    if sys.stdin.isatty() and not yes:
        typer.confirm(console.text("confirm"), abort=True, err=True)
    signature = sign_grant(unsigned.grant, "centre", "centre", officer.approval_key(key))
    own = SignedGrant(grant=unsigned.grant, signatures=(signature,))
    verify_each_signature(own)
    signed = merge_signatures(unsigned, own)
    _write_grant(signed, out)
    counts = {
        "count": len(signed.signatures),
        "needed": sum(needed.count for needed in required_signatures(signed.grant)),
    }
    note(console.text("signed", hash=signed.grant_hash, **counts))
    if submit:
        number = _request_number(officer, signed.grant_hash)
        officer.request("PUT", f"/v1/requests/{number}/signatures", signed.to_bytes())
        note(console.text("submitted"))


def _request_number(officer: Officer, grant_hash: str) -> int:
    """Return the number of the request for a grant. Raises `request.unknown`."""
    for found in every_item(officer.get, f"/v1/requests?grant_hash={grant_hash}"):
        return int(found["number"])
    raise DoudiError("request.unknown", "no request asks for this grant", "Have the lead submit it.")


def _write_grant(signed: SignedGrant, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(signed.to_bytes().decode() + "\n")
        return
    write_document(out, signed.to_bytes())
