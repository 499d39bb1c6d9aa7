"""What the privacy budget speaks of: mechanisms, plans and histories, in integers; and how the accountant composes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from crypto.errors import DoudiError
from department_nodes.store.models import PrivacyReservationRow

RESERVED, SETTLED = "reserved", "settled"
GAUSSIAN, DISCRETE_GAUSSIAN = "gaussian", "discrete_gaussian"


@dataclass(frozen=True, order=True)
class Mechanism:
    """The mechanism of one round. Rounds of one mechanism are composed together, whatever run they are of.

    `sigma_milli`: noise multiplier in thousandths; `sample_rate_ppm`: Poisson rate in millionths; `rho_billionths`: zCDP of a
    discrete round, rounded up, 0 for `gaussian`.
    """

    mechanism: str
    sigma_milli: int
    sample_rate_ppm: int
    steps_per_round: int
    rho_billionths: int


# Rounds of each mechanism, sorted: all that the accountant needs of an account.
History = tuple[tuple[Mechanism, int], ...]
# ε of a history at δ: always the same for the same history.
Compose = Callable[[History, float], float]


@dataclass(frozen=True)
class Plan:
    """What an attempt wants to spend at most: `rounds` rounds of one mechanism, until `expires_at` (seconds since 1970)."""

    run_id: str
    attempt: int
    project_id: str
    grant_hash: str
    mechanism: str
    sigma_milli: int
    sample_rate_ppm: int
    steps_per_round: int
    rho_billionths: int
    rounds: int
    expires_at: int

    def __post_init__(self) -> None:
        positive = (self.sigma_milli, self.sample_rate_ppm, self.steps_per_round, self.rounds, self.attempt)
        if (
            self.mechanism not in (GAUSSIAN, DISCRETE_GAUSSIAN)
            or min(positive) < 1
            or self.sample_rate_ppm > 1_000_000
            or (self.mechanism == DISCRETE_GAUSSIAN) != (self.rho_billionths > 0)
        ):
            raise DoudiError("budget.malformed_plan", "the plan names no mechanism that the accountant composes")

    @property
    def per_round(self) -> Mechanism:
        """The mechanism of each round."""
        return mechanism_of(self)


@dataclass(frozen=True)
class HistoryEntry:
    """One attempt in the account. Both ε cover charged rounds: of this attempt, and of all up to it. They do not add up."""

    run_id: str
    attempt: int
    project_id: str
    per_round: Mechanism
    state: str
    reserved_at: int
    rounds_reserved: int
    rounds_charged: int
    epsilon_alone: float
    epsilon_after: float


@dataclass(frozen=True)
class BudgetState:
    """An asset's account at `delta`: ε of all charges, ε of charges and of what is still reserved, and the cap."""

    asset: str
    epsilon_spent: float
    epsilon_reserved: float
    cap_epsilon: float
    delta: float
    attempts: int
    history: tuple[HistoryEntry, ...]


def mechanism_of(of: Plan | PrivacyReservationRow) -> Mechanism:
    """Return the mechanism of each round of a plan or of a stored reservation."""
    return Mechanism(of.mechanism, of.sigma_milli, of.sample_rate_ppm, of.steps_per_round, of.rho_billionths)


def sorted_history(rounds: Mapping[Mechanism, int]) -> History:
    """Return the history of so many rounds of each mechanism."""
    return tuple(sorted((mechanism, count) for mechanism, count in rounds.items() if count > 0))


# A node's report and its officers ask for the same account again and again.
@lru_cache(maxsize=64)
def accountant(history: History, delta: float) -> float:
    """Return ε of all rounds together, by the accountant of the lines."""
    # Imported here: an account without charges needs no accountant, and it brings torch with it.
    from department_nodes.privacy.accountant import epsilon
    from department_nodes.privacy.mechanisms import DiscreteGaussianRounds, GaussianSteps

    return epsilon(
        [
            GaussianSteps(one.sigma_milli / 1000, one.sample_rate_ppm / 1_000_000, one.steps_per_round * rounds)
            if one.mechanism == GAUSSIAN
            else DiscreteGaussianRounds(one.rho_billionths, rounds)
            for one, rounds in history
        ],
        delta,
    )
