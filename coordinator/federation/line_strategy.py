"""How a line's updates become one model: decoding of the unmasked sum, norm clip, server learning rate and momentum.

Federated averaging (McMahan et al. 2017) with server momentum, FedAvgM (Hsu, Qi, Brown 2019, arXiv:1909.06335): with the
averaged update a, v ← momentum · v + a and model ← model + rate · v. The model is known here only as its offset from the
published initial parameters. Everything here is post-processing of what the nodes made private. Pure: numpy, no storage.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crypto.errors import DoudiError
from crypto.fixed_point import decode_sum
from policies.contracts.line_grant import (
    FRACTION_BITS,
    LARGEST_LINE,
    SHARE_SIGMA_BITS,
    LineAggregation,
    LineGrant,
    distributed_scale,
)

CHECKPOINT_VERSION = 1
# Of 32 nodes' noise together, 40 standard deviations: an honest sum exceeds it with a probability below e^-800.
NOISE_ROOM = 40 * 2**SHARE_SIGMA_BITS * LARGEST_LINE**0.5

Vector = npt.NDArray[np.float64]
Offset = npt.NDArray[np.float32]
Ring = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class ServerState:
    """The model's offset, float32 [parameters], and the momentum's velocity, float64 [parameters]; empty before any round."""

    offset: Offset
    velocity: Vector

    @classmethod
    def initial(cls) -> "ServerState":
        """Return the state before the first round: the published initial model, at rest."""
        return cls(np.zeros(0, np.float32), np.zeros(0))

    def model(self) -> bytes:
        """Return the offset as it is sent: float32, little-endian; nothing for the initial model."""
        return self.offset.astype("<f4").tobytes()


@dataclass(frozen=True)
class Applied:
    """The state after a round, and the L2 norm of its average before the clip."""

    state: ServerState
    norm: float
    clipped: bool


def decode_average(total: Ring, people: int, grant: LineGrant) -> Vector:
    """Return the mean update of a round from the unmasked sum, float64 [parameters].

    `people`: the sum of the survivors' people, from their signed offers. Placement `local`: the mean change of the model,
    weighted by people. Placement `distributed`: the mean negative gradient per person. Raises `line.sum_out_of_range`, when
    honest updates cannot have this sum: masks that do not cancel, or a vector beyond the range.
    """
    if grant.training.placement == "local":
        try:
            return decode_sum(total, people, grant.aggregation.update_range, FRACTION_BITS)
        except DoudiError as error:
            if error.code != "fixed_point.sum_out_of_range":
                raise
            raise _out_of_range() from error
    scale = distributed_scale(grant)
    values = total.view(np.int64).astype(np.float64)
    if values.size and float(np.abs(values).max()) > grant.training.clip_norm * scale * people + NOISE_ROOM:
        raise _out_of_range()
    return values / (scale * people)


def clip_norm(vector: Vector, bound: float) -> tuple[Vector, float]:
    """Return the vector scaled to an L2 norm of at most `bound`, and its norm before."""
    norm = float(np.linalg.norm(vector))
    return (vector * (bound / norm) if norm > bound else vector), norm


def apply_average(state: ServerState, average: Vector, terms: LineAggregation) -> Applied:
    """Return the state after a round with this average, float64 [parameters].

    What the clip bounds: however many nodes lie, one round moves the velocity by at most `update_norm`, and the model by at most
    rate · update_norm / (1 − momentum) over all time. Raises `line.wrong_length` when the average has another length.
    """
    offset, velocity = state.offset, state.velocity
    if not offset.size:
        offset, velocity = np.zeros(average.size, np.float32), np.zeros(average.size)
    if average.shape != offset.shape:
        raise DoudiError("line.wrong_length", "the average has another length than the model")
    clipped, norm = clip_norm(average, terms.update_norm_milli / 1000)
    velocity = terms.server_momentum_milli / 1000 * velocity + clipped
    moved = offset.astype(np.float64) + terms.server_rate_milli / 1000 * velocity
    return Applied(ServerState(moved.astype(np.float32), velocity), norm, clipped is not average)


def pack_checkpoint(state: ServerState, account: Mapping[str, Any]) -> bytes:
    """Return version byte ‖ 4-byte big-endian length ‖ account as JSON ‖ offset, float32 ‖ velocity, float64."""
    text = json.dumps({"parameters": state.offset.size, "account": dict(account)}, sort_keys=True).encode()
    return b"".join(
        [
            bytes([CHECKPOINT_VERSION]),
            struct.pack(">I", len(text)),
            text,
            state.model(),
            state.velocity.astype("<f8").tobytes(),
        ]
    )


def parse_checkpoint(data: bytes) -> tuple[ServerState, dict[str, Any]]:
    """Return the state and account of a stored checkpoint. Raises `line.bad_checkpoint`."""
    try:
        if data[0] != CHECKPOINT_VERSION:
            raise ValueError
        start = 5 + struct.unpack(">I", data[1:5])[0]
        header = json.loads(data[5:start])
        count, account = int(header["parameters"]), dict(header["account"])
        if len(data) != start + 12 * count:
            raise ValueError
    except (ValueError, KeyError, IndexError, TypeError, struct.error):
        raise DoudiError(
            "line.bad_checkpoint", "the line's checkpoint cannot be read", "Start another run of the grant."
        ) from None
    offset = np.frombuffer(data, "<f4", count, start).astype(np.float32)
    return ServerState(offset, np.frombuffer(data, "<f8", count, start + 4 * count).astype(np.float64)), account


def _out_of_range() -> DoudiError:
    return DoudiError(
        "line.sum_out_of_range",
        "the sum is larger than honest updates allow: masks did not cancel, or a node sent a wrong vector",
        "Nothing is summed again over another set; the next round starts with fresh keys.",
    )
