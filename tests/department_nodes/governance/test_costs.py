"""What a grant would cost this node: each budget with what is spent, the grant's part, and whose cap decides."""

from pathlib import Path
from typing import Any

import pytest
from line_region import Line
from region import LEAD, Stages

from department_nodes.config import NodeConfig, SitePolicy, limits_in_force, narrowed_by_tier
from department_nodes.governance.costs import costs_of
from department_nodes.lines.budgets import budget_account
from policies.contracts.steps import Step

NODE = "tax"


def test_the_lead_pays_for_a_period_once_whatever_grant_asks_again(region_before: Any, stages: Stages) -> None:
    before, after = region_before(Step.BLIND), region_before(None)
    (cost,) = costs_of(before.engines[LEAD], before.draft())
    assert (cost.budget, cost.spent, cost.grant, cost.together, cost.cap) == ("labels", 0.0, 1.0, 1.0, 8.0)
    # The run has drawn the period's bits.
    (again,) = costs_of(after.engines[LEAD], after.draft())
    assert (again.spent, again.grant, again.together) == (1.0, 0.0, 1.0)
    (other,) = costs_of(after.engines[LEAD], after.draft(label_period="2027"))
    assert (other.spent, other.grant, other.together, other.fits) == (1.0, 1.0, 2.0, True)


@pytest.mark.parametrize(("modes", "per_run"), [(("evidence",), 5), (("sum_only",), 6), (("evidence", "sum_only"), 11)])
def test_evidence_is_counted_per_run_and_mode(region_before: Any, stages: Stages, modes: Any, per_run: int) -> None:
    region = region_before(Step.BLIND)
    (cost,) = costs_of(region.engines[NODE], region.draft(modes=modes, runs_allowed=4))
    assert (cost.budget, cost.per_run, cost.grant, cost.together) == ("evidence", per_run, 4 * per_run, 4 * per_run)


def test_what_was_spent_before_counts_against_the_grants_own_cap_too(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    (cost,) = costs_of(region.engines[NODE], region.draft(runs_allowed=5))
    # Fewer levels than 32 came of the small region's own people, so that the run that was cost less than planned.
    assert 0 < cost.spent <= 11
    assert cost.together == cost.spent + 55
    assert (cost.cap, cost.decided_by) == (60, "grant")
    assert cost.fits == (cost.together <= 60)


def test_a_stricter_site_or_tier_sets_the_cap(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    (cost,) = costs_of(region.engines[NODE], region.draft(bits_per_person_and_year=120))
    assert (cost.cap, cost.decided_by) == (120, "site")
    region.set_policy(NODE, max_evidence_bits_per_person_and_year=30)
    (narrow,) = costs_of(region.engines[NODE], region.draft())
    assert (narrow.cap, narrow.decided_by, narrow.fits) == (30, "site", False)


def test_a_line_is_composed_with_what_was_spent_and_never_added(tmp_path: Path) -> None:
    line = Line(tmp_path / "line", regions=3)
    grant = line.draft(epsilon=2.0, runs_allowed=3)
    engine = line.engines[line.parties[1]]
    (cost,) = costs_of(engine, grant)
    assert (cost.budget, cost.spent, cost.cap, cost.decided_by) == ("lines", 0.0, 8.0, "site")
    assert 1.9 < cost.per_run <= 2.0
    assert cost.per_run < cost.together < 3 * cost.per_run
    account = budget_account(engine.db, engine.home.config, int(engine.clock()))
    assert account.state().attempts == 0  # Looking costs nothing.
    line.close()


def config(tier: str, **policy: Any) -> NodeConfig:
    return NodeConfig(
        department=NODE,
        region="test",
        dataset=NODE,
        tier=tier,
        allowed_purposes=("social_assistance",),
        extract="extract.parquet",
        coordinator_url="https://127.0.0.1:1",
        superlink_address="127.0.0.1:2",
        policy=SitePolicy(**policy),
    )


@pytest.mark.parametrize(
    ("tier", "policy", "name", "in_force", "decided_by"),
    [
        ("general_2", {}, "max_epsilon_milli", 3000, "site"),
        ("important", {}, "max_epsilon_milli", 1000, "tier"),
        ("general_2", {"max_epsilon_milli": 4000}, "max_epsilon_milli", 4000, "both"),
        ("important", {}, "allow_lines", False, "tier"),
        ("general_2", {"allow_lines": False}, "allow_lines", False, "site"),
        ("important", {}, "min_declared_parties", 4, "tier"),
        ("important", {"min_declared_parties": 5}, "min_declared_parties", 5, "site"),
    ],
)
def test_of_site_and_tier_the_stricter_limit_is_in_force(
    tier: str, policy: dict[str, Any], name: str, in_force: int, decided_by: str
) -> None:
    raw = config(tier, **policy)
    limit = next(each for each in limits_in_force(raw) if each.name == name)
    assert (limit.in_force, limit.decided_by) == (in_force, decided_by)
    assert getattr(narrowed_by_tier(raw).policy, name) == in_force


def test_narrowing_again_changes_nothing() -> None:
    narrow = narrowed_by_tier(config("important"))
    assert narrowed_by_tier(narrow) == narrow
