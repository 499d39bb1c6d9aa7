"""Checks an extract against its data standard and lists faults by row and column, never by value.

A fault says what was expected. It shows no cell, because faults end on screens and in tickets, and even an income can
name a person. Vectorised: about a second for 278,000 rows.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crypto.errors import DoudiError
from department_nodes.connectors.parsing import BoolArray, mask_of, parse_column
from policies.standards.loader import ColumnStandard, DatasetStandard
from policies.standards.resident_id import normalise_resident_ids

_CODES_TO_LIST = 12


@dataclass(frozen=True)
class Fault:
    """One fault. `row`: data row from 1, or None for the whole column.

    `code`: empty, missing_column, extra_column, type, missing, range, code, pattern, resident_id or duplicate.
    """

    row: int | None
    column: str
    expected: str
    code: str

    def __str__(self) -> str:
        where = f"column {self.column}" if self.row is None else f"row {self.row}, column {self.column}"
        return f"{where}: expected {self.expected} ({self.code})"


@dataclass(frozen=True)
class ExtractReport:
    """What a check found: the first faults by row, and how many there are in all and of each code."""

    dataset: str
    version: int
    rows: int
    faults: tuple[Fault, ...]
    fault_count: int
    counts: dict[str, int]


@dataclass(frozen=True)
class _Finding:
    column: str
    code: str
    expected: str
    rows: BoolArray


def check_extract(table: Any, standard: DatasetStandard, limit: int = 100) -> ExtractReport:
    """Return the faults of a pyarrow Table; at most `limit` are listed, all are counted."""
    faults = list(_faults_of_shape(table, standard))
    counts = Counter(fault.code for fault in faults)
    for column in standard.columns:
        if table.column_names.count(column.name) != 1:
            continue
        for finding in _findings(table.column(column.name), column):
            rows = np.flatnonzero(finding.rows)
            if len(rows):
                counts[finding.code] += len(rows)
                faults += [Fault(int(row) + 1, column.name, finding.expected, finding.code) for row in rows[:limit]]
    faults.sort(key=lambda fault: fault.row or 0)
    return ExtractReport(
        standard.dataset, standard.version, table.num_rows, tuple(faults[:limit]), counts.total(), dict(counts)
    )


def require_clean(report: ExtractReport) -> None:
    """Raise `DoudiError` "extract.faults" if there is any fault; a run stops on it before anything leaves the node."""
    if not report.fault_count:
        return
    faults = "1 fault" if report.fault_count == 1 else f"{report.fault_count} faults"
    by_code = ", ".join(f"{code} {count}" for code, count in sorted(report.counts.items()))
    first = f"; the first: {report.faults[0]}" if report.faults else ""
    raise DoudiError(
        "extract.faults",
        f"dataset {report.dataset} v{report.version}: {faults} in {report.rows} rows ({by_code}){first}",
        "Correct the extract and run `doudi node check` again.",
    )


def _faults_of_shape(table: Any, standard: DatasetStandard) -> Iterator[Fault]:
    missing = [name for name in standard.column_names if name not in table.column_names]
    for name in missing:
        yield Fault(None, name, "this column", "missing_column")
    seen: set[str] = set()
    for position, name in enumerate(table.column_names, 1):
        if name not in standard.column_names or name in seen:
            # While columns are missing, the header may be absent and the name a value: then only its position is shown.
            shown = f"number {position}" if missing else repr(name)
            yield Fault(None, shown, "only the columns of the data standard, each once", "extra_column")
        seen.add(name)
    if not table.num_rows:
        yield Fault(None, standard.key, "at least one row", "empty")


def _findings(cells: Any, column: ColumnStandard) -> Iterator[_Finding]:
    parsed, unreadable = parse_column(cells, column.type == "string")
    yield _Finding(column.name, "type", "text" if column.type == "string" else "a whole number", unreadable)
    if column.missing == "forbidden":
        yield _Finding(column.name, "missing", "a value in every row", mask_of(pc.is_null(parsed)) & ~unreadable)
    if column.type == "integer":
        outside = pc.or_(pc.less(parsed, column.minimum), pc.greater(parsed, column.maximum))
        yield _Finding(
            column.name, "range", f"a whole number from {column.minimum} to {column.maximum}", mask_of(outside)
        )
    if column.codes is not None:
        listed = pc.is_in(parsed, value_set=pa.array(column.codes, pa.int64()))
        unlisted = mask_of(pc.and_(pc.is_valid(parsed), pc.invert(listed)))
        yield _Finding(column.name, "code", _codes_in_words(column.codes), unlisted)
    if column.pattern is not None:
        unlike = mask_of(pc.invert(pc.match_substring_regex(parsed, column.pattern)))
        yield _Finding(column.name, "pattern", f"text like {column.pattern}", unlike)
    if column.role == "key":
        yield from _findings_of_ids(parsed, column.name)


def _findings_of_ids(parsed: Any, name: str) -> Iterator[_Finding]:
    present = np.flatnonzero(mask_of(pc.is_valid(parsed)))
    numbers, bad = normalise_resident_ids(parsed.drop_null().to_pylist())
    invalid = np.zeros(len(parsed), bool)
    invalid[present[bad]] = True
    yield _Finding(name, "resident_id", "a resident ID number with a right check digit, birth date and area", invalid)

    # Compared in their normal form: the 15 and the 18 digits of one person are the same person.
    people = pa.array(numbers, pa.string()).dictionary_encode().indices.to_numpy()
    is_repeat = np.ones(len(people), bool)
    is_repeat[np.unique(people, return_index=True)[1]] = False
    repeated = np.zeros(len(parsed), bool)
    repeated[np.delete(present, bad)[is_repeat]] = True
    yield _Finding(name, "duplicate", "each person in one row", repeated)


def _codes_in_words(codes: tuple[int, ...]) -> str:
    if len(codes) <= _CODES_TO_LIST:
        return f"one of the codes {', '.join(map(str, codes))}"
    return f"one of the {len(codes)} codes of the data standard"
