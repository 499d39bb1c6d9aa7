"""Making, checking and running the node: the work of the department's IT."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from command_line.console import ExitCode, ending_with_code, show_time
from command_line.documents import read_document_bytes, write_atomically
from crypto.errors import DoudiError
from department_nodes.cli.governance_commands import list_rows, shown_list
from department_nodes.cli.ledger_commands import ledger_lines
from department_nodes.cli.start import AsJson, HomeOption, connect, console, open_home, write_and_name
from department_nodes.config import NodeConfig, SitePolicy
from department_nodes.home import OFFICERS_FOLDER, NodeHome

app = typer.Typer()


@app.command()
@ending_with_code
def init(
    home: HomeOption,
    department: Annotated[str, typer.Option(help="this department's name, for example tax")],
    region: Annotated[str, typer.Option(help="this region's name")],
    extract: Annotated[str, typer.Option(help="Parquet or CSV file, or a database address with ?table=")],
    coordinator_url: Annotated[str, typer.Option(help="https address of the coordinator")],
    superlink_address: Annotated[str, typer.Option(help="host:port of the SuperLink's fleet listener")],
    ca_file: Annotated[Path, typer.Option(help="the centre's certificate authority")],
    tier: Annotated[
        str, typer.Option(help="how sensitive the data are, for example general_3: policies/standards/tiers")
    ],
    purposes: Annotated[list[str], typer.Option("--purpose", help="what the data may be used for; repeat")],
    steward: Annotated[
        str, typer.Option(help="the office that answers for the data; no person's name")
    ] = "data-steward",
    further_approvers: Annotated[
        int, typer.Option(min=0, max=3, help="people besides the first who may approve, each with a key of their own")
    ] = 0,
    dataset: Annotated[str, typer.Option(help="data standard; default: the department's name")] = "",
    worker_port: Annotated[int, typer.Option(min=1024, max=65535, help="loopback port of the worker")] = 19091,
    threads: Annotated[int, typer.Option(min=1, max=64, help="processor threads for the linkage")] = 1,
    held_out_seed: Annotated[str, typer.Option(help="lead: fixes the held-out households; empty = secret")] = "",
) -> None:
    """Create the node: folder, keys, configuration, database. Nothing is replaced."""
    from department_nodes.enrolment import create_node

    os.umask(0o077)
    if not ca_file.is_file():
        raise DoudiError("file.missing", f"{ca_file.name} is not there", "Ask the centre for its ca.crt.")
    config = NodeConfig(
        department=department,
        region=region,
        dataset=dataset or department,
        tier=tier,
        steward=steward,
        allowed_purposes=tuple(purposes),
        extract=extract if "://" in extract else str(Path(extract).absolute()),
        coordinator_url=coordinator_url,
        superlink_address=superlink_address,
        worker_port=worker_port,
        threads=threads,
        held_out_seed=held_out_seed,
        policy=SitePolicy(),
    )
    node = create_node(home.absolute(), config, further_approvers)
    write_atomically(node.ca_file, ca_file.read_bytes(), 0o644)
    console.fact("created", {"department": department}, as_json=False)
    for number in range(2, 2 + further_approvers):
        console.note("created.approver", folder=f"{OFFICERS_FOLDER}/approver-{number}")


@app.command()
@ending_with_code
def check(home: HomeOption, limit: Annotated[int, typer.Option(min=1)] = 100, as_json: AsJson = False) -> None:
    """Check the extract against its data standard; faults are listed by row, column and what was expected."""
    from department_nodes.extract import check as check_extract

    node = open_home(home)
    report = check_extract(node, limit)
    standard = f"{report.dataset}/v{report.version}"
    if report.fault_count == 0:
        facts = {"people": report.rows, "columns": len(_columns(node)), "standard": standard}
        console.fact("check_ok", facts, as_json=as_json)
        return
    rows = [
        {
            "row": fault.row if fault.row is not None else "–",
            "column": fault.column,
            "code": fault.code,
            "expected": fault.expected,
        }
        for fault in report.faults
    ]
    console.rows(["row", "column", "code", "expected"], rows, as_json=as_json)
    console.note("check_faults", faults=report.fault_count, people=report.rows, shown=len(rows))
    raise typer.Exit(int(ExitCode.BAD_FILE))


@app.command()
@ending_with_code
def card(
    home: HomeOption, out: Annotated[Path, typer.Option(help="where to write the card")], as_json: AsJson = False
) -> None:
    """Write this department's public card: its keys and what it holds. Read its fingerprint out to the others."""
    from department_nodes.officers import make_card
    from department_nodes.trust import flower_public_key

    node = open_home(home)
    made = make_card(node, flower_public_key(node))
    write_and_name(out, made.to_bytes())
    facts = {"department": made.department, "people": made.people, "fingerprint": made.fingerprint()}
    console.fact("card", facts, as_json=as_json)


