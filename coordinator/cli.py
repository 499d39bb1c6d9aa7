"""`doudi centre`: the data-management centre's command line.

`init`, `run` and `superlink` run on the coordinator's host with its home folder; the other commands run on the officer's
device with the officer's folder and reach the coordinator through its API. Exit codes: `console.ExitCode`.
"""

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from command_line.console import LANGUAGE_OPTION, Console, Language, ending_with_code, note, show_fact, show_time
from command_line.documents import read_document_bytes, write_document
from command_line.paging import every_item
from coordinator.config import LOOPBACK, CoordinatorConfig, load_config
from coordinator.grants.keys import compare_keys, merge_signatures, verify_each_signature
from coordinator.grants.summary import grant_summary
from coordinator.installation import Installation, install
from coordinator.officer import Officer, read_grant
from coordinator.projects.api import ProjectRequest
from coordinator.runs.states import ENDED, RunState
from coordinator.texts import TEXTS
from crypto.canonical import canonical_json
from policies.contracts.cards import DepartmentCard
from policies.contracts.grant import SignedGrant, required_signatures, sign_grant

app = typer.Typer(
    name="centre",
    help="The data-management centre 数据管理中心: runs the coordinator, registers departments, signs grants.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

console = Console(TEXTS)

ACTIVE = tuple(state for state in RunState if state not in ENDED)

Home = Annotated[Path, typer.Option("--home", help="the coordinator's home folder")]
OfficerHome = Annotated[Path, typer.Option("--officer-home", help="the officer's folder, on the officer's own device")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for machines")]


@app.callback()
def _language(
    context: typer.Context,
    lang: Annotated[Language, LANGUAGE_OPTION] = Language.ENGLISH,
) -> None:
    """Exit codes: 0 ok, 1 internal, 2 usage, 3 refused, 4 not reachable, 5 bad input file."""
    context.obj = lang


@app.command()
@ending_with_code
def init(
    home: Home,
    officer_home: OfficerHome,
    host: Annotated[list[str] | None, typer.Option(help="public name or address; may be repeated")] = None,
    listen: Annotated[str, typer.Option(help="address to listen on")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=1, max=65535, help="port of the API")] = 8443,
    fleet_port: Annotated[int, typer.Option(min=1, max=65535, help="port for Flower nodes")] = 9092,
    superlink_port: Annotated[int, typer.Option(min=1, max=65535, help="SuperLink's port, on loopback only")] = 9091,
    step_timeout_s: Annotated[int, typer.Option(min=1, help="longest time for one step")] = 900,
    as_json: AsJson = False,
) -> None:
    """Create the coordinator's home, its certificates and database, and the officer's folder with the centre's keys."""
    os.umask(0o077)
    chosen = Installation(
        home=home,
        officer_home=officer_home,
        hosts=host or [LOOPBACK],
        listen=listen,
        api_port=port,
        fleet_port=fleet_port,
        superlink_api_port=superlink_port,
        step_timeout_s=step_timeout_s,
    )
    config = install(chosen, int(time.time()))
    facts = {"home": str(home), "officer_home": str(officer_home), "url": config.public_url}
    show_fact(console.text("installed", home=home, officer=officer_home), facts, as_json=as_json)


@app.command()
@ending_with_code
def run(home: Home) -> None:
    """Serve the API over TLS and start a child process for each scheduled run. Ends on SIGTERM or SIGINT."""
    # Imported here: the other commands run on the officer's device and need no server and no Flower.
    import uvicorn

    from coordinator.app import create_app
    from coordinator.db.session import open_engine, upgrade
    from coordinator.runs.supervisor import Supervisor

    os.umask(0o077)
    config = load_config(home)
    engine = open_engine(config.resolved_database_url)
    upgrade(engine)
    engine.dispose()

    def register(name: str, ssh_public_key: str) -> None:
        _register_flower_node(config, name, ssh_public_key)

    api = create_app(config, supervisor=Supervisor(config), register_flower_node=register)
    note(console.text("running", host=config.api_host, port=config.api_port))
    uvicorn.run(
        api,
        host=config.api_host,
        port=config.api_port,
        ssl_certfile=str(config.path(config.tls_certificate_file)),
        ssl_keyfile=str(config.path(config.tls_key_file)),
        # Addresses name runs and projects, which stay out of logs.
        access_log=False,
        log_level="warning",
        ws="none",
        server_header=False,
        limit_concurrency=config.limits.max_connections,
        timeout_graceful_shutdown=10,
    )


@app.command()
@ending_with_code
def superlink(home: Home) -> None:
    """Run Flower's SuperLink with the configured arguments, in the place of this process."""
    os.umask(0o077)
    config = load_config(home)
    arguments = superlink_arguments(config)
    environment = {
        **os.environ,
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_HOME": str(config.path("flwr")),
    }
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *arguments], environment)  # noqa: S606 - a fixed program, no shell


