"""The demo's extracts: the published rules, and what is shipped."""

import hashlib
import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric

import demo.extracts as extracts
import demo.standards_publisher as publisher
from crypto.errors import DoudiError
from policies.standards.loader import load_dataset_standard, parse_dataset_standard

SHIPPED = Path(extracts.__file__).parent.parent / "demo_data" / "kentucky"
ROWS = {
    "civil_affairs": 25_392,
    "human_resources": 21_701,
    "health_disability": 16_975,
    "housing": 25_392,
    "public_security": 25_392,
    "tax": 22_727,
}


@pytest.fixture(scope="module")
def shipped() -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(SHIPPED / f"{name}.parquet") for name in extracts.DEPARTMENTS}


def _person_of(resident_id: str) -> str:
    """Run the published rule backwards, in other code than the rule's."""
    days = (pd.Timestamp(resident_id[6:14]) - pd.Timestamp("1850-01-01")).days
    spread = (extracts.AREA_CODES.index(resident_id[:6]) * 18_262 + days) * 1000 + int(resident_id[14:17])
    household, person = divmod(spread * pow(406_315_333, -1, 36 * 18_262 * 1000) % (36 * 18_262 * 1000), 32)
    kind, serial = divmod(household, 10_000_000)
    return f"2024{('HU', 'GQ')[kind]}{serial:07d}-{person + 1:02d}"


@given(st.sampled_from(["HU", "GQ"]), st.integers(0, 9_999_999), st.integers(1, 32))
def test_different_persons_have_different_numbers(kind: str, serial: int, person: int) -> None:
    """A rule that can be run backwards is injective; over every kind, serial and person, whatever the state."""
    person_id = f"2024{kind}{serial:07d}-{person:02d}"
    assert _person_of(extracts.resident_id_of(person_id)) == person_id


@given(st.sampled_from(["HU", "GQ"]), st.integers(0, 9_999_999), st.integers(1, 32))
def test_every_number_is_valid_and_nobody_alive_can_have_it(kind: str, serial: int, person: int) -> None:
    number = extracts.resident_id_of(f"2024{kind}{serial:07d}-{person:02d}")
    assert ric.validate(number) == number
    assert 1850 <= int(number[6:10]) <= 1899


def test_every_area_code_is_accepted_in_every_year() -> None:
    assert len(set(extracts.AREA_CODES)) == 36
    for area in extracts.AREA_CODES:
        for year in range(1850, 1900):
            body = f"{area}{year}1231000"
            assert ric.is_valid(body + ric.calc_check_digit(body + "0"))


def test_the_largest_person_fits_the_number_space() -> None:
    assert 2 * extracts.SERIAL_NUMBERS * extracts.PERSONS_PER_HOUSEHOLD <= extracts.NUMBER_SPACE


@pytest.mark.parametrize(
    "person_id",
    [
        "2023HU0000041-01",
        "2024XX0000041-01",
        "2024HU000041-01",
        "2024HU0000041-00",
        "2024HU0000041-33",
        "2024HU000004a-01",
        "",
        "2024HU0000041/01",
    ],
)
def test_a_person_of_another_shape_has_no_number(person_id: str) -> None:
    with pytest.raises(DoudiError, match=r"demo\.bad_person_id"):
        extracts.resident_id_of(person_id)


def test_a_household_number_is_not_the_households_own() -> None:
    number = extracts.household_number_of("2024HU0000041")
    assert len(number) == 11
    assert number != extracts.household_number_of("2024HU0000046")
    assert "0000041" not in number


def test_the_shipped_extracts_are_small_and_complete(shipped: dict[str, pd.DataFrame]) -> None:
    assert {name: len(frame) for name, frame in shipped.items()} == ROWS
    assert sum(path.stat().st_size for path in SHIPPED.glob("*.parquet")) < 2_000_000


def test_a_shipped_extract_has_its_departments_columns_and_no_other(shipped: dict[str, pd.DataFrame]) -> None:
    for name, frame in shipped.items():
        assert tuple(frame.columns) == load_dataset_standard(name).column_names
        # No metadata of pandas, which could carry names of dropped columns.
        assert pq.read_schema(SHIPPED / f"{name}.parquet").metadata is None


def test_shipped_numbers_are_valid_unique_and_before_1900(shipped: dict[str, pd.DataFrame]) -> None:
    for frame in shipped.values():
        assert frame["resident_id"].is_unique
        assert frame["resident_id"].str[6:10].astype(int).between(1850, 1899).all()
    # The others hold people of this one only, which the next test claims.
    assert shipped["public_security"]["resident_id"].map(ric.is_valid).all()


def test_every_department_knows_a_person_by_the_same_number(shipped: dict[str, pd.DataFrame]) -> None:
    everybody = set(shipped["public_security"]["resident_id"])
    for name, frame in shipped.items():
        assert set(frame["resident_id"]) <= everybody, name
    # Columns of one household agree across departments only if the numbers join the right rows.
    joined = (
        shipped["civil_affairs"].merge(shipped["tax"], on="resident_id").merge(shipped["housing"], on="resident_id")
    )
    assert (joined.groupby("household_number")[["HINCP", "RMSP", "TEN"]].nunique() == 1).all().all()
    assert (joined["NPF"].isna() == joined["FINCP"].isna()).all()


