"""Private training of a line's model: clipped per-person gradients, summed and noised (DP-SGD, Abadi et al. 2016).

Privacy unit: one person, that is one row of the department's training rows. Neighbouring relation: one row added or removed; the
number of rows in a batch is never used, divisions are by numbers that the offer made public. Sensitivity: each person's gradient
is scaled to an L2 norm of at most C over all parameters, so one person moves a sum by at most C. Protected: each person of this
department, from everybody who sees updates, sums or models. Not protected here: the household's bit, which the label release
protects under its own ε.

The gradient of a two-layer network is a product of vectors, so its norm is known in closed form from what the forward pass has
anyway, and clipped gradients are summed in two matrix products: no gradient of a single person is ever formed. Tests compare
with per-person autograd and with the ghost clipping of Opacus 1.6, which is the oracle (arXiv:2110.05679 for the idea).

What floating point costs. Gradients are float32 and the `local` noise is a float64 approximation of a normal distribution, so the
mechanism is not the one over the reals that the accountant composes: the lowest bits of a noised number can say more than its
value (Mironov 2012; Jin et al. 2022, arXiv:2112.05307), and rounding can put the step of one person above C, which noise for
C·(1 + 2^-8) covers as far as was measured. What
mitigates: noise is added in float64 before anything is rounded; what leaves is what K noised steps changed of the model, rounded
to fixed point and summed under masks (with K = 1 that is one noised sum). The `distributed` placement has no such gap: its
noise is exact, on integers.
Time is not hidden: the sizes of batches show in it. Pure: torch and numpy.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from crypto.errors import DoudiError
from department_nodes.privacy.randomness import NoiseSource
from department_nodes.training.line_model import LayerViews, LineNetwork, layer_views

__all__ = ["DpSgdSpec", "PlainSgdSpec", "clipped_gradient_sum", "train_local", "train_without_privacy"]

Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]

# How many people a sum in float64 is accounted for; see `clipped_gradient_sum`.
LARGEST_EXACT_ROWS = 4_000_000
# A batch of at most this many rows is one matrix product; larger ones are summed part by part, the parts in float64.
_CHUNK_ROWS = 2560
# Noise for a sensitivity of C·(1 + 2^-8): what float32 sums of two neighbouring batches may differ by beyond C. Measured up to
# 1.5 million rows under a hostile model; a worst case over all inputs is not proven.
_FLOAT32_SLACK = 2.0**-8
_EXACT_CHUNK_ROWS = 1024
# Encoded features lie within ±10 and debiased bits within ±1000 down to ε = 0.001: what is beyond is not an encoding.
_LARGEST_INPUT = 1e6
_LARGEST_HIDDEN = 1e12


@dataclass(frozen=True)
class DpSgdSpec:
    """One round of private training at a node.

    `clip_norm`: C, L2 over all parameters. `noise_multiplier`: σ as a multiple of C, per step. `sample_rate`: q, of each row in
    each step. Raises `privacy.bad_spec` unless all are positive and finite: there is no value that means "no privacy".
    """

    clip_norm: float
    noise_multiplier: float
    sample_rate: float
    steps: int
    learning_rate: float

    def __post_init__(self) -> None:
        _require_schedule(self.sample_rate, self.steps, self.learning_rate)
        if not (0 < self.clip_norm < math.inf and 0 < self.noise_multiplier < math.inf):
            raise DoudiError("privacy.bad_spec", "clip norm and noise multiplier are positive and finite")


@dataclass(frozen=True)
class PlainSgdSpec:
    """Training without privacy, for benchmarks and audits. Raises `privacy.bad_spec`."""

    sample_rate: float
    steps: int
    learning_rate: float

    def __post_init__(self) -> None:
        _require_schedule(self.sample_rate, self.steps, self.learning_rate)


def train_local(
    network: LineNetwork,
    features: Float32Array,
    target: Float32Array,
    rows: Int64Array,
    spec: DpSgdSpec,
    public_rows: int,
    source: NoiseSource,
    on_step: Callable[[int, int], None] | None = None,
) -> Float32Array:
    """Return what `spec.steps` private steps change of the parameters, float32 [parameters]; the network stays as it is.

    Each step draws every training row with probability q, sums the clipped gradients, adds N(0, (σC)²) to each coordinate and
    moves against the sum divided by q·`public_rows`. Guarantee: (ε, δ)-differential privacy as the accountant composes
    `GaussianSteps(noise_multiplier, sample_rate, steps)`; unit, neighbouring relation and limits are in the module's text.

    `features`: float32 [people, width]. `target`: float32 [people], debiased bits, so possibly outside 0 to 1; only its `rows`
    need be finite. `rows`: int64, training rows, each at most once. `public_rows`: the offer's number of people.
    `on_step` is called with (steps done, steps); it must not act on anything but these numbers.

    Raises `DoudiError` `training.wrong_width`, `training.wrong_length`, `training.not_finite`, `training.diverged`.
    """
    data = _checked(network, features, target, rows, public_rows)
    trained = LineNetwork(network.shape, network.parameters.clone())
    summed = torch.empty_like(trained.parameters)
    views, into = layer_views(network.shape, trained.parameters), layer_views(network.shape, summed)
    values = trained.parameters.numpy()
    deviation = spec.noise_multiplier * spec.clip_norm * (1 + _FLOAT32_SLACK)
    rate = spec.learning_rate / (spec.sample_rate * public_rows)
    for step, batch in enumerate(_poisson_batches(data, spec.sample_rate, spec.steps, source), start=1):
        # The noise is added in float64 before anything of the sum is rounded.
        noised = source.gaussian(len(values))
        noised *= deviation
        for people, labels in batch:
            summed.zero_()
            _add_clipped_gradients(views, people, labels, spec.clip_norm, into)
            noised += summed.numpy()
        noised *= -rate
        values += noised.astype(np.float32)
        if on_step is not None:
            on_step(step, spec.steps)
    return _delta(trained, network)


def clipped_gradient_sum(
    network: LineNetwork, features: Float32Array, target: Float32Array, rows: Int64Array, clip_norm: float
) -> npt.NDArray[np.float64]:
    """Return the sum of clipped per-person gradients over all `rows`, float64 [parameters]. Not private: noise is added next.

    For the `distributed` placement, which scales it, rounds it and adds exact integer noise. Products are float64, sums go over
    1024 rows and are compensated between them (Kahan): up to 4 million people, the computed sums of two neighbouring
    sets of rows differ by at most C·(1 + 10^-6) in L2, which `mechanisms.distributed_terms` accounts.

    Raises as `train_local`, and `privacy.too_many_rows` above 4 million.
    """
    if not 0 < clip_norm < math.inf:
        raise DoudiError("privacy.bad_spec", "the clip norm is positive and finite")
    if len(rows) > LARGEST_EXACT_ROWS:
        raise DoudiError("privacy.too_many_rows", f"sums are accounted for up to {LARGEST_EXACT_ROWS} rows")
    data = _checked(network, features, target, rows, max(1, len(rows)))
    shape = network.shape
    exact = layer_views(shape, network.parameters.double())
    total, lost, part = (torch.zeros(shape.parameters, dtype=torch.float64) for _ in range(3))
    into = layer_views(shape, part)
    for people, labels in _chunks(data, data.rows, _room(data, _EXACT_CHUNK_ROWS)):
        part.zero_()
        _add_clipped_gradients(exact, people.double(), labels.double(), clip_norm, into)
        part.sub_(lost)
        grown = total + part
        lost = (grown - total).sub_(part)
        total = grown
    return total.numpy()


def train_without_privacy(
    network: LineNetwork,
    features: Float32Array,
    target: Float32Array,
    rows: Int64Array,
    spec: PlainSgdSpec,
    public_rows: int,
    source: NoiseSource,
) -> Float32Array:
    """Return what the same training changes without clipping and without noise, float32 [parameters]. PROTECTS NOBODY.

    For benchmarks, and as the audit's proof that it would notice. Arguments and errors as `train_local`.
    """
    data = _checked(network, features, target, rows, public_rows)
    trained = LineNetwork(network.shape, network.parameters.clone())
    summed = torch.empty_like(trained.parameters)
    views, into = layer_views(network.shape, trained.parameters), layer_views(network.shape, summed)
    rate = spec.learning_rate / (spec.sample_rate * public_rows)
    for batch in _poisson_batches(data, spec.sample_rate, spec.steps, source):
        summed.zero_()
        for people, labels in batch:
            hidden, logits = _forward(views, people)
            error = torch.sigmoid_(logits).sub_(labels)
            _add_gradients(people, hidden, _active_weights(views, hidden), error, into)
        trained.parameters.add_(summed, alpha=-rate)
    return _delta(trained, network)


@dataclass(frozen=True)
class _Data:
    people: torch.Tensor
    target: torch.Tensor
    rows: torch.Tensor


_Batch = Iterator[tuple[torch.Tensor, torch.Tensor]]


def _poisson_batches(data: _Data, rate: float, steps: int, source: NoiseSource) -> Iterator[_Batch]:
    """Yield each step's batch as chunks of gathered rows. A batch may be empty: then it has no chunks."""
    room = _room(data, _CHUNK_ROWS)
    for _ in range(steps):
        drawn = torch.from_numpy(source.poisson_sample(len(data.rows), rate))
        yield _chunks(data, data.rows.index_select(0, drawn), room)


