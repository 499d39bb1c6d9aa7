"""What a grant would cost in this node's budgets, before anybody consents: at most, over all runs that it allows.

Three budgets of three assets, which are never added: ε of labels at the lead, evidence bits about each person, ε of lines. A
budget that would not suffice is no refusal yet: it refuses the run that comes too late.
"""

from dataclasses import dataclass
from typing import Literal

from department_nodes.accounts_of_runs import usage
from department_nodes.config import Limit, limits_in_force, load_config
from department_nodes.engine import NodeEngine
from department_nodes.evidence.levels import SUM_BITS_PER_PERSON, level_bits
from department_nodes.lines.budgets import budget_account
from department_nodes.store.models import LabelChargeRow
from department_nodes.store.session import transaction
from policies.contracts.grant import Grant, LineGrant, Operation
from policies.contracts.grant_terms import Share

BudgetName = Literal["labels", "evidence", "lines"]
Decider = Literal["site", "tier", "both", "grant"]


@dataclass(frozen=True)
class Cost:
    """One budget. `labels`, `lines`: ε; `evidence`: bits per person. `grant`: of all `runs`, each `per_run`.

    `together`: what would be spent or reserved then. Of lines it is composed, so that it is less than a sum. `decided_by`: who
    sets the cap: the site's policy, the asset's tier, or the grant itself.
    """

    budget: BudgetName
    spent: float
    runs: int
    per_run: float
    grant: float
    together: float
    cap: float
    decided_by: Decider

    @property
    def fits(self) -> bool:
        """Whether the budget suffices for all that the grant allows."""
        return self.together <= self.cap


def costs_of(engine: NodeEngine, grant: Grant | LineGrant) -> list[Cost]:
    """Return what a grant would cost this node; nothing for budgets that it does not touch."""
    me = grant.share(engine.home.config.department)
    limits = {limit.name: limit for limit in limits_in_force(load_config(engine.home.path))}
    if isinstance(grant, LineGrant):
        return [_line_cost(engine, grant, limits["max_line_epsilon_milli"])]
    if me.role == "lead":
        return [_label_cost(engine, grant, limits["max_label_epsilon_milli_per_year"])]
    return [_evidence_cost(engine, grant, me, limits["max_evidence_bits_per_person_and_year"])]


def _label_cost(engine: NodeEngine, grant: Grant, limit: Limit) -> Cost:
    label = grant.label
    with transaction(engine.db) as session:
        drawn = session.get(LabelChargeRow, (grant.project_id, label.target, label.label_period))
    spent = usage(engine).label_epsilon_milli
    # Bits that are drawn already are used again, whatever grant asks for them: training again costs nothing.
    added = 0 if drawn is not None else label.epsilon_milli
    return Cost(
        budget="labels",
        spent=spent / 1000,
        runs=grant.runs_allowed,
        per_run=0.0,
        grant=added / 1000,
        together=(spent + added) / 1000,
        cap=limit.in_force / 1000,
        decided_by=limit.decided_by,
    )


def _evidence_cost(engine: NodeEngine, grant: Grant, me: Share, limit: Limit) -> Cost:
    policy, terms = engine.home.config.policy, grant.evidence
    per_run = 0
    if Operation.EVIDENCE in me.operations and "evidence" in grant.modes:
        per_run += level_bits(min(terms.levels, policy.max_levels))
    if Operation.SUM_ONLY in me.operations and "sum_only" in grant.modes:
        per_run += SUM_BITS_PER_PERSON
    spent = usage(engine).evidence_bits_per_person
    added = grant.runs_allowed * per_run
    # The grant's own yearly cap stops its runs too, and counts all that this node has spent.
    narrower = terms.bits_per_person_and_year < limit.in_force
    return Cost(
        budget="evidence",
        spent=spent,
        runs=grant.runs_allowed,
        per_run=per_run,
        grant=added,
        together=spent + added,
        cap=min(limit.in_force, terms.bits_per_person_and_year),
        decided_by="grant" if narrower else limit.decided_by,
    )


def _line_cost(engine: NodeEngine, grant: LineGrant, limit: Limit) -> Cost:
    # The accountant brings torch with it, which takes seconds.
    from department_nodes.lines.costs import line_epsilon, planned_round

    config = engine.home.config
    account = budget_account(engine.db, config, int(engine.clock()))
    before = account.state(newest=0).epsilon_reserved
    after = account.with_rounds(planned_round(grant), grant.runs_allowed * grant.training.rounds)
    return Cost(
        budget="lines",
        spent=before,
        runs=grant.runs_allowed,
        per_run=line_epsilon(grant, config.policy.line_delta_exponent),
        grant=after - before,
        together=after,
        cap=limit.in_force / 1000,
        decided_by=limit.decided_by,
    )
