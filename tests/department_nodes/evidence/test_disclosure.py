import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from crypto.errors import DoudiError
from department_nodes.evidence.disclosure import DisclosureCap, measure_disclosure, merge_to_cap
from department_nodes.evidence.levels import to_levels

LEVELS = np.repeat(np.arange(4, dtype=np.uint8), 100)
EDGES = np.asarray([0.5, 1.5, 2.5])
NO_CAP = DisclosureCap(1.0, 1.0)


def disabled_only_at_the_top() -> np.ndarray:
    """Return codes of which 1 stands for all of level 3, and for half of level 2; else 2."""
    codes = np.full(400, 2, np.int8)
    codes[300:] = 1
    codes[200:250] = 1
    return codes


def disabled_mostly_at_the_top() -> np.ndarray:
    """Return codes of which 1 stands for all of level 3, for half of level 2 and for three in ten below; else 2."""
    codes = np.full(400, 2, np.int8)
    for start, disabled in ((0, 30), (100, 30), (200, 50), (300, 100)):
        codes[start : start + disabled] = 1
    return codes


def test_a_level_that_gives_a_code_away_is_named() -> None:
    (column,) = measure_disclosure(LEVELS, {"DIS": disabled_only_at_the_top()}).columns
    telling = column.most_telling
    assert telling is not None
    assert (telling.value, telling.share, telling.base_share) == ("1", 1.0, 0.375)
    assert (telling.level, telling.level_people) == (3, 100)
    assert column.rank_correlation is None


def test_missing_is_a_value_that_can_be_given_away() -> None:
    codes = np.zeros(400, np.int16)
    codes[:100] = -1
    numbers = np.arange(400, dtype=np.float32)
    numbers[:100] = np.nan
    report = measure_disclosure(LEVELS, {"code": codes, "number": numbers})
    for column in report.columns:
        assert column.most_telling is not None
        assert (column.most_telling.value, column.most_telling.share, column.most_telling.level) == ("missing", 1.0, 0)


def test_the_rank_correlation_is_spearmans_over_people_with_a_number() -> None:
    generator = np.random.default_rng(0)
    levels = generator.integers(0, 12, 3000).astype(np.uint8)
    income = np.round(generator.normal(size=3000) - 0.4 * levels, 1)
    income[generator.random(3000) < 0.2] = np.nan
    (column,) = measure_disclosure(levels, {"income": income}).columns
    known = ~np.isnan(income)
    assert column.rank_correlation == pytest.approx(abs(spearmanr(levels[known], income[known]).statistic), abs=1e-4)


def test_independent_levels_tell_nothing() -> None:
    generator = np.random.default_rng(1)
    columns = {"code": generator.integers(0, 4, 400), "number": generator.normal(size=400)}
    code, number = measure_disclosure(LEVELS, columns).columns
    assert code.most_telling is not None
    # Four standard errors of a share of 1/4 among 100 people; the seed is fixed.
    assert code.most_telling.share < 0.25 + 4 * 0.0433
    assert number.rank_correlation is not None
    assert number.rank_correlation < 0.2


def test_levels_and_values_of_fewer_than_10_people_are_not_reported_singly() -> None:
    levels = np.concatenate([LEVELS, np.full(9, 4, np.uint8)])
    codes = np.concatenate([np.full(400, 2), np.full(9, 1)])
    (column,) = measure_disclosure(levels, {"rare": codes}).columns
    for finding in (column.largest_share, column.most_telling):
        assert finding is not None
        assert finding.value == "2"
        assert finding.level_people >= 10
    assert measure_disclosure(LEVELS[:9], {"rare": codes[:9]}).columns == ()


def test_empty_levels_between_others_do_not_matter() -> None:
    levels = LEVELS * 2
    report = measure_disclosure(levels, {"DIS": disabled_only_at_the_top()})
    assert report.levels == 4
    assert report.columns[0].most_telling is not None
    assert report.columns[0].most_telling.share == 1.0


