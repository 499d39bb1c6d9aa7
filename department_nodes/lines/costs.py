"""What a line costs: its ε by the accountant, and the noise that a wanted ε needs. For drafting and previewing."""

from typing import TYPE_CHECKING

from department_nodes.privacy.accountant import calibrate_distributed, calibrate_noise, epsilon
from department_nodes.privacy.mechanisms import DistributedTerms, GaussianSteps, distributed_terms
from department_nodes.privacy.plans import DISCRETE_GAUSSIAN, GAUSSIAN, Mechanism
from department_nodes.training.dp_sgd import DpSgdSpec
from policies.contracts.line_grant import MILLION, LineGrant, honest_survivors
from policies.standards.loader import load_dataset_standard
from policies.standards.model_loader import load_model_standard

if TYPE_CHECKING:
    from department_nodes.lines.officers import TrainingTerms


def line_parameters(grant: LineGrant) -> int:
    """Return the number of parameters of a line's model: of the published model over the granted columns."""
    training, share = grant.training, grant.participants[0]
    width = load_dataset_standard(share.dataset, share.standard_version).encoded_width(share.columns)
    return load_model_standard(training.model, training.model_version).parameters(width)


def round_terms(grant: LineGrant) -> DistributedTerms:
    """Return what one round of a `distributed` line is: scale, sensitivity and ρ of its sum."""
    training = grant.training
    honest = honest_survivors(grant.aggregation.min_survivors, training.honest_percent)
    return distributed_terms(training.clip_norm, training.noise_multiplier, line_parameters(grant), honest)


def planned_round(grant: LineGrant) -> Mechanism:
    """Return the mechanism of one round of a line, as the node's budget reserves and charges it."""
    training = grant.training
    discrete = training.placement == "distributed"
    return Mechanism(
        mechanism=DISCRETE_GAUSSIAN if discrete else GAUSSIAN,
        sigma_milli=training.noise_multiplier_milli,
        sample_rate_ppm=training.sample_rate_ppm,
        steps_per_round=training.local_steps,
        rho_billionths=round_terms(grant).rho_billionths if discrete else 0,
    )


def line_epsilon(grant: LineGrant, delta_exponent: int) -> float:
    """Return ε of one run of a line per person, at δ = 10^-`delta_exponent`, by the accountant alone."""
    training, delta = grant.training, 10.0**-delta_exponent
    if training.placement == "local":
        steps = training.local_steps * training.rounds
        return epsilon([GaussianSteps(training.noise_multiplier, training.sample_rate, steps)], delta)
    return epsilon([round_terms(grant).rounds(training.rounds)], delta)


def noise_of(training: "TrainingTerms", epsilon: float, delta: float) -> float:
    """Return the noise multiplier, in whole thousandths, with which one run costs at most the wanted ε."""
    if training.placement == "distributed":
        return calibrate_distributed(epsilon, delta, training.rounds)
    steps = training.local_steps * training.rounds
    return calibrate_noise(epsilon, delta, training.sample_rate_ppm / MILLION, steps)


def round_spec(training: "TrainingTerms", noise_multiplier: float) -> DpSgdSpec:
    """Return one round of private training at a node under these terms."""
    return DpSgdSpec(
        clip_norm=training.clip_norm_milli / 1000,
        noise_multiplier=noise_multiplier,
        sample_rate=training.sample_rate_ppm / MILLION,
        steps=training.local_steps,
        learning_rate=training.local_rate_micro / MILLION,
    )
