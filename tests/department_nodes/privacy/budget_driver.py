"""Drives budget accounts from threads and processes. As a program: charges one round, says so, and waits to be killed."""

import math
import sys
import time

from sqlalchemy import Engine

from crypto.errors import DoudiError
from department_nodes.privacy.budget import BudgetAccount, Plan
from department_nodes.privacy.plans import Compose, History
from department_nodes.store.models import GrantRow, ProjectRow
from department_nodes.store.session import migrate, open_engine, transaction

ASSET, DELTA, CAP, NOW = "tax/1", 1e-6, 8.0, 1_790_000_000
GRANT, PROJECT = "a" * 64, "line-2026"


def closed_form(history: History, delta: float) -> float:
    """Return ε of Gaussian rounds without the gain of sampling: their ρ add up (Bun and Steinke 2016, Prop. 1.3)."""
    rho = sum(
        rounds * (one.rho_billionths / 1e9 if one.rho_billionths else one.steps_per_round * 5e5 / one.sigma_milli**2)
        for one, rounds in history
    )
    return rho + 2 * math.sqrt(rho * math.log(1 / delta))


def slow_closed_form(history: History, delta: float) -> float:
    """The same, with the time that the real accountant takes."""
    time.sleep(0.02)
    return closed_form(history, delta)


def new_database(url: str) -> Engine:
    """Return a migrated database that knows one grant."""
    engine = open_engine(url)
    migrate(engine)
    with transaction(engine) as session:
        session.add(ProjectRow(project_id=PROJECT, joined_at=NOW))
        session.flush()
        session.add(GrantRow(grant_hash=GRANT, project_id=PROJECT, document=b"{}", first_seen_at=NOW))
    return engine


def account(
    engine: Engine, now_s: int = NOW, compose: Compose = closed_form, cap: float = CAP, asset: str = ASSET
) -> BudgetAccount:
    return BudgetAccount(engine, asset, cap, DELTA, now_s, compose)


def plan(run_id: str = "run-1", attempt: int = 1, **changed: object) -> Plan:
    values: dict[str, object] = {
        "run_id": run_id,
        "attempt": attempt,
        "project_id": PROJECT,
        "grant_hash": GRANT,
        "mechanism": "gaussian",
        "sigma_milli": 8000,
        "sample_rate_ppm": 1_000_000,
        "steps_per_round": 2,
        "rho_billionths": 0,
        "rounds": 4,
        "expires_at": NOW + 1000,
    }
    return Plan(**{**values, **changed})  # type: ignore[arg-type]


def reserve_many(url: str, worker: int, count: int) -> int:
    """Reserve a run after another until all were tried, in a process of its own; return how many were accepted."""
    engine = open_engine(url)
    accepted = 0
    for number in range(count):
        try:
            account(engine, compose=slow_closed_form).reserve(plan(f"run-{worker}-{number}"))
            accepted += 1
        except DoudiError as error:
            if error.code != "budget.exhausted":
                raise
    engine.dispose()
    return accepted


def main() -> None:
    """Reserve, charge round 1 if told so, say so and wait for the end: `URL before|after`."""
    found = account(open_engine(sys.argv[1]))
    found.reserve(plan())
    if sys.argv[2] == "after":
        found.charge("run-1", 1, 1)
    print("ready", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()
