"""What a line spends privacy on, as events that an account stores and the accountant composes. Pure: arithmetic only.

Unit: one person (row) of a data asset. Neighbouring: that row added or removed. Stored as integers, each rounded towards more
privacy loss, so that what was charged and what is composed later are the same to the last digit.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from crypto.errors import DoudiError
from policies.contracts.line_grant import SHARE_SIGMA_BITS, noise_scale

__all__ = [
    "DiscreteGaussianRounds",
    "DistributedTerms",
    "GaussianSteps",
    "PrivacyEvent",
    "distributed_terms",
]

_MILLION, _BILLION = 10**6, 10**9
# Floating-point slack of a float64 sum of clipped gradients and of its scaling, relative to C (`dp_sgd.clipped_gradient_sum`).
_SUM_SLACK = 1e-6


@dataclass(frozen=True)
class GaussianSteps:
    """`steps` Poisson-subsampled Gaussian steps (placement `local`).

    `noise_multiplier`: σ per unit of sensitivity. `sample_rate`: q. Raises `privacy.bad_event` for impossible values.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int

    def __post_init__(self) -> None:
        if not (0 < self.sample_rate <= 1 and 0.001 <= self.noise_multiplier < math.inf and self.steps >= 1):
            raise _bad_event("a Gaussian step has σ from 0.001, a rate in 0 to 1, and there is at least one")

    @property
    def sigma_milli(self) -> int:
        """The noise multiplier in thousandths, rounded down."""
        return _rounded(self.noise_multiplier, 1000, up=False)

    @property
    def sample_rate_ppm(self) -> int:
        """The sampling rate in millionths, rounded up."""
        return _rounded(self.sample_rate, _MILLION, up=True)


@dataclass(frozen=True)
class DiscreteGaussianRounds:
    """`rounds` sums with distributed discrete Gaussian noise, each ρ-zero-concentrated private (Bun and Steinke 2016).

    `rho_billionths`: ρ of one round in billionths, rounded up. Raises `privacy.bad_event`.
    """

    rho_billionths: int
    rounds: int

    def __post_init__(self) -> None:
        if self.rho_billionths < 1 or self.rounds < 1:
            raise _bad_event("a discrete round has ρ of at least a billionth, and there is at least one")

    @property
    def rho(self) -> float:
        """ρ of one round."""
        return self.rho_billionths / _BILLION


PrivacyEvent = GaussianSteps | DiscreteGaussianRounds


@dataclass(frozen=True)
class DistributedTerms:
    """One round of the `distributed` placement: integer units per unit of gradient, sensitivity in units, τ, ρ."""

    scale: float
    sensitivity: float
    tau: float
    rho_billionths: int

    @property
    def rho(self) -> float:
        """ρ of one round, rounded up to a billionth."""
        return self.rho_billionths / _BILLION

    def rounds(self, count: int) -> DiscreteGaussianRounds:
        """Return the event of `count` such rounds."""
        return DiscreteGaussianRounds(self.rho_billionths, count)


def distributed_terms(clip_norm: float, noise_multiplier: float, parameters: int, honest: int) -> DistributedTerms:
    """Return scale, sensitivity and ρ of one sum with distributed discrete Gaussian noise.

    Each survivor adds discrete Gaussian noise of σ = 2^20 units to each coordinate; at least n = `honest` of them
    neither leave it out nor tell it. The scale makes √n·σ equal to noise multiplier times C.

    Kairouz, Liu, Steinke 2021 (arXiv:2102.06387), Proposition 14: the sum is ½(Δ/(√n·σ) + τ√d)²-concentrated private for an L2
    sensitivity of Δ units, with τ = 10·Σ_{k=1}^{n−1} exp(−2π²σ²·k/(k+1)), the distance of a sum of discrete Gaussians from
    a discrete Gaussian; at σ = 2^20 it is 0 in every float, and computed all the same.

    What Δ = scale·C·(1+10^-6) + √d covers. Rounding: each coordinate is rounded to the nearest unit before noise, which
    moves the difference of two neighbouring sums by at most 1 in each of d coordinates. Floating point: two float64 sums
    over up to 4 million people, and their products with the scale, are within 10^-6 of C. Wrap: sums modulo 2^64 and masks are
    post-processing of the integer sum. Dropped nodes: n counts on the fewest survivors that the round accepts; what more of them
    add is independent of the data. Not covered: a survivor subtracts its own noise and its own update, so against the other
    survivors together only this node's share protects; that is what `honest` is for.

    Raises `DoudiError` `privacy.bad_event` for impossible values.
    """
    in_range = all(0 < value < math.inf for value in (clip_norm, noise_multiplier))
    if not in_range or honest < 1 or parameters < 1:
        raise _bad_event("clip norm and noise are positive and finite, and somebody honest adds noise")
    sigma = 2.0**SHARE_SIGMA_BITS
    noise = sigma * math.sqrt(honest)
    scale = noise_scale(clip_norm, noise_multiplier, honest)
    sensitivity = scale * clip_norm * (1 + _SUM_SLACK) + math.sqrt(parameters)
    tau = 10 * math.fsum(math.exp(-2 * (math.pi * sigma) ** 2 * k / (k + 1)) for k in range(1, honest))
    rho = (sensitivity / noise + tau * math.sqrt(parameters)) ** 2 / 2
    # Room for the rounding of this arithmetic itself, so that the ceiling is one.
    return DistributedTerms(scale, sensitivity, tau, math.ceil(rho * _BILLION * (1 + 1e-12)))


def _rounded(value: float, unit: int, up: bool) -> int:
    nearest = round(value * unit)
    # A stored value comes back as the same integer; any other is rounded exactly, not as a product of floats.
    if nearest / unit == value:
        return nearest
    scaled = Fraction(value) * unit
    return math.ceil(scaled) if up else math.floor(scaled)


def _bad_event(reason: str) -> DoudiError:
    return DoudiError("privacy.bad_event", reason)