@app.command()
@ending_with_code
def trust(
    cards: Annotated[list[Path], typer.Argument(metavar="CARD...", help="cards of departments or of the centre")],
    home: HomeOption,
    replace: Annotated[bool, typer.Option(help="accept other keys than the pinned ones")] = False,
) -> None:
    """Pin cards. Compare each fingerprint with that party by telephone before."""
    from department_nodes.trust import pin
    from policies.contracts.cards import DepartmentCard, parse_card

    node = open_home(home)
    # All files are read before the first is pinned, so that a bad one leaves nothing half-done.
    parsed = [parse_card(read_document_bytes(path)) for path in cards]
    for item in parsed:
        pin(node, item, replace)
        party = item.department if isinstance(item, DepartmentCard) else "centre"
        console.fact("pinned", {"party": party, "fingerprint": item.fingerprint()}, as_json=False)


@app.command()
@ending_with_code
def run(home: HomeOption) -> None:
    """Run the node: answer granted steps, offer keys, keep the SuperNode alive. Ends on SIGTERM or SIGINT."""
    # OpenMP threads that spin while they wait would take the processor from the other work of this host.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    for noisy in ("alembic", "httpx", "flwr"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    from department_nodes.agent import run_node

    run_node(open_home(home))


@app.command()
@ending_with_code
def status(home: HomeOption, as_json: AsJson = False) -> None:
    """Show this node: alarms of the ledger, what it has spent, its runs, waiting requests, revocation lists, latest steps."""
    from department_nodes import accounts_of_runs as accounts
    from department_nodes.engine import NodeEngine
    from department_nodes.extract import check as check_extract
    from department_nodes.ledger.status import ledger_status
    from department_nodes.run_order import unfinished_runs
    from department_nodes.store.session import transaction

    engine = NodeEngine(open_home(home))
    spent = accounts.usage(engine)
    facts: dict[str, Any] = {
        "department": engine.home.config.department,
        "people": check_extract(engine.home, 1).rows,
        "projects": spent.projects,
        "runs": spent.runs,
        "epsilon": spent.label_epsilon_milli / 1000,
        "bits": spent.evidence_bits_per_person,
    }
    with transaction(engine.db) as session:
        active = unfinished_runs(session, int(engine.clock()))
    lists, waiting = list_rows(engine.home, int(engine.clock())), _waiting_requests(engine.home)
    found, refused = accounts.steps(engine), accounts.refusals(engine)
    ledger = ledger_status(engine)
    if as_json:
        more = {"active_runs": active, "revocation_lists": lists, "waiting_requests": waiting}
        more |= {"steps": found, "refusals": refused, "ledger": ledger.facts()}
        print(json.dumps({**facts, **more}, ensure_ascii=False, sort_keys=True))
        return
    console.fact("status", facts, as_json=False)
    for line in ledger_lines(ledger):
        print(line)
    most = engine.home.config.policy.max_concurrent_runs
    print(console.text("status.active", active=len(active), most=most, runs=", ".join(active) or "–"))
    if waiting is None:
        print(console.text("status.unreachable"))
    else:
        print(console.text("status.waiting", numbers=", ".join(map(str, waiting)) or "–"))
    print(console.text("status.lists"))
    shown = [shown_list(row) for row in lists]
    console.rows(["party", "number", "issued_at", "age", "limit_age", "state"], shown, as_json=False)
    if found:
        console.rows(["run", "attempt", "step", "state", "seconds"], found, as_json=False)
    if refused:
        rows = [{**row, "at": show_time(row["at"])} for row in refused]
        console.rows(["at", "event", "run", "step", "code"], rows, as_json=False)


def _waiting_requests(node: NodeHome) -> list[int] | None:
    """Return the numbers of the requests that wait for this department; None where the coordinator does not tell."""
    from department_nodes.governance.requests import waiting_requests

    try:
        return waiting_requests(connect(node), node.config.department)
    except DoudiError:
        return None


def _columns(node: NodeHome) -> tuple[str, ...]:
    from policies.standards.loader import load_dataset_standard

    return tuple(load_dataset_standard(node.config.dataset, node.config.standard_version).column_names)
