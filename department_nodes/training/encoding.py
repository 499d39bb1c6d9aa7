"""Turns a department's columns into the numbers that its model trains on, by the published data standard alone.

Nothing here looks at the whole of a column: knots, means and code lists are the standard's, so the encoding of a row
tells nothing about other rows, and all regions encode alike. Pure: pyarrow and numpy.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crypto.errors import DoudiError
from policies.standards.loader import QUANTILE_KNOTS, CodeTransform, DatasetStandard, NumberTransform

Float32Array = npt.NDArray[np.float32]

_RANKS = np.linspace(-1, 1, QUANTILE_KNOTS)


def encode_columns(table: Any, standard: DatasetStandard, columns: Sequence[str]) -> Float32Array:
    """Return float32 [rows, encoded_width], one block per column in the order asked.

    A number becomes its rank among the published knots from −1 to 1 (0 if missing), its standardised signed log, and 1
    if missing; a code becomes one 0/1 per published code, then one for missing. A code that the transform does not list
    gives zeros. `table`: a clean pyarrow Table from `read_extract`. Memory besides the result: that of a few columns.

    Raises `DoudiError` "standard.unknown_column", "standard.not_a_feature", "extract.missing_column", "extract.faults".
    """
    transforms = standard.transforms(columns)
    encoded = np.zeros((table.num_rows, standard.encoded_width(columns)), np.float32)
    start = 0
    for name, transform in transforms:
        values, missing = _values(table, name)
        block = encoded[:, start : start + transform.width]
        if isinstance(transform, NumberTransform):
            _encode_number(values, missing, transform, block)
        else:
            _encode_code(values, missing, transform, block)
        start += transform.width
    return encoded


def encoded_names(standard: DatasetStandard, columns: Sequence[str]) -> list[str]:
    """Return one name per encoded value, in the order of `encode_columns`: `AGEP rank`, `SEX = 1`, `FER missing`."""
    names: list[str] = []
    for name, transform in standard.transforms(columns):
        if isinstance(transform, NumberTransform):
            names += [f"{name} rank", f"{name} log", f"{name} missing"]
        else:
            names += [f"{name} = {code}" for code in transform.codes]
            names += [f"{name} missing"] * transform.has_missing
    return names


def _values(table: Any, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the column with 0 for missing, and which are missing."""
    if table.column_names.count(name) != 1:
        raise DoudiError("extract.missing_column", f"the extract lacks {name}")
    column = table.column(name)
    if not pa.types.is_integer(column.type):
        raise DoudiError(
            "extract.faults",
            f"column {name} is not of whole numbers",
            "Read the extract with `read_extract` and check it first.",
        )
    missing = pc.is_null(column).to_numpy()
    return pc.fill_null(column, 0).to_numpy().astype(np.int64, copy=False), missing


def _encode_number(
    values: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_], transform: NumberTransform, block: Float32Array
) -> None:
    rank = np.interp(values, transform.knots, _RANKS)
    rank[missing] = 0
    block[:, 0] = rank
    block[:, 1] = (np.sign(values) * np.log1p(np.abs(values)) - transform.log_mean) / transform.log_std
    block[:, 2] = missing


def _encode_code(
    values: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_], transform: CodeTransform, block: Float32Array
) -> None:
    codes = np.array(transform.codes, np.int64)
    place = np.minimum(np.searchsorted(codes, values), len(codes) - 1)
    listed = np.flatnonzero((codes[place] == values) & ~missing)
    block[listed, place[listed]] = 1
    if transform.has_missing:
        block[:, -1] = missing
