"""What every command of `doudi audit` shares: the folder, the cards, JSON, and how the party speaks."""

from pathlib import Path
from typing import Annotated

import typer

from auditors.home import Home
from auditors.texts import TEXTS
from command_line.console import Console

console = Console(TEXTS)

Cards = Annotated[list[Path], typer.Option("--card", help="a party's card, collected from the party itself; repeat")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for machines")]
HomeOption = Annotated[Path, typer.Option("--home", envvar="DOUDI_AUDIT_HOME", help="the auditor's folder")]
DEFAULT_HOME = Path("audit")


def open_home(path: Path) -> Home:
    """Return the auditor's folder."""
    return Home(path.absolute())
