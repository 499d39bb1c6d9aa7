"""Which privacy budget a node's lines are charged to: one per data asset, capped by the department's own policy."""

from sqlalchemy import Engine

from department_nodes.config import NodeConfig
from department_nodes.privacy.budget import BudgetAccount


def budget_account(db: Engine, config: NodeConfig, now_s: int) -> BudgetAccount:
    """Return the account of the node's data asset: its dataset, whatever line, grant or version of the data standard spends."""
    return BudgetAccount(
        db,
        # A new version of the standard is about the same people, so it opens no new budget.
        asset=config.dataset,
        cap_epsilon=config.policy.max_line_epsilon_milli / 1000,
        delta=10.0**-config.policy.line_delta_exponent,
        now_s=now_s,
    )
