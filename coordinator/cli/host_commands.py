"""`doudi centre init | run | superlink`: on the coordinator's host, with its home folder."""

import os
import sys
import time
from typing import Annotated, Any

import typer

from command_line.console import ending_with_code, note, show_fact
from coordinator.cli.account_commands import enrolment_facts
from coordinator.cli.ledger_host_commands import AuditorCards, note_founding_auditor, read_auditors
from coordinator.cli.start import AsJson, Home, OfficerHome, console
from coordinator.config import LOOPBACK, CoordinatorConfig, load_config
from coordinator.installation import Installation, install

app = typer.Typer()


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
    further_approvers: Annotated[
        int, typer.Option(min=0, max=3, help="further people who approve for the centre, each with a key of their own")
    ] = 0,
    administrator: Annotated[str | None, typer.Option(help="login name of the first account")] = None,
    auditor: AuditorCards = None,
    as_json: AsJson = False,
) -> None:
    """Create the coordinator's home, its certificates, database and ledger, and the officer's folder with the centre's keys.

    With --further-approvers also a folder per person, to be carried to that person's own device: important data need two people.
    With --administrator also the first account of the console; the one-time code for it is printed this once.
    Compare an auditor's fingerprint by telephone; without --auditor keys of a first one are made in the officer's folder.
    """
    from coordinator.accounts.host import add_administrator
    from coordinator.accounts.register import require_login_name

    os.umask(0o077)
    if administrator is not None:
        # A name that cannot be must not leave half an installation.
        require_login_name(administrator)
    chosen = Installation(
        home=home,
        officer_home=officer_home,
        hosts=host or [LOOPBACK],
        listen=listen,
        api_port=port,
        fleet_port=fleet_port,
        superlink_api_port=superlink_port,
        step_timeout_s=step_timeout_s,
        further_approvers=further_approvers,
        auditors=read_auditors(auditor),
    )
    config = install(chosen, int(time.time()))
    facts = {"home": str(home), "officer_home": str(officer_home), "url": config.public_url}
    if administrator is not None:
        number, code = add_administrator(config, administrator)
        facts |= enrolment_facts(config, number, code)
    show_fact(console.text("installed", home=home, officer=officer_home), facts, as_json=as_json)
    note_founding_auditor(auditor, officer_home)
    if administrator is None:
        console.note("no_administrator", home=home)
    elif not as_json:
        console.fact("enrolment_code", enrolment_facts(config, number, code), as_json=False)


@app.command()
@ending_with_code
def run(home: Home) -> None:
    """Serve the API over TLS and start a child process for each scheduled run. Ends on SIGTERM or SIGINT."""
    # Imported here: the other commands run on the officer's device and need no server and no Flower.
    from coordinator.app import create_app
    from coordinator.db.session import open_engine, upgrade
    from coordinator.runs.supervisor import Supervisor
    from coordinator.serving import serve

    os.umask(0o077)
    config = load_config(home)
    engine = open_engine(config.resolved_database_url)
    upgrade(engine)
    engine.dispose()

    def register(name: str, ssh_public_key: str) -> None:
        _register_flower_node(config, name, ssh_public_key)

    api = create_app(config, supervisor=Supervisor(config), register_flower_node=register)
    note(console.text("running", host=config.api_host, port=config.api_port))
    if ended := serve(api, **serving(config)):
        raise typer.Exit(ended)


def serving(config: CoordinatorConfig) -> dict[str, Any]:
    """Return how the API is served: the server's settings."""
    return {
        "host": config.api_host,
        "port": config.api_port,
        "ssl_certfile": str(config.path(config.tls_certificate_file)),
        "ssl_keyfile": str(config.path(config.tls_key_file)),
        # Addresses name runs and projects, which stay out of logs.
        "access_log": False,
        "log_level": "warning",
        "ws": "none",
        "server_header": False,
        # A header that anybody on this host may write must not say whose attempts are counted.
        "proxy_headers": False,
        "limit_concurrency": config.limits.max_connections,
        "timeout_graceful_shutdown": 10,
    }


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
