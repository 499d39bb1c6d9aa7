"""What a history of mechanism events costs: one ε at one δ, composed from the whole history. ε's are never added.

Gaussian steps alone: the PRV accountant of Opacus (Gopi, Lee, Wutschitz 2021, arXiv:2106.02848), its upper bound, within about
0.01 of the truth. Discrete rounds alone: concentrated privacy, ρ's add, converted once (Canonne, Kamath, Steinke 2020,
Corollary 13). Both: Rényi privacy of both, added per order and converted once; looser, but a proof. Pure, and remembered: the
same history gives the same ε without computing it again. Unit and neighbouring relation are those of the events.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from opacus.accountants import PRVAccountant
from opacus.accountants.analysis.rdp import compute_rdp
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_ndtr, ndtr

from crypto.errors import DoudiError
from department_nodes.privacy.mechanisms import GaussianSteps, PrivacyEvent, distributed_terms

__all__ = [
    "analytic_gaussian_epsilon",
    "calibrate_distributed",
    "calibrate_noise",
    "concentrated_epsilon",
    "epsilon",
]

_ORDERS = (*(1 + step / 10 for step in range(1, 100)), *range(11, 64), 72, 96, 128, 192, 256, 384, 512)
# Above this the exact composition has nothing to say that a policy would ask for, and its grid grows with ε.
_NO_PRIVACY = 20.0
# Below this the transforms of the PRV accountant are at the precision of float64.
_SMALLEST_PRV_DELTA = 1e-12
_LARGEST_SIGMA_MILLI = 10_000_000
# Opacus sizes its grid by a Rényi bound and warns when that bound is loose, which only makes the grid larger.
warnings.filterwarnings("ignore", message="Optimal order is the", category=UserWarning)

# (σ in thousandths, rate in millionths, steps), sorted; and the sum of ρ in billionths.
_Gaussians = tuple[tuple[int, int, int], ...]


def epsilon(events: Iterable[PrivacyEvent], delta: float) -> float:
    """Return ε, so that all events together are (ε, `delta`)-differentially private; 0 without events.

    The order of events does not matter, nor how steps of one mechanism are split into events. An upper bound in each case.
    Raises `DoudiError` `privacy.bad_delta` unless 0 < delta < 1.
    """
    if not 0 < delta < 1:
        raise DoudiError("privacy.bad_delta", "δ lies between 0 and 1")
    steps: Counter[tuple[int, int]] = Counter()
    rho_billionths = 0
    for event in events:
        if isinstance(event, GaussianSteps):
            steps[event.sigma_milli, event.sample_rate_ppm] += event.steps
        else:
            rho_billionths += event.rho_billionths * event.rounds
    gaussians = tuple(sorted((sigma, rate, count) for (sigma, rate), count in steps.items()))
    return _composed(gaussians, rho_billionths, delta)


def calibrate_noise(wanted_epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    """Return the smallest noise multiplier, in whole thousandths, with which the steps cost at most the wanted ε.

    Raises `privacy.unreachable_epsilon` when no noise up to 10,000 suffices.
    """
    return _smallest_noise(
        wanted_epsilon, lambda noise_multiplier: epsilon([GaussianSteps(noise_multiplier, sample_rate, steps)], delta)
    )


def calibrate_distributed(
    wanted_epsilon: float,
    delta: float,
    rounds: int,
    parameters: int = 1 << 15,
    honest: int = 1,
) -> float:
    """Return the noise multiplier, in whole thousandths, with which distributed rounds cost at most the wanted ε.

    Parameters and honest survivors matter only through rounding; the defaults are the worst of any line with up to 32,768
    parameters. Raises `privacy.unreachable_epsilon`.
    """

    def cost(noise_multiplier: float) -> float:
        terms = distributed_terms(1.0, noise_multiplier, parameters, honest)
        return epsilon([terms.rounds(rounds)], delta)

    return _smallest_noise(wanted_epsilon, cost)


def concentrated_epsilon(rho: float, delta: float) -> float:
    """Return ε, so that every `rho`-zero-concentrated private mechanism is (ε, δ)-differentially private.

    Canonne, Kamath, Steinke 2020, Corollary 13: δ = exp((α−1)(αρ−ε))·(1−1/α)^α/(α−1) for any α > 1. Every α gives a valid ε,
    so an inexact minimum is still a bound.
    """
    if rho <= 0:
        return 0.0
    # The order that minimises the simpler bound of Bun and Steinke 2016; the best one is near it.
    start = math.log(math.sqrt(-math.log(delta) / rho))
    found = minimize_scalar(
        lambda log_excess: _converted(1 + math.exp(log_excess), rho * (1 + math.exp(log_excess)), delta),
        bounds=(start - 5, start + 5),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return max(0.0, float(found.fun))


def analytic_gaussian_epsilon(mu: float, delta: float) -> float:
    """Return the exact ε at δ of Gaussian mechanisms with sensitivity over deviation `mu` together: the independent check.

    Balle and Wang 2018 (arXiv:1805.06530), Theorem 8: δ = Φ(μ/2 − ε/μ) − e^ε·Φ(−μ/2 − ε/μ). T full-batch steps have μ = √T/σ.
    """

    def excess(value: float) -> float:
        return float(ndtr(mu / 2 - value / mu) - math.exp(value + log_ndtr(-mu / 2 - value / mu)) - delta)

    if excess(0.0) <= 0:
        return 0.0
    upper = 1.0
    while excess(upper) > 0:
        upper *= 2
    return float(brentq(excess, 0.0, upper, xtol=1e-12))


@lru_cache(maxsize=4096)
def _composed(gaussians: _Gaussians, rho_billionths: int, delta: float) -> float:
    rho = rho_billionths / 10**9
    if not gaussians:
        return concentrated_epsilon(rho, delta)
    by_order = _renyi_epsilon(gaussians, rho, delta)
    if rho_billionths or by_order > _NO_PRIVACY or delta < _SMALLEST_PRV_DELTA:
        return by_order
    accountant = PRVAccountant()
    accountant.history = [(sigma / 1000, rate / 10**6, steps) for sigma, rate, steps in gaussians]
    try:
        with np.errstate(all="ignore"):
            exact = float(accountant.get_epsilon(delta))
    except (RuntimeError, ValueError, ArithmeticError):
        # No grid was found for this history: the Rényi bound holds for it all the same.
        return by_order
    return exact if math.isfinite(exact) and exact >= 0 else by_order


def _renyi_epsilon(gaussians: _Gaussians, rho: float, delta: float) -> float:
    total = rho * np.array(_ORDERS)
    for sigma, rate, steps in gaussians:
        total = total + steps * _renyi_per_step(sigma, rate)
    bounds = [_converted(order, float(value), delta) for order, value in zip(_ORDERS, total, strict=True)]
    finite = [bound for bound in bounds if math.isfinite(bound)]
    return max(0.0, min(finite, default=math.inf))


@lru_cache(maxsize=1024)
def _renyi_per_step(sigma_milli: int, rate_ppm: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.array([_renyi_at(order, sigma_milli / 1000, rate_ppm / 10**6) for order in _ORDERS])


def _renyi_at(order: float, noise_multiplier: float, rate: float) -> float:
    """Return the Rényi divergence of one step at `order`; infinity where its series cannot be summed in float64."""
    try:
        with np.errstate(all="ignore"):
            found = float(compute_rdp(q=rate, noise_multiplier=noise_multiplier, steps=1, orders=float(order)))
    except (ValueError, ArithmeticError):
        return math.inf
    return math.inf if math.isnan(found) else max(0.0, found)


def _converted(order: float, renyi: float, delta: float) -> float:
    """Return ε at δ of a mechanism with Rényi divergence `renyi` at `order`: Corollary 13's formula, for one order."""
    return renyi + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)


def _smallest_noise(wanted: float, cost: Callable[[float], float]) -> float:
    """Return the smallest multiple of 0.001 whose cost is at most `wanted`: cost falls with noise."""
    enough = 1000
    while cost(enough / 1000) > wanted:
        enough *= 2
        if enough > _LARGEST_SIGMA_MILLI:
            raise DoudiError(
                "privacy.unreachable_epsilon",
                "no noise gives the wanted ε",
                "Ask for fewer steps, a lower sampling rate or a larger ε.",
            )
    too_little = enough // 2 if enough > 1000 else 0
    while enough - too_little > 1:
        middle = (enough + too_little) // 2
        if cost(middle / 1000) <= wanted:
            enough = middle
        else:
            too_little = middle
    return enough / 1000
