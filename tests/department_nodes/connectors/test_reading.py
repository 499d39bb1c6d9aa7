"""Reading an extract: one table from Parquet, CSV and a database, and refusals that repeat nothing."""

import decimal
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import demo.extracts
from crypto.errors import DoudiError
from department_nodes.connectors.reading import read_extract
from policies.standards.loader import load_dataset_standard

SHIPPED = Path(demo.extracts.__file__).parent.parent / "demo_data" / "kentucky"
TAX = load_dataset_standard("tax")
TAX_ROWS = pd.read_parquet(SHIPPED / "tax.parquet").head(50)
SOME_ID = str(TAX_ROWS["resident_id"][0])


def _as_parquet(frame: pd.DataFrame, folder: Path) -> str:
    frame.to_parquet(folder / "people.parquet", index=False)
    return str(folder / "people.parquet")


def _as_csv(frame: pd.DataFrame, folder: Path) -> str:
    frame.to_csv(folder / "people.csv", index=False)
    return str(folder / "people.csv")


def _as_database(frame: pd.DataFrame, folder: Path) -> str:
    with sqlite3.connect(folder / "people.db") as connection:
        frame.to_sql("people", connection, index=False)
    connection.close()
    return f"sqlite:///{folder / 'people.db'}?table=people"


SOURCES = [_as_parquet, _as_csv, _as_database]
Writer = Callable[[pd.DataFrame, Path], str]


def _refusal(uri: str, code: str) -> str:
    with pytest.raises(DoudiError) as caught:
        read_extract(uri, TAX)
    assert caught.value.code == code
    # What a log would show, with any error behind it that was not suppressed.
    text = "".join(traceback.format_exception(caught.value)[-1:]) + str(caught.value)
    assert SOME_ID not in text
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return text


@pytest.mark.parametrize("dataset", demo.extracts.DEPARTMENTS)
def test_parquet_csv_and_database_read_the_same(dataset: str, tmp_path: Path) -> None:
    standard = load_dataset_standard(dataset)
    frame = pd.read_parquet(SHIPPED / f"{dataset}.parquet", dtype_backend="numpy_nullable").head(3000)
    tables = [read_extract(write(frame, tmp_path), standard) for write in SOURCES]
    assert tables[0].num_rows == 3000
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert {str(kind) for kind in tables[0].schema.types} <= {"string", "int64"}


@pytest.mark.parametrize("write", SOURCES)
def test_columns_come_in_the_standards_order(write: Writer, tmp_path: Path) -> None:
    table = read_extract(write(TAX_ROWS[TAX_ROWS.columns[::-1]], tmp_path), TAX)
    assert tuple(table.column_names) == TAX.column_names


@pytest.mark.parametrize("write", SOURCES)
def test_a_missing_column_is_named(write: Writer, tmp_path: Path) -> None:
    assert "lacks WAGP" in _refusal(write(TAX_ROWS.drop(columns="WAGP"), tmp_path), "extract.missing_column")


@pytest.mark.parametrize("write", SOURCES)
def test_a_column_outside_the_standard_is_refused_and_named(write: Writer, tmp_path: Path) -> None:
    assert "'POVPIP'" in _refusal(write(TAX_ROWS.assign(POVPIP=1), tmp_path), "extract.unknown_column")


@pytest.mark.parametrize("write", SOURCES)
def test_one_wrong_cell_leaves_its_column_as_text(write: Writer, tmp_path: Path) -> None:
    wages = TAX_ROWS["WAGP"].astype(object).astype(str)
    wages[7] = "many"
    table = read_extract(write(TAX_ROWS.assign(WAGP=wages), tmp_path), TAX)
    assert table.column("WAGP")[7].as_py() == "many"
    assert str(table.column("PINCP").type) == "int64"


def test_a_csv_without_a_header_does_not_repeat_its_first_row(tmp_path: Path) -> None:
    TAX_ROWS.to_csv(tmp_path / "people.csv", index=False, header=False)
    _refusal(str(tmp_path / "people.csv"), "extract.missing_column")


