"""Reads a department's extract from Parquet, CSV or a database table. No error quotes a cell, a password or a row.

Where an extract is, in a node's configuration:

- `people.parquet`: a Parquet file.
- `people.csv`: a CSV file in UTF-8, with a header, separated by commas; blank is missing.
- `sqlite:///people.db?table=people`, `postgresql+psycopg://user@host/base?table=civil.people`: a table or view over
  SQLAlchemy, named by `table` with or without its schema; other parameters go to the driver. Rows come in the
  order that the database gives.
"""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchTableError, SQLAlchemyError

from crypto.errors import DoudiError
from department_nodes.connectors.parsing import parse_column
from policies.standards.loader import DatasetStandard

_ROWS_PER_FETCH = 20_000


def read_extract(uri: str, standard: DatasetStandard) -> Any:
    """Return the extract as a pyarrow Table: the standard's columns in its order, strings and 64-bit integers.

    A column with a cell that is not of its type keeps the type it had, so that `check_extract` can say which rows.

    Raises `DoudiError` "extract.unreadable" (no such file or table, not of its format, not UTF-8, a column twice),
    "extract.missing_column", "extract.unknown_column" (a node must not hold what its standard does not name).
    """
    if "://" in uri:
        table = _read_database(uri, standard)
    elif uri.endswith(".parquet"):
        table = _read_parquet(Path(uri), standard)
    elif uri.endswith(".csv"):
        table = _read_csv(Path(uri), standard)
    else:
        raise _unreadable(
            standard, "the extract's address is of no known form", "Use *.parquet, *.csv or URL?table=NAME."
        )
    columns = []
    for column in standard.columns:
        found = table.column(column.name)
        parsed, unreadable = parse_column(found, column.type == "string")
        columns.append(found if unreadable.any() else parsed)
    return pa.table(columns, names=list(standard.column_names))


def _read_parquet(path: Path, standard: DatasetStandard) -> Any:
    try:
        with pq.ParquetFile(path) as file:
            _require_columns(file.schema_arrow.names, standard)
            return file.read(columns=list(standard.column_names))
    except FileNotFoundError:
        raise _no_file(standard) from None
    except (OSError, pa.ArrowException):
        # Suppressed, as below: the library's text may quote the file's content.
        raise _unreadable(standard, "the file is not readable Parquet", "Write the extract again.") from None


def _read_csv(path: Path, standard: DatasetStandard) -> Any:
    wrong_lines: list[int] = []

    def remember_line(row: Any) -> str:
        wrong_lines.append(row.number)
        return "error"

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file), [])
        _require_columns(names, standard)
        return pa_csv.read_csv(
            path,
            # Only one thread knows the number of a wrong line.
            read_options=pa_csv.ReadOptions(use_threads=False),
            parse_options=pa_csv.ParseOptions(invalid_row_handler=remember_line),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except FileNotFoundError:
        raise _no_file(standard) from None
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException):
        what = (
            f"line {wrong_lines[0]} has another number of fields than the header" if wrong_lines else "not CSV in UTF-8"
        )
        raise _unreadable(standard, f"the file is not readable: {what}", "Write the extract again.") from None


def _read_database(address: str, standard: DatasetStandard) -> Any:
    try:
        url = make_url(address)
        name = url.query.get("table")
        if not isinstance(name, str):
            raise _unreadable(standard, "the address names no table", "Add ?table=NAME to it.")
        url = url.difference_update_query(["table"])
        _require_sqlite_file(url, standard)
        engine = sqlalchemy.create_engine(url)
    except (ArgumentError, ImportError, ValueError):
        raise _unreadable(standard, "the address is not one of SQLAlchemy, or its driver is absent") from None
    try:
        return _read_table(engine, name, standard)
    except NoSuchTableError:
        raise _unreadable(standard, "the database has no such table", "Correct `table` in the address.") from None
    except SQLAlchemyError:
        # Suppressed, because SQLAlchemy's text may hold the address with its account.
        raise _unreadable(standard, "the database refused", "Check address, account and rights.") from None
    finally:
        engine.dispose()


def _read_table(engine: sqlalchemy.Engine, name: str, standard: DatasetStandard) -> Any:
    schema, _, table_name = name.rpartition(".")
    table = sqlalchemy.Table(table_name, sqlalchemy.MetaData(), schema=schema or None, autoload_with=engine)
    _require_columns([column.name for column in table.columns], standard)
    chunks: list[list[Any]] = [[] for _ in standard.columns]
    # As NullType the driver's values come through as they are; a declared type could fail on a single odd cell.
    raw = sqlalchemy.types.NullType()
    query = sqlalchemy.select(*(sqlalchemy.type_coerce(table.columns[name], raw) for name in standard.column_names))
    with engine.connect().execution_options(yield_per=_ROWS_PER_FETCH) as connection:
        for rows in connection.execute(query).partitions():
            for chunk, values in zip(chunks, zip(*rows, strict=True), strict=True):
                chunk.append(_as_arrow(values))
    names = list(standard.column_names)
    return pa.table([_joined(chunk) for chunk in chunks], names=names)


def _as_arrow(values: tuple[Any, ...]) -> Any:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pa.array(values, pa.int64())
    if kinds <= {str}:
        return pa.array(values, pa.string())
    # SQLite keeps what it was given and NUMERIC columns come as Decimal: as text, each cell is judged alone, as in CSV.
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _joined(chunks: list[Any]) -> Any:
    """Return one column; text wins where chunks differ, and an all-missing chunk takes the others' type."""
    kinds = {chunk.type for chunk in chunks if chunk.null_count < len(chunk)}
    kind = kinds.pop() if len(kinds) == 1 else pa.string()
    return pa.chunked_array([chunk.cast(kind) for chunk in chunks], kind)


def _require_columns(found: list[str], standard: DatasetStandard) -> None:
    twice = [name for name, count in Counter(found).items() if count > 1 and name in standard.column_names]
    if twice:
        raise _unreadable(standard, f"column {twice[0]} is there twice")
    # Missing columns first: a file without a header has all of them missing, and its first row's values, which would
    # follow as unknown columns, may be somebody's number.
    missing = [name for name in standard.column_names if name not in found]
    if missing:
        raise DoudiError(
            "extract.missing_column",
            f"dataset {standard.dataset} v{standard.version}: the extract lacks {', '.join(missing)}",
            "Write the extract with all columns of the data standard, named in a header.",
        )
    unknown = [name for name in found if name not in standard.column_names]
    if unknown:
        raise DoudiError(
            "extract.unknown_column",
            f"dataset {standard.dataset} v{standard.version}: the extract has columns outside the data standard:"
            f" {', '.join(map(repr, unknown))}",
            "Write the extract without them.",
        )


def _require_sqlite_file(url: URL, standard: DatasetStandard) -> None:
    # SQLite would create the file that is missing, and then report that it has no table.
    path = url.database or ""
    if url.get_backend_name() == "sqlite" and not path.startswith("file:") and not Path(path).is_file():
        raise _no_file(standard)


def _no_file(standard: DatasetStandard) -> DoudiError:
    return _unreadable(standard, "there is no such file", "Correct the extract's address in the node's configuration.")


def _unreadable(standard: DatasetStandard, why: str, next_step: str = "") -> DoudiError:
    return DoudiError("extract.unreadable", f"dataset {standard.dataset} v{standard.version}: {why}", next_step)
