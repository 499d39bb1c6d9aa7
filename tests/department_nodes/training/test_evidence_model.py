import math
import struct

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from crypto.errors import DoudiError
from department_nodes.training import evidence_model
from department_nodes.training.evidence_model import EvidenceModel, TrainingSettings, train_evidence_model

QUICK = TrainingSettings(hidden=8, members=2, epochs=4)


def region(people: int = 6000, width: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features and the true chance of need, which is logistic in the first two columns."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(people, width)).astype(np.float32)
    return features, 1 / (1 + np.exp(-(1.5 * features[:, 0] - features[:, 1] - 0.5)))


def debiased(true_label: np.ndarray, epsilon: float, generator: np.random.Generator) -> np.ndarray:
    keep = math.exp(epsilon) / (1 + math.exp(epsilon))
    bit = np.where(generator.random(len(true_label)) < keep, true_label, 1 - true_label)
    return ((bit - (1 - keep)) / (2 * keep - 1)).astype(np.float32)


def trained(settings: TrainingSettings = QUICK) -> tuple[EvidenceModel, np.ndarray]:
    features, chance = region(800)
    return train_evidence_model(features, chance.astype(np.float32), np.arange(800), settings), features


def test_noisy_labels_teach_nearly_as_much_as_true_ones() -> None:
    generator = np.random.default_rng(1)
    features, chance = region(20_000)
    true_label = (generator.random(20_000) < chance).astype(np.float64)
    rows, held_out = np.arange(16_000), np.arange(16_000, 20_000)
    aucs = [
        roc_auc_score(true_label[held_out], train_evidence_model(features, target, rows).predict(features)[held_out])
        for target in (debiased(true_label, 1.0, generator), true_label.astype(np.float32))
    ]
    assert aucs[1] > 0.83
    assert aucs[0] > aucs[1] - 0.015


def test_the_logits_are_those_of_the_true_label_not_of_the_noisy_bit() -> None:
    # With the noisy bit as label, a debiasing that is wrong would give σ(f) near the bit's rate (0.44), not the label's.
    generator = np.random.default_rng(2)
    features, chance = region(20_000)
    label = (generator.random(20_000) < chance * 0.6).astype(np.float64)
    model = train_evidence_model(features, debiased(label, 1.0, generator), np.arange(20_000))
    predicted = (1 / (1 + np.exp(-model.predict(features)))).mean()
    # Standard error of the debiased mean: 0.96/sqrt(20000) = 0.007; 5 of them: false alarm below 1e-6.
    assert abs(predicted - label.mean()) < 0.035


def test_held_out_rows_are_never_read() -> None:
    features, chance = region(1000)
    target = chance.astype(np.float32)
    rows = np.arange(0, 1000, 2)
    first = train_evidence_model(features, target, rows, QUICK).to_bytes()
    features[1::2] = np.nan
    target[1::2] = np.nan
    assert train_evidence_model(features, target, rows, QUICK).to_bytes() == first


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    first, second = (trained()[0].to_bytes() for _ in range(2))
    other = trained(TrainingSettings(hidden=8, members=2, epochs=4, seed=2))[0].to_bytes()
    assert first == second
    assert first != other


def test_predictions_do_not_depend_on_where_a_batch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    model, features = trained()
    whole = model.predict(features)
    monkeypatch.setattr(evidence_model, "_PREDICT_ROWS", 7)
    np.testing.assert_allclose(model.predict(features), whole, atol=1e-5)


def test_a_stored_model_predicts_the_same() -> None:
    model, features = trained()
    restored = EvidenceModel.from_bytes(model.to_bytes())
    np.testing.assert_array_equal(restored.predict(features), model.predict(features))
    assert restored.to_bytes() == model.to_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:12],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"\x02" + data[1:],
        lambda data: data[:1] + struct.pack("<I", 0) + data[5:],
        lambda data: data[:1] + struct.pack("<I", 0xFFFFFFFF) + data[5:],
        lambda data: data[:-4] + struct.pack("<f", math.nan),
        lambda data: b"\x80\x04" + data,
    ],
    ids=["empty", "header", "short", "long", "version", "zero width", "huge width", "not finite", "pickle"],
)
def test_malformed_bytes_are_refused(damage) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DoudiError) as refused:
        EvidenceModel.from_bytes(damage(trained()[0].to_bytes()))
    assert refused.value.code == "training.malformed_model"


def test_training_reports_each_epoch() -> None:
    features, chance = region(200)
    seen: list[tuple[int, int]] = []
    report = lambda done, of: seen.append((done, of))  # noqa: E731
    train_evidence_model(features, chance.astype(np.float32), np.arange(200), QUICK, report)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_large_regions_use_larger_batches() -> None:
    assert TrainingSettings().batch_rows(49_999) == 512
    assert TrainingSettings().batch_rows(50_000) == 1024
    assert TrainingSettings(batch_size=64).batch_rows(50_000) == 64


def test_the_schedule_is_that_of_torch() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([parameter], lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=5e-3, total_steps=200)
    for step in range(200):
        expected = optimiser.param_groups[0]
        rate, decay = evidence_model._one_cycle(step, 200, 5e-3)
        assert rate == pytest.approx(expected["lr"], abs=3e-8)
        assert decay == pytest.approx(expected["betas"][0], abs=1e-6)
        optimiser.step()
        if step < 199:
            schedule.step()


def test_input_that_cannot_be_trained_on_is_refused_with_its_code() -> None:
    features, chance = region(100)
    target, rows = chance.astype(np.float32), np.arange(100)
    bad_features = features.copy()
    bad_features[3, 2] = np.inf
    for arguments, code in [
        ((features, target, rows[:0]), "training.no_rows"),
        ((features, target[:50], rows), "training.wrong_length"),
        ((features, target, rows + 1), "training.wrong_length"),
        ((features.astype(np.float64), target, rows), "training.wrong_width"),
        ((features[:, 0], target, rows), "training.wrong_width"),
        ((bad_features, target, rows), "training.diverged"),
    ]:
        with pytest.raises(DoudiError) as refused:
            train_evidence_model(*arguments)
        assert refused.value.code == code
    with pytest.raises(DoudiError) as refused:
        trained()[0].predict(features[:, :3])
    assert refused.value.code == "training.wrong_width"