def test_the_report_is_plain_json() -> None:
    report = measure_disclosure(LEVELS, {"DIS": disabled_only_at_the_top(), "n": np.arange(400.0)})
    assert json.loads(json.dumps(report.to_dict()))["people"] == 400


def test_merging_stops_as_soon_as_the_cap_holds() -> None:
    merged = merge_to_cap(LEVELS, EDGES, {"DIS": disabled_mostly_at_the_top()}, DisclosureCap(0.8, 1.0))
    # Only level 3 is over; with level 2 its share of code 1 is three quarters.
    assert merged.edges.tolist() == [0.5, 1.5]
    assert merged.before.levels == 4
    assert merged.after.levels == 3
    (column,) = merged.after.columns
    assert column.largest_share is not None
    assert column.largest_share.share == 0.75


def test_nothing_is_merged_below_the_cap() -> None:
    merged = merge_to_cap(LEVELS, EDGES, {"DIS": disabled_only_at_the_top()}, NO_CAP)
    np.testing.assert_array_equal(merged.levels, LEVELS)
    np.testing.assert_array_equal(merged.edges, EDGES)


def test_a_common_value_may_be_as_common_as_it_is_anyway() -> None:
    codes = np.full(400, 4)
    merged = merge_to_cap(LEVELS, EDGES, {"MIL": codes}, DisclosureCap(0.5, 1.0))
    assert merged.after.levels == 4


def test_merged_edges_give_the_merged_levels() -> None:
    generator = np.random.default_rng(3)
    edges = np.linspace(-2, 2, 31)
    evidence = generator.normal(size=4000).astype(np.float32)
    levels = to_levels(evidence, edges)
    columns = {
        "code": (evidence + generator.normal(0, 0.3, 4000) > 1).astype(np.int8),
        "number": evidence + generator.normal(size=4000),
    }
    merged = merge_to_cap(levels, edges, columns, DisclosureCap(0.99, 0.68))
    assert 2 <= merged.after.levels < 32
    np.testing.assert_array_equal(to_levels(evidence, merged.edges), merged.levels)
    assert merged.after == measure_disclosure(merged.levels, columns)
    assert merged.after.columns[1].rank_correlation is not None
    assert merged.after.columns[1].rank_correlation <= 0.68


def test_merging_never_separates_who_was_together() -> None:
    merged = merge_to_cap(LEVELS, EDGES, {"DIS": disabled_mostly_at_the_top()}, DisclosureCap(0.72, 1.0))
    assert merged.after.levels < 4
    for level in range(4):
        assert len(np.unique(merged.levels[level == LEVELS])) == 1
    assert (np.diff(merged.levels.astype(int)) >= 0).all()


@pytest.mark.parametrize("cap", [DisclosureCap(0.7, 1.0), DisclosureCap(1.0, 0.5)])
def test_when_even_two_levels_tell_too_much_the_department_is_told_to_offer_its_sum(cap: DisclosureCap) -> None:
    columns = {"code": (LEVELS > 1).astype(np.int8), "number": LEVELS.astype(np.float64)}
    with pytest.raises(DoudiError) as refused:
        merge_to_cap(LEVELS, EDGES, columns, cap)
    assert refused.value.code == "disclosure.over_cap"
    assert "sum-only" in refused.value.next_step


def test_what_does_not_fit_together_is_refused_with_its_code() -> None:
    for call, code in [
        (lambda: measure_disclosure(LEVELS, {"x": np.zeros(3)}), "disclosure.wrong_length"),
        (lambda: merge_to_cap(LEVELS, EDGES[:1], {}, NO_CAP), "disclosure.wrong_length"),
        (lambda: DisclosureCap(0.0, 0.5), "disclosure.bad_cap"),
        (lambda: DisclosureCap(0.9, 1.5), "disclosure.bad_cap"),
    ]:
        with pytest.raises(DoudiError) as refused:
            call()
        assert refused.value.code == code
