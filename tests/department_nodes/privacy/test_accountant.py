"""The accountant against Opacus on whole histories, and against closed forms."""

import math
import random

import pytest
from opacus.accountants import PRVAccountant

from crypto.errors import DoudiError
from department_nodes.privacy.accountant import (
    analytic_gaussian_epsilon,
    calibrate_distributed,
    calibrate_noise,
    concentrated_epsilon,
    epsilon,
)
from department_nodes.privacy.mechanisms import DiscreteGaussianRounds, GaussianSteps, distributed_terms

DELTA = 1e-6
pytestmark = [
    pytest.mark.filterwarnings("ignore:Optimal order is the"),
    pytest.mark.filterwarnings("ignore:divide by zero encountered"),
]


def by_opacus(history: list[tuple[float, float, int]], delta: float = DELTA) -> float:
    accountant = PRVAccountant()
    accountant.history = history
    return float(accountant.get_epsilon(delta))


def test_an_empty_history_costs_nothing() -> None:
    assert epsilon([], DELTA) == 0.0


@pytest.mark.parametrize(
    "history",
    [[(1.0, 0.01, 1000)], [(2.19, 0.1, 200)], [(1.0, 0.01, 600), (1.3, 0.02, 400), (3.0, 0.1, 50)]],
)
def test_many_rounds_cost_what_opacus_says_of_the_whole_history(history: list[tuple[float, float, int]]) -> None:
    rounds = [GaussianSteps(sigma, rate, 10) for sigma, rate, steps in history for _ in range(steps // 10)]
    random.Random(0).shuffle(rounds)
    # The same grid and the same order of mechanisms, so the same number.
    assert epsilon(rounds, DELTA) == pytest.approx(by_opacus(history), abs=1e-9)


@pytest.mark.parametrize("delta", [1e-5, 1e-6, 1e-9])
@pytest.mark.parametrize(("sigma", "steps"), [(5.0, 1), (5.0, 10), (20.0, 100), (1.0, 1), (50.0, 1000), (3.0, 40)])
def test_full_batches_cost_what_the_closed_form_says(sigma: float, steps: int, delta: float) -> None:
    exact = analytic_gaussian_epsilon(math.sqrt(steps) / sigma, delta)
    assert exact - 1e-6 <= epsilon([GaussianSteps(sigma, 1.0, steps)], delta) <= exact + 0.02


@pytest.mark.parametrize("mu", [0.05, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("delta", [1e-5, 1e-9])
def test_the_closed_form_solves_its_own_equation(mu: float, delta: float) -> None:
    found = analytic_gaussian_epsilon(mu, delta)
    normal = [0.5 * math.erfc(-value / math.sqrt(2)) for value in (mu / 2 - found / mu, -mu / 2 - found / mu)]
    assert normal[0] - math.exp(found) * normal[1] == pytest.approx(delta, rel=1e-4)


def test_the_closed_form_of_one_step_is_right_by_hand() -> None:
    # σ = 1 and ε = 1: δ = Φ(−½) − e·Φ(−3/2) = 0.308538 − 2.718282·0.066807.
    assert analytic_gaussian_epsilon(1.0, 0.126937) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("rho", [1e-6, 1e-3, 0.02, 0.5, 3.0])
@pytest.mark.parametrize("delta", [1e-5, 1e-10])
def test_concentrated_privacy_bounds_the_gaussian_of_the_same_rho_and_is_not_far(rho: float, delta: float) -> None:
    exact = analytic_gaussian_epsilon(math.sqrt(2 * rho), delta)
    simple = rho + 2 * math.sqrt(rho * math.log(1 / delta))
    assert exact <= concentrated_epsilon(rho, delta) <= simple
    events = [DiscreteGaussianRounds(round(rho * 10**9), 1)]
    assert epsilon(events, delta) == pytest.approx(concentrated_epsilon(rho, delta))


def test_epsilon_grows_with_steps_and_rounds_and_falls_with_noise() -> None:
    by_steps = [epsilon([GaussianSteps(1.2, 0.02, steps)], DELTA) for steps in (10, 50, 200, 800)]
    by_rounds = [epsilon([DiscreteGaussianRounds(10**6, rounds)], DELTA) for rounds in (1, 2, 5, 20)]
    by_noise = [epsilon([GaussianSteps(sigma, 0.02, 100)], DELTA) for sigma in (4.0, 2.0, 1.0, 0.5, 0.2, 0.05, 0.01)]
    for costs in (by_steps, by_rounds, by_noise):
        assert costs == sorted(costs)
        assert len(set(costs)) == len(costs)


def test_the_order_of_events_does_not_matter() -> None:
    events = [GaussianSteps(1.0, 0.01, 30), DiscreteGaussianRounds(10**6, 5), GaussianSteps(2.0, 0.1, 3)] * 2
    assert len({epsilon(random.Random(seed).sample(events, len(events)), DELTA) for seed in range(5)}) == 1


def test_a_mixed_history_costs_more_than_each_and_less_than_their_sum() -> None:
    gaussian, discrete = [GaussianSteps(1.0, 0.01, 1000)], [DiscreteGaussianRounds(10**7, 10)]
    alone = epsilon(gaussian, DELTA), epsilon(discrete, DELTA)
    together = epsilon([*gaussian, *discrete], DELTA)
    assert max(alone) < together < sum(alone)


def test_a_mixed_history_of_full_batches_bounds_the_closed_form() -> None:
    # Ten Gaussian steps of σ = 10 and ρ = 0.05 are together a Gaussian of μ² = 0.1 + 0.1.
    mixed = epsilon([GaussianSteps(10.0, 1.0, 10), DiscreteGaussianRounds(5 * 10**7, 1)], DELTA)
    exact = analytic_gaussian_epsilon(math.sqrt(0.2), DELTA)
    assert exact <= mixed <= 1.1 * exact


def test_hardly_any_noise_costs_a_finite_epsilon_above_every_cap() -> None:
    assert 50 < epsilon([GaussianSteps(0.1, 0.5, 10)], DELTA) < math.inf
    assert epsilon([GaussianSteps(0.001, 1.0, 1)], DELTA) > 10**5


@pytest.mark.parametrize(("wanted", "rate", "steps"), [(1.0, 0.01, 300), (3.0, 0.1, 200), (0.2, 1.0, 5)])
def test_the_calibrated_noise_is_the_smallest_that_suffices(wanted: float, rate: float, steps: int) -> None:
    noise = calibrate_noise(wanted, DELTA, rate, steps)
    assert noise * 1000 == pytest.approx(round(noise * 1000))
    assert epsilon([GaussianSteps(noise, rate, steps)], DELTA) <= wanted
    assert epsilon([GaussianSteps(round(noise * 1000 - 1) / 1000, rate, steps)], DELTA) > wanted


@pytest.mark.parametrize("honest", [1, 3, 32])
def test_the_calibrated_distributed_noise_suffices_for_any_line(honest: int) -> None:
    noise = calibrate_distributed(1.0, DELTA, rounds=30)
    terms = distributed_terms(0.7, noise, 10_000, honest)
    assert 0.98 < epsilon([terms.rounds(30)], DELTA) <= 1.0


def test_an_epsilon_that_no_noise_gives_is_refused() -> None:
    with pytest.raises(DoudiError, match=r"privacy\.unreachable_epsilon"):
        calibrate_distributed(1e-6, DELTA, rounds=100)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-6, math.nan])
def test_an_impossible_delta_is_refused(delta: float) -> None:
    with pytest.raises(DoudiError, match=r"privacy\.bad_delta"):
        epsilon([GaussianSteps(1.0, 0.1, 1)], delta)
