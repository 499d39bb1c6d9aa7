"""Events as stored integers, and the terms of a distributed round."""

import math
from typing import Any

import numpy as np
import pytest

from crypto.errors import DoudiError
from department_nodes.privacy.mechanisms import (
    DiscreteGaussianRounds,
    GaussianSteps,
    distributed_terms,
)


def test_every_granted_noise_and_rate_is_stored_as_it_is() -> None:
    for value in range(1, 20_000, 7):
        event = GaussianSteps(value / 1000, value / 1_000_000, 1)
        assert (event.sigma_milli, event.sample_rate_ppm) == (value, value)


def test_what_is_no_whole_number_is_rounded_towards_more_loss() -> None:
    event = GaussianSteps(1.0299999, 0.0123450001, 1)
    assert (event.sigma_milli, event.sample_rate_ppm) == (1029, 12_346)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (GaussianSteps, (0.0, 0.1, 1)),
        (GaussianSteps, (1.0, 1.1, 1)),
        (GaussianSteps, (1.0, 0.1, 0)),
        (DiscreteGaussianRounds, (0, 1)),
        (DiscreteGaussianRounds, (1, 0)),
    ],
)
def test_an_event_that_cannot_be_is_refused(kind: Any, values: tuple[Any, ...]) -> None:
    with pytest.raises(DoudiError) as caught:
        kind(*values)
    assert caught.value.code == "privacy.bad_event"


def test_the_noise_of_the_honest_survivors_is_the_noise_multiplier() -> None:
    terms = distributed_terms(0.5, 20.0, 3553, honest=3)
    assert terms.scale * 20.0 * 0.5 == pytest.approx(2.0**20 * math.sqrt(3))
    assert terms.tau == 0.0
    # Without rounding ρ would be 1/(2·20²); rounding 3553 coordinates adds 2·√3553·20/(2^20·√3), that is 0.13 %.
    assert terms.rho == pytest.approx(1 / 800 * (1 + math.sqrt(3553) * 20 / (2.0**20 * math.sqrt(3))) ** 2, rel=1e-5)
    assert terms.rounds(7) == DiscreteGaussianRounds(terms.rho_billionths, 7)


def test_rho_is_rounded_up() -> None:
    for noise in np.linspace(3, 300, 50):
        terms = distributed_terms(1.0, float(noise), 5000, 2)
        assert terms.rho >= (terms.sensitivity / (2.0**20 * math.sqrt(2))) ** 2 / 2


def test_rounded_neighbouring_sums_stay_within_the_sensitivity() -> None:
    generator = np.random.default_rng(0)
    terms = distributed_terms(1.0, 30.0, 2000, 3)
    for _ in range(50):
        total, person = generator.normal(size=2000) * 1000, generator.normal(size=2000)
        neighbour = total + person / np.linalg.norm(person)
        moved = np.rint(total * terms.scale) - np.rint(neighbour * terms.scale)
        assert np.linalg.norm(moved) <= terms.sensitivity


def test_fewer_honest_survivors_change_the_scale_and_nearly_nothing_of_rho() -> None:
    few, many = (distributed_terms(1.0, 30.0, 4000, honest) for honest in (2, 16))
    assert many.scale > few.scale
    assert 0 < few.rho - many.rho < 0.01 * many.rho


@pytest.mark.parametrize("values", [(0.0, 1.0, 10, 3), (1.0, math.inf, 10, 3), (1.0, 1.0, 0, 3), (1.0, 1.0, 10, 0)])
def test_impossible_terms_are_refused(values: tuple[float, float, int, int]) -> None:
    with pytest.raises(DoudiError, match=r"privacy\.bad_event"):
        distributed_terms(*values)
