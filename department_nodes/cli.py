"""`doudi node`: a department's command line. Everything here works on this host; nothing about people is sent by it.

Officers use init, check, card, trust, preview, sign, schedule, show, results and leave; IT uses `run`.
Exit codes: `console.ExitCode`.
"""

import json
import logging
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from command_line.console import LANGUAGE_OPTION, Console, Language, ending_with_code, note, show_time
from crypto.errors import DoudiError
from department_nodes.config import NodeConfig, SitePolicy
from department_nodes.home import IDENTITY_KEY, NodeHome, read_document_bytes, write_atomically
from department_nodes.texts import TEXTS

app = typer.Typer(
    name="node",
    help="A department's node 部门节点: keeps its data, trains on it, and answers granted runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console(TEXTS)

HomeOption = Annotated[Path, typer.Option("--home", envvar="DOUDI_NODE_HOME", help="the node's folder")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for machines")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask, even on a terminal")]


@app.callback()
def _language(context: typer.Context, lang: Annotated[Language, LANGUAGE_OPTION] = Language.ENGLISH) -> None:
    """Exit codes: 0 ok, 1 internal, 2 usage, 3 refused, 4 not reachable, 5 bad input file."""
    context.obj = lang


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
        extract=extract if "://" in extract else str(Path(extract).absolute()),
        coordinator_url=coordinator_url,
        superlink_address=superlink_address,
        worker_port=worker_port,
        threads=threads,
        held_out_seed=held_out_seed,
        policy=SitePolicy(),
    )
    node = create_node(home.absolute(), config)
    write_atomically(node.ca_file, ca_file.read_bytes(), 0o644)
    console.fact("created", {"department": department}, as_json=False)


@app.command()
@ending_with_code
def check(home: HomeOption, limit: Annotated[int, typer.Option(min=1)] = 100, as_json: AsJson = False) -> None:
    """Check the extract against its data standard; faults are listed by row, column and what was expected."""
    from department_nodes.extract import check as check_extract

    node = _home(home)
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
    raise typer.Exit(5)


@app.command()
@ending_with_code
def card(
    home: HomeOption, out: Annotated[Path, typer.Option(help="where to write the card")], as_json: AsJson = False
) -> None:
    """Write this department's public card: its keys and what it holds. Read its fingerprint out to the others."""
    from department_nodes.officers import make_card
    from department_nodes.trust import flower_public_key

    node = _home(home)
    made = make_card(node, flower_public_key(node))
    _write(out, made.to_bytes())
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
    from policies.contracts.cards import CentreCard, DepartmentCard

    node = _home(home)
    parsed: list[DepartmentCard | CentreCard] = []
    for path in cards:
        data = read_document_bytes(path)
        parsed.append(DepartmentCard.parse(data) if b'"department"' in data else CentreCard.parse(data))
    for item in parsed:
        pin(node, item, replace)
        party = item.department if isinstance(item, DepartmentCard) else "centre"
        console.fact("pinned", {"party": party, "fingerprint": item.fingerprint()}, as_json=False)


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
    epsilon: Annotated[float, typer.Option(help="ε of the label, per household and period")] = 1.0,
    mode: Annotated[str, typer.Option(help="evidence, sum-only or both")] = "both",
    days: Annotated[int, typer.Option(min=1, help="days until it expires")] = 365,
    runs: Annotated[int, typer.Option(min=1, help="runs that it allows")] = 5,
    min_key_holders: Annotated[int, typer.Option(min=2)] = 3,
    bits_per_year: Annotated[int, typer.Option(min=1, help="evidence bits per person and year")] = 60,
) -> None:
    """Draft a grant that this department leads. Nobody is bound before every party has signed it."""
    from department_nodes.officers import GrantTerms, draft_grant, make_card
    from department_nodes.trust import flower_public_key
    from policies.contracts.grant import SignedGrant

    node = _home(home)
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
    )
    grant = draft_grant(node, make_card(node, flower_public_key(node)), departments, terms)
    _write(out, SignedGrant(grant=grant).to_bytes())
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

    node = _home(home)
    shown = preview_grant(node, _grant(grant), int(time.time()))
    if as_json:
        print(json.dumps(shown, ensure_ascii=False, sort_keys=True))
        return
    for key in ("preview.heading", "preview.terms", "preview.columns", "preview.limits"):
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
    from department_nodes.guard import verify_grant_terms
    from department_nodes.officers import sign_as_owner
    from policies.contracts.grant import required_signatures

    engine = NodeEngine(_home(home))
    unsigned = _grant(grant)
    verify_grant_terms(unsigned.grant, engine.site(), int(time.time()))
    department = engine.home.config.department
    if sys.stdin.isatty() and not yes:
        typer.confirm(console.text("confirm_sign", department=department), abort=True, err=True)
    signed = sign_as_owner(engine, unsigned)
    if out is not None:
        _write(out, signed.to_bytes())
    if submit:
        client = _client(engine.home)
        client.put_bytes(f"/v1/projects/{signed.grant.project_id}/grant", signed.to_bytes())
    counts = {"count": len(signed.signatures), "needed": len(required_signatures(signed.grant))}
    console.fact("signed", {"department": department, "hash": signed.grant_hash, **counts}, as_json=False)


