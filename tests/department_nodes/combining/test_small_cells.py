import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from department_nodes.combining.small_cells import hidden_groups


def counts(*groups: tuple[int, int]) -> np.ndarray:
    return np.asarray(groups, np.int64)


def test_nothing_is_hidden_when_all_cells_are_large_enough() -> None:
    assert not hidden_groups(counts((10, 10), (50, 80)), 10).any()


def test_a_single_small_group_takes_the_next_smallest_with_it() -> None:
    assert hidden_groups(counts((9, 40), (30, 30), (200, 200), (15, 15)), 10).tolist() == [True, False, False, True]


def test_groups_that_are_small_even_together_take_another_with_them() -> None:
    assert hidden_groups(counts((2, 40), (3, 40), (90, 90), (80, 80)), 10).tolist() == [True, True, False, True]


def test_a_small_complement_is_as_telling_as_a_small_count() -> None:
    assert hidden_groups(counts((40, 9), (40, 40), (50, 50)), 10).tolist() == [True, True, False]


def test_two_groups_are_hidden_together() -> None:
    assert hidden_groups(counts((5, 90), (500, 500)), 10).all()


@given(
    table=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=12),
    already=st.integers(0, 11),
)
def test_no_small_count_follows_by_subtraction(table: list[tuple[int, int]], already: int) -> None:
    groups = counts(*table)
    before = np.arange(len(groups)) == already
    hidden = hidden_groups(groups, 10, before)
    assert (groups[~hidden] >= 10).all()
    assert hidden[before].all()
    if hidden.any() and not hidden.all():
        assert hidden.sum() > 1
        assert (groups[hidden].sum(0) >= 10).all()
