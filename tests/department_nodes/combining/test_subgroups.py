import numpy as np
import pytest

from crypto.errors import DoudiError
from department_nodes.combining.subgroups import HOUSEHOLD_TYPES, age_group, household_type, oldest_member


def test_age_groups_begin_and_end_where_their_names_say() -> None:
    ages = np.asarray([18, 29, 30, 44, 45, 59, 60, 64], np.int8)
    expected = ["18-29", "18-29", "30-44", "30-44", "45-59", "45-59", "60-64", "60-64"]
    assert age_group(ages).tolist() == expected


@pytest.mark.parametrize("age", [17, 65])
def test_an_age_outside_the_population_is_refused(age: int) -> None:
    with pytest.raises(DoudiError) as refused:
        age_group(np.asarray([30, age]))
    assert refused.value.code == "combining.bad_age"


def test_the_oldest_member_gives_a_household_its_age() -> None:
    ages = np.asarray([20, 50, 64, 31], np.int8)
    assert oldest_member(ages, np.asarray([0, 0, 1, 2]), 3).tolist() == [50, 64, 31]


def test_every_household_type_has_a_name_in_both_languages() -> None:
    assert sorted(HOUSEHOLD_TYPES) == [1, 2, 3, 4, 5, 6, 7]
    for name in HOUSEHOLD_TYPES.values():
        assert name.english
        assert name.chinese
    assert household_type(np.asarray([1, 6, 9], np.int8)).tolist() == [
        "married couple",
        "woman living alone",
        "unknown",
    ]
