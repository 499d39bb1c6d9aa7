from itertools import permutations

import numpy as np
import pytest

from crypto.errors import DoudiError
from department_nodes.combining import shapley
from department_nodes.combining.need_model import CombinerSettings, NeedModel
from department_nodes.combining.shapley import shapley_values

GROUPS = ("tax", "health", "tax", "housing", "own_columns")


def trained() -> tuple[NeedModel, np.ndarray]:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(900, 5)).astype(np.float32)
    # Products make players interact, so that their order of joining matters.
    logit = features[:, 0] * features[:, 1] + features[:, 2] + features[:, 3] * features[:, 4]
    labels = (generator.random(900) < 1 / (1 + np.exp(-2 * logit))).astype(np.uint8)
    everybody = np.ones(900, np.bool_)
    return NeedModel.train(features, labels, everybody, GROUPS, CombinerSettings(folds=3, iterations=20)), features


def test_contributions_sum_to_the_distance_from_the_reference_household() -> None:
    model, features = trained()
    values = shapley_values(model, features)
    reference_logit = model.predict_logit(model.reference[None])
    np.testing.assert_allclose(values.sum(1), model.predict_logit(features) - reference_logit, atol=1e-9)


def test_values_are_the_mean_over_all_orders_of_joining() -> None:
    model, features = trained()
    columns = np.asarray([model.players.index(group) for group in GROUPS])
    for household in features[:3].astype(np.float64):
        expected = np.zeros(4)
        orders = list(permutations(range(4)))
        for order in orders:
            mixed, before = model.reference.copy(), model.predict_logit(model.reference[None])[0]
            for player in order:
                mixed[columns == player] = household[columns == player]
                after = model.predict_logit(mixed[None])[0]
                expected[player] += (after - before) / len(orders)
                before = after
        np.testing.assert_allclose(shapley_values(model, household[None])[0], expected, atol=1e-9)


def test_a_player_with_the_reference_households_values_contributes_nothing() -> None:
    model, features = trained()
    features[:, 1] = model.reference[1]
    values = shapley_values(model, features)
    np.testing.assert_allclose(values[:, model.players.index("health")], 0, atol=1e-12)


def test_a_missing_department_contributes_nothing() -> None:
    generator = np.random.default_rng(2)
    features = generator.normal(size=(400, 5)).astype(np.float32)
    features[:, 3] = np.nan
    labels = (features[:, 0] + generator.normal(size=400) > 0).astype(np.uint8)
    model = NeedModel.train(features, labels, np.ones(400, np.bool_), GROUPS, CombinerSettings(iterations=10))
    values = shapley_values(model, features)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[:, model.players.index("housing")], 0, atol=1e-12)


def test_a_subset_in_chunks_has_the_values_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model, features = trained()
    whole = shapley_values(model, features)
    monkeypatch.setattr(shapley, "_ROWS_AT_ONCE", 16 * 7)
    seen: list[tuple[int, int]] = []
    subset = shapley_values(model, features[40:60], lambda done, of: seen.append((done, of)))
    np.testing.assert_allclose(subset, whole[40:60], atol=1e-12)
    assert seen == [(7, 20), (14, 20), (20, 20)]
    assert shapley_values(model, features[:0]).shape == (0, 4)


def test_too_many_players_are_refused() -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(300, 11)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.uint8)
    names = [f"department_{number}" for number in range(11)]
    model = NeedModel.train(features, labels, np.ones(300, np.bool_), names, CombinerSettings(iterations=2))
    with pytest.raises(DoudiError) as refused:
        shapley_values(model, features)
    assert refused.value.code == "combining.too_many_players"
