import numpy as np
from sklearn.metrics import roc_auc_score

from department_nodes.combining import ranking
from department_nodes.combining.ranking import rank_households


def test_recall_counts_households_in_need_among_the_highest_scores() -> None:
    score = np.asarray([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    label = np.asarray([1, 0, 1, 0, 0, 0, 0, 0, 0, 1])
    membership = np.stack([np.ones(10, bool), np.arange(10) < 3], 1)
    result = rank_households(score, label, membership, (0.1, 0.3), resamples=10, seed=0)
    assert result.found.tolist() == [[1, 1], [2, 2]]
    np.testing.assert_allclose(result.recall, [[1 / 3, 1 / 2], [2 / 3, 1.0]])
    assert result.in_need.tolist() == [3, 2]
    assert result.members.tolist() == [10, 3]


def test_a_resample_weighs_as_drawing_the_household_that_often() -> None:
    generator = np.random.default_rng(0)
    score = np.round(generator.random(300), 2)
    label = (generator.random(300) < score).astype(np.int64)
    order = np.argsort(-score, kind="stable")
    weights = ranking._resample(5, 300, generator)
    assert (weights.sum(1) == 300).all()
    ties = np.flatnonzero(np.diff(score[order], prepend=np.inf))
    areas = ranking._area_under_curve(weights, label[order].astype(np.float32), ties)
    found = ranking._found(weights, label[order].astype(np.float32), np.ones((300, 1), np.float32), [30])
    for row, area, in_top in zip(weights, areas, found[0, :, 0], strict=True):
        drawn = np.repeat(order, row.astype(int))
        np.testing.assert_allclose(area, roc_auc_score(label[drawn], score[drawn]))
        assert in_top == label[drawn][:30].sum()


def test_the_interval_has_the_width_of_the_binomial() -> None:
    # Scores that say nothing: recall among the top half is a mean of 500 independent halves.
    generator = np.random.default_rng(3)
    label = (generator.random(1000) < 0.5).astype(np.int64)
    result = rank_households(generator.random(1000), label, np.ones((1000, 1), bool), (0.5,), resamples=1000, seed=1)
    width = result.high[0, 0] - result.low[0, 0]
    # With the top half fixed at 500 households the variance is p(1−p)/n × ½; 1,000 resamples: 10 % tolerance.
    assert abs(width - 2 * 1.96 * np.sqrt(0.25 / label.sum() / 2)) < 0.1 * width
    assert result.auc_low < 0.5 < result.auc_high
