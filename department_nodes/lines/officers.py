"""What an officer does for a line: draft its grant, with the noise that the wanted ε needs."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from crypto.errors import DoudiError
from department_nodes.home import NodeHome
from department_nodes.lines.costs import noise_of
from department_nodes.officers import pinned_cards
from department_nodes.program import program_hash
from policies.contracts.cards import DepartmentCard
from policies.contracts.drafting import DAY_S, centre_keys, share_of_card
from policies.contracts.grant import LineGrant, Operation, Scheduler
from policies.contracts.line_grant import LineAggregation, LineShare, LineTraining, Method
from policies.contracts.run_windows import RunWindow
from policies.standards.model_loader import load_model_standard


@dataclass(frozen=True)
class TrainingTerms:
    """How the line trains and averages: the placement's measured defaults, unless the officer says otherwise."""

    placement: Literal["local", "distributed"] = "local"
    rounds: int = 40
    local_steps: int = 1
    sample_rate_ppm: int = 1_000_000
    clip_norm_milli: int = 8000
    local_rate_micro: int = 500_000
    server_rate_milli: int = 1000
    server_momentum_milli: int = 850
    update_range_milli: int = 8000
    update_norm_milli: int = 10_000

    def aggregation(self, min_survivors: int, method: Method = "secure", krum_malicious: int = 0) -> LineAggregation:
        """Return the grant's section on averaging."""
        return LineAggregation(
            method=method,
            min_survivors=min_survivors,
            update_range_milli=self.update_range_milli,
            update_norm_milli=self.update_norm_milli,
            server_rate_milli=self.server_rate_milli,
            server_momentum_milli=self.server_momentum_milli,
            krum_malicious=krum_malicious,
        )


LOCAL_DEFAULTS = TrainingTerms()
# The coordinator makes the step, with the sum of the gradients.
DISTRIBUTED_DEFAULTS = TrainingTerms("distributed", server_rate_milli=500)


@dataclass(frozen=True)
class LineTerms:
    """What the officer of the line's lead decides. `epsilon`: of one run, per person, at 10^-`delta_exponent`."""

    project_id: str
    purpose: str
    region: str
    target: str
    label_period: str
    epsilon: float = 3.0
    delta_exponent: int = 6
    method: Method = "secure"
    min_survivors: int = 3
    honest_percent: int = 67
    krum_malicious: int = 0
    model: str = "perceptron"
    model_version: int = 1
    days: int = 365
    runs_allowed: int = 3
    training: TrainingTerms = LOCAL_DEFAULTS
    windows: tuple[RunWindow, ...] = ()


def default_terms(placement: Literal["local", "distributed"], given: Mapping[str, int | None]) -> TrainingTerms:
    """Return the defaults of a placement with what the officer gave in their stead; None keeps the default."""
    defaults = LOCAL_DEFAULTS if placement == "local" else DISTRIBUTED_DEFAULTS
    chosen: Mapping[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(defaults, **chosen)


def draft_line_grant(
    home: NodeHome, own_card: DepartmentCard, departments: Sequence[str], terms: LineTerms
) -> LineGrant:
    """Return a line's grant that this department leads, with the cards that it has pinned of the other regions.

    Raises `trust.unknown_party`, `line.other_standard` when a department holds another dataset or program.
    """
    centre, cards = pinned_cards(home, own_card, departments)
    for card in cards:
        if (card.dataset, card.standard_version, card.standard_hash) != (
            own_card.dataset,
            own_card.standard_version,
            own_card.standard_hash,
        ):
            raise DoudiError(
                "line.other_standard",
                f"{card.department} holds another data standard than this department",
                "A line joins departments of one kind; ask for a new card if theirs is old.",
            )
    columns = tuple(name for name in own_card.columns if all(name in card.columns for card in cards))
    model = load_model_standard(terms.model, terms.model_version)
    chosen = terms.training
    training = LineTraining(
        model=terms.model,
        model_version=terms.model_version,
        model_hash=model.standard_hash(),
        placement=chosen.placement,
        clip_norm_milli=chosen.clip_norm_milli,
        noise_multiplier_milli=round(1000 * noise_of(chosen, terms.epsilon, 10.0**-terms.delta_exponent)),
        sample_rate_ppm=chosen.sample_rate_ppm,
        local_steps=chosen.local_steps,
        rounds=chosen.rounds,
        delta_exponent=terms.delta_exponent,
        local_rate_micro=chosen.local_rate_micro,
        honest_percent=terms.honest_percent,
    )
    aggregation = chosen.aggregation(terms.min_survivors, terms.method, terms.krum_malicious)
    now_s = int(time.time())
    return LineGrant(
        grant_id=f"line-{secrets.token_hex(8)}",
        project_id=terms.project_id,
        purpose=terms.purpose,
        region=terms.region,
        not_before=now_s,
        expires_at=now_s + terms.days * DAY_S,
        program_hash=program_hash(),
        participants=tuple(_share(card, card.department == own_card.department, columns) for card in cards),
        target=terms.target,
        label_period=terms.label_period,
        training=training,
        aggregation=aggregation,
        runs_allowed=terms.runs_allowed,
        scheduler=Scheduler(department=own_card.department, key=own_card.scheduling_key),
        windows=terms.windows,
        **centre_keys(centre),
    )


def _share(card: DepartmentCard, lead: bool, columns: tuple[str, ...]) -> LineShare:
    share = share_of_card(card, lead, columns, (Operation.LINE,))
    return LineShare(**share, region=card.region)
