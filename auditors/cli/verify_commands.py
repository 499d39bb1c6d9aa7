"""`doudi audit verify`. Offline."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from auditors.cli.options import DEFAULT_HOME, AsJson, HomeOption, console, open_home
from auditors.cli.showing import progress_of, show_findings
from auditors.verification.verifier import DAY_S, Verification, verify_store
from command_line.console import ending_with_code, show_time
from command_line.documents import read_document_bytes

app = typer.Typer()
FromDepartment = Annotated[
    list[Path] | None,
    typer.Option(
        "--from-department",
        help="a checkpoint that a department handed over (`doudi node ledger checkpoint`); repeat",
    ),
]


@app.command()
@ending_with_code
def verify(
    home: HomeOption = DEFAULT_HOME,
    from_department: FromDepartment = None,
    full: Annotated[bool, typer.Option(help="use nothing of the last verification")] = False,
    max_age_s: Annotated[int, typer.Option(min=1, help="allowed age of the witnesses' word at the visit")] = DAY_S,
    timestamp_roots: Annotated[
        Path | None, typer.Option(help="certificates of the time stamping authority, PEM, from the authority itself")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the mirror: terms, checkpoints, witnesses, tree, tiles, batches, history. Offline.

    Exit codes: 0 ok; 10 tree or log; 11 signatures; 12 witnesses; 13 changed past; 14 gaps; 15 sealed keys. Several: the lowest.
    """
    opened = open_home(home)
    with progress_of("progress.verify") as step:
        result = verify_store(
            opened,
            department_files=from_department or [],
            full=full,
            max_age_s=max_age_s,
            timestamp_roots=None if timestamp_roots is None else read_document_bytes(timestamp_roots),
            progress=step,
        )
    facts = verification_facts(result)
    if as_json:
        print(json.dumps({**facts, "findings": [one.shown() for one in result.findings]}, ensure_ascii=False))
    else:
        show_findings(result.findings)
        console.fact("verify_failed" if result.exit_code else "verify_ok", facts, as_json=False)
        console.note("verify_times", **facts)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def verification_facts(result: Verification) -> dict[str, Any]:
    """Return what a verification found out, for a line or for JSON."""
    witnessed, chain = result.witnessed, result.chain
    return {
        "origin": chain.origin if chain else "",
        "terms": chain.newest.number if chain else 0,
        "entries": result.newest.size if result.newest else 0,
        "root": result.newest.root.hex() if result.newest else "",
        "batches": result.batches,
        "witnessed": witnessed.size if witnessed else 0,
        "witnesses": len(witnessed.times) if witnessed else 0,
        "witnessed_at": show_time(witnessed.witnessed_at(chain.newest) if witnessed and chain else None),
        "visited_at": show_time(result.visited_at or None),
        "stamped": {str(size): show_time(at) for size, at in result.stamped.items()},
        "count": len(result.findings),
        "exit": result.exit_code,
        "full": result.full,
        "read": result.entries,
        "tree_s": round(result.tree_s, 3),
        "signatures": result.signatures,
        "signatures_s": round(result.signatures_s, 3),
    }
