"""What an attacker with canaries proves about the private training that a line's grant drafts by default."""

from department_nodes.lines.costs import noise_of, round_spec
from department_nodes.lines.officers import LOCAL_DEFAULTS
from department_nodes.privacy.canary import AuditResult, audit_line_training
from department_nodes.privacy.randomness import OperatingSystemNoise

DELTA = 1e-6


def audit_defaults(wanted_epsilon: float) -> AuditResult:
    """Return the audit of the default line at this ε: 1,000 canaries, one training (Steinke et al. 2023)."""
    spec = round_spec(LOCAL_DEFAULTS, noise_of(LOCAL_DEFAULTS, wanted_epsilon, DELTA))
    return audit_line_training(spec, LOCAL_DEFAULTS.rounds, OperatingSystemNoise(), DELTA)
