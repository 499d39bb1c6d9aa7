import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DoudiError
from department_nodes.evidence.levels import base_rate_level, fit_level_edges, sum_only_code, to_levels


def logits(people: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=people).astype(np.float32)


def test_without_ties_there_are_32_levels_of_equal_size() -> None:
    evidence = logits(3200)
    counts = np.bincount(to_levels(evidence, fit_level_edges(evidence)))
    assert counts.tolist() == [100] * 32


@given(
    values=st.lists(st.sampled_from([-3.0, -1.0, -0.5, 0.0, 0.25, 2.0]), min_size=50, max_size=400),
    distinct=st.integers(0, 300),
    levels=st.integers(2, 64),
)
def test_every_level_has_at_least_50_training_people(values: list[float], distinct: int, levels: int) -> None:
    evidence = np.concatenate([np.asarray(values, np.float32), logits(distinct)])
    edges = fit_level_edges(evidence, levels)
    counts = np.bincount(to_levels(evidence, edges), minlength=len(edges) + 1)
    assert len(counts) <= levels
    assert counts.min() >= 50
    assert (np.diff(edges) > 0).all()


def test_people_with_nearly_equal_evidence_get_equal_levels() -> None:
    evidence = np.repeat(np.asarray([-1.0, 0.0, 1.0], np.float32), 200)
    jitter = np.random.default_rng(1).uniform(-3e-6, 3e-6, 600).astype(np.float32)
    edges = fit_level_edges(evidence + jitter)
    np.testing.assert_array_equal(to_levels(evidence + jitter, edges), np.repeat([0, 1, 2], 200))


def test_more_evidence_never_gives_a_lower_level() -> None:
    evidence = np.sort(logits(5000))
    levels = to_levels(evidence, fit_level_edges(evidence[::2]))
    assert levels.dtype == np.uint8
    assert (np.diff(levels.astype(int)) >= 0).all()


def test_equal_evidence_for_all_gives_one_level() -> None:
    assert len(fit_level_edges(np.zeros(500, np.float32))) == 0


def test_the_base_rate_has_the_level_of_its_logit_and_is_clipped() -> None:
    edges = np.asarray([-4.0, -3.0, 0.0, 3.0, 4.0])
    assert base_rate_level(0.6, edges) == 3
    assert base_rate_level(0.4, edges) == 2
    # The logits of 0.02 and 0.98 are ±3.89: a debiased mean outside 0 to 1 goes no further.
    assert base_rate_level(-0.1, edges) == base_rate_level(0.02, edges) == 1
    assert base_rate_level(1.2, edges) == 4


def test_the_sum_only_code_is_in_quarters_of_a_logit_and_clipped() -> None:
    codes = sum_only_code(np.asarray([-9, -4, -0.13, 0.12, 0.25, 3.99, 4.2], np.float32))
    assert codes.dtype == np.int16
    assert codes.tolist() == [-16, -16, -1, 0, 1, 16, 16]


def test_what_cannot_be_a_level_is_refused_with_its_code() -> None:
    bad = np.asarray([0.0, np.nan] * 50, np.float32)
    for call, code in [
        (lambda: fit_level_edges(logits(49)), "evidence.too_few_people"),
        (lambda: fit_level_edges(logits(100), levels=1), "evidence.bad_levels"),
        (lambda: fit_level_edges(logits(100), levels=257), "evidence.bad_levels"),
        (lambda: fit_level_edges(bad), "evidence.not_finite"),
        (lambda: to_levels(bad, np.zeros(1)), "evidence.not_finite"),
        (lambda: sum_only_code(bad), "evidence.not_finite"),
        (lambda: base_rate_level(float("nan"), np.zeros(1)), "evidence.not_finite"),
    ]:
        with pytest.raises(DoudiError) as refused:
            call()
        assert refused.value.code == code
