"""`doudi`: one command, one group per party. A group's code is imported only when the group is called.

The groups are the entry points `doudi.parties` (pyproject.toml), so that a department that installs `doudi[node]` needs
neither the centre's packages nor the time to import them. May import nothing of the parties itself.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import click
import typer

GROUP = "doudi.parties"
EXIT_USAGE = 2
# Code that is always installed: when it is missing, the installation is broken and no extra helps.
_OWN_PACKAGES = frozenset({"auditors", "command_line", "coordinator", "crypto", "department_nodes", "policies"})


@dataclass(frozen=True)
class Party:
    """What the help says of a group, and the extra that installs it."""

    summary: str
    extra: str


PARTIES: Mapping[str, Party] = {
    "node": Party("a department's node 部门节点", "node"),
    "centre": Party("the data-management centre 数据管理中心", "centre"),
    "audit": Party("auditors 审计", "audit"),
}


class PartyGroup(click.Group):
    """The top command: lists the groups from the installed package's metadata and loads one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the groups, without importing any."""
        return sorted(entry_points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a group's command, imported now; `None` for an unknown name."""
        entry = entry_points().get(cmd_name)
        return load_group(cmd_name, entry) if entry is not None else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of groups from the table above: asking each group for its help would import it."""
        names = self.list_commands(ctx)
        rows = [(name, PARTIES[name].summary if name in PARTIES else "") for name in names]
        if rows:
            with formatter.section("Parties"):
                formatter.write_dl(rows)


def entry_points() -> dict[str, metadata.EntryPoint]:
    """Return the installed groups by name."""
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}


def load_group(name: str, entry: metadata.EntryPoint) -> click.Command:
    """Return the group's command. Raises `click.ClickException` naming the extra if a package that it needs is missing."""
    try:
        app: Any = entry.load()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OWN_PACKAGES:
            raise click.ClickException(
                f"install.incomplete: `doudi {name}` is not part of this installation — install doudi again."
            ) from None
        extra = PARTIES[name].extra if name in PARTIES else name
        raise click.ClickException(
            f"install.extra_missing: `doudi {name}` needs the package {missing} — run: pip install 'doudi[{extra}]'"
        ) from None
    command: click.Command = typer.main.get_command(app)
    return command


def version() -> str:
    """Return the installed version."""
    try:
        return metadata.version("doudi")
    except metadata.PackageNotFoundError:
        return "unknown (not installed)"


@click.command(
    cls=PartyGroup,
    name="doudi",
    help="Doudi 兜底: departments find households in need together, without pooling their data.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)
@click.version_option(version(), "--version", prog_name="doudi")
def root() -> None:
    """Start a party's group."""


def main() -> None:
    """Run the command; ends the process with the group's exit code."""
    if not entry_points():
        print("install.incomplete: doudi is not installed here — run: pip install -e '.[centre,node]'", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    root(prog_name="doudi")


if __name__ == "__main__":
    main()
