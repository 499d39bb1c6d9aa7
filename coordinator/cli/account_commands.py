"""`doudi centre add-administrator | reset-account`: accounts of the console, on the coordinator's host."""

from typing import Annotated, Any

import typer

from command_line.console import ending_with_code
from coordinator.cli.start import AsJson, Home, console
from coordinator.config import CoordinatorConfig, load_config

app = typer.Typer()


@app.command("add-administrator")
@ending_with_code
def add_administrator_account(
    name: Annotated[str, typer.Argument(help="login name of the centre's officer")],
    home: Home,
    as_json: AsJson = False,
) -> None:
    """On the coordinator's host: make an account that administers accounts, and print its one-time code this once."""
    from coordinator.accounts.host import add_administrator

    config = load_config(home)
    number, code = add_administrator(config, name)
    console.fact("enrolment_code", enrolment_facts(config, number, code), as_json=as_json)


@app.command("reset-account")
@ending_with_code
def reset_account(
    number: Annotated[int, typer.Argument(min=1, help="the account's number")],
    home: Home,
    as_json: AsJson = False,
) -> None:
    """On the coordinator's host: end an account's factors, sessions and tokens, and print a one-time code for new ones."""
    from coordinator.accounts.host import reset_on_host

    config = load_config(home)
    console.fact("enrolment_code", enrolment_facts(config, number, reset_on_host(config, number)), as_json=as_json)


def enrolment_facts(config: CoordinatorConfig, number: int, code: str) -> dict[str, Any]:
    """Return what a person needs in order to sign in for the first time, or again."""
    return {"account": number, "enrolment_code": code, "console": f"{config.public_url}/console"}