def test_who_holds_whom_follows_the_rule(shipped: dict[str, pd.DataFrame]) -> None:
    tax, health = shipped["tax"], shipped["health_disability"]
    assert ((tax["PINCP"] != 0) | (tax["WAGP"] > 0)).all()
    assert shipped["human_resources"]["COW"].notna().all()
    disabled = int((health["DIS"] == 1).sum())
    others = ROWS["public_security"] - disabled
    assert abs((len(health) - disabled) / others - 0.6) < 0.01
    assert shipped["civil_affairs"]["household_number"].nunique() == 13_844


def test_no_departments_order_tells_anothers(shipped: dict[str, pd.DataFrame]) -> None:
    """The rank correlation of two independent orders of 16,975 rows is beyond 0.04 once in five million."""
    reference = pd.Series(range(ROWS["public_security"]), index=shipped["public_security"]["resident_id"])
    for name, frame in shipped.items():
        if name != "public_security":
            there = reference[frame["resident_id"]].reset_index(drop=True)
            assert abs(there.corr(pd.Series(range(len(frame))))) < 0.04, name


def _source(folder: Path, shipped: dict[str, pd.DataFrame]) -> Path:
    """Write the shipped region as a source again: enough of the public files' form for `make_extracts`."""
    people = shipped["civil_affairs"]
    for name in ("public_security", "housing", "tax", "human_resources", "health_disability"):
        people = people.merge(shipped[name], on="resident_id", how="left")
    people["person_id"] = people["resident_id"].map(_person_of)
    people["household_id"] = people["person_id"].str[:13]
    people["STATE"], people["PUMA"] = people["area"].str[:2], people["area"].str[2:]
    people["DIS"] = people["DIS"].fillna(2)
    people[["PINCP", "WAGP"]] = people[["PINCP", "WAGP"]].fillna(0)
    people["y_public_coverage"] = people["public_coverage"]
    people.drop(columns=["public_coverage", "y_public_coverage"]).to_parquet(folder / "features.parquet")
    people[["person_id", "STATE", "y_public_coverage"]].to_parquet(folder / "labels.parquet")
    return folder


def test_people_takes_whole_households_and_the_same_ones_each_time(
    tmp_path: Path, shipped: dict[str, pd.DataFrame]
) -> None:
    source = _source(tmp_path, shipped)
    rows = extracts.make_extracts(source, tmp_path / "a", "21", people=2000)
    assert 2000 <= rows["civil_affairs"] < 2020
    assert rows["civil_affairs"] == rows["housing"] > rows["tax"] > rows["health_disability"]
    civil = pd.read_parquet(tmp_path / "a" / "civil_affairs.parquet")
    full = shipped["civil_affairs"]
    same_households = full[full["household_number"].isin(civil["household_number"])]
    assert len(same_households) == len(civil)
    assert extracts.make_extracts(source, tmp_path / "b", None, people=2000) == rows
    for name in extracts.DEPARTMENTS:
        first, second = ((tmp_path / run / f"{name}.parquet").read_bytes() for run in "ab")
        assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()


def test_a_folder_without_the_files_says_where_they_come_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extracts.main(["--source", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "demo_data/README.md" in capsys.readouterr().err


def test_a_state_that_is_not_there_is_refused(tmp_path: Path, shipped: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(DoudiError, match=r"demo\.no_source"):
        extracts.make_extracts(_source(tmp_path, shipped), tmp_path / "out", "99")


def test_the_publisher_writes_the_same_bytes_each_time_and_takes_only_the_asked_states(
    tmp_path: Path, shipped: dict[str, pd.DataFrame]
) -> None:
    source = _source(tmp_path, shipped)
    written = []
    for run in "ab":
        (tmp_path / run).mkdir()
        written.append([path.read_bytes() for path in publisher.publish_standards(source, tmp_path / run, "04")])
    assert written[0] == written[1]
    for raw in written[0]:
        standard = parse_dataset_standard(raw)
        assert standard.transform_regions == ("21",)
        assert standard.column_names == load_dataset_standard(standard.dataset).column_names
    with pytest.raises(DoudiError, match=r"demo\.no_source"):
        publisher.publish_standards(source, tmp_path / "c", "21")


@pytest.mark.skipif("DATA_DIR" not in os.environ, reason="DATA_DIR names no folder with the eight states' files")
def test_the_eight_states_that_data_dir_names_have_no_number_twice_and_give_what_is_shipped(tmp_path: Path) -> None:
    source = Path(os.environ["DATA_DIR"])
    people = extracts.read_persons(source, None)["person_id"]
    assert len({extracts.resident_id_of(person) for person in people}) == len(people)
    assert extracts.make_extracts(source, tmp_path, extracts.SHIPPED_STATE) == ROWS
    for name in extracts.DEPARTMENTS:
        assert pd.read_parquet(tmp_path / f"{name}.parquet").equals(pd.read_parquet(SHIPPED / f"{name}.parquet"))
    for path in publisher.publish_standards(source, tmp_path, extracts.SHIPPED_STATE):
        assert path.read_bytes() == (publisher.DATASETS / path.name).read_bytes()
