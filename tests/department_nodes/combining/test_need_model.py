import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from crypto.errors import DoudiError
from department_nodes.combining.need_model import CombinerSettings, NeedModel

QUICK = CombinerSettings(folds=3, iterations=30)
GROUPS = ("tax", "tax", "health", "own_columns")


def region(households: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return features, labels, train mask and the true chance of need."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(households, 4)).astype(np.float32)
    chance = 1 / (1 + np.exp(-(2 * features[:, 0] + features[:, 2] + 0.5 * features[:, 3] - 1)))
    labels = (generator.random(households) < chance).astype(np.uint8)
    return features, labels, generator.random(households) < 0.8, chance


def test_the_model_ranks_and_is_calibrated_on_held_out_households() -> None:
    features, labels, train, chance = region(8000)
    model = NeedModel.train(features, labels, train, GROUPS, QUICK)
    probability = model.predict_probability(features)
    assert roc_auc_score(labels[~train], probability[~train]) > roc_auc_score(labels[~train], chance[~train]) - 0.01
    # 1,600 held-out households: standard error of the mean at most 0.0125; the seed is fixed.
    assert abs(probability[~train].mean() - chance[~train].mean()) < 0.03
    assert np.abs(probability - chance)[~train].mean() < 0.06


def test_calibration_undoes_overconfidence() -> None:
    features, labels, train, _ = region(1500)
    overfitted = CombinerSettings(folds=3, iterations=300, learning_rate=0.3)
    assert NeedModel.train(features, labels, train, GROUPS, overfitted).slope < 0.6


def test_held_out_labels_and_features_are_never_read() -> None:
    features, labels, train, _ = region(1000)
    first = NeedModel.train(features, labels, train, GROUPS, QUICK).predict_logit(features[train])
    features[~train], labels[~train] = 99.0, 1 - labels[~train]
    second = NeedModel.train(features, labels, train, GROUPS, QUICK)
    np.testing.assert_array_equal(second.predict_logit(features[train]), first)


def test_a_missing_department_is_a_missing_input_not_a_failure() -> None:
    features, labels, train, _ = region()
    whole = NeedModel.train(features, labels, train, GROUPS, QUICK)
    features[:, :2] = np.nan
    without_tax = NeedModel.train(features, labels, train, GROUPS, QUICK)
    assert without_tax.players == ("tax", "health", "own_columns")
    assert np.isnan(without_tax.reference[:2]).all()
    auc = roc_auc_score(labels[~train], without_tax.predict_logit(features[~train]))
    assert 0.6 < auc < 0.8
    # A model of a run that had the department also answers for a household of which it is missing.
    assert np.isfinite(whole.predict_logit(features)).all()


def test_the_reference_household_is_the_median_of_the_training_households() -> None:
    features, labels, train, _ = region(600)
    model = NeedModel.train(features, labels, train, GROUPS, QUICK)
    np.testing.assert_allclose(model.reference, np.median(features[train], axis=0), rtol=1e-6)


def test_training_reports_each_fold() -> None:
    features, labels, train, _ = region(600)
    seen: list[tuple[int, int]] = []
    report = lambda done, of: seen.append((done, of))  # noqa: E731
    NeedModel.train(features, labels, train, GROUPS, QUICK, report)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_cannot_be_trained_on_is_refused_with_its_code() -> None:
    features, labels, train, _ = region(400)
    for arguments, code in [
        ((features, labels[:-1], train, GROUPS), "combining.wrong_length"),
        ((features, labels, train, GROUPS[1:]), "combining.wrong_length"),
        ((features, labels, np.arange(400) < 50, GROUPS), "combining.too_few_households"),
        ((features, np.zeros(400, np.uint8), train, GROUPS), "combining.one_class"),
    ]:
        with pytest.raises(DoudiError) as refused:
            NeedModel.train(*arguments, QUICK)
        assert refused.value.code == code
