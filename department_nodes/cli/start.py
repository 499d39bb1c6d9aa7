"""What every command of `doudi node` starts from: the folder, the way to the coordinator, reading and writing documents."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from command_line.console import Console, note
from command_line.documents import read_document_bytes, write_document
from department_nodes.home import IDENTITY_KEY, NodeHome
from department_nodes.texts import TEXTS

if TYPE_CHECKING:
    from department_nodes.client import CoordinatorClient
    from policies.contracts.grant import SignedGrant

console = Console(TEXTS)

HomeOption = Annotated[Path, typer.Option("--home", envvar="DOUDI_NODE_HOME", help="the node's folder")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for machines")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask, even on a terminal")]


def open_home(path: Path) -> NodeHome:
    """Return the node in a folder. Raises `config.missing` for a folder that is none."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    node = NodeHome(path.absolute())
    _ = node.config  # A folder that is no node is refused here, with its code.
    return node


def connect(node: NodeHome) -> "CoordinatorClient":
    """Return the node's way to the coordinator's API."""
    from department_nodes.client import CoordinatorClient

    config = node.config
    return CoordinatorClient(config.coordinator_url, node.ca_file, config.department, node.key(IDENTITY_KEY))


def read_grant(path: Path) -> "SignedGrant":
    """Return the grant in a file; nothing of it is verified. Raises `document.unreadable` or `document.malformed`."""
    from policies.contracts.grant import SignedGrant

    return SignedGrant.parse(read_document_bytes(path))


def write_and_name(path: Path, data: bytes) -> None:
    """Write a document in one step and name the file on stderr. Raises `file.unwritable`."""
    write_document(path, data)
    note(str(path))


def show_leaves(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what would leave the node, with the words for what leaves without a run in the officer's language."""
    from department_nodes.preview import ANY_TIME

    shown = [{**row, "step": console.text(ANY_TIME) if row["step"] == ANY_TIME else row["step"]} for row in rows]
    console.rows(["step", "receiver", "kind", "items", "bytes"], shown, as_json=False)


def state_in_words(state: str) -> str:
    """Return a state that the coordinator tells, in the officer's language; one that this program does not know as it is."""
    key = f"state.{state}"
    return console.text(key) if key in TEXTS else state


def ask(key: str, yes: bool, **values: object) -> None:
    """Ask the officer on a terminal; without one, the command itself is the consent. Ends the command on no."""
    if sys.stdin.isatty() and not yes:
        typer.confirm(console.text(key, **values), abort=True, err=True)