def test_a_csv_line_with_another_number_of_fields_is_named_by_its_number(tmp_path: Path) -> None:
    lines = TAX_ROWS.to_csv(index=False).splitlines()
    lines[3] += ",1"
    (tmp_path / "people.csv").write_text("\n".join(lines), encoding="utf-8")
    assert "line 4 " in _refusal(str(tmp_path / "people.csv"), "extract.unreadable")


def test_a_csv_may_start_with_a_byte_order_mark_and_quote_its_cells(tmp_path: Path) -> None:
    text = TAX_ROWS.astype(object).to_csv(index=False, quoting=1)
    (tmp_path / "bom.csv").write_text(text, encoding="utf-8-sig")
    expected = read_extract(_as_csv(TAX_ROWS, tmp_path), TAX)
    assert read_extract(str(tmp_path / "bom.csv"), TAX).equals(expected)


def test_blank_cells_of_a_csv_are_missing(tmp_path: Path) -> None:
    header = ",".join(TAX.column_names)
    (tmp_path / "people.csv").write_text(f'{header}\n{SOME_ID},1,2,3,\n{SOME_ID},1,2,3,"  "\n', encoding="utf-8")
    table = read_extract(str(tmp_path / "people.csv"), TAX)
    assert table.column("FINCP").to_pylist() == [None, None]
    assert str(table.column("FINCP").type) == "int64"


@pytest.mark.parametrize("cell", ["+1", "01", " 1", "1.0", "1e3", "1,000", "１", "--1", "-0", "9" * 19, "NaN", "NA"])
def test_a_csv_cell_that_is_not_strictly_a_whole_number_is_not_made_one(cell: str, tmp_path: Path) -> None:
    header = ",".join(TAX.column_names)
    (tmp_path / "people.csv").write_text(f'{header}\n{SOME_ID},"{cell}",2,3,\n', encoding="utf-8")
    assert read_extract(str(tmp_path / "people.csv"), TAX).column("PINCP").to_pylist() == [cell]


def _table_with_income(income: Any, folder: Path) -> Any:
    rows = len(income)
    columns = {"resident_id": [SOME_ID] * rows, "PINCP": income, "WAGP": [1] * rows, "HINCP": [1] * rows}
    pq.write_table(pa.table({**columns, "FINCP": [1] * rows}), folder / "people.parquet")
    return read_extract(str(folder / "people.parquet"), TAX).column("PINCP")


@pytest.mark.parametrize(
    "income",
    [
        pytest.param(pa.array([3.0, float("nan"), -2.0]), id="floats of pandas"),
        pytest.param(pa.array([3, None, -2], pa.int8()), id="small integers"),
        pytest.param(pa.array(["3", "", "-2"]).dictionary_encode(), id="dictionary of text"),
        pytest.param(
            pa.array([decimal.Decimal("3.00"), None, decimal.Decimal(-2)], pa.decimal128(9, 2)), id="decimals"
        ),
    ],
)
def test_whole_numbers_of_other_types_are_whole_numbers(income: Any, tmp_path: Path) -> None:
    column = _table_with_income(income, tmp_path)
    assert str(column.type) == "int64"
    assert column.to_pylist() == [3, None, -2]


@pytest.mark.parametrize(
    "income",
    [
        pytest.param(pa.array([3.5, 1.0]), id="fraction"),
        pytest.param(pa.array([float("inf"), 1.0]), id="infinity"),
        pytest.param(pa.array([1e17, 1.0]), id="inexact float"),
        pytest.param(pa.array([2**63, 1], pa.uint64()), id="beyond 64 bits"),
        pytest.param(pa.array([decimal.Decimal("3.50"), decimal.Decimal(1)], pa.decimal128(9, 2)), id="decimals"),
        pytest.param(pa.array([True, False]), id="booleans"),
    ],
)
def test_what_is_no_whole_number_keeps_its_type(income: Any, tmp_path: Path) -> None:
    assert _table_with_income(income, tmp_path).type == income.type


