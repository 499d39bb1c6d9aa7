"""The shipped data standards, and what the loader refuses."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import policies.standards.loader
from crypto.errors import DoudiError
from policies.standards.loader import (
    CodeTransform,
    NumberTransform,
    available_standards,
    load_dataset_standard,
    parse_dataset_standard,
)

FOLDER = Path(policies.standards.loader.__file__).parent / "datasets"
DATASETS = ["civil_affairs", "health_disability", "housing", "human_resources", "public_security", "tax"]
NEVER_A_COLUMN = {"PUBCOV", "HICOV", "PRIVCOV", "POVPIP", "RAC1P", "HISP", "INDP", "OCCP", "PUMA", "person_id", "PWGTP"}


def _document(dataset: str = "tax") -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{dataset}-v1.json").read_text(encoding="utf-8"))
    return document


def _refusal(document: dict[str, Any]) -> str:
    with pytest.raises(DoudiError) as caught:
        parse_dataset_standard(json.dumps(document).encode())
    assert caught.value.code == "standard.invalid"
    return str(caught.value)


def test_six_standards_are_published() -> None:
    assert available_standards() == [(dataset, 1) for dataset in DATASETS]


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_shipped_standard_has_no_column_that_leaks_the_outcome(dataset: str) -> None:
    standard = load_dataset_standard(dataset)
    assert not NEVER_A_COLUMN & set(standard.column_names)
    assert not {"public_coverage", "area", "household_number", "resident_id"} & set(standard.feature_names)


def test_no_column_is_in_two_departments() -> None:
    names = [name for dataset in DATASETS for name in load_dataset_standard(dataset).feature_names]
    assert len(names) == len(set(names)) == 45


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_transforms_leave_the_shipped_region_out(dataset: str) -> None:
    assert load_dataset_standard(dataset).transform_regions == ("04", "13", "22", "25", "27", "35", "53")


def test_only_the_lead_has_household_outcome_and_area() -> None:
    roles = {dataset: {column.role for column in load_dataset_standard(dataset).columns} for dataset in DATASETS}
    assert roles.pop("civil_affairs") == {"key", "feature", "household", "outcome", "context"}
    assert all(found == {"key", "feature"} for found in roles.values())


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_hash_is_that_of_the_file(dataset: str) -> None:
    raw = (FOLDER / f"{dataset}-v1.json").read_bytes()
    assert load_dataset_standard(dataset).standard_hash() == hashlib.sha256(raw).hexdigest()


def test_a_changed_byte_changes_the_hash() -> None:
    raw = (FOLDER / "tax-v1.json").read_bytes()
    assert parse_dataset_standard(raw + b"\n").standard_hash() != parse_dataset_standard(raw).standard_hash()


def test_the_encoded_width_is_three_per_number_and_one_per_code() -> None:
    standard = load_dataset_standard("civil_affairs")
    assert standard.encoded_width(["AGEP"]) == 3
    assert standard.encoded_width(["SEX", "FER", "AGEP"]) == 2 + (2 + 1) + 3
    transforms = dict(standard.transforms(["AGEP", "FER"]))
    assert isinstance(transforms["AGEP"], NumberTransform)
    assert transforms["FER"] == CodeTransform(codes=(1, 2), has_missing=True)


@pytest.mark.parametrize("name", ["resident_id", "household_number", "public_coverage", "area"])
def test_a_column_that_is_no_feature_has_no_encoding(name: str) -> None:
    with pytest.raises(DoudiError, match=r"standard\.not_a_feature"):
        load_dataset_standard("civil_affairs").encoded_width([name])


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(DoudiError, match=r"standard\.unknown_column"):
        load_dataset_standard("tax").encoded_width(["AGEP"])


@pytest.mark.parametrize(("dataset", "version"), [("tax", 2), ("taxes", 1), ("../datasets/tax", 1), ("", 1)])
def test_an_unpublished_standard_is_refused(dataset: str, version: int) -> None:
    with pytest.raises(DoudiError, match=r"standard\.unknown"):
        load_dataset_standard(dataset, version)


def test_the_shipped_document_is_accepted_and_what_is_not_json_is_refused() -> None:
    assert parse_dataset_standard(json.dumps(_document()).encode()).dataset == "tax"
    with pytest.raises(DoudiError, match=r"standard\.invalid"):
        parse_dataset_standard(b"{")


def test_an_unknown_field_is_refused() -> None:
    document = _document()
    document["columns"][1]["colour"] = "blue"
    assert "colour" in _refusal(document)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"role": "context"}, id="a transform without being a feature"),
        pytest.param({"transform": None}, id="a feature without a transform"),
        pytest.param({"minimum": None}, id="a number without a range"),
        pytest.param({"codes": [1, 2]}, id="a number with codes"),
        pytest.param({"pattern": "^x$"}, id="a number with a pattern"),
        pytest.param({"missing": "allowed"}, id="missing without a meaning"),
        pytest.param(
            {"transform": {"kind": "code", "codes": [1], "has_missing": False}}, id="a transform of another type"
        ),
        pytest.param({"name": "resident_id"}, id="a name twice"),
        pytest.param({"role": "key", "transform": None}, id="a second key"),
        pytest.param({"minimum": "0"}, id="text for a number"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(change: dict[str, Any]) -> None:
    document = _document()
    document["columns"][1] |= change
    _refusal(document)


def test_descending_knots_and_codes_are_refused() -> None:
    document = _document()
    document["columns"][1]["transform"]["knots"].reverse()
    assert "knots" in _refusal(document)
    document = _document("housing")
    document["columns"][1]["transform"]["codes"].reverse()
    assert "codes must ascend" in _refusal(document)


def test_a_transformed_code_outside_the_code_list_is_refused() -> None:
    document = _document("housing")
    document["columns"][1]["codes"].remove(4)
    assert "listed" in _refusal(document)
