"""Grants: drafting, previewing and signing them. The acts of the department's officers."""

import json
import math
import sys
import time
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from command_line.console import ending_with_code
from department_nodes.cli.start import AsJson, HomeOption, Yes, connect, console, open_home, read_grant, write_and_name

app = typer.Typer()


@app.command()
@ending_with_code
def draft(
    home: HomeOption,
    out: Annotated[Path, typer.Option(help="where to write the draft")],
    project: Annotated[str, typer.Option(help="project")],
    purpose: Annotated[str, typer.Option(help="purpose, for example social_assistance")],
    target: Annotated[str, typer.Option(help="the outcome column")],
    label_period: Annotated[str, typer.Option(help="period in which a household's bit stays, for example 2026")],
    departments: Annotated[list[str], typer.Option("--department", help="supporting department; repeat")],
    epsilon: Annotated[float, typer.Option(min=0.001, max=8, help="ε of the label, per household and period")] = 1.0,
    mode: Annotated[str, typer.Option(help="evidence, sum-only or both")] = "both",
    days: Annotated[int, typer.Option(min=1, help="days until it expires")] = 365,
    runs: Annotated[int, typer.Option(min=1, help="runs that it allows")] = 5,
    min_key_holders: Annotated[int, typer.Option(min=2)] = 3,
    bits_per_year: Annotated[int, typer.Option(min=1, help="evidence bits per person and year")] = 60,
    lines: Annotated[bool, typer.Option(help="the released bits may also train the departments' lines")] = False,
) -> None:
    """Draft a grant that this department leads. Nobody is bound before every party has signed it."""
    from department_nodes.officers import draft_grant, make_card
    from department_nodes.trust import flower_public_key
    from policies.contracts.drafting import GrantTerms
    from policies.contracts.grant import SignedGrant

    node = open_home(home)
    if not math.isfinite(epsilon):
        raise typer.BadParameter("expected a number between 0.001 and 8", param_hint="--epsilon")
    modes = {"evidence": ("evidence",), "sum-only": ("sum_only",), "both": ("evidence", "sum_only")}
    if mode not in modes:
        raise typer.BadParameter("expected evidence, sum-only or both", param_hint="--mode")
    terms = GrantTerms(
        project_id=project,
        purpose=purpose,
        target=target,
        label_period=label_period,
        epsilon_milli=round(1000 * epsilon),
        days=days,
        runs_allowed=runs,
        min_key_holders=min_key_holders,
        bits_per_person_and_year=bits_per_year,
        modes=cast(tuple[Literal["evidence", "sum_only"], ...], modes[mode]),
        lines=lines,
    )
    grant = draft_grant(node, make_card(node, flower_public_key(node)), departments, terms)
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
    console.rows(["step", "receiver", "kind", "items", "bytes"], shown["leaves"], as_json=False)
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
    submit: Annotated[bool, typer.Option(help="send the signature to the coordinator")] = False,
    yes: Yes = False,
) -> None:
    """Sign a grant for this department, after the guard has checked it. Read `preview` first."""
    from department_nodes.engine import NodeEngine
    from department_nodes.grant_clauses import verify_grant_terms
    from department_nodes.officers import sign_as_owner
    from policies.contracts.grant import required_signatures

    engine = NodeEngine(open_home(home))
    unsigned = read_grant(grant)
    verify_grant_terms(unsigned.grant, engine.site(), int(time.time()))
    department = engine.home.config.department
    if sys.stdin.isatty() and not yes:
        typer.confirm(console.text("confirm_sign", department=department), abort=True, err=True)
    signed = sign_as_owner(engine, unsigned)
    if out is not None:
        write_and_name(out, signed.to_bytes())
    elif not submit:
        print(signed.to_bytes().decode())
    if submit:
        client = connect(engine.home)
        client.put_bytes(f"/v1/projects/{signed.grant.project_id}/grant", signed.to_bytes())
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
