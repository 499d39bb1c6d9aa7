"""The node and the audit ledger: how they stand, what auditors take from here, and alarms that an officer has seen."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from command_line.console import ending_with_code, show_time
from command_line.documents import write_document
from department_nodes.cli.start import AsJson, HomeOption, Yes, ask, console, open_home, write_and_name

if TYPE_CHECKING:
    from department_nodes.engine import NodeEngine
    from department_nodes.ledger.status import LedgerStatus

app = typer.Typer(
    name="ledger",
    help="The audit ledger 审计账本: this node's events on their way, its work as a witness, and alarms.",
    no_args_is_help=True,
)


@app.command()
@ending_with_code
def status(home: HomeOption, as_json: AsJson = False) -> None:
    """Show how many events wait, have a place and are witnessed; what was cosigned last; who reads; and every alarm."""
    from department_nodes.ledger.status import ledger_status

    found = ledger_status(_engine(home))
    if as_json:
        print(json.dumps(found.facts(), ensure_ascii=False, sort_keys=True))
        return
    for line in ledger_lines(found):
        print(line)
    if found.size:
        values = {"size": found.size, "root": found.root[:16], "at": show_time(found.accepted_at)}
        print(console.text("ledger.seen", **values))
        print(console.text("ledger.cosigned", at=show_time(found.cosigned_at)))
    if found.terms is None:
        return
    terms = found.terms
    faulty, age_s = terms.tolerated_faulty_witnesses, terms.checkpoint_max_age_s
    values = {"witnesses": len(terms.witnesses), "quorum": terms.quorum, "faulty": faulty, "seconds": age_s}
    print(console.text("ledger.quorum", **values))
    print(console.text("ledger.auditors"))
    for card in terms.auditors:
        print(console.text("ledger.auditor", auditor=card.auditor, fingerprint=card.fingerprint()))


@app.command()
@ending_with_code
def checkpoint(home: HomeOption, out: Annotated[Path, typer.Option(help="where to write the checkpoint")]) -> None:
    """Write the newest checkpoint that this node accepted, with its own cosignature, for an auditor."""
    from department_nodes.ledger.status import ledger_status, own_checkpoint

    engine = _engine(home)
    write_and_name(out, own_checkpoint(engine))
    found = ledger_status(engine)
    console.fact("ledger.checkpoint", {"size": found.size, "root": found.root[:16]}, as_json=False)


@app.command()
@ending_with_code
def evidence(home: HomeOption, out: Annotated[Path, typer.Option(help="the folder to write into")]) -> None:
    """Write the signed evidence of every alarm, also of acknowledged ones: for auditors and the other departments."""
    from department_nodes.ledger.alarms import evidence_files

    files = evidence_files(_engine(home))
    for name, content in files:
        write_document(out / name, content)
    console.fact("ledger.evidence", {"count": len(files)}, as_json=False)


@app.command()
@ending_with_code
def acknowledge(
    number: Annotated[int, typer.Argument(min=1, help="the alarm's number")],
    home: HomeOption,
    follow: Annotated[
        bool, typer.Option("--follow", help="give up the accepted history of the log and follow the one it offered")
    ] = False,
    yes: Yes = False,
) -> None:
    """Note that an officer has seen an alarm. Write its evidence and tell the auditors before."""
    from department_nodes.ledger.alarms import acknowledge as note_seen

    if follow:
        ask("ledger.confirm_follow", yes)
    alarm = note_seen(_engine(home), number, follow)
    key = "ledger.followed" if follow else "ledger.acknowledged"
    console.fact(key, {"number": number, "kind": console.text(f"alarm.kind.{alarm.kind}")}, as_json=False)


def ledger_lines(found: "LedgerStatus") -> list[str]:
    """Return what every officer must see: how far the events are, what this node cannot do, and each alarm with its next step."""
    lines = []
    if found.terms is None:
        lines.append(console.text("ledger.no_terms", waiting=found.waiting))
    else:
        values = {"terms": found.terms.number, "waiting": found.waiting, "placed": found.placed}
        newest = show_time(found.newest_witnessed_at)
        lines.append(console.text("ledger.events", **values, witnessed=found.witnessed, newest=newest))
        if not found.is_witness:
            lines.append(console.text("ledger.not_a_witness"))
    if found.waiting_since is not None:
        lines.append(console.text("ledger.waiting_since", at=show_time(found.waiting_since)))
    for alarm in found.alarms:
        lines.append(console.text(f"alarm.{alarm.kind}", number=alarm.number, at=show_time(alarm.at)))
    if found.is_held:
        lines.append(console.text("alarm.held"))
    if found.alarms:
        lines.append(console.text("alarm.next"))
    return lines


def _engine(home: Path) -> "NodeEngine":
    from department_nodes.engine import NodeEngine

    return NodeEngine(open_home(home))