@app.command()
@ending_with_code
def register(
    cards: Annotated[list[Path], typer.Argument(metavar="CARD...", help="departments' public cards")],
    officer_home: OfficerHome,
    replace: Annotated[bool, typer.Option(help="accept other keys than the registered ones")] = False,
    as_json: AsJson = False,
) -> None:
    """Register departments. Compare each fingerprint with the department by telephone before."""
    officer = _officer(officer_home)
    # All files are read before the first is sent, so that a bad one does not leave half a registration.
    parsed = [DepartmentCard.parse(read_document_bytes(path)) for path in cards]
    for card in parsed:
        officer.request("POST", f"/v1/parties?replace={str(replace).lower()}", card.to_bytes())
        officer.keep_card(card)
        facts = {"department": card.department, "people": card.people, "fingerprint": card.fingerprint()}
        show_fact(console.text("registered", **facts), facts, as_json=as_json)


@app.command()
@ending_with_code
def card(officer_home: OfficerHome, as_json: AsJson = False) -> None:
    """Show the centre's fingerprint, for reading out to the departments that pin its card."""
    found = _officer(officer_home).centre_card
    facts = {"fingerprint": found.fingerprint(), "url": found.url}
    show_fact(console.text("centre_card", **facts), facts, as_json=as_json)


@app.command("create-project")
@ending_with_code
def create_project(
    project: Annotated[str, typer.Argument(help="the project's name")],
    officer_home: OfficerHome,
    title: Annotated[str, typer.Option(help="for people; no person's name")],
    purpose: Annotated[str, typer.Option(help="purpose that the grant must name")],
    region: Annotated[str, typer.Option(help="region that the grant must name")],
    lead: Annotated[str, typer.Option(help="lead department")],
    as_json: AsJson = False,
) -> None:
    """Open a project. The same project again is accepted."""
    fields = {"project_id": project, "title": title, "purpose": purpose, "region": region, "lead": lead}
    # Parsed here too, so that a mistake is named before anything is sent.
    wanted = ProjectRequest.parse(canonical_json(fields))
    answer = _officer(officer_home).request("POST", "/v1/projects", wanted.to_bytes())
    show_fact(console.text("project_created", project=project, lead=lead), answer, as_json=as_json)


