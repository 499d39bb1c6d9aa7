import numpy as np
import pytest

from crypto.errors import DoudiError
from department_nodes.combining.household_features import OWN_COLUMNS, by_household, household_inputs


def test_each_household_has_mean_maximum_and_minimum_of_its_members() -> None:
    values = np.asarray([[1, 10], [3, 20], [8, 5]], np.uint8)
    features = by_household(values, np.asarray([1, 0, 1]), 2)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, [[3, 20, 3, 20, 3, 20], [4.5, 7.5, 8, 10, 1, 5]])


def test_the_order_of_people_does_not_matter() -> None:
    generator = np.random.default_rng(0)
    household = np.concatenate([np.arange(200), generator.integers(0, 200, 300)])
    values = generator.integers(0, 32, (500, 4)).astype(np.float32)
    order = generator.permutation(500)
    np.testing.assert_array_equal(
        by_household(values, household, 200), by_household(values[order], household[order], 200)
    )


@pytest.mark.parametrize("household", [[0, 0, 2], [0, 1, 3], [-1, 1, 2], [0, 1]])
def test_households_without_members_or_out_of_range_are_refused(household: list[int]) -> None:
    with pytest.raises(DoudiError) as refused:
        by_household(np.zeros((3, 1)), np.asarray(household), 3)
    assert refused.value.code == "combining.bad_households"


def test_a_department_that_failed_is_a_missing_block_in_its_place() -> None:
    levels = {"tax": np.asarray([3, 5, 7], np.uint8), "health": None}
    own = np.asarray([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.float32)
    features, groups = household_inputs(levels, own, np.asarray([0, 0, 1]), 2)
    assert groups == ("tax",) * 3 + ("health",) * 3 + (OWN_COLUMNS,) * 6
    np.testing.assert_array_equal(features[:, :3], [[4, 5, 3], [7, 7, 7]])
    assert np.isnan(features[:, 3:6]).all()
    assert not np.isnan(features[:, 6:]).any()
