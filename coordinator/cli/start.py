"""What every command of `doudi centre` starts with: its texts, its options, the officer's side. May import the coordinator."""

import time
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import Console
from coordinator.officer import Officer
from coordinator.texts import TEXTS

console = Console(TEXTS)

Home = Annotated[Path, typer.Option("--home", help="the coordinator's home folder")]
OfficerHome = Annotated[Path, typer.Option("--officer-home", help="the officer's folder, on the officer's own device")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for machines")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask, even on a terminal")]


def open_officer(home: Path) -> Officer:
    """Return the officer's side with its folder."""
    return Officer(home.absolute(), time.time)
