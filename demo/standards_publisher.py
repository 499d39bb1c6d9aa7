"""The script that wrote policies/standards/datasets: `python -m demo.standards_publisher --source DIR`.

Titles, ranges and codes come from `demo.standards_vocabulary`. The transforms come from the public data of
all states but the shipped one, and of the people whom that department would hold there: the standard says nothing
about the shipped region's people. The same source gives the same bytes.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crypto.errors import DoudiError
from demo.extracts import DEPARTMENTS, SHIPPED_STATE, holds, read_persons
from demo.standards_vocabulary import DATASET_TITLES, FEATURES, KEY_COLUMN, Column, Text
from policies.standards.loader import FORMAT_VERSION, QUANTILE_KNOTS, parse_dataset_standard

VERSION = 1
RAREST_SHARE = 0.0005
DATASETS = Path(__file__).parent.parent / "policies" / "standards" / "datasets"
SOURCE = (
    "U.S. Census Bureau, 2024 ACS 1-year PUMS: persons of 18 to 64 years in households. Resident ID and household"
    " numbers are made by the rules in demo_data/README.md."
)
KEY: dict[str, Any] = {
    "name": KEY_COLUMN,
    "title": {"en": "Resident ID number", "zh": "居民身份证号码"},
    "role": "key",
    "type": "string",
    "missing": "forbidden",
    "sensitivity": "high",
}
LEAD_DEPARTMENT = "civil_affairs"
LEAD_COLUMNS: list[dict[str, Any]] = [
    {
        "name": "household_number",
        "title": {"en": "Household number", "zh": "户号"},
        "role": "household",
        "type": "string",
        "pattern": "^H[A-Z2-7]{10}$",
        "missing": "forbidden",
        "sensitivity": "high",
    },
    {
        "name": "area",
        "title": {"en": "State (2 digits) and public-use microdata area (5 digits)", "zh": "州与统计区代码"},
        "role": "context",
        "type": "string",
        "pattern": "^[0-9]{7}$",
        "missing": "forbidden",
        "sensitivity": "medium",
    },
    {
        "name": "public_coverage",
        "title": {"en": "Has public health coverage", "zh": "享有公共医疗保障"},
        "role": "outcome",
        "type": "code",
        "codes": [0, 1],
        "code_titles": {"0": {"en": "no", "zh": "否"}, "1": {"en": "yes", "zh": "是"}},
        "missing": "forbidden",
        "sensitivity": "high",
    },
]


def publish_standards(source: Path, folder: Path, leave_out: str) -> list[Path]:
    """Write one standard per department, with transforms from all states but `leave_out`; return the files."""
    persons = read_persons(source, None, leave_out)
    written = []
    for department in DEPARTMENTS:
        raw = _as_json(_standard(department, persons[holds(department, persons)])).encode()
        parse_dataset_standard(raw)
        path = folder / f"{department}-v{VERSION}.json"
        path.write_bytes(raw)
        written.append(path)
    return written


def _standard(department: str, persons: pd.DataFrame) -> dict[str, Any]:
    features = [_feature(column, persons[column.name]) for column in FEATURES[department]]
    return {
        "format_version": FORMAT_VERSION,
        "dataset": department,
        "version": VERSION,
        "department": department,
        "title": _text(DATASET_TITLES[department]),
        "key": KEY_COLUMN,
        "region_code_scheme": "FIPS code of the state",
        "source": SOURCE,
        "transform_regions": sorted(persons["STATE"].unique().tolist()),
        "transform_rows": len(persons),
        "columns": [KEY, *(LEAD_COLUMNS if department == LEAD_DEPARTMENT else []), *features],
    }


def _feature(column: Column, values: pd.Series) -> dict[str, Any]:
    feature: dict[str, Any] = {
        "name": column.name,
        "title": _text(column.title),
        "role": "feature",
        "type": "integer" if column.codes is None else "code",
    }
    if column.codes is None:
        feature |= {"unit": column.unit, "minimum": column.minimum, "maximum": column.maximum}
        transform = number_transform(values.to_numpy("float64", na_value=np.nan))
    else:
        codes = column.code_numbers or range(1, len(column.codes) + 1) or sorted(values.dropna().unique())
        feature["codes"] = [int(code) for code in codes]
        if column.codes:
            feature["code_titles"] = {str(code): _text(title) for code, title in zip(codes, column.codes, strict=True)}
        transform = _code_transform(values)
    feature["missing"] = "allowed" if column.missing_means else "forbidden"
    if column.missing_means:
        feature["missing_means"] = _text(column.missing_means)
    return feature | {"sensitivity": column.sensitivity, "transform": transform}


def number_transform(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    """Return the published transform of a number, NaN where it is missing."""
    knots = np.nanquantile(values, np.linspace(0, 1, QUANTILE_KNOTS))
    present = np.nan_to_num(values)
    log = np.sign(present) * np.log1p(np.abs(present))
    return {
        "kind": "number",
        # Two decimals, because the columns are whole numbers: finer knots would only make the file longer.
        "knots": [round(float(knot), 2) for knot in knots],
        "log_mean": round(float(log.mean()), 6),
        "log_std": round(float(log.std()), 6),
    }


def _code_transform(values: pd.Series) -> dict[str, Any]:
    shares = values.value_counts(dropna=True) / len(values)
    return {
        "kind": "code",
        "codes": sorted(int(code) for code in shares.index[shares > RAREST_SHARE]),
        "has_missing": bool(values.isna().any()),
    }


def _text(text: Text) -> dict[str, str]:
    return {"en": text[0], "zh": text[1]}


def _as_json(standard: dict[str, Any]) -> str:
    """Return the file: indented, with lists of numbers on one line, so that a person can read and compare versions."""
    blocks: list[str] = []

    def on_one_line(value: Any) -> Any:
        if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
            blocks.append(json.dumps(value))
            return f"@{len(blocks) - 1}@"
        if isinstance(value, list):
            return [on_one_line(item) for item in value]
        if isinstance(value, dict):
            return {name: on_one_line(item) for name, item in value.items()}
        return value

    text = json.dumps(on_one_line(standard), indent=2, ensure_ascii=False)
    for number, block in enumerate(blocks):
        text = text.replace(f'"@{number}@"', block)
    return text + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.standards_publisher", description="Write the data standards.")
    parser.add_argument("--source", type=Path, required=True, help="folder with features.parquet and labels.parquet")
    parser.add_argument("--leave-out", default=SHIPPED_STATE, help="state whose data must not shape the transforms")
    parser.add_argument("--out", type=Path, default=DATASETS)
    options = parser.parse_args(arguments)
    try:
        written = publish_standards(options.source, options.out, options.leave_out)
    except DoudiError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"standards written: {len(written)} files, without state {options.leave_out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