@app.command("create-run")
@ending_with_code
def create_run(
    project: Annotated[str, typer.Argument(help="project")],
    home: HomeOption,
    mode: Annotated[str, typer.Option(help="evidence, sum-only or both")] = "both",
    as_json: AsJson = False,
) -> None:
    """Begin a run: the coordinator asks the departments' nodes for fresh keys. Only the scheduler may."""
    node = _home(home)
    run = _client(node).post(f"/v1/projects/{project}/runs", {"mode": mode.replace("-", "_")})
    facts = {"run_id": run["run_id"], "run_number": run["run_number"]}
    console.fact("run_created", facts, as_json=as_json)


@app.command("restart-run")
@ending_with_code
def restart_run(run_id: Annotated[str, typer.Argument()], home: HomeOption, as_json: AsJson = False) -> None:
    """Begin the next attempt of a failed or stopped run. Schedule it again afterwards."""
    run = _client(_home(home)).post(f"/v1/runs/{run_id}/restart", {})
    facts = {"run_id": run["run_id"], "run_number": run["run_number"]}
    console.fact("run_created", facts, as_json=as_json)


@app.command()
@ending_with_code
def schedule(
    run_id: Annotated[str, typer.Argument()],
    home: HomeOption,
    wait_s: Annotated[float, typer.Option(min=0, help="how long to wait for every department's keys")] = 60,
    partial: Annotated[bool, typer.Option(help="go on without departments whose keys are missing")] = False,
) -> None:
    """Verify the departments' keys, sign the run's manifest with the scheduling key and hand it in."""
    from department_nodes.scheduling import schedule_run

    node = _home(home)
    manifest = schedule_run(node, _client(node), run_id, wait_s, partial, lambda **v: console.note("waiting_keys", **v))
    facts = {"run_id": run_id, "departments": len(manifest.offers)}
    console.fact("scheduled", facts, as_json=False)


@app.command()
@ending_with_code
def progress(run_id: Annotated[str, typer.Argument()], home: HomeOption, as_json: AsJson = False) -> None:
    """Show where a run stands, as the coordinator tells it: state, reason, and every department's steps."""
    found = _client(_home(home)).get(f"/v1/runs/{run_id}")
    if as_json:
        print(json.dumps(found, ensure_ascii=False, sort_keys=True))
        return
    facts = {
        "run_id": run_id,
        "state": found["state"],
        "reason": found["reason_code"] or "–",
        "attempt": found["attempt"],
    }
    console.fact("progress", facts, as_json=False)
    console.rows(["step", "department", "state", "code"], found["steps"], as_json=False)


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

    run_node(_home(home))


@app.command()
@ending_with_code
def status(home: HomeOption, as_json: AsJson = False) -> None:
    """Show this node: what it has spent, its latest steps and its latest refusals."""
    from department_nodes import accounts_of_runs as accounts
    from department_nodes.engine import NodeEngine
    from department_nodes.extract import check as check_extract

    engine = NodeEngine(_home(home))
    spent = accounts.usage(engine)
    facts: dict[str, Any] = {
        "department": engine.home.config.department,
        "people": check_extract(engine.home, 1).rows,
        "projects": spent.projects,
        "runs": spent.runs,
        "epsilon": spent.label_epsilon_milli / 1000,
        "bits": spent.evidence_bits_per_person,
    }
    found, refused = accounts.steps(engine), accounts.refusals(engine)
    if as_json:
        print(json.dumps({**facts, "steps": found, "refusals": refused}, ensure_ascii=False, sort_keys=True))
        return
    console.fact("status", facts, as_json=False)
    if found:
        console.rows(["run", "attempt", "step", "state", "seconds"], found, as_json=False)
    if refused:
        rows = [{**row, "at": show_time(row["at"])} for row in refused]
        console.rows(["at", "event", "run", "step", "code"], rows, as_json=False)


