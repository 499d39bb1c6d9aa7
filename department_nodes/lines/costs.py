"""What a line costs: its ε by the accountant, and the noise that a wanted ε needs. For drafting and previewing."""

from typing import TYPE_CHECKING

from department_nodes.privacy.accountant import calibrate_distributed, calibrate_noise, epsilon
from department_nodes.privacy.mechanisms import GaussianSteps, distributed_terms
from policies.contracts.line_grant import MILLION, LineGrant

if TYPE_CHECKING:
    from department_nodes.lines.officers import LineTerms


def line_epsilon(grant: LineGrant, parameters: int, delta_exponent: int) -> float:
    """Return ε of one run of a line per person, at δ = 10^-`delta_exponent`, by the accountant alone."""
    training, delta = grant.training, 10.0**-delta_exponent
    if training.placement == "local":
        steps = training.local_steps * training.rounds
        return epsilon([GaussianSteps(training.noise_multiplier, training.sample_rate, steps)], delta)
    terms = distributed_terms(
        training.clip_norm,
        training.noise_multiplier,
        parameters,
        grant.aggregation.min_survivors,
        training.honest_percent / 100,
    )
    return epsilon([terms.rounds(training.rounds)], delta)


def noise_for(terms: "LineTerms") -> int:
    """Return the noise multiplier, in thousandths, with which one run costs at most the wanted ε."""
    delta, training = 10.0**-terms.delta_exponent, terms.training
    if training.placement == "distributed":
        return round(1000 * calibrate_distributed(terms.epsilon, delta, training.rounds))
    steps = training.local_steps * training.rounds
    return round(1000 * calibrate_noise(terms.epsilon, delta, training.sample_rate_ppm / MILLION, steps))
