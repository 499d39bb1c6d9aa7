"""What a command prints and how it ends: results on stdout, the rest on stderr, one exit code per failure class."""

import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any, ParamSpec, TypeVar

import click
import typer
from pydantic import ValidationError
from rich.console import Console as Terminal
from rich.table import Table

from crypto.errors import DoudiError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

WIDTH_OF_A_PIPE = 240
LANGUAGE_VARIABLE = "DOUDI_LANG"
LANGUAGE_OPTION = typer.Option(envvar=LANGUAGE_VARIABLE, help="language of messages 语言")


class Language(StrEnum):
    """The languages of the command line."""

    ENGLISH = "en"
    CHINESE = "zh"


class ExitCode(IntEnum):
    """How a command ended. Part of the interface: scripts branch on it."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    BAD_FILE = 5


FAILURE_CLASSES: Mapping[ExitCode, tuple[str, str]] = {
    ExitCode.INTERNAL: ("internal error", "内部错误"),
    ExitCode.USAGE: ("wrong value", "参数有误"),
    ExitCode.REFUSED: ("refused", "已拒绝"),
    ExitCode.UNREACHABLE: ("not reachable", "无法连接"),
    ExitCode.BAD_FILE: ("bad input file", "输入文件有误"),
}
_UNREACHABLE_CODES = frozenset({"coordinator.unreachable", "flower.unreachable", "coordinator.busy"})
_INTERNAL_CODES = frozenset(
    {"coordinator.internal_error", "node.internal_error", "coordinator.bad_answer", "db.unknown_schema"}
)
_FILE_FAMILIES = frozenset({"document", "file", "config", "install", "extract", "key"})


def exit_code(code: str) -> ExitCode:
    """Return the failure class of an error code."""
    if code in _UNREACHABLE_CODES:
        return ExitCode.UNREACHABLE
    if code in _INTERNAL_CODES:
        return ExitCode.INTERNAL
    if code.partition(".")[0] in _FILE_FAMILIES:
        return ExitCode.BAD_FILE
    return ExitCode.REFUSED


def current_language() -> Language:
    """Return the language chosen for this call of the command; English outside of one."""
    context = click.get_current_context(silent=True)
    chosen = context.find_object(Language) if context is not None else None
    return chosen if chosen is not None else Language.ENGLISH


def in_language(pair: tuple[str, str], language: Language | None = None) -> str:
    """Return the English or the Chinese of a pair."""
    return pair[1] if (language or current_language()) is Language.CHINESE else pair[0]


class Console:
    """One party's voice: its texts, in English and Chinese, in one table."""

    def __init__(self, texts: Mapping[str, tuple[str, str]]) -> None:
        self._texts = texts

    def text(self, key: str, **values: object) -> str:
        """Return a text in the language of this call."""
        return in_language(self._texts[key]).format(**values)

    def note(self, key: str, **values: object) -> None:
        """Print a text on stderr."""
        note(self.text(key, **values))

    def fact(self, key: str, facts: Mapping[str, Any], *, as_json: bool) -> None:
        """Print a success: one line with the fact, or the facts as one JSON object."""
        show_fact("" if as_json else self.text(key, **facts), facts, as_json=as_json)

    def rows(self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
        """Print rows as a table with these columns, whose titles are the texts `column.<name>`; or all fields as JSON."""
        if as_json:
            print(json.dumps(list(rows), ensure_ascii=False, sort_keys=True))
            return
        table = Table(*(self.text(f"column.{name}") for name in columns))
        for column in table.columns:
            # Nothing is cut: identifiers are copied from this table, so they fold rather than end in an ellipsis.
            column.overflow = "fold"
        for row in rows:
            table.add_row(*(_cell(row[name]) for name in columns))
        Terminal(width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE).print(table)


def ending_with_code(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Return a command that reports a `DoudiError` in one line and ends with its exit code, without a traceback."""

    @functools.wraps(function)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except DoudiError as error:
            ending = exit_code(error.code)
            next_step = f" — {error.next_step}" if error.next_step else ""
            note(f"{in_language(FAILURE_CLASSES[ending])}: {error.code}: {error.message}{next_step}")
            raise typer.Exit(int(ending)) from None
        except ValidationError as error:
            # A value on the command line that does not fit a document: name the field, not the value.
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            note(f"{in_language(FAILURE_CLASSES[ExitCode.USAGE])}: {where}: {first['msg']}")
            raise typer.Exit(int(ExitCode.USAGE)) from None

    return wrapped


def note(line: str) -> None:
    """Print a line for people, on stderr."""
    print(line, file=sys.stderr)


def show_fact(line: str, facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a success: one line with the fact, or the facts as one JSON object."""
    print(json.dumps(facts, ensure_ascii=False, sort_keys=True) if as_json else line)


def show_time(seconds: int | None) -> str:
    """Return a time for people, in UTC; a dash for none."""
    if seconds is None:
        return "–"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        # A date beyond the year 9999 in a document must not end the command.
        return str(seconds)


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={count}" for name, count in value.items())
    return str(value)