def test_a_numeric_id_is_not_text(tmp_path: Path) -> None:
    table = read_extract(_as_parquet(TAX_ROWS.assign(resident_id=range(50)), tmp_path), TAX)
    assert str(table.column("resident_id").type) == "int64"


def test_a_mixed_column_of_sqlite_is_read_cell_by_cell(tmp_path: Path) -> None:
    uri = _as_database(TAX_ROWS, tmp_path)
    with sqlite3.connect(tmp_path / "people.db") as connection:
        connection.execute("update people set WAGP = 'many' where rowid = 3")
        connection.execute("update people set PINCP = null")
    connection.close()
    table = read_extract(uri, TAX)
    assert table.column("WAGP")[2].as_py() == "many"
    assert table.column("WAGP")[3].as_py() == str(TAX_ROWS["WAGP"][3])
    assert table.column("PINCP").null_count == 50
    assert str(table.column("PINCP").type) == "int64"


def test_the_declared_types_of_a_database_do_not_matter(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "people.db") as connection:
        connection.execute("create table people (resident_id date, PINCP date, WAGP text, HINCP blob, FINCP numeric)")
        connection.executemany("insert into people values (?, ?, ?, ?, ?)", TAX_ROWS.astype(object).to_numpy().tolist())
        # SQLite's own rule turns an ID into a number where the column is declared numeric; that is a fault, not an ID.
        connection.execute("update people set PINCP = 'soon' where rowid = 1")
    connection.close()
    table = read_extract(f"sqlite:///{tmp_path / 'people.db'}?table=people", TAX)
    assert table.column("PINCP")[0].as_py() == "soon"
    assert str(table.column("WAGP").type) == "int64"


def test_a_view_and_a_schema_can_be_named(tmp_path: Path) -> None:
    uri = _as_database(TAX_ROWS, tmp_path)
    with sqlite3.connect(tmp_path / "people.db") as connection:
        connection.execute("create view current as select * from people limit 10")
    connection.close()
    assert read_extract(uri.replace("=people", "=main.current"), TAX).num_rows == 10


def test_an_empty_extract_is_read_with_its_types(tmp_path: Path) -> None:
    for write in SOURCES:
        table = read_extract(write(TAX_ROWS.head(0), tmp_path), TAX)
        assert table.num_rows == 0
        assert str(table.column("PINCP").type) == "int64"


@pytest.mark.parametrize(
    "uri",
    [
        "gone.parquet",
        "gone.csv",
        "sqlite:///gone.db?table=people",
        "people.xlsx",
        "",
        "nonsense://x?table=people",
        "sqlite:///x",
    ],
)
def test_what_is_not_there_is_unreadable(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _refusal(uri, "extract.unreadable")
    assert not list(tmp_path.iterdir()), "reading must not create a database"


@pytest.mark.parametrize("name", ["people.parquet", "people.csv", "people.db"])
def test_bytes_of_another_format_are_unreadable(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00" + SOME_ID.encode() * 9)
    uri = f"sqlite:///{tmp_path / name}?table=people" if name.endswith("db") else str(tmp_path / name)
    _refusal(uri, "extract.unreadable")


def test_an_unknown_table_is_unreadable(tmp_path: Path) -> None:
    _refusal(_as_database(TAX_ROWS, tmp_path).replace("=people", "=persons"), "extract.unreadable")


def test_a_password_in_the_address_is_not_repeated() -> None:
    text = _refusal("postgresql+nothing://user:secret-word@host/base?table=people", "extract.unreadable")
    assert "secret-word" not in text


def test_a_column_twice_is_refused(tmp_path: Path) -> None:
    header = ",".join([*TAX.column_names, "WAGP"])
    (tmp_path / "people.csv").write_text(f"{header}\n{SOME_ID},1,2,3,4,5\n", encoding="utf-8")
    assert "WAGP is there twice" in _refusal(str(tmp_path / "people.csv"), "extract.unreadable")
