"""`doudi centre openapi`: the API's description, from this program and without a coordinator."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import ending_with_code, note
from command_line.documents import write_document
from coordinator.cli.start import console

app = typer.Typer()


@app.command()
@ending_with_code
def openapi(
    out: Annotated[Path | None, typer.Option(help="where to write it; else stdout")] = None,
) -> None:
    """Write the description of the coordinator's API (OpenAPI 3.1, JSON), for whoever writes a client."""
    # Imported here: the other commands need no web framework.
    from coordinator.app import describe_api

    text = json.dumps(describe_api(), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    if out is None:
        sys.stdout.write(text)
        return
    write_document(out, text.encode())
    note(console.text("description_written", path=out))
