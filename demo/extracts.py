"""The demo's department extracts: six Parquet files of one region, made from real public micro-data.

`python -m demo.extracts --source DIR --state 21 --out DIR`. Everything here follows published rules
(demo_data/README.md), so that anybody makes the same files. Outside every party: no node imports this. May import
pandas.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from stdnum.cn import ric

from crypto.errors import DoudiError
from policies.standards.loader import ColumnStandard, DatasetStandard, load_dataset_standard

DEPARTMENTS = ("civil_affairs", "human_resources", "health_disability", "housing", "public_security", "tax")
SHIPPED_STATE = "21"
OUTCOME_SOURCE = "y_public_coverage"
HEALTH_SHARE_OF_OTHERS = 0.6

# 36 area codes that stdnum knows without a first year, so that they are valid for birth dates before 1900.
_AREA_LIST = (
    "110101 110102 110105 110106 110107 110108 110109 120101 120102 120103 120104 120105 "
    "120106 310101 310104 310105 310106 310107 310109 310110 430121 430321 433122 433123 "
    "433124 433125 433126 433127 610323 610324 610326 610327 610328 610329 610330 610331"
)
AREA_CODES = tuple(_AREA_LIST.split())
FIRST_BIRTH_DATE = date(1850, 1, 1)
BIRTH_DATES = (date(1900, 1, 1) - FIRST_BIRTH_DATE).days
SEQUENCES = 1000
NUMBER_SPACE = len(AREA_CODES) * BIRTH_DATES * SEQUENCES
# A prime that does not divide NUMBER_SPACE, near its golden section: multiplying by it permutes and spreads neighbours.
SPREAD = 406_315_333
SURVEY_YEAR = "2024"
SERIAL_NUMBERS = 10_000_000
PERSONS_PER_HOUSEHOLD = 32


def resident_id_of(person_id: str) -> str:
    """Return the demo's resident ID number of a person of the 2024 file, for example `2024HU0000041-01`.

    Different persons have different numbers: kind (HU or GQ), 7 digits and person 1 to 32 are one number below
    NUMBER_SPACE, multiplied by SPREAD modulo NUMBER_SPACE (a permutation), then written as sequence, birth date and
    area in mixed base. The birth dates lie in 1850 to 1899, so no living person can have such a number, and nothing in
    it is about the person.

    Raises `DoudiError` "demo.bad_person_id" for an identifier of another shape, which could collide.
    """
    year, kind, serial, separator, person = (
        person_id[:4],
        person_id[4:6],
        person_id[6:13],
        person_id[13:14],
        person_id[14:],
    )
    if (
        (year, separator) != (SURVEY_YEAR, "-")
        or kind not in ("HU", "GQ")
        or not (serial + person).isascii()
        or not (len(serial) == 7 and serial.isdigit() and len(person) == 2 and person.isdigit())
        or not 1 <= int(person) <= PERSONS_PER_HOUSEHOLD
    ):
        raise DoudiError(
            "demo.bad_person_id", "a person_id has not the shape of the 2024 file, for example 2024HU0000041-01"
        )
    number = ((kind == "GQ") * SERIAL_NUMBERS + int(serial)) * PERSONS_PER_HOUSEHOLD + int(person) - 1
    rest, sequence = divmod(number * SPREAD % NUMBER_SPACE, SEQUENCES)
    area, days = divmod(rest, BIRTH_DATES)
    born = FIRST_BIRTH_DATE + timedelta(days=days)
    digits = f"{AREA_CODES[area]}{born:%Y%m%d}{sequence:03d}"
    return digits + str(ric.calc_check_digit(digits + "0"))


def household_number_of(household_id: str) -> str:
    """Return the demo's household number: H and 50 bits of SHA-256 in base 32."""
    bits = int.from_bytes(_digest("household-number", household_id)[:7], "big") >> 6
    return "H" + "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[bits >> shift & 31] for shift in range(45, -1, -5))


def make_extracts(source: Path, out: Path, state: str | None, people: int | None = None) -> dict[str, int]:
    """Write `<department>.parquet` for one state (all eight as one region if `state` is None); return the rows of each.

    `people` takes whole households in the order of a hash until they have at least that many persons.
    """
    persons = read_persons(source, state)
    if people is not None:
        persons = _whole_households(persons, people)
    persons["resident_id"] = [resident_id_of(person) for person in persons["person_id"]]
    numbers = {household: household_number_of(household) for household in persons["household_id"].unique()}
    if len(set(numbers.values())) != len(numbers) or persons["resident_id"].duplicated().any():
        raise DoudiError("demo.number_collision", "two households or two persons got the same number")
    persons["household_number"] = persons["household_id"].map(numbers)
    persons["area"] = persons["STATE"] + persons["PUMA"]
    persons["public_coverage"] = persons[OUTCOME_SOURCE]

    out.mkdir(parents=True, exist_ok=True)
    rows = {}
    for department in DEPARTMENTS:
        held = persons[holds(department, persons)]
        # Each department has its own order, so that row numbers join nothing.
        order = np.argsort(_digests(f"row-order/{department}", held["person_id"]), kind="stable")
        _write(held.iloc[order], load_dataset_standard(department), out / f"{department}.parquet")
        rows[department] = len(held)
    return rows


