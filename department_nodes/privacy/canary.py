"""An audit of the private training by one run: how much privacy loss an attacker can prove, beside what is accounted.

Steinke, Nasr, Jagielski 2023, "Privacy Auditing with One (1) Training Run" (arXiv:2305.08846). Canaries are made-up people, each
in the training data with probability ½; an attacker who sees the model guesses which. Under (ε, δ)-differential privacy too
many right guesses are unlikely, so they give a lower bound on ε. A bound above the accounted ε proves a defect; one below it
proves nothing but that this attack found none. For tests and officers, never part of a run.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import binom

from crypto.errors import DoudiError
from department_nodes.privacy.accountant import epsilon
from department_nodes.privacy.mechanisms import GaussianSteps
from department_nodes.privacy.randomness import NoiseSource
from department_nodes.training.dp_sgd import DpSgdSpec, train_local
from department_nodes.training.line_model import LineNetwork, LineShape, layer_views

__all__ = ["AuditResult", "Trainer", "audit_line_training", "epsilon_lower_bound"]

Float32Array = npt.NDArray[np.float32]
# What trains: network, features, target, rows, public number of rows, source; returns the change of the parameters.
Trainer = Callable[
    [LineNetwork, Float32Array, Float32Array, npt.NDArray[np.int64], int, NoiseSource], npt.NDArray[np.float32]
]

_ORDINARY_COLUMNS, _HIDDEN = 20, 16
# A canary is alone in its column and far outside its label, so that its gradient is clipped in every step.
_CANARY_VALUE, _CANARY_TARGET = 100.0, 1000.0
_LARGEST_BOUND = 60.0


@dataclass(frozen=True)
class AuditResult:
    """What one audit found: guesses, how many were right, the ε that is proven at `confidence`, the ε that is accounted."""

    canaries: int
    guesses: int
    correct: int
    confidence: float
    epsilon_lower_bound: float
    epsilon_accounted: float


def epsilon_lower_bound(correct: int, guesses: int, canaries: int, delta: float, confidence: float = 0.95) -> float:
    """Return the ε that the guesses disprove: with `confidence`, the training is not (ε', δ)-private for any smaller ε'.

    Theorem 5.2: under (ε, δ)-privacy P(correct ≥ v) <= β + 2mδ·α with β = P(Binomial(r, e^ε/(1+e^ε)) ≥ v), α the largest
    P(v > Binomial ≥ v−i)/i over i, m `canaries`, r `guesses` of them (others are abstained from), v `correct`.
    Raises `DoudiError` `privacy.bad_audit` unless 0 <= correct <= guesses <= canaries.
    """
    if not (0 <= correct <= guesses <= canaries and 0 <= delta < 1 and 0 < confidence < 1):
        raise DoudiError(
            "privacy.bad_audit", "there are at most as many right guesses as guesses, and these as canaries"
        )
    lower, upper = 0.0, _LARGEST_BOUND
    if _chance(correct, guesses, canaries, lower, delta) >= 1 - confidence:
        return 0.0
    while upper - lower > 1e-6:
        middle = (lower + upper) / 2
        if _chance(correct, guesses, canaries, middle, delta) < 1 - confidence:
            lower = middle
        else:
            upper = middle
    return lower


def audit_line_training(
    spec: DpSgdSpec,
    rounds: int,
    source: NoiseSource,
    delta: float = 1e-6,
    canaries: int = 1000,
    people: int = 500,
    train: Trainer | None = None,
    confidence: float = 0.95,
) -> AuditResult:
    """Return what an attacker proves who sees every model of `rounds` rounds of training with `spec`.

    Canaries are mislabelled outliers: each has a column of its own, so the change of that column's weights along its gradient
    tells it apart (white box, the strongest attack that the paper measures). A quarter of them is guessed on: those with the
    highest scores are said to be in, as many with the lowest out. `train` is what is audited; by default `train_local`.
    About a second for 100 steps over all rows. Seeded sources repeat an audit.
    """
    network, features, target = _population(source, canaries, people)
    included = source.poisson_sample(canaries, 0.5)
    rows = np.concatenate([included, np.arange(canaries, canaries + people)])
    start = network.parameters.clone()
    for _ in range(rounds):
        if train is None:
            change = train_local(network, features, target, rows, spec, len(features), source)
        else:
            change = train(network, features, target, rows, len(features), source)
        network.parameters += torch.from_numpy(change)
    scores = _scores(LineNetwork(network.shape, start), network, target, canaries)
    guesses = canaries // 8 * 2
    order = np.argsort(scores)
    is_in = np.zeros(canaries, np.bool_)
    is_in[included] = True
    correct = int(is_in[order[-(guesses // 2) :]].sum() + (~is_in[order[: guesses // 2]]).sum())
    return AuditResult(
        canaries=canaries,
        guesses=guesses,
        correct=correct,
        confidence=confidence,
        epsilon_lower_bound=epsilon_lower_bound(correct, guesses, canaries, delta, confidence),
        epsilon_accounted=epsilon([GaussianSteps(spec.noise_multiplier, spec.sample_rate, spec.steps * rounds)], delta),
    )


def _population(source: NoiseSource, canaries: int, people: int) -> tuple[LineNetwork, Float32Array, Float32Array]:
    """Return an untrained network, features [canaries + people, width] and targets: canaries first."""
    shape = LineShape(width=_ORDINARY_COLUMNS + canaries, hidden=_HIDDEN)
    features = np.zeros((canaries + people, shape.width), np.float32)
    columns = np.arange(canaries)
    features[columns, _ORDINARY_COLUMNS + columns] = _CANARY_VALUE
    ordinary = source.gaussian(people * _ORDINARY_COLUMNS).reshape(people, _ORDINARY_COLUMNS)
    features[canaries:, :_ORDINARY_COLUMNS] = ordinary
    target = np.empty(canaries + people, np.float32)
    # Signs alternate, so that canaries do not push the shared output bias all one way.
    target[:canaries] = np.where(columns % 2, _CANARY_TARGET, -_CANARY_TARGET)
    target[canaries:] = np.where(ordinary[:, 0] > 0, 1.58, -0.58)
    return LineNetwork.initial(shape, b"audit"), features, target


def _scores(start: LineNetwork, final: LineNetwork, target: Float32Array, canaries: int) -> npt.NDArray[np.float64]:
    """Return how far the weights of each canary's column moved along the canary's own step, float64 [canaries]."""
    before, after = layer_views(start.shape, start.parameters), layer_views(final.shape, final.parameters)
    own = slice(_ORDINARY_COLUMNS, _ORDINARY_COLUMNS + canaries)
    active = (_CANARY_VALUE * before.weights[own] + before.biases) > 0
    # The step lowers the loss: towards the target's sign along the output weights of the active units.
    direction = (active * before.out_weights).double().numpy() * np.sign(target[:canaries, None])
    length = np.linalg.norm(direction, axis=1)
    moved = (after.weights[own] - before.weights[own]).double().numpy()
    scores: npt.NDArray[np.float64] = (moved * direction).sum(1) / np.maximum(length, 1e-12)
    return scores


def _chance(correct: int, guesses: int, canaries: int, value: float, delta: float) -> float:
    """Return the highest chance of at least `correct` right guesses under (`value`, δ)-privacy."""
    right = 1 / (1 + math.exp(-value))
    beta = float(binom.sf(correct - 1, guesses, right))
    if correct == 0 or delta == 0:
        return min(1.0, beta)
    below = np.cumsum(binom.pmf(np.arange(correct - 1, -1, -1), guesses, right))
    alpha = float((below / np.arange(1, correct + 1)).max())
    return min(1.0, beta + 2 * canaries * delta * alpha)