def _chunks(data: _Data, rows: torch.Tensor, room: tuple[torch.Tensor, torch.Tensor]) -> _Batch:
    """Yield people and targets of `rows`, as many as there is room for; each chunk overwrites the one before."""
    largest = room[0].shape[0]
    for start in range(0, rows.shape[0], largest):
        part = rows[start : start + largest]
        people, target = room[0][: part.shape[0]], room[1][: part.shape[0]]
        torch.index_select(data.people, 0, part, out=people)
        torch.index_select(data.target, 0, part, out=target)
        yield people, target


def _room(data: _Data, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return memory for one chunk, used again and again: fresh memory for each batch costs as much as its gradient."""
    largest = max(1, min(rows, len(data.rows)))
    return torch.empty(largest, data.people.shape[1]), torch.empty(largest)


def _add_clipped_gradients(
    views: LayerViews, people: torch.Tensor, target: torch.Tensor, clip_norm: float, into: LayerViews
) -> None:
    """Add to `into` each person's gradient, scaled to an L2 norm of at most `clip_norm`.

    With e the error of the logit, h the hidden values, x the input and v the output weights where h > 0, a person's gradient is
    (x·ev, ev, eh, e), so its squared norm is e²(|h|² + 1 + (|x|² + 1)·|v|²).
    """
    hidden, logits = _forward(views, people)
    error = torch.sigmoid_(logits.nan_to_num_(0.0)).sub_(target)
    back = _active_weights(views, hidden)
    squared = torch.linalg.vector_norm(people, dim=1).square_().add_(1).mul_(torch.linalg.vecdot(back, back))
    squared.add_(torch.linalg.vecdot(hidden, hidden)).add_(1)
    norm = squared.sqrt_().mul_(error.abs())
    # Whatever a model that was sent out does to the numbers, a person adds at most C: a norm that overflowed adds nothing.
    factor = norm.reciprocal_().mul_(clip_norm).clamp_(max=1).nan_to_num_(0.0)
    _add_gradients(people, hidden, back, error.mul_(factor), into)


def _forward(views: LayerViews, people: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return hidden values [people, hidden] and logits [people]."""
    hidden = torch.addmm(views.biases, people, views.weights)
    hidden.nan_to_num_(0.0).clamp_(0, _LARGEST_HIDDEN)
    return hidden, torch.mv(hidden, views.out_weights).add_(views.out_bias)


def _active_weights(views: LayerViews, hidden: torch.Tensor) -> torch.Tensor:
    """Return each person's gradient of the logit in the hidden values, [people, hidden]: the weights of active units."""
    # Hidden values are never negative, so their sign is 1 or 0.
    return hidden.sign().mul_(views.out_weights)


def _add_gradients(
    people: torch.Tensor, hidden: torch.Tensor, back: torch.Tensor, error: torch.Tensor, into: LayerViews
) -> None:
    """Add to `into` the sum of gradients whose errors in the logit are `error` [people]. Overwrites `back`."""
    into.out_bias.add_(error.sum())
    into.out_weights.addmv_(hidden.t(), error)
    back.mul_(error[:, None])
    into.biases.add_(back.sum(0))
    into.weights.addmm_(people.t(), back)


def _checked(
    network: LineNetwork, features: Float32Array, target: Float32Array, rows: Int64Array, public_rows: int
) -> _Data:
    width = network.shape.width
    if features.ndim != 2 or features.dtype != np.float32 or features.shape[1] != width:
        raise DoudiError(
            "training.wrong_width",
            f"features are {features.dtype} {features.shape}, expected float32 with {width} columns",
            "Encode the extract with the data standard that the grant names.",
        )
    in_range = len(rows) == 0 or (rows.min() >= 0 and rows.max() < len(features))
    if target.shape != (len(features),) or rows.dtype != np.int64 or not in_range or public_rows < 1:
        raise DoudiError("training.wrong_length", f"{len(features)} rows of features, {len(target)} targets")
    people, labels, kept = torch.from_numpy(features), torch.from_numpy(target), torch.from_numpy(rows)
    # A comparison with NaN is false, so one test finds what is not finite and what is no encoding.
    for values in (people, labels.index_select(0, kept)):
        if values.numel():
            lowest, highest = torch.aminmax(values)
            if not (float(lowest) >= -_LARGEST_INPUT and float(highest) <= _LARGEST_INPUT):
                raise DoudiError(
                    "training.not_finite",
                    "a feature or a target is not a number within ±10^6",
                    "Check the extract with `doudi node check`.",
                )
    return _Data(people, labels, kept)


def _delta(trained: LineNetwork, network: LineNetwork) -> Float32Array:
    if not bool(torch.isfinite(trained.parameters).all()):
        raise DoudiError("training.diverged", "the line model is not finite", "Lower the learning rate in a new grant.")
    return (trained.parameters - network.parameters).numpy()


def _require_schedule(sample_rate: float, steps: int, learning_rate: float) -> None:
    if not (0 < sample_rate <= 1 and steps >= 1 and 0 < learning_rate < math.inf):
        raise DoudiError("privacy.bad_spec", "a sampling rate, a number of steps or a learning rate is out of range")
