"""How the cells of an extract become text or whole numbers, in one way for all sources. Pure."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

BoolArray = npt.NDArray[np.bool_]

# No blanks, no plus sign, no leading zeros, and short enough for 64 bits.
_WHOLE_NUMBER = r"^(0|-?[1-9][0-9]{0,17})$"
_BLANK = r"^\s*$"
# Above this a 64-bit float no longer tells neighbouring whole numbers apart.
_LARGEST_EXACT_FLOAT = float(2**53)


def parse_column(column: Any, is_text: bool) -> tuple[Any, BoolArray]:
    """Return the column as strings or 64-bit integers, and bool [rows]: which cells cannot be read so (null there).

    `column`: pyarrow ChunkedArray. Blank text is missing. A float is a whole number if it has no fraction, and NaN is
    missing: so pandas writes whole numbers beside missing ones. Numbers are never text: their leading zeros are lost.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    is_string = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if is_string:
        column = column.cast(pa.string())
        column = pc.if_else(pc.match_substring_regex(column, _BLANK), None, column)
    if is_text:
        return (column, _none(column)) if is_string else _unreadable(column, pa.string())
    if is_string:
        return _parsed_where(column, pc.match_substring_regex(column, _WHOLE_NUMBER))
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), None, column)
        exact = pc.less_equal(pc.abs(column), _LARGEST_EXACT_FLOAT)
        return _parsed_where(column, pc.and_(pc.equal(pc.floor(column), column), exact))
    if pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        try:
            return column.cast(pa.int64()), _none(column)
        except pa.ArrowInvalid:
            # Some value has a fraction or is beyond 64 bits: as floats, each is judged alone.
            return parse_column(column.cast(pa.float64(), safe=False), is_text=False)
    return _unreadable(column, pa.int64())


def _parsed_where(column: Any, readable: Any) -> tuple[Any, BoolArray]:
    parsed = pc.if_else(readable, column, None).cast(pa.int64())
    return parsed, mask_of(pc.and_(pc.is_valid(column), pc.is_null(parsed)))


def _unreadable(column: Any, kind: Any) -> tuple[Any, BoolArray]:
    return pa.chunked_array([pa.nulls(len(column), kind)]), mask_of(pc.is_valid(column))


def _none(column: Any) -> BoolArray:
    return np.zeros(len(column), bool)


def mask_of(condition: Any) -> BoolArray:
    """Return a pyarrow condition as numpy; null, the answer about a missing value, is False."""
    return np.asarray(pc.fill_null(condition, False).to_numpy(zero_copy_only=False), dtype=bool)
