"""How fast private training is beside Opacus and beside no privacy, and how exact the accountant is.

All loops of a run train the same model from the same values on the same Poisson batches, on one thread, in turns, so that a busy
machine slows all alike; processor time is measured, so that waiting for a processor does not count. Batches are drawn before and
lie side by side in memory; `dpsgd_with_sampling` is the loop as a node runs it, drawing and gathering from a whole region.
"""

import math
import random
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from time import process_time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from opacus.accountants import PRVAccountant
from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

from demo.canary import audit_defaults
from department_nodes.privacy.accountant import analytic_gaussian_epsilon, epsilon
from department_nodes.privacy.mechanisms import GaussianSteps
from department_nodes.privacy.randomness import OperatingSystemNoise
from department_nodes.training.dp_sgd import DpSgdSpec, PlainSgdSpec, train_local, train_without_privacy
from department_nodes.training.line_model import LineNetwork, LineShape, layer_views
from policies.standards.model_loader import load_model_standard

ROWS, WIDTH = 50_000, 220
# The headline is the middle one; a line over all rows of a region is beyond the largest.
EXPECTED_BATCHES, HEADLINE_BATCH = (512, 1024, 2048), 1024
STEPS, REPEATS = 60, 7
CLIP_NORM, NOISE_MULTIPLIER, LEARNING_RATE = 1.0, 1.0, 0.1
DELTA = 1e-6
SEED = 1
HISTORIES = [[(1.0, 0.01, 1000)], [(2.19, 0.1, 200)], [(1.0, 0.01, 600), (1.3, 0.02, 400), (3.0, 0.1, 50)]]
FULL_BATCHES = [(5.0, 1), (5.0, 10), (20.0, 100), (1.0, 1), (50.0, 1000)]


class _GivenBatches(OperatingSystemNoise):
    """Noise from the operating system, and batches of given sizes that lie one after the other."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        ends = np.cumsum(sizes)
        self._batches = iter([np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)])

    def poisson_sample(self, rows: int, rate: float) -> npt.NDArray[np.int64]:
        """Return the next batch."""
        return next(self._batches)


class _LogLoss(torch.nn.Module):
    """The log loss of a debiased bit, mean over the batch."""

    reduction = "mean"

    def forward(self, logit: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss: one value, or one per person when `reduction` is "none"."""
        each = torch.nn.functional.softplus(logit) - target * logit
        return each if self.reduction == "none" else each.mean()


