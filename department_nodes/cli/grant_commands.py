"""Grants: drafting, previewing and signing them. The acts of the department's officers."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from command_line.console import ending_with_code
from department_nodes.cli.start import (
    AsJson,
    HomeOption,
    Yes,
    ask,
    connect,
    console,
    open_home,
    read_grant,
    show_leaves,
    write_and_name,
)
from department_nodes.cli.terms import Out, region_draft, with_options_of

app = typer.Typer()


@app.command()
@ending_with_code
@with_options_of(region_draft)
def draft(home: HomeOption, out: Out, **terms: Any) -> None:
    """Draft a grant that this department leads, in a file. Nobody is bound before every party has signed it."""
    from policies.contracts.grant import SignedGrant

    grant = region_draft(open_home(home), **terms)
    write_and_name(out, SignedGrant(grant=grant).to_bytes())
    console.fact("drafted", {"hash": grant.digest()}, as_json=False)


@app.command()
@ending_with_code
def preview(
    grant: Annotated[Path, typer.Argument(metavar="GRANT", help="a grant, signed or not")],
    home: HomeOption,
    as_json: AsJson = False,
) -> None:
    """Show what would leave this node under a grant, and whether the node would allow it. Nothing is sent."""
    from department_nodes.preview import preview_grant

    node = open_home(home)
    shown = preview_grant(node, read_grant(grant), int(time.time()))
    if as_json:
        print(json.dumps(shown, ensure_ascii=False, sort_keys=True))
        return
    for key in shown["keys"]:
        print(console.text(key, **shown["texts"]))
    show_leaves(shown["leaves"])
    if shown["refusal"] is None:
        print(console.text("preview.allowed"))
    else:
        print(console.text("preview.refused", **shown["refusal"]))


@app.command()
@ending_with_code
def sign(
    grant: Annotated[Path, typer.Argument(metavar="GRANT")],
    home: HomeOption,
    out: Annotated[Path | None, typer.Option(help="where to write the signed grant")] = None,
    yes: Yes = False,
) -> None:
    """Sign a grant in a file for this department, after the guard has checked it. Read `preview` first.

    A request at the coordinator is approved with `approve`, which signs and sends.
    """
    from department_nodes.engine import NodeEngine
    from department_nodes.grant_clauses import verify_grant_terms
    from department_nodes.officers import sign_as_owner
    from policies.contracts.grant import required_signatures

    engine = NodeEngine(open_home(home))
    unsigned = read_grant(grant)
    verify_grant_terms(unsigned.grant, engine.site(), int(time.time()))
    department = engine.home.config.department
    ask("confirm_sign", yes, department=department)
    signed = sign_as_owner(engine, unsigned)
    if out is not None:
        write_and_name(out, signed.to_bytes())
    else:
        print(signed.to_bytes().decode())
    counts = {
        "count": len(signed.signatures),
        "needed": sum(needed.count for needed in required_signatures(signed.grant)),
    }
    console.note("signed", department=department, hash=signed.grant_hash, **counts)


@app.command("fetch-grant")
@ending_with_code
def fetch_grant(
    project: Annotated[str, typer.Argument(help="project")],
    home: HomeOption,
    out: Annotated[Path, typer.Option(help="where to write the grant")],
) -> None:
    """Fetch the project's grant with the signatures collected so far, for your files or an auditor. Verify it yourself."""
    from policies.contracts.grant import SignedGrant, required_signatures

    signed = SignedGrant.parse(connect(open_home(home)).get_bytes(f"/v1/projects/{project}/grant"))
    write_and_name(out, signed.to_bytes())
    counts = {
        "count": len(signed.signatures),
        "needed": sum(needed.count for needed in required_signatures(signed.grant)),
    }
    console.fact("fetched", {"hash": signed.grant_hash, **counts}, as_json=False)
