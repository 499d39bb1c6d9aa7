"""Starting from a line's model: what the own bits may veto, and that a start changes nothing else."""

import numpy as np
import pytest

from department_nodes.lines.start import StartingModel, line_holds, moved_to_base_rate, train_evidence
from department_nodes.training.evidence_model import TrainingSettings
from department_nodes.training.line_model import LineNetwork, LineShape

QUICK = TrainingSettings(hidden=4, members=2, epochs=3)
ROWS, WIDTH = 3000, 6


def made_up(seed: int = 3):
    """Return features and debiased targets of a need that the first column tells."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(ROWS, WIDTH)).astype(np.float32)
    need = random.random(ROWS) < 1 / (1 + np.exp(-1.5 * features[:, 0] + 1))
    kept = random.random(ROWS) < 0.731
    bits = np.where(kept, need, ~need)
    return features, np.where(bits, 1.58, -0.58).astype(np.float32)


def logit_of_first_column(features: np.ndarray, sign: float) -> np.ndarray:
    return (sign * 1.5 * features[:, 0] - 1).astype(np.float32)


def network() -> StartingModel:
    made = LineNetwork.initial(LineShape(WIDTH, 4), b"\1" * 32)
    return StartingModel(made.digest(), made)


def test_a_line_that_tells_need_is_used():
    features, target = made_up()
    assert line_holds(logit_of_first_column(features, 1), target)


def test_a_line_with_its_sign_turned_is_left_out():
    features, target = made_up()
    assert not line_holds(logit_of_first_column(features, -1), target)


@pytest.mark.parametrize("constant", [-6.0, 2.0, 30.0])
def test_a_constant_in_a_line_has_no_effect(constant):
    features, target = made_up()
    rows = np.arange(0, ROWS, 2)
    plain = moved_to_base_rate(logit_of_first_column(features, 1), target, rows)
    moved = moved_to_base_rate(logit_of_first_column(features, 1) + np.float32(constant), target, rows)
    np.testing.assert_allclose(moved, plain, atol=1e-3)
    probability = 1 / (1 + np.exp(-moved[rows].astype(float)))
    assert probability.mean() == pytest.approx(float(target[rows].mean()), abs=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_line_that_says_nonsense_is_left_out(value):
    features, target = made_up()
    logits = logit_of_first_column(features, 1)
    logits[:100] = value
    assert moved_to_base_rate(logits, target, np.arange(ROWS)) is None


def test_training_starts_from_the_lines_logit_and_keeps_it():
    features, target = made_up()
    start = network()
    still = TrainingSettings(hidden=4, members=2, epochs=1, learning_rate=1e-12)
    found = train_evidence(features, target, np.arange(ROWS), still, start)
    assert found.start == "line"
    expected = moved_to_base_rate(start.logits(features), target, np.arange(ROWS))
    np.testing.assert_allclose(found.logits, expected, atol=1e-4)


def test_without_a_line_the_training_is_the_one_of_the_main_job():
    from department_nodes.training.evidence_model import train_evidence_model

    features, target = made_up()
    found = train_evidence(features, target, np.arange(ROWS), QUICK, None)
    assert found.start == "nothing"
    np.testing.assert_array_equal(
        found.logits, train_evidence_model(features, target, np.arange(ROWS), QUICK).predict(features)
    )
