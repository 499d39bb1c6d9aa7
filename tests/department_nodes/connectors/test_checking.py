"""Checking an extract: every kind of fault is found with its row, and no fault repeats a cell."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import demo.extracts
from crypto.errors import DoudiError
from department_nodes.connectors.checking import Fault, check_extract, require_clean
from department_nodes.connectors.reading import read_extract
from policies.standards.loader import load_dataset_standard
from policies.standards.resident_id import normalise_resident_id

SHIPPED = Path(demo.extracts.__file__).parent.parent / "demo_data" / "kentucky"
CIVIL = load_dataset_standard("civil_affairs")
TABLE = read_extract(str(SHIPPED / "civil_affairs.parquet"), CIVIL).slice(0, 200)


def _with(column: str, cells: dict[int, Any], table: Any = TABLE, kind: Any = None) -> Any:
    """Return the table with other cells in the given 0-based rows."""
    values = table.column(column).to_pylist()
    for row, cell in cells.items():
        values[row] = cell
    return table.set_column(table.column_names.index(column), column, pa.array(values, kind))


@pytest.mark.parametrize("dataset", demo.extracts.DEPARTMENTS)
def test_the_shipped_extracts_have_no_fault(dataset: str) -> None:
    standard = load_dataset_standard(dataset)
    report = check_extract(read_extract(str(SHIPPED / f"{dataset}.parquet"), standard), standard)
    assert (report.fault_count, report.faults, report.counts) == (0, (), {})
    require_clean(report)


@pytest.mark.parametrize(
    ("column", "cell", "code", "expected"),
    [
        ("AGEP", 17, "range", "a whole number from 18 to 64"),
        ("AGEP", 65, "range", "a whole number from 18 to 64"),
        ("AGEP", None, "missing", "a value in every row"),
        ("SEX", 3, "code", "one of the codes 1, 2"),
        ("SEX", 0, "code", "one of the codes 1, 2"),
        ("SEX", None, "missing", "a value in every row"),
        ("public_coverage", 2, "code", "one of the codes 0, 1"),
        ("household_number", "2024HU0000041", "pattern", "text like ^H[A-Z2-7]{10}$"),
        ("household_number", None, "missing", "a value in every row"),
        ("household_number", " ", "missing", "a value in every row"),
        ("area", "21001\n", "pattern", "text like ^[0-9]{7}$"),
        (
            "resident_id",
            "110101185003071230",
            "resident_id",
            "a resident ID number with a right check digit, birth date and area",
        ),
        ("resident_id", "", "missing", "a value in every row"),
    ],
)
def test_a_wrong_cell_is_one_fault_with_row_column_and_what_was_expected(
    column: str, cell: Any, code: str, expected: str
) -> None:
    report = check_extract(_with(column, {111: cell}), CIVIL)
    assert report.faults == (Fault(112, column, expected, code),)
    assert (report.fault_count, report.counts, report.rows) == (1, {code: 1}, 200)


@pytest.mark.parametrize("column", ["AGEP", "SEX", "NPF"])
@pytest.mark.parametrize("cell", ["many", "1.5", "+20"])
def test_text_that_is_no_whole_number_is_a_fault_of_its_row_only(column: str, cell: str) -> None:
    texts = [None if value is None else str(value) for value in TABLE.column(column).to_pylist()]
    table = TABLE.set_column(TABLE.column_names.index(column), column, pa.array(texts))
    report = check_extract(_with(column, {111: cell}, table), CIVIL)
    assert report.faults == (Fault(112, column, "a whole number", "type"),)


def test_a_fraction_among_numbers_is_a_fault_of_its_row_only() -> None:
    report = check_extract(_with("AGEP", {5: 20.5, 6: 21.0}, kind=pa.float64()), CIVIL)
    assert report.faults == (Fault(6, "AGEP", "a whole number", "type"),)


def test_numbers_where_text_belongs_are_a_fault_of_every_row() -> None:
    report = check_extract(TABLE.set_column(0, "resident_id", pa.array(range(200))), CIVIL)
    assert report.counts == {"type": 200}


def test_a_value_may_be_missing_only_where_the_standard_says_so() -> None:
    assert check_extract(_with("FER", {0: None}), CIVIL).fault_count == 0
    assert check_extract(_with("MAR", {0: None}), CIVIL).counts == {"missing": 1}


def test_a_person_twice_is_a_fault_of_the_second_row() -> None:
    first = TABLE.column("resident_id")[3].as_py()
    report = check_extract(_with("resident_id", {9: first, 12: f" {first.lower()} "}), CIVIL)
    expected = [Fault(row, "resident_id", "each person in one row", "duplicate") for row in (10, 13)]
    assert list(report.faults) == expected


def test_the_fifteen_and_the_eighteen_digits_of_a_person_are_one_person() -> None:
    fifteen = "110101500307123"
    table = _with("resident_id", {0: fifteen, 1: normalise_resident_id(fifteen)})
    assert check_extract(table, CIVIL).faults == (Fault(2, "resident_id", "each person in one row", "duplicate"),)


def test_bad_missing_and_repeated_ids_are_told_apart() -> None:
    first = TABLE.column("resident_id")[0].as_py()
    report = check_extract(_with("resident_id", {1: "bad", 2: None, 3: first, 4: "bad"}), CIVIL)
    assert [(fault.row, fault.code) for fault in report.faults] == [
        (2, "resident_id"),
        (3, "missing"),
        (4, "duplicate"),
        (5, "resident_id"),
    ]


def test_missing_and_extra_columns_are_faults_of_the_table() -> None:
    report = check_extract(TABLE.append_column("POVPIP", TABLE.column("NP")), CIVIL)
    assert [(fault.row, fault.column, fault.code) for fault in report.faults] == [(None, "'POVPIP'", "extra_column")]
    report = check_extract(TABLE.drop_columns(["SEX"]), CIVIL)
    assert report.faults == (Fault(None, "SEX", "this column", "missing_column"),)


def test_a_header_that_may_be_a_row_is_not_repeated() -> None:
    number = TABLE.column("resident_id")[0].as_py()
    table = TABLE.rename_columns([number, *TABLE.column_names[1:]])
    report = check_extract(table, CIVIL)
    assert report.counts == {"missing_column": 1, "extra_column": 1}
    assert number not in str(report.faults)
    assert "number 1" in str(report.faults)


def test_an_empty_extract_is_a_fault() -> None:
    assert check_extract(TABLE.slice(0, 0), CIVIL).counts == {"empty": 1}


def test_faults_come_by_row_and_at_most_as_many_as_asked_but_all_are_counted() -> None:
    table = _with("AGEP", dict.fromkeys(range(100, 200), 5))
    table = _with("SEX", dict.fromkeys(range(50, 150), 9), table)
    report = check_extract(table, CIVIL, limit=20)
    assert [fault.row for fault in report.faults] == list(range(51, 71))
    assert report.fault_count == 200
    assert report.counts == {"range": 100, "code": 100}
    assert check_extract(table, CIVIL, limit=0).fault_count == 200


def test_faults_and_the_refusal_repeat_no_id_no_household_and_no_value() -> None:
    """Every row is broken in every identifying column, so that any repeated cell would show."""
    ids = [number[:17] + "?" for number in TABLE.column("resident_id").to_pylist()]
    table = TABLE.set_column(0, "resident_id", pa.array(ids))
    households = [f"{number}~" for number in TABLE.column("household_number").to_pylist()]
    table = table.set_column(1, "household_number", pa.array(households))
    table = _with("AGEP", dict.fromkeys(range(200), 987_654), table)
    report = check_extract(table, CIVIL, limit=1000)
    assert report.fault_count == len(report.faults) == 600
    with pytest.raises(DoudiError) as caught:
        require_clean(report)
    assert caught.value.code == "extract.faults"
    shown = f"{report} {caught.value} {caught.value!r} " + " ".join(map(str, report.faults))
    assert not [number for number in ids if number[:17] in shown]
    assert not [number for number in households if number[:-1] in shown]
    assert "987" not in shown


def test_the_refusal_says_how_many_where_and_what_next() -> None:
    with pytest.raises(DoudiError) as caught:
        require_clean(check_extract(_with("AGEP", {811 % 200: 3}), CIVIL))
    assert str(caught.value) == (
        "extract.faults: dataset civil_affairs v1: 1 fault in 200 rows (range 1); the first: row 12, column AGEP:"
        " expected a whole number from 18 to 64 (range). Correct the extract and run `doudi node check` again."
    )


def test_a_large_extract_is_checked_in_seconds() -> None:
    """278,000 rows take about 0.7 s; the bound is generous, for a busy machine."""
    full = read_extract(str(SHIPPED / "civil_affairs.parquet"), CIVIL)
    table = full.take(pa.array(np.arange(278_000) % full.num_rows))
    start = time.perf_counter()
    report = check_extract(table, CIVIL)
    assert time.perf_counter() - start < 10
    assert report.counts == {"duplicate": 278_000 - full.num_rows}