@app.command()
@ending_with_code
def sign(
    grant: Annotated[Path, typer.Argument(metavar="GRANT", help="a grant, with or without signatures")],
    officer_home: OfficerHome,
    out: Annotated[Path | None, typer.Option(help="where to write the signed grant; else stdout")] = None,
    submit: Annotated[bool, typer.Option(help="also send it to the coordinator")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask, even on a terminal")] = False,
) -> None:
    """Show what a grant allows and sign it as the centre, after comparing its keys with the registered cards."""
    officer = _officer(officer_home)
    unsigned = read_grant(grant)
    for line in grant_summary(unsigned.grant, console.text):
        note(line)
    # The officer's own copies of the cards: the coordinator cannot slip in another key.
    compare_keys(unsigned.grant, officer.cards(), officer.centre_keys)
    if unsigned.signatures:
        verify_each_signature(unsigned)
    if sys.stdin.isatty() and not yes:
        typer.confirm(console.text("confirm"), abort=True, err=True)
    signature = sign_grant(unsigned.grant, "centre", "centre", officer.approval_key())
    signed = merge_signatures(unsigned, SignedGrant(grant=unsigned.grant, signatures=(signature,)))
    _write_grant(signed, out)
    counts = {"count": len(signed.signatures), "needed": sum(needed.count for needed in required_signatures(signed.grant))}
    note(console.text("signed", hash=signed.grant_hash, **counts))
    if submit:
        officer.request("PUT", f"/v1/projects/{signed.grant.project_id}/grant", signed.to_bytes())
        note(console.text("submitted"))


@app.command()
@ending_with_code
def status(officer_home: OfficerHome, as_json: AsJson = False) -> None:
    """Show whether the coordinator answers, who is registered and when each party was last seen."""
    officer = _officer(officer_home)
    officer.health()
    departments = [party for party in every_item(officer.get, "/v1/parties") if party["role"] == "department"]
    projects = sum(1 for _ in every_item(officer.get, "/v1/projects"))
    active = sum(1 for state in ACTIVE for _ in every_item(officer.get, f"/v1/runs?state={state}"))
    counts = {"parties": len(departments), "projects": projects, "active": active}
    listed = [_party_facts(party) for party in departments]
    facts = {**counts, "departments": listed}
    show_fact(console.text("status", **counts), facts, as_json=as_json)
    if not as_json:
        rows = [{**party, "last_seen": show_time(party["last_seen_at"])} for party in listed]
        console.rows(["name", "last_seen", "fingerprint"], rows, as_json=False)


@app.command()
@ending_with_code
def runs(
    officer_home: OfficerHome,
    state: Annotated[str | None, typer.Option(help="only runs in this state")] = None,
    as_json: AsJson = False,
) -> None:
    """List the runs, newest first."""
    found = list(every_item(_officer(officer_home).get, f"/v1/runs?state={state}" if state else "/v1/runs"))
    rows = [
        {
            **row,
            "run": row["run_id"],
            "project": row["project_id"],
            "reason": row["reason_code"],
            "progress": _rounds(row),
        }
        for row in found
    ]
    columns = ["run", "project", "mode", "attempt", "state", "progress", "reason"]
    console.rows(columns, found if as_json else rows, as_json=as_json)


@app.command()
@ending_with_code
def events(
    officer_home: OfficerHome,
    after: Annotated[int, typer.Option(min=0, help="only events after this number")] = 0,
    as_json: AsJson = False,
) -> None:
    """List what was done: names, codes and counts."""
    found = list(every_item(_officer(officer_home).get, f"/v1/events?after={after}"))
    rows = [
        {**row, "at": show_time(row["at"]), "run": row["run_id"] or "–", "subject": row["subject"] or "–"}
        for row in found
    ]
    columns = ["sequence", "at", "type", "actor", "subject", "run", "code", "counts"]
    console.rows(columns, found if as_json else rows, as_json=as_json)


def superlink_arguments(config: CoordinatorConfig) -> list[str]:
    """Return the arguments of the SuperLink's process."""
    options = {
        "--api-port": str(config.superlink_api_port),
        "--fleet-host": config.fleet_host,
        "--fleet-port": str(config.fleet_port),
        "--tls-cert": str(config.path(config.tls_certificate_file)),
        "--tls-key": str(config.path(config.tls_key_file)),
        "--tls-ca": str(config.path(config.tls_ca_file)),
        "--database": str(config.path(config.superlink_database_file)),
        "--superexec-secret-file": str(config.path(config.superexec_secret_file)),
        "--log-file": str(config.path(config.superlink_log_file)),
    }
    pairs = [word for name, value in options.items() for word in (name, value)]
    return ["-m", "coordinator.federation.superlink", *pairs]


def _register_flower_node(config: CoordinatorConfig, name: str, ssh_public_key: str) -> None:
    from coordinator.federation.flower_control import FlowerControl

    control = FlowerControl(f"{LOOPBACK}:{config.superlink_api_port}", config.path(config.tls_ca_file))
    try:
        control.register_node(ssh_public_key, name)
    finally:
        control.close()


def _officer(home: Path) -> Officer:
    return Officer(home.absolute(), time.time)


def _write_grant(signed: SignedGrant, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(signed.to_bytes().decode() + "\n")
        return
    write_document(out, signed.to_bytes())


def _rounds(row: dict[str, Any]) -> str:
    """Return how far a line is; the steps of the main job are too few to count."""
    return "–" if row["rounds"] is None else console.text("rounds", round=row["round"], rounds=row["rounds"])


def _party_facts(party: dict[str, Any]) -> dict[str, Any]:
    return {name: party[name] for name in ("name", "fingerprint", "last_seen_at")}
