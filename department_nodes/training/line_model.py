"""The model of a line: one two-layer perceptron over one flat vector, the same in every region of the line.

Flat, because a line sums, masks and noises vectors: [weights (width × hidden) | biases | output weights | output bias]. Its first
values are derived from a published seed and not sent, so nobody can choose them for the others. Pure: torch, numpy, hashlib.
"""

import hashlib
import math
import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from crypto.errors import DoudiError

__all__ = ["LayerViews", "LineNetwork", "LineShape", "layer_views"]

_FORMAT_VERSION = 1
_HEADER = struct.Struct("<BII")  # format version, width, hidden units
_LARGEST_DIMENSION = 1 << 16
_LARGEST_PARAMETERS = 1 << 24
_INITIAL_VALUES = b"doudi-line-initial-values\x01"
_VALUE_BITS = 24  # as many as a float32 holds exactly


@dataclass(frozen=True)
class LineShape:
    """Dimensions: `width` inputs, `hidden` rectified units, one logit. Raises `line.malformed_model` when out of range."""

    width: int
    hidden: int

    def __post_init__(self) -> None:
        in_range = all(1 <= dimension <= _LARGEST_DIMENSION for dimension in (self.width, self.hidden))
        if not in_range or self.parameters > _LARGEST_PARAMETERS:
            raise _malformed_model("a dimension is out of range")

    @property
    def parameters(self) -> int:
        """Length of the flat vector."""
        return self.hidden * (self.width + 2) + 1


class LayerViews(NamedTuple):
    """The parts of a flat vector, sharing its memory: [width, hidden], [hidden], [hidden], [1]."""

    weights: torch.Tensor
    biases: torch.Tensor
    out_weights: torch.Tensor
    out_bias: torch.Tensor


def layer_views(shape: LineShape, vector: torch.Tensor) -> LayerViews:
    """Return the parts of `vector` [parameters]: of a network, or of a gradient of it."""
    sizes = (shape.width * shape.hidden, shape.hidden, shape.hidden, 1)
    weights, biases, out_weights, out_bias = torch.split_with_sizes(vector, sizes)
    return LayerViews(weights.view(shape.width, shape.hidden), biases, out_weights, out_bias)


class LineNetwork:
    """A perceptron over `parameters`, one flat float32 vector that it does not copy."""

    def __init__(self, shape: LineShape, parameters: torch.Tensor) -> None:
        if parameters.dtype != torch.float32 or parameters.shape != (shape.parameters,):
            raise _malformed_model(f"expected {shape.parameters} float32 parameters")
        self.shape = shape
        self.parameters = parameters

    @classmethod
    def initial(cls, shape: LineShape, seed: bytes, base_rate_logit: float = 0.0) -> "LineNetwork":
        """Return the untrained network of a published seed: the same bits on every platform.

        Weights and biases are uniform within ±1/sqrt(inputs) of their layer, as torch.nn.Linear; the output bias is
        `base_rate_logit`. Each value is one of 2^24 equal steps, from SHAKE-256 of seed and shape. The seed is public and
        protects nothing: the start of a line says nothing about anybody.
        """
        first, output = shape.hidden * (shape.width + 1), shape.hidden
        dimensions = struct.pack("<II", shape.width, shape.hidden)
        stream = hashlib.shake_256(_INITIAL_VALUES + dimensions + seed).digest(4 * (first + output))
        steps = np.frombuffer(stream, "<u4").astype(np.int64) >> (32 - _VALUE_BITS)
        # Odd numbers over a power of two are exact in float64, so that only the last product and the cast round: IEEE 754
        # defines both, which no platform's uniform() promises.
        unit = (2 * steps + 1 - 2**_VALUE_BITS) / 2.0**_VALUE_BITS
        values = np.empty(shape.parameters, np.float32)
        values[:first] = unit[:first] * (1 / math.sqrt(shape.width))
        values[first:-1] = unit[first:] * (1 / math.sqrt(shape.hidden))
        values[-1] = base_rate_logit
        return cls(shape, torch.from_numpy(values))

    def logits(self, people: torch.Tensor) -> torch.Tensor:
        """Return the logit of need: float32 [people], for `people` float32 [people, width]."""
        views = layer_views(self.shape, self.parameters)
        hidden = torch.addmm(views.biases, people, views.weights).relu_()
        return torch.mv(hidden, views.out_weights).add_(views.out_bias)

    def to_bytes(self) -> bytes:
        """Return the stored form: version byte, two dimensions, then all parameters as little-endian float32."""
        header = _HEADER.pack(_FORMAT_VERSION, self.shape.width, self.shape.hidden)
        return header + self.parameters.detach().numpy().astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "LineNetwork":
        """Return the network in untrusted bytes.

        Raises `DoudiError` `line.malformed_model` for an unknown version, a wrong length or a value that is not finite.
        """
        if len(data) < _HEADER.size or data[0] != _FORMAT_VERSION:
            raise _malformed_model(f"expected format version {_FORMAT_VERSION}")
        _, width, hidden = _HEADER.unpack_from(data)
        shape = LineShape(width=width, hidden=hidden)
        if len(data) != _HEADER.size + 4 * shape.parameters:
            raise _malformed_model(f"expected {_HEADER.size + 4 * shape.parameters} bytes, got {len(data)}")
        parameters = np.frombuffer(data, "<f4", offset=_HEADER.size).astype(np.float32)
        if not np.isfinite(parameters).all():
            raise _malformed_model("a parameter is not finite")
        return cls(shape, torch.from_numpy(parameters))

    def digest(self) -> str:
        """Return SHA-256 over `to_bytes`, as 64 hex characters."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def _malformed_model(reason: str) -> DoudiError:
    return DoudiError("line.malformed_model", f"line model: {reason}", "Stop the run and ask the centre.")
