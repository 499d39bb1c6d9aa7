"""Private training of a line: clipping against two independent implementations, noise, sampling, refusals."""

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

from crypto.errors import DoudiError
from department_nodes.privacy.randomness import OperatingSystemNoise, UnsafeSeededNoise
from department_nodes.training.dp_sgd import (
    DpSgdSpec,
    PlainSgdSpec,
    clipped_gradient_sum,
    train_local,
    train_without_privacy,
)
from department_nodes.training.line_model import LineNetwork, LineShape, layer_views

SHAPE = LineShape(width=7, hidden=5)
PEOPLE = 60
ALL_ROWS = np.arange(PEOPLE)


def network() -> LineNetwork:
    return LineNetwork.initial(SHAPE, b"seed", base_rate_logit=-1.0)


def region(seed: int = 4, people: int = PEOPLE) -> tuple[np.ndarray, np.ndarray]:
    """Return features and debiased bits, which lie outside 0 to 1."""
    generator = np.random.default_rng(seed)
    target = np.where(generator.random(people) < 0.4, 1.58, -0.58).astype(np.float32)
    return generator.normal(size=(people, SHAPE.width)).astype(np.float32), target


def full_batch(clip_norm: float, noise_multiplier: float = 1e-9, steps: int = 1) -> DpSgdSpec:
    return DpSgdSpec(clip_norm, noise_multiplier, sample_rate=1.0, steps=steps, learning_rate=float(PEOPLE))


