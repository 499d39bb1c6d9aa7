"""`doudi centre check-rules | shipped-rules`: the rules of the coordinator, as a file and on its host."""

import time
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import ending_with_code
from coordinator.cli.start import AsJson, Home, console
from coordinator.config import load_config
from crypto.errors import DoudiError

app = typer.Typer()


@app.command("check-rules")
@ending_with_code
def check_rules(
    file: Annotated[Path, typer.Argument(help="a whole text of rules in Cedar")],
    as_json: AsJson = False,
) -> None:
    """Say whether rules may be proposed, and if not, which line, rule or case is against it. The coordinator says only a code."""
    from policies.authorization.coordinator_rules import parse_version

    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise DoudiError("file.unreadable", "the rules cannot be read", "Name a text file in UTF-8.") from None
    engine = parse_version(text)
    console.fact("rules_checked", {"rules": len(engine.rules), "policy_hash": engine.policy_hash}, as_json=as_json)


@app.command("shipped-rules")
@ending_with_code
def use_shipped_rules(home: Home, as_json: AsJson = False) -> None:
    """On the coordinator's host: put the rules that came with the program in force, and refuse open changes. It is recorded."""
    from coordinator.authorization.changes import return_to_shipped_rules
    from coordinator.db.session import begin, open_engine, require_known_schema
    from policies.authorization.coordinator_rules import shipped_engine

    engine = open_engine(load_config(home).resolved_database_url)
    try:
        require_known_schema(engine)
        with begin(engine, time.time) as session:
            changed = return_to_shipped_rules(session)
    finally:
        engine.dispose()
    facts = {"changed": changed, "policy_hash": shipped_engine().policy_hash}
    console.fact("shipped_rules", facts, as_json=as_json)