@app.command()
@ending_with_code
def show(run_id: Annotated[str, typer.Argument()], home: HomeOption, as_json: AsJson = False) -> None:
    """Show what this node sent in a run: what, to whom, how many bytes, under which grant; and the disclosure meter."""
    from department_nodes import accounts_of_runs as accounts
    from department_nodes.engine import NodeEngine

    engine = NodeEngine(_home(home))
    rows, found = accounts.sent(engine, run_id), accounts.reports(engine, run_id)
    if as_json:
        print(json.dumps({"sent": rows, "reports": found}, ensure_ascii=False, sort_keys=True))
        return
    shown = [{**row, "grant": row["grant"][:16], "at": show_time(row["at"])} for row in rows]
    console.rows(["step", "receiver", "kind", "items", "bytes", "grant", "at"], shown, as_json=False)
    if "disclosure" in found:
        columns = ["column", "largest_share", "base_share", "rank_correlation"]
        console.rows(columns, [_disclosure_row(item) for item in found["disclosure"]["columns"]], as_json=False)


@app.command()
@ending_with_code
def results(
    run_id: Annotated[str, typer.Argument()],
    home: HomeOption,
    top: Annotated[str, typer.Option(help="share of households, for example 10%, or a number")] = "10%",
    mode: Annotated[str, typer.Option(help="evidence or sum-only")] = "",
    as_json: AsJson = False,
) -> None:
    """Lead: list the households most likely in need, with members, probability and contributions. On this host only."""
    from department_nodes.engine import NodeEngine
    from department_nodes.results import top_households

    engine = NodeEngine(_home(home))
    listed = top_households(engine, run_id, top, mode.replace("-", "_"))
    if as_json:
        print(json.dumps(listed, ensure_ascii=False, sort_keys=True))
        return
    console.note("results.heading", shown=len(listed["rows"]), households=listed["households"], mode=listed["mode"])
    rows = [
        {
            "household": row["household"],
            "members": " ".join(row["members"]),
            "probability": f"{row['probability']:.3f}",
            "contributions": " ".join(f"{name} {value:+.2f}" for name, value in row["contributions"].items()),
        }
        for row in listed["rows"]
    ]
    console.rows(["household", "members", "probability", "contributions"], rows, as_json=False)


@app.command()
@ending_with_code
def leave(project: Annotated[str, typer.Argument()], home: HomeOption, yes: Yes = False) -> None:
    """Leave a project: destroys its keys, models, results and stored replies. No run of it is answered afterwards."""
    from department_nodes.accounts_of_runs import leave_project
    from department_nodes.engine import NodeEngine

    engine = NodeEngine(_home(home))
    if sys.stdin.isatty() and not yes:
        typer.confirm(console.text("confirm_leave", project_id=project), abort=True, err=True)
    leave_project(engine, project)
    console.fact("left", {"project_id": project}, as_json=False)


def _home(path: Path) -> NodeHome:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    node = NodeHome(path.absolute())
    _ = node.config  # A folder that is no node is refused here, with its code.
    return node


def _client(node: NodeHome) -> Any:
    from department_nodes.client import CoordinatorClient

    config = node.config
    return CoordinatorClient(config.coordinator_url, node.ca_file, config.department, node.key(IDENTITY_KEY))


def _columns(node: NodeHome) -> tuple[str, ...]:
    from policies.standards.loader import load_dataset_standard

    return tuple(load_dataset_standard(node.config.dataset, node.config.standard_version).column_names)


def _grant(path: Path) -> Any:
    from policies.contracts.grant import SignedGrant

    return SignedGrant.parse(read_document_bytes(path))


def _disclosure_row(item: dict[str, Any]) -> dict[str, Any]:
    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    names = ("largest_share", "base_share", "rank_correlation")
    return {"column": item["column"], **{name: shown(item.get(name)) for name in names}}


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        raise DoudiError(
            "file.unwritable", f"{path.name} cannot be written", "Check the path and its rights."
        ) from None
    note(str(path))