def read_persons(source: Path, state: str | None, leave_out: str | None = None) -> pd.DataFrame:
    """Return features and outcome of the persons of one state, or of all states but `leave_out`.

    Of the labels only the outcome is read, so that no leaking column can reach an extract.
    """
    features, labels = source / "features.parquet", source / "labels.parquet"
    if not features.is_file() or not labels.is_file():
        raise DoudiError(
            "demo.no_source",
            "the folder holds no features.parquet and labels.parquet",
            "demo_data/README.md says where the public files come from.",
        )
    filters = [("STATE", "=", state)] if state else [("STATE", "!=", leave_out)] if leave_out else None
    persons = pd.read_parquet(features, filters=filters)
    outcome = pd.read_parquet(labels, columns=["person_id", "STATE", OUTCOME_SOURCE], filters=filters)
    if persons.empty:
        raise DoudiError("demo.no_source", "the files hold nobody of that state", "Use one of 04 13 21 22 25 27 35 53.")
    return persons.merge(outcome.drop(columns="STATE"), on="person_id", validate="one_to_one")


def holds(department: str, persons: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return bool [persons]: who is in the department's files. The rule is the same in every state."""
    if department == "tax":
        held = (persons["PINCP"].fillna(0) != 0) | (persons["WAGP"].fillna(0) > 0)
    elif department == "human_resources":
        held = persons["COW"].notna()
    elif department == "health_disability":
        drawn = _digests("health-holds", persons["person_id"]) < np.uint64(HEALTH_SHARE_OF_OTHERS * 2**64)
        held = (persons["DIS"].fillna(0) == 1) | drawn
    else:
        return np.ones(len(persons), bool)
    return np.asarray(held, dtype=bool)


def _whole_households(persons: pd.DataFrame, people: int) -> pd.DataFrame:
    sizes = persons.groupby("household_id", sort=True).size()
    sizes = sizes.iloc[np.argsort(_digests("subset", sizes.index), kind="stable")]
    enough = int(np.searchsorted(sizes.cumsum().to_numpy(), people)) + 1
    return persons[persons["household_id"].isin(sizes.index[:enough])].copy()


def _digest(rule: str, text: str) -> bytes:
    return hashlib.sha256(f"doudi-demo/{rule}/{text}".encode()).digest()


def _digests(rule: str, texts: Iterable[str]) -> npt.NDArray[np.uint64]:
    return np.array([int.from_bytes(_digest(rule, text)[:8], "big") for text in texts], dtype=np.uint64)


def _write(persons: pd.DataFrame, standard: DatasetStandard, path: Path) -> None:
    schema = pa.schema([(column.name, _stored_type(column)) for column in standard.columns])
    table = pa.Table.from_pandas(persons[list(standard.column_names)], schema=schema, preserve_index=False)
    pq.write_table(
        table.replace_schema_metadata(None),
        path,
        compression="zstd",
        compression_level=12,
        use_dictionary=[column.name for column in standard.columns if column.role != "key"],
    )


def _stored_type(column: ColumnStandard) -> Any:
    if column.type == "string":
        return pa.string()
    limits = column.codes or (column.minimum or 0, column.maximum or 0)
    fitting = (
        kind for kind in (np.int8, np.int16, np.int32) if all(abs(limit) <= np.iinfo(kind).max for limit in limits)
    )
    return pa.from_numpy_dtype(next(fitting, np.int64))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.extracts", description="Make the demo's six department extracts."
    )
    parser.add_argument("--source", type=Path, required=True, help="folder with features.parquet and labels.parquet")
    parser.add_argument("--state", default=SHIPPED_STATE, help="FIPS code of a state, or all (default: 21, Kentucky)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, help="only whole households with about this many persons")
    options = parser.parse_args(arguments)
    try:
        rows = make_extracts(
            options.source, options.out, None if options.state == "all" else options.state, options.people
        )
    except DoudiError as error:
        print(error, file=sys.stderr)
        return 1
    print("extracts written: " + ", ".join(f"{department} {count}" for department, count in rows.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
