"""The encoding: the prototype's form, by the published transforms alone."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import demo.extracts
from crypto.errors import DoudiError
from department_nodes.connectors.reading import read_extract
from department_nodes.training.encoding import encode_columns, encoded_names
from policies.standards.loader import DatasetStandard, NumberTransform, load_dataset_standard

SHIPPED = Path(demo.extracts.__file__).parent.parent / "demo_data" / "kentucky"


def _shipped(dataset: str) -> tuple[Any, DatasetStandard]:
    standard = load_dataset_standard(dataset)
    return read_extract(str(SHIPPED / f"{dataset}.parquet"), standard), standard


def _as_the_prototype(table: Any, standard: DatasetStandard) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the encoding of all features, written as in the prototype but with published knots, moments and codes."""
    blocks = []
    for name, transform in standard.transforms(standard.feature_names):
        values = table.column(name).to_pandas()
        if isinstance(transform, NumberTransform):
            x = values.to_numpy("float64")
            missing = np.isnan(x)
            rank = np.where(missing, 0, np.interp(np.nan_to_num(x), transform.knots, np.linspace(-1, 1, 101)))
            log = np.sign(np.nan_to_num(x)) * np.log1p(np.abs(np.nan_to_num(x)))
            blocks.append(np.stack([rank, (log - transform.log_mean) / transform.log_std, missing], 1))
        else:
            hot = [(values == code).to_numpy("float64") for code in transform.codes]
            hot += [values.isna().to_numpy("float64")] * transform.has_missing
            blocks.append(np.stack(hot, 1))
    return np.concatenate(blocks, 1).astype("float32")


@pytest.mark.parametrize("dataset", demo.extracts.DEPARTMENTS)
def test_the_encoding_is_the_prototypes(dataset: str) -> None:
    table, standard = _shipped(dataset)
    encoded = encode_columns(table, standard, standard.feature_names)
    assert encoded.dtype == np.float32
    assert encoded.shape == (table.num_rows, standard.encoded_width(standard.feature_names))
    np.testing.assert_allclose(encoded, _as_the_prototype(table, standard), atol=1e-5)


def test_a_row_is_encoded_alike_whoever_else_is_in_the_table() -> None:
    table, standard = _shipped("tax")
    alone = encode_columns(table.slice(812, 1), standard, standard.feature_names)
    together = encode_columns(table, standard, standard.feature_names)
    np.testing.assert_array_equal(alone[0], together[812])


def test_columns_come_in_the_order_asked() -> None:
    table, standard = _shipped("civil_affairs")
    both = encode_columns(table, standard, ["SEX", "AGEP"])
    np.testing.assert_array_equal(both[:, :2], encode_columns(table, standard, ["SEX"]))
    np.testing.assert_array_equal(both[:, 2:], encode_columns(table, standard, ["AGEP"]))
    assert encoded_names(standard, ["SEX", "AGEP"]) == ["SEX = 1", "SEX = 2", "AGEP rank", "AGEP log", "AGEP missing"]


@pytest.mark.parametrize("dataset", demo.extracts.DEPARTMENTS)
def test_every_encoded_value_has_a_name_of_its_own(dataset: str) -> None:
    standard = load_dataset_standard(dataset)
    names = encoded_names(standard, standard.feature_names)
    assert len(set(names)) == len(names) == standard.encoded_width(standard.feature_names)


def test_an_unlisted_code_is_all_zero_and_a_missing_one_is_not() -> None:
    standard = load_dataset_standard("civil_affairs")
    table = pa.table({"FER": pa.array([1, 2, None, 0, 77, -5], pa.int64())})
    assert encode_columns(table, standard, ["FER"]).tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
    ]


def test_a_missing_number_has_rank_zero_and_its_flag() -> None:
    standard = load_dataset_standard("housing")
    encoded = encode_columns(pa.table({"VALP": pa.array([None, 0], pa.int64())}), standard, ["VALP"])
    assert encoded[:, 2].tolist() == [1, 0]
    assert encoded[0, 0] == 0
    assert encoded[1, 0] == -1
    assert encoded[0, 1] == encoded[1, 1]


def test_a_repeated_knot_takes_its_last_rank_and_the_ends_hold() -> None:
    standard = load_dataset_standard("tax")
    ((_, transform),) = standard.transforms(["WAGP"])
    assert isinstance(transform, NumberTransform)
    zeros = transform.knots.count(0.0)
    assert zeros > 1
    encoded = encode_columns(pa.table({"WAGP": pa.array([0, 9_999_999], pa.int64())}), standard, ["WAGP"])
    assert encoded[0, 0] == pytest.approx(-1 + 2 * (zeros - 1) / 100)
    assert encoded[1, 0] == 1


@pytest.mark.parametrize("column", ["public_coverage", "household_number", "area", "resident_id"])
def test_what_is_no_feature_is_not_encoded(column: str) -> None:
    table, standard = _shipped("civil_affairs")
    with pytest.raises(DoudiError, match=r"standard\.not_a_feature"):
        encode_columns(table, standard, [column])


def test_an_absent_or_unread_column_is_refused() -> None:
    standard = load_dataset_standard("tax")
    with pytest.raises(DoudiError, match=r"extract\.missing_column"):
        encode_columns(pa.table({"WAGP": [1]}), standard, ["PINCP"])
    with pytest.raises(DoudiError, match=r"extract\.faults"):
        encode_columns(pa.table({"PINCP": ["many"]}), standard, ["PINCP"])


def test_the_memory_stays_below_twice_the_result() -> None:
    table, standard = _shipped("human_resources")
    tracemalloc.start()
    encoded = encode_columns(table, standard, standard.feature_names)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * encoded.nbytes