def measure() -> dict[str, Any]:
    """Return samples per second of each loop (median of the repeats), their ratios per batch size, gaps and the canaries."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        by_batch = {batch: _ratios(_speeds(batch)) for batch in EXPECTED_BATCHES}
    finally:
        torch.set_num_threads(threads)
    return {
        **by_batch[HEADLINE_BATCH],
        "dpsgd_expected_batch": HEADLINE_BATCH,
        "dpsgd_by_expected_batch": {str(batch): found for batch, found in by_batch.items()},
        **accountant_gaps(),
        "canary": canaries(),
    }


def _ratios(speeds: dict[str, float]) -> dict[str, float]:
    ours = speeds["dpsgd"]
    return {
        "dpsgd_over_opacus_default": round(ours / speeds["opacus_default"], 2),
        "dpsgd_over_opacus_ghost": round(ours / speeds["opacus_ghost"], 2),
        "dpsgd_over_plain": round(ours / speeds["plain"], 3),
        **{f"{name}_samples_per_s": float(round(speed)) for name, speed in speeds.items()},
    }


def canaries() -> dict[str, dict[str, float]]:
    """Return, by accounted ε, the lower bound on ε that 1,000 canaries in one training give (Steinke et al. 2023)."""
    return {
        f"{wanted:g}": {name: round(float(value), 4) for name, value in asdict(audit_defaults(wanted)).items()}
        for wanted in (1.0, 3.0, 8.0)
    }


def accountant_gaps() -> dict[str, float]:
    """Return the largest distance in ε from Opacus on whole histories, and from the closed form for full batches."""
    from_opacus, from_closed = [], []
    for history in HISTORIES:
        rounds = [GaussianSteps(sigma, rate, 10) for sigma, rate, steps in history for _ in range(steps // 10)]
        random.Random(SEED).shuffle(rounds)  # noqa: S311 - an order, not a secret
        accountant = PRVAccountant()
        accountant.history = list(history)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from_opacus.append(abs(epsilon(rounds, DELTA) - accountant.get_epsilon(DELTA)))
    for sigma, steps in FULL_BATCHES:
        exact = analytic_gaussian_epsilon(math.sqrt(steps) / sigma, DELTA)
        from_closed.append(epsilon([GaussianSteps(sigma, 1.0, steps)], DELTA) - exact)
    return {
        "accountant_gap": float(max(from_opacus)),
        "accountant_gap_closed_form": round(max(map(abs, from_closed)), 5),
        "accountant_lowest_above_closed_form": round(min(from_closed), 5),
    }


def _speeds(expected_batch: int) -> dict[str, float]:
    generator = np.random.default_rng(SEED)
    features = (generator.random((ROWS, WIDTH), np.float32) < 0.1).astype(np.float32)
    target = np.where(generator.random(ROWS) < 0.3, 1.58, -0.58).astype(np.float32)
    rows, rate = np.arange(ROWS), expected_batch / ROWS
    batches = [OperatingSystemNoise().poisson_sample(ROWS, rate) for _ in range(STEPS)]
    sizes, drawn = [len(batch) for batch in batches], np.concatenate(batches)
    own, labels, in_order = features[drawn], target[drawn], np.arange(len(drawn))
    gathered = list(zip(_split(own, sizes), _split(labels, sizes), strict=True))
    model = load_model_standard("perceptron", 1)
    network = LineNetwork.initial(LineShape(WIDTH, model.hidden_units), bytes.fromhex(model.initial_seed))
    private = DpSgdSpec(CLIP_NORM, NOISE_MULTIPLIER, rate, STEPS, LEARNING_RATE)
    plain = PlainSgdSpec(rate, STEPS, LEARNING_RATE)
    loops: dict[str, Callable[[], Any]] = {
        "dpsgd": lambda: train_local(network, own, labels, in_order, private, ROWS, _GivenBatches(sizes)),
        "plain": lambda: train_without_privacy(network, own, labels, in_order, plain, ROWS, _GivenBatches(sizes)),
        "dpsgd_with_sampling": lambda: train_local(
            network, features, target, rows, private, ROWS, OperatingSystemNoise()
        ),
        "opacus_ghost": lambda: _train_with_opacus_ghost(_module(network), gathered, expected_batch),
        "opacus_default": lambda: _train_with_opacus(_module(network), gathered, expected_batch),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(REPEATS):
            for name, loop in loops.items():
                started = process_time()
                loop()
                seconds[name].append(process_time() - started)
    return {name: len(drawn) / statistics.median(found) for name, found in seconds.items()}


def _split(values: npt.NDArray[np.float32], sizes: Sequence[int]) -> list[torch.Tensor]:
    return [torch.from_numpy(part) for part in np.split(values, np.cumsum(sizes)[:-1])]


def _module(network: LineNetwork) -> torch.nn.Sequential:
    """Return the same model with the same values as modules of torch."""
    shape, views = network.shape, layer_views(network.shape, network.parameters.clone())
    first, second = torch.nn.Linear(shape.width, shape.hidden), torch.nn.Linear(shape.hidden, 1)
    first.weight.data, first.bias.data = views.weights.t().contiguous(), views.biases
    second.weight.data, second.bias.data = views.out_weights[None].contiguous(), views.out_bias
    return torch.nn.Sequential(first, torch.nn.ReLU(), second)


def _train_with_opacus(
    module: torch.nn.Sequential, batches: Sequence[tuple[torch.Tensor, torch.Tensor]], expected_batch: int
) -> None:
    """Train with Opacus as its documentation does: a hook keeps every person's gradient."""
    wrapped = GradSampleModule(module)
    optimiser = DPOptimizer(
        torch.optim.SGD(wrapped.parameters(), lr=LEARNING_RATE),
        noise_multiplier=NOISE_MULTIPLIER,
        max_grad_norm=CLIP_NORM,
        expected_batch_size=expected_batch,
    )
    criterion = _LogLoss()
    for people, target in batches:
        optimiser.zero_grad()
        criterion(wrapped(people)[:, 0], target).backward()
        optimiser.step()


def _train_with_opacus_ghost(
    module: torch.nn.Sequential, batches: Sequence[tuple[torch.Tensor, torch.Tensor]], expected_batch: int
) -> None:
    """Train with Opacus' ghost clipping: norms first, then one weighted backward pass."""
    wrapped = GradSampleModuleFastGradientClipping(module, max_grad_norm=CLIP_NORM, use_ghost_clipping=True)
    optimiser = DPOptimizerFastGradientClipping(
        torch.optim.SGD(wrapped.parameters(), lr=LEARNING_RATE),
        noise_multiplier=NOISE_MULTIPLIER,
        max_grad_norm=CLIP_NORM,
        expected_batch_size=expected_batch,
    )
    criterion = DPLossFastGradientClipping(wrapped, optimiser, _LogLoss())
    for people, target in batches:
        optimiser.zero_grad()
        criterion(wrapped(people)[:, 0], target).backward()
        optimiser.step()
