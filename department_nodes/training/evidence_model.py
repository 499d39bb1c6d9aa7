"""The evidence model of one department: need, estimated from its own columns and one randomised bit per household.

The bits are debiased before they come here (`ỹ = (bit − (1−p))/(2p−1)`), so the gradient of the log loss in
the logit, `σ(f) − ỹ`, is unbiased for the gradient with the true label; whatever is computed from it is post-processing of the
label release and costs no further ε, however many epochs or members are trained. The model stays at its node.

Pure: numpy arrays in and out; no files, no database, no Flower. The format of a stored model is raw arrays, never pickle.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from crypto.errors import DoudiError
from department_nodes.evidence.levels import base_rate_logit
from department_nodes.training.network import EnsembleNetwork, NetworkShape

__all__ = ["EvidenceModel", "TrainingSettings", "train_evidence_model"]

Float32Array = npt.NDArray[np.float32]

_FORMAT_VERSION = 1
_HEADER = struct.Struct("<BIII")  # format version, width, members, hidden units per member
_LARGEST_DIMENSION = 1 << 16
_PREDICT_ROWS = 8192
_SMALLEST_BATCH, _LARGE_REGION_BATCH, _LARGE_REGION_ROWS = 512, 1024, 50_000
_ADAM_VARIANCE_DECAY, _ADAM_EPSILON = 0.999, 1e-8


@dataclass(frozen=True)
class TrainingSettings:
    """How an evidence model is trained; the defaults are the measured ones of the demo.

    `members` networks start from different weights, see the same batches and are averaged: against label noise that is
    the cheapest regulariser, since all members share one matrix product. `batch_size` None means 512 rows, and 1024 from
    50,000 training rows. `seed` orders rows and draws first weights. It protects nothing: all privacy of the run lies in
    the randomised bits, and a known seed makes a training reproducible for the node's own officers.
    """

    hidden: int = 32
    members: int = 4
    epochs: int = 12
    learning_rate: float = 3e-3
    weight_decay: float = 6e-3
    batch_size: int | None = None
    seed: int = 1

    def batch_rows(self, train_rows: int) -> int:
        """Return the rows per step for a department with `train_rows` training rows."""
        if self.batch_size is not None:
            return self.batch_size
        return _LARGE_REGION_BATCH if train_rows >= _LARGE_REGION_ROWS else _SMALLEST_BATCH


@dataclass(frozen=True)
class EvidenceModel:
    """A trained evidence model: the mean logit of its members."""

    network: EnsembleNetwork

    def predict(self, features: Float32Array) -> Float32Array:
        """Return f(x), the logit of need: float32 [people].

        `features`: float32 [people, width] as encoded by the published data standard.
        Raises `DoudiError` `training.wrong_width` when the width is not that of the training.
        """
        people = _checked_features(features, self.network.shape.width)
        evidence = np.empty(len(features), np.float32)
        for start in range(0, len(features), _PREDICT_ROWS):
            # Batches keep the hidden layer small: the whole region at once would need as much memory as its features.
            batch = people[start : start + _PREDICT_ROWS]
            evidence[start : start + _PREDICT_ROWS] = self.network.logits(batch).mean(1).numpy()
        return evidence

    def to_bytes(self) -> bytes:
        """Return the stored form: version byte, three dimensions, then all parameters as little-endian float32."""
        shape = self.network.shape
        header = _HEADER.pack(_FORMAT_VERSION, shape.width, shape.members, shape.hidden)
        return header + self.network.parameters.numpy().astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "EvidenceModel":
        """Return the model that `to_bytes` stored.

        Raises `DoudiError` `training.malformed_model` for an unknown version, a wrong length or a value that is not finite.
        """
        if len(data) < _HEADER.size or data[0] != _FORMAT_VERSION:
            raise _malformed_model(f"expected format version {_FORMAT_VERSION}")
        _, width, members, hidden = _HEADER.unpack_from(data)
        if not all(1 <= dimension <= _LARGEST_DIMENSION for dimension in (width, members, hidden)):
            raise _malformed_model("a dimension is out of range")
        shape = NetworkShape(width=width, members=members, hidden=hidden)
        if len(data) != _HEADER.size + 4 * shape.parameters:
            raise _malformed_model(f"expected {_HEADER.size + 4 * shape.parameters} bytes, got {len(data)}")
        parameters = np.frombuffer(data, "<f4", offset=_HEADER.size).astype(np.float32)
        if not np.isfinite(parameters).all():
            raise _malformed_model("a parameter is not finite")
        return cls(EnsembleNetwork(shape, torch.from_numpy(parameters)))


def train_evidence_model(
    features: Float32Array,
    target: Float32Array,
    train_rows: npt.NDArray[np.int64],
    settings: TrainingSettings = TrainingSettings(),
    on_progress: Callable[[int, int], None] | None = None,
    offset: Float32Array | None = None,
) -> EvidenceModel:
    """Return the evidence model trained on `train_rows` only; held-out rows are never read.

    `features`: float32 [people, width]. `target`: float32 [people], the debiased bit of each person's household, for
    example −0.58 or 1.58 at ε = 1; only its `train_rows` need be finite. `train_rows`: int64 [n], indices into both.
    `offset`: float32 [people], logits of a model to start from: the trained model is what is to be added to them, nothing at
    first. `on_progress` is called with (epochs done, epochs) after each epoch. Rows are gathered batch by batch into one
    buffer: the features are never copied as a whole.

    Raises `DoudiError` `training.no_rows`, `training.wrong_width`, `training.wrong_length` or `training.diverged`.
    """
    people = _checked_features(features, features.shape[1] if features.ndim == 2 else 0)
    if len(train_rows) == 0:
        raise DoudiError("training.no_rows", "no training rows", "Check that the extract covers the granted region.")
    if len(target) != len(features) or train_rows.min() < 0 or train_rows.max() >= len(features):
        raise DoudiError("training.wrong_length", f"{len(features)} rows of features, {len(target)} targets")
    generator = torch.Generator().manual_seed(settings.seed)
    shape = NetworkShape(width=features.shape[1], members=settings.members, hidden=settings.hidden)
    base = base_rate_logit(float(target[train_rows].mean(dtype=np.float64))) if offset is None else 0.0
    network = EnsembleNetwork.initial(shape, generator, base)
    if offset is not None:
        network.silence()
    start = None if offset is None else torch.from_numpy(offset)
    rows = torch.from_numpy(train_rows)
    _descend(network, people, torch.from_numpy(target), rows, settings, generator, on_progress, start)
    if not bool(torch.isfinite(network.parameters).all()):
        raise DoudiError(
            "training.diverged", "the evidence model is not finite", "Check the extract with `doudi node check`."
        )
    return EvidenceModel(network)


def _descend(
    network: EnsembleNetwork,
    people: torch.Tensor,
    target: torch.Tensor,
    train_rows: torch.Tensor,
    settings: TrainingSettings,
    generator: torch.Generator,
    on_progress: Callable[[int, int], None] | None,
    offset: torch.Tensor | None,
) -> None:
    """Run Adam (Kingma and Ba 2015) under the one-cycle schedule (Smith 2018) on the network, in place."""
    batch = min(settings.batch_rows(len(train_rows)), len(train_rows))
    batches = max(1, round(len(train_rows) / batch))
    steps = settings.epochs * batches
    parameters = network.parameters
    gradient, momentum, variance, denominator = (torch.zeros_like(parameters) for _ in range(4))
    # Adam's bias correction of a momentum that changes every step is one minus the product of its decays.
    step, momentum_product, variance_product = 0, 1.0, 1.0
    for epoch in range(settings.epochs):
        order = train_rows[torch.randperm(len(train_rows), generator=generator)]
        for rows in torch.tensor_split(order, batches):
            start = None if offset is None else offset.index_select(0, rows)
            network.gradient(people.index_select(0, rows), target.index_select(0, rows), gradient, start)
            learning_rate, momentum_decay = _one_cycle(step, steps, settings.learning_rate)
            gradient.add_(parameters, alpha=settings.weight_decay)
            momentum.lerp_(gradient, 1 - momentum_decay)
            variance.mul_(_ADAM_VARIANCE_DECAY).addcmul_(gradient, gradient, value=1 - _ADAM_VARIANCE_DECAY)
            momentum_product *= momentum_decay
            variance_product *= _ADAM_VARIANCE_DECAY
            torch.sqrt(variance, out=denominator)
            denominator.mul_(1 / math.sqrt(1 - variance_product)).add_(_ADAM_EPSILON)
            parameters.addcdiv_(momentum, denominator, value=-learning_rate / (1 - momentum_product))
            step += 1
        if on_progress is not None:
            on_progress(epoch + 1, settings.epochs)


def _one_cycle(step: int, steps: int, highest_rate: float) -> tuple[float, float]:
    """Return learning rate and momentum decay: cosine up from 1/25 for 30 % of the steps, then cosine down to nothing.

    The momentum decay moves the other way between 0.95 and 0.85, as in torch.optim.lr_scheduler.OneCycleLR.
    """
    rise = max(1.0, 0.3 * steps - 1)
    if step <= rise:
        height = 0.5 - 0.5 * math.cos(math.pi * step / rise)
        return highest_rate * (0.04 + 0.96 * height), 0.95 - 0.1 * height
    height = 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - rise) / max(1.0, steps - 1 - rise)))
    return highest_rate * max(height, 4e-6), 0.95 - 0.1 * height


def _checked_features(features: Float32Array, width: int) -> torch.Tensor:
    if features.ndim != 2 or features.dtype != np.float32 or features.shape[1] != width or width == 0:
        raise DoudiError(
            "training.wrong_width",
            f"features are {features.dtype} {features.shape}, expected float32 with {width} columns",
            "Encode the extract with the data standard that the grant names.",
        )
    return torch.from_numpy(features)


def _malformed_model(reason: str) -> DoudiError:
    return DoudiError("training.malformed_model", f"stored evidence model: {reason}", "Train the model again.")
