"""The grant of a line: one department's regions train one model together on bits that their regions' leads released.

Horizontal federated learning: the same columns, different people. Everything that decides privacy is frozen here: clip norm,
noise, sampling, steps, rounds, δ, unit; a node refuses what differs. May import crypto.
"""

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, model_validator

from policies.contracts.base import Document, Hash, Period, Slug
from policies.contracts.grant_terms import GrantBase, Operation, Share

MILLION = 1_000_000
# Masks join every pair of nodes: above this many a sparse graph (Bell et al. 2020) would be needed, and a line is split.
LARGEST_LINE = 32
# Fixed point of masked updates: 24 bits behind the point leave room for ±8, 32 nodes and 10 million people each in 2^62.
FRACTION_BITS = 24
# Distributed noise: each node's share has this integer standard deviation, 2^20; rounding is then below a millionth of it.
SHARE_SIGMA_BITS = 20

Method = Literal["secure", "median", "krum"]


class LineShare(Share):
    """One region's share in a line."""

    region: Slug


class LineTraining(Document):
    """How each node trains, and with which noise.

    Privacy unit: one person of the department's asset; neighbouring: that person's row added or removed. `local`: each of a
    round's `local_steps` is a Poisson-sampled, clipped and noised step (DP-SGD, Abadi et al. 2016), so every update is private by
    itself. `distributed`: one step over all rows per round, exact integer noise of which each node adds a share, so only the
    sum is private, and only while the stated share of the survivors is honest.
    """

    model: Slug
    model_version: Annotated[int, Field(ge=1)]
    model_hash: Hash
    privacy_unit: Literal["person"] = "person"
    placement: Literal["local", "distributed"]
    clip_norm_milli: Annotated[
        int, Field(ge=1, le=1_000_000, description="L2 norm of one person's gradient, thousandths")
    ]
    noise_multiplier_milli: Annotated[int, Field(ge=100, le=10_000_000, description="σ as a multiple of the clip norm")]
    sample_rate_ppm: Annotated[int, Field(ge=1, le=MILLION, description="Poisson sampling rate, millionths")]
    local_steps: Annotated[int, Field(ge=1, le=10_000, description="steps per round")]
    rounds: Annotated[int, Field(ge=1, le=999)]
    delta_exponent: Annotated[int, Field(ge=5, le=12, description="δ = 10^-this, of the whole attempt")]
    local_rate_micro: Annotated[int, Field(ge=1, le=1_000_000_000, description="learning rate of a local step")]
    honest_percent: Annotated[int, Field(ge=34, le=100, description="distributed: survivors that add their noise")] = 67

    @model_validator(mode="after")
    def _consistent(self) -> "LineTraining":
        if self.placement == "distributed" and (self.local_steps, self.sample_rate_ppm) != (1, MILLION):
            # With more than one step the noise of a sum covers the last gradient only: measured to be unsound.
            raise ValueError("distributed noise needs one step per round over all rows")
        return self

    @property
    def clip_norm(self) -> float:
        """The clip norm as a number."""
        return self.clip_norm_milli / 1000

    @property
    def noise_multiplier(self) -> float:
        """The noise multiplier as a number."""
        return self.noise_multiplier_milli / 1000

    @property
    def sample_rate(self) -> float:
        """The sampling rate as a number."""
        return self.sample_rate_ppm / MILLION

    @property
    def local_rate(self) -> float:
        """The learning rate of a local step as a number."""
        return self.local_rate_micro / MILLION

    @property
    def delta(self) -> float:
        """δ as a number."""
        return float(Fraction(1, 10**self.delta_exponent))


class LineAggregation(Document):
    """How updates become one model.

    `secure`: masked sums only. `median`, `krum`: Flower's robust strategies over updates that the coordinator sees one by one,
    each private by its local noise; a site must allow that. A round counts with at least `min_survivors` updates.
    """

    method: Method = "secure"
    min_survivors: Annotated[int, Field(ge=3, le=LARGEST_LINE)]
    update_range_milli: Annotated[int, Field(ge=1, le=1_000_000, description="±bound of one coordinate, thousandths")]
    update_norm_milli: Annotated[
        int, Field(ge=1, le=1_000_000_000, description="bound on the L2 norm of the averaged update, thousandths")
    ]
    server_rate_milli: Annotated[int, Field(ge=1, le=1_000_000, description="server learning rate, thousandths")] = 1000
    server_momentum_milli: Annotated[int, Field(ge=0, le=999)] = 0
    krum_malicious: Annotated[int, Field(ge=0, le=10, description="krum: updates taken for malicious")] = 0

    @property
    def update_range(self) -> float:
        """The bound of one coordinate as a number."""
        return self.update_range_milli / 1000


class LineGrant(GrantBase):
    """The agreement of one department's regions."""

    kind: Literal["line"] = "line"
    participants: Annotated[tuple[LineShare, ...], Field(min_length=3, max_length=LARGEST_LINE)]
    target: Slug
    label_period: Period
    training: LineTraining
    aggregation: LineAggregation

    @property
    def shares(self) -> tuple[Share, ...]:
        """What each region's department gives, in the grant's order."""
        return self.participants

    @model_validator(mode="after")
    def _consistent(self) -> "LineGrant":
        first = self.participants[0]
        for participant in self.participants:
            theirs = (participant.dataset, participant.standard_version, participant.standard_hash, participant.columns)
            if theirs != (first.dataset, first.standard_version, first.standard_hash, first.columns):
                raise ValueError("the participants do not share data standard and columns")
            if Operation.LINE not in participant.operations:
                raise ValueError("a participant lacks the operation `line`")
        if self.aggregation.min_survivors > len(self.participants):
            raise ValueError("min_survivors is larger than the number of participants")
        if self.training.placement == "distributed" and self.aggregation.method != "secure":
            raise ValueError("distributed noise needs the secure aggregation: a single update has too little of it")
        if self.training.placement == "distributed":
            honest = honest_survivors(self.aggregation.min_survivors, self.training.honest_percent)
            if not 1 <= honest <= most_honest(len(self.participants), self.aggregation.min_survivors):
                raise ValueError(
                    "the honest share counts on more departments than remain if a third of the line is dishonest"
                )
        if self.aggregation.method == "krum" and len(self.participants) < 2 * self.aggregation.krum_malicious + 3:
            raise ValueError("krum needs at least 2f + 3 participants")
        return self


def honest_survivors(min_survivors: int, honest_percent: int) -> int:
    """Return how many of the fewest survivors are counted on to add their noise: whole departments, rounded down."""
    return min_survivors * honest_percent // 100


def most_honest(departments: int, min_survivors: int) -> int:
    """Return how many of the fewest survivors may be counted on: masks hold against less than a third of all departments.

    Those may all be among the fewest survivors.
    """
    return min_survivors - (departments - 1) // 3


def noise_scale(clip_norm: float, noise_multiplier: float, honest: int) -> float:
    """Return how many integer units one unit of a gradient has, so that `honest` shares of 2^20 units are the noise wanted."""
    return float(2**SHARE_SIGMA_BITS * honest**0.5 / (noise_multiplier * clip_norm))


def distributed_scale(grant: LineGrant) -> float:
    """Return how many integer units one unit of a gradient has under this grant, in the distributed placement."""
    training = grant.training
    honest = honest_survivors(grant.aggregation.min_survivors, training.honest_percent)
    return noise_scale(training.clip_norm, training.noise_multiplier, honest)
