"""The line's perceptron: the same start everywhere, and a stored form that refuses what is malformed."""

import math
import struct

import numpy as np
import pytest
import torch

from crypto.errors import DoudiError
from department_nodes.training.line_model import LineNetwork, LineShape

SHAPE = LineShape(width=7, hidden=5)


def network(seed: bytes = b"seed", base_rate_logit: float = -1.0) -> LineNetwork:
    return LineNetwork.initial(SHAPE, seed, base_rate_logit)


def equivalent_module(line: LineNetwork) -> torch.nn.Sequential:
    first, second = torch.nn.Linear(SHAPE.width, SHAPE.hidden), torch.nn.Linear(SHAPE.hidden, 1)
    weights, biases, out_weights, out_bias = torch.split(line.parameters, [35, 5, 5, 1])
    first.weight.data, first.bias.data = weights.view(7, 5).t().contiguous(), biases
    second.weight.data, second.bias.data = out_weights.view(1, 5), out_bias
    return torch.nn.Sequential(first, torch.nn.ReLU(), second)


def test_the_logits_are_those_of_the_same_torch_module() -> None:
    people = torch.randn(9, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network().logits(people), equivalent_module(network())(people)[:, 0])
    assert SHAPE.parameters == len(network().parameters) == 46


def test_the_first_values_are_the_same_on_every_platform() -> None:
    # Recorded bits: a platform or a version that derives others would start another line.
    assert network(b"doudi", 0.0).digest() == "418450467c5c723059b287b48b2571db47527a443b9d6471381ce5ab26255ff9"


def test_seed_and_shape_both_decide_the_first_values() -> None:
    others = [network(b"other"), LineNetwork.initial(LineShape(5, 7), b"seed", -1.0)]
    assert all(not np.array_equal(network().parameters[:30], other.parameters[:30]) for other in others)


def test_the_first_values_fill_the_range_of_their_layer() -> None:
    wide = LineNetwork.initial(LineShape(width=100, hidden=64), b"seed").parameters.numpy()
    weights, out_weights = wide[:6400], wide[6464:-1]
    # A uniform value lies within 1 % of its bound with chance 0.01: none of 6400 does with chance 1e-28.
    assert 0.99 < np.abs(weights).max() * 10 <= 1
    assert abs(weights.mean()) < 5 * 0.1 / math.sqrt(3 * 6400)
    assert np.abs(out_weights).max() <= 1 / 8
    assert wide[-1] == 0.0


def test_a_stored_model_comes_back_bit_by_bit() -> None:
    stored = network().to_bytes()
    assert LineNetwork.from_bytes(stored).to_bytes() == stored
    assert LineNetwork.from_bytes(stored).digest() == network().digest()
    assert LineNetwork.from_bytes(stored).shape == SHAPE


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: b"\x02" + data[1:],
        lambda data: data[:-1],
        lambda data: data + b"\x00",
        lambda data: data[:1] + struct.pack("<II", 0, 5) + data[9:],
        lambda data: data[:1] + struct.pack("<II", 1 << 16, 1 << 16) + data[9:],
        lambda data: data[:-4] + struct.pack("<f", math.nan),
        lambda data: data[:-4] + struct.pack("<f", math.inf),
    ],
    ids=["empty", "version", "short", "long", "no width", "huge", "nan", "infinite"],
)
def test_malformed_bytes_are_refused(change: object) -> None:
    with pytest.raises(DoudiError) as caught:
        LineNetwork.from_bytes(change(network().to_bytes()))  # type: ignore[operator]
    assert caught.value.code == "line.malformed_model"


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(DoudiError, match=r"line\.malformed_model"):
        LineNetwork(SHAPE, torch.zeros(45))