def loss_of(logit: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.softplus(logit) - target * logit


def gradients_by_autograd(features: np.ndarray, target: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """Return one gradient per person, [people, parameters], each by its own backward pass."""
    found = []
    for person, label in zip(torch.from_numpy(features).to(dtype), torch.from_numpy(target).to(dtype), strict=True):
        parameters = network().parameters.to(dtype).requires_grad_()
        views = layer_views(SHAPE, parameters)
        logit = torch.relu(person @ views.weights + views.biases) @ views.out_weights + views.out_bias
        (gradient,) = torch.autograd.grad(loss_of(logit, label).sum(), parameters)
        found.append(gradient)
    return torch.stack(found)


def clipped_by_hand(features: np.ndarray, target: np.ndarray, clip_norm: float) -> np.ndarray:
    gradients = gradients_by_autograd(features, target, torch.float64)
    factor = (clip_norm / gradients.norm(dim=1)).clamp(max=1.0)
    return (factor[:, None] * gradients).sum(0).numpy()


def clipped_by_opacus(features: np.ndarray, target: np.ndarray, clip_norm: float) -> np.ndarray:
    """Return the sum that Opacus' ghost clipping leaves before its noise."""
    views = layer_views(SHAPE, network().parameters)
    first, second = torch.nn.Linear(SHAPE.width, SHAPE.hidden), torch.nn.Linear(SHAPE.hidden, 1)
    first.weight.data, first.bias.data = views.weights.t().contiguous(), views.biases.clone()
    second.weight.data, second.bias.data = views.out_weights[None].clone(), views.out_bias.clone()
    module = GradSampleModuleFastGradientClipping(
        torch.nn.Sequential(first, torch.nn.ReLU(), second),
        max_grad_norm=clip_norm,
        use_ghost_clipping=True,
        loss_reduction="sum",
    )
    optimiser = DPOptimizerFastGradientClipping(
        torch.optim.SGD(module.parameters(), lr=1.0),
        noise_multiplier=0.0,
        max_grad_norm=clip_norm,
        expected_batch_size=1,
        loss_reduction="sum",
    )

    class LogLoss(torch.nn.Module):
        reduction = "sum"

        def forward(self, logit: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return loss_of(logit, label)

    criterion = DPLossFastGradientClipping(module, optimiser, LogLoss(), loss_reduction="sum")
    criterion(module(torch.from_numpy(features))[:, 0], torch.from_numpy(target)).backward()
    parts = first.weight.grad.t().reshape(-1), first.bias.grad, second.weight.grad.reshape(-1), second.bias.grad
    return torch.cat(parts).numpy()


@cache
def norms() -> np.ndarray:
    return gradients_by_autograd(*region(), torch.float64).norm(dim=1).numpy()


# Norms of the region lie between 0.8 and 2.9: all are clipped, most, half with one exactly at the bound, none.
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("clip_norm", [0.01, 1.0, float(np.sort(norms())[30]), 100.0])
def test_closed_form_equals_per_person_autograd_and_opacus_ghost_clipping(clip_norm: float) -> None:
    features, target = region()
    by_hand = clipped_by_hand(features, target, clip_norm)
    ours = clipped_gradient_sum(network(), features, target, ALL_ROWS, clip_norm)
    trained = train_local(network(), features, target, ALL_ROWS, full_batch(clip_norm), PEOPLE, UnsafeSeededNoise(0))
    scale = np.linalg.norm(by_hand)
    assert np.linalg.norm(ours - by_hand) < 1e-12 * scale
    assert np.linalg.norm(trained + by_hand) < 1e-5 * scale
    assert np.linalg.norm(clipped_by_opacus(features, target, clip_norm) - by_hand) < 1e-5 * scale


def test_one_person_moves_the_sum_by_at_most_the_clip_norm() -> None:
    features, target = region()
    for person in range(PEOPLE):
        others = np.delete(ALL_ROWS, person)
        with_person = clipped_gradient_sum(network(), features, target, ALL_ROWS, 0.7)
        moved = with_person - clipped_gradient_sum(network(), features, target, others, 0.7)
        assert np.linalg.norm(moved) <= 0.7 * (1 + 1e-12)
        assert np.linalg.norm(moved) == pytest.approx(min(0.7, norms()[person]), rel=1e-9)


@pytest.mark.parametrize("size", [1e20, 3e38])
def test_a_hostile_model_cannot_make_a_person_move_the_sum_by_more(size: float) -> None:
    # Parameters are finite, but products with them are not: infinities and NaN must not become somebody's contribution.
    signs = np.where(np.random.default_rng(0).random(SHAPE.parameters) < 0.5, -1, 1)
    hostile = LineNetwork(SHAPE, torch.from_numpy((signs * size).astype(np.float32)))
    features, target = region()
    for person in range(10):
        moved = clipped_gradient_sum(hostile, features, target, np.array([person]), 0.7)
        assert np.linalg.norm(moved) <= 0.7 * (1 + 1e-12)
        step = DpSgdSpec(0.7, 1e-9, 1.0, 1, 1.0)
        quiet = LineNetwork(SHAPE, torch.from_numpy((signs * min(size, 1e3)).astype(np.float32)))
        delta = train_local(quiet, features, target, np.array([person]), step, 1, UnsafeSeededNoise(0))
        assert np.linalg.norm(delta) <= 0.7 * (1 + 1e-3)


def test_an_empty_batch_is_noise_alone() -> None:
    # With a rate of 2^-60, 60 people are all left out but for a chance of 5e-17.
    features, target = region()
    spec = DpSgdSpec(2.0, 3.0, sample_rate=2.0**-60, steps=1, learning_rate=2.0**-60 * PEOPLE)
    flat = LineNetwork(SHAPE, torch.zeros(SHAPE.parameters))
    delta = train_local(flat, features, target, ALL_ROWS, spec, PEOPLE, UnsafeSeededNoise(7))
    source = UnsafeSeededNoise(7)
    source.poisson_sample(PEOPLE, 2.0**-60)
    # Noise for a clip norm of 2 · (1 + 2^-8): the room for float32.
    np.testing.assert_allclose(delta, -6.0 * (1 + 2**-8) * source.gaussian(SHAPE.parameters), rtol=1e-6)


def test_no_rows_at_all_are_noise_alone_too() -> None:
    features, target = region()
    nobody = np.empty(0, np.int64)
    delta = train_local(network(), features, target, nobody, full_batch(1.0, 1.0), PEOPLE, OperatingSystemNoise())
    assert np.isfinite(delta).all()
    assert (delta != 0).all()
    assert not clipped_gradient_sum(network(), features, target, nobody, 1.0).any()


def test_noise_has_the_stated_variance_from_the_operating_system() -> None:
    # 16,040 values of deviation σC·η/(qn) = 3·0.5·1: the sample variance has relative deviation sqrt(2/16040) = 0.0112, so
    # 6 of them is a false alarm below 1e-8; likewise the mean within 6/sqrt(16040) deviations.
    shape = LineShape(width=400, hidden=40)
    start = LineNetwork(shape, torch.zeros(shape.parameters))
    features = np.zeros((1, 400), np.float32)
    spec = DpSgdSpec(0.5, 3.0, sample_rate=1.0, steps=1, learning_rate=1.0)
    nobody, target = np.empty(0, np.int64), np.zeros(1, np.float32)
    delta = train_local(start, features, target, nobody, spec, 1, OperatingSystemNoise()).astype(np.float64)
    assert abs(delta.var() / 2.25 - 1) < 0.067
    assert abs(delta.mean()) < 1.5 * 6 / math.sqrt(16_040)


def test_noise_adds_up_over_steps() -> None:
    # Sixteen steps: variance 16; same false alarm rate as above.
    shape = LineShape(width=400, hidden=40)
    start = LineNetwork(shape, torch.zeros(shape.parameters))
    spec = DpSgdSpec(1.0, 1.0, sample_rate=1.0, steps=16, learning_rate=1.0)
    arrays = np.zeros((1, 400), np.float32), np.zeros(1, np.float32), np.empty(0, np.int64)
    delta = train_local(start, *arrays, spec, 1, OperatingSystemNoise()).astype(np.float64)
    assert abs(delta.var() / 16 - 1) < 0.067


def test_torch_and_numpy_generators_decide_nothing() -> None:
    features, target = region()
    spec = DpSgdSpec(1.0, 1.0, sample_rate=0.5, steps=3, learning_rate=0.1)

    def run(source: Any, seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        np.random.seed(seed)
        return train_local(network(), features, target, ALL_ROWS, spec, PEOPLE, source)

    before = torch.random.get_rng_state()
    np.testing.assert_array_equal(run(UnsafeSeededNoise(1), 1), run(UnsafeSeededNoise(1), 2))
    assert (run(OperatingSystemNoise(), 1) != run(OperatingSystemNoise(), 1)).any()
    torch.random.set_rng_state(before)
    train_local(network(), features, target, ALL_ROWS, spec, PEOPLE, OperatingSystemNoise())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_large_batches_are_summed_part_by_part() -> None:
    features, target = region(people=9000)
    rows = np.arange(9000)
    spec = DpSgdSpec(1.0, 1e-9, sample_rate=1.0, steps=1, learning_rate=9000.0)
    delta = train_local(network(), features, target, rows, spec, 9000, UnsafeSeededNoise(0))
    exact = clipped_gradient_sum(network(), features, target, rows, 1.0)
    assert np.linalg.norm(delta + exact) < 1e-5 * np.linalg.norm(exact)


def test_only_training_rows_are_read() -> None:
    features, target = region()
    target[50:] = np.nan
    rows = np.arange(50)
    delta = train_local(network(), features, target, rows, full_batch(1.0), PEOPLE, UnsafeSeededNoise(0))
    features[50:] += 1
    again = train_local(network(), features, target, rows, full_batch(1.0), PEOPLE, UnsafeSeededNoise(0))
    np.testing.assert_array_equal(delta, again)


def test_steps_are_reported_and_the_network_stays_as_it_was() -> None:
    features, target = region()
    line, seen = network(), []
    spec = full_batch(1.0, 1.0, steps=3)
    train_local(
        line, features, target, ALL_ROWS, spec, PEOPLE, UnsafeSeededNoise(0), lambda done, of: seen.append((done, of))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert line.digest() == network().digest()


def test_training_without_privacy_takes_the_unclipped_step() -> None:
    features, target = region()
    spec = PlainSgdSpec(sample_rate=1.0, steps=1, learning_rate=1.0)
    delta = train_without_privacy(network(), features, target, ALL_ROWS, spec, PEOPLE, UnsafeSeededNoise(0))
    mean = gradients_by_autograd(features, target, torch.float64).mean(0).numpy()
    np.testing.assert_allclose(delta, -mean, atol=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e7])
@pytest.mark.parametrize("where", ["features", "target"])
def test_what_is_no_number_or_no_encoding_is_refused(bad: float, where: str) -> None:
    features, target = region()
    (features[3, 2:3] if where == "features" else target[3:4])[:] = bad
    with pytest.raises(DoudiError, match=r"training\.not_finite"):
        train_local(network(), features, target, ALL_ROWS, full_batch(1.0), PEOPLE, UnsafeSeededNoise(0))
    with pytest.raises(DoudiError, match=r"training\.not_finite"):
        clipped_gradient_sum(network(), features, target, ALL_ROWS, 1.0)


@pytest.mark.parametrize(
    ("code", "features", "target", "rows", "people"),
    [
        ("training.wrong_width", np.zeros((4, 6), np.float32), np.zeros(4, np.float32), np.arange(4), 4),
        ("training.wrong_width", np.zeros((4, 7)), np.zeros(4, np.float32), np.arange(4), 4),
        ("training.wrong_length", np.zeros((4, 7), np.float32), np.zeros(3, np.float32), np.arange(3), 4),
        ("training.wrong_length", np.zeros((4, 7), np.float32), np.zeros(4, np.float32), np.array([4]), 4),
        ("training.wrong_length", np.zeros((4, 7), np.float32), np.zeros(4, np.float32), np.array([-1]), 4),
        ("training.wrong_length", np.zeros((4, 7), np.float32), np.zeros(4, np.float32), np.arange(4), 0),
    ],
)
def test_arrays_that_do_not_fit_are_refused(code: str, features: Any, target: Any, rows: Any, people: int) -> None:
    with pytest.raises(DoudiError) as caught:
        train_local(network(), features, target, rows, full_batch(1.0), people, UnsafeSeededNoise(0))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "values",
    [
        (0.0, 1.0, 0.1, 1, 0.1),
        (math.inf, 1.0, 0.1, 1, 0.1),
        (1.0, 0.0, 0.1, 1, 0.1),
        (1.0, math.nan, 0.1, 1, 0.1),
        (1.0, 1.0, 0.0, 1, 0.1),
        (1.0, 1.0, 1.1, 1, 0.1),
        (1.0, 1.0, 0.1, 0, 0.1),
        (1.0, 1.0, 0.1, 1, 0.0),
    ],
)
def test_there_is_no_spec_that_means_no_privacy(values: tuple[float, float, float, int, float]) -> None:
    with pytest.raises(DoudiError, match=r"privacy\.bad_spec"):
        DpSgdSpec(*values)


def test_what_one_person_adds_to_a_large_batch_stays_within_the_room_that_the_noise_has() -> None:
    """Sums over a million people under a model that gives all of them the same large step."""
    generator = np.random.default_rng(5)
    people = 1_000_000
    features = np.zeros((people, SHAPE.width), np.float32)
    features[np.arange(people), generator.integers(0, SHAPE.width, people)] = 1
    target = np.where(generator.random(people) < 0.3, 1.58, -0.58).astype(np.float32)
    hostile = network()
    hostile.parameters[-1] = 6.0
    spec = DpSgdSpec(0.1, 1e-3, sample_rate=1.0, steps=1, learning_rate=1.0)

    def summed(rows: np.ndarray) -> np.ndarray:
        source = _Listening()
        train_local(hostile, features, target, rows, spec, 1, source)
        return source.noised

    rows = np.arange(people)
    difference = float(np.linalg.norm(summed(rows) - summed(rows[1:])))
    # Measured: 7·10^-4 below C with parts summed in float64, 2·10^-3 above with one float32 sum; the noise has room for 4·10^-3.
    assert 0.9 * spec.clip_norm < difference <= spec.clip_norm * (1 + 1e-3)


class _Listening(UnsafeSeededNoise):
    """Gives no noise, and keeps the array to which the sum is added, in float64 and before anything is rounded."""

    def __init__(self) -> None:
        super().__init__(0)

    def gaussian(self, count: int) -> np.ndarray:
        self.noised = np.zeros(count)
        return self.noised
