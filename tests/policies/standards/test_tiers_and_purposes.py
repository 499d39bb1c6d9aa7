"""The published tiers and purposes, what their loaders refuse, and the tier of what is derived."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import policies.standards.purpose_loader
import policies.standards.tier_loader
from crypto.errors import DoudiError
from policies.standards.purpose_loader import available_purposes, load_purpose, parse_purpose
from policies.standards.tier_loader import TIER_NAMES, available_tiers, derived_tier, load_tier, parse_tier

TIERS = Path(policies.standards.tier_loader.__file__).parent / "tiers"
PURPOSES = Path(policies.standards.purpose_loader.__file__).parent / "purposes"


def tier(file: str = "general_3", **changes: Any) -> bytes:
    return json.dumps(json.loads((TIERS / f"{file}-v1.json").read_text(encoding="utf-8")) | changes).encode()


def test_every_tier_of_the_standard_is_published_the_strictest_first() -> None:
    assert [name for name, _ in available_tiers()] == list(TIER_NAMES)


def test_core_data_never_federate() -> None:
    core = load_tier("core")
    assert not core.federates
    assert core.operations == ()
    with pytest.raises(DoudiError) as caught:
        parse_tier(tier("core", federates=True, operations=["link"]))
    assert caught.value.code == "standard.invalid_tier"


def test_important_data_give_sums_only_and_ask_for_two_people_of_each_side() -> None:
    important = load_tier("important")
    assert important.sum_only
    assert (important.approvals.owner.count, important.approvals.centre.count) == (2, 2)
    assert not load_tier("general_4").sum_only
    assert not load_tier("core").sum_only


def test_a_stricter_tier_never_allows_more() -> None:
    tiers = [load_tier(name) for name in TIER_NAMES]
    for stricter, wider in pairwise(tiers):
        for limit in (
            "maximum_label_epsilon_milli",
            "maximum_label_epsilon_milli_per_year",
            "maximum_line_epsilon_milli",
            "maximum_evidence_bits_per_person_and_year",
            "maximum_runs",
            "maximum_grant_days",
            "retention_days",
        ):
            assert getattr(stricter, limit) <= getattr(wider, limit), (stricter.name, limit)
        assert set(stricter.operations) <= set(wider.operations)
        assert stricter.approvals.owner.count >= wider.approvals.owner.count
        assert stricter.approvals.centre.count >= wider.approvals.centre.count


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        tier(name="general_5"),
        tier(operations=["copy"]),
        tier(operations=[]),
        tier(maximum_runs=-1),
        tier(maximum_runs="20"),
        tier(extra=1),
        tier(title="one language"),
        tier(approvals={"owner": {"role": "department_approver", "count": 0}}),
        tier(
            approvals={
                "owner": {"role": "centre_approver", "count": 1},
                "centre": {"role": "centre_approver", "count": 1},
            }
        ),
    ],
)
def test_a_malformed_tier_is_refused(raw: bytes) -> None:
    with pytest.raises(DoudiError) as caught:
        parse_tier(raw)
    assert caught.value.code == "standard.invalid_tier"


@pytest.mark.parametrize(("name", "version"), [("general_3", 2), ("secret", 1), ("../datasets/tax", 1)])
def test_an_unpublished_tier_is_refused(name: str, version: int) -> None:
    with pytest.raises(DoudiError) as caught:
        load_tier(name, version)
    assert caught.value.code == "standard.unknown_tier"


def test_what_is_derived_has_the_strictest_tier_of_its_inputs() -> None:
    inputs = [load_tier("general_2"), load_tier("important"), load_tier("general_4")]
    assert derived_tier(inputs, "scores") == "important"
    assert derived_tier(inputs, "metrics") == "general_3"
    assert derived_tier(inputs[:1], "evidence") == "general_2"
    with pytest.raises(DoudiError) as caught:
        derived_tier([], "scores")
    assert caught.value.code == "standard.no_inputs"


def test_purposes_are_published_in_both_languages() -> None:
    assert ("social_assistance", 1) in available_purposes()
    for name, version in available_purposes():
        purpose = load_purpose(name, version)
        assert purpose.title.en != purpose.title.zh
    with pytest.raises(DoudiError) as caught:
        load_purpose("anything")
    assert caught.value.code == "standard.unknown_purpose"
    values = json.loads((PURPOSES / "statistics-v1.json").read_text(encoding="utf-8"))
    with pytest.raises(DoudiError) as caught:
        parse_purpose(json.dumps(values | {"extra": 1}).encode())
    assert caught.value.code == "standard.invalid_purpose"
