"""The privacy budget: reserve, charge, settle. Nobody overspends, nothing is charged twice or given back, ε's are composed."""

import json
import multiprocessing
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import budget_driver
import pytest
from budget_driver import ASSET, CAP, DELTA, NOW, account, closed_form, new_database, plan, slow_closed_form
from sqlalchemy import Engine, func, select

from crypto.errors import DoudiError
from department_nodes.privacy.accountant import epsilon as accountant_epsilon
from department_nodes.privacy.budget import BudgetAccount
from department_nodes.privacy.mechanisms import DiscreteGaussianRounds, GaussianSteps
from department_nodes.privacy.plans import History
from department_nodes.store.journal import EventType
from department_nodes.store.models import EventRow, PrivacyChargeRow, PrivacyReservationRow
from department_nodes.store.session import open_engine, transaction


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'node.db'}"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = new_database(url)
    yield made
    made.dispose()


def epsilon_of(plans: int, rounds: int = 4) -> float:
    return closed_form(((plan().per_round, plans * rounds),), DELTA)


def allowed_plans() -> int:
    """How many runs of the usual plan the closed form allows under the cap."""
    return max(count for count in range(200) if epsilon_of(count) <= CAP)


def code(act: Callable[[], object]) -> str:
    with pytest.raises(DoudiError) as caught:
        act()
    return caught.value.code


def count(engine: Engine, table: type) -> int:
    with transaction(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def events(engine: Engine, kind: EventType) -> list[dict[str, int]]:
    with transaction(engine) as session:
        rows = session.scalars(select(EventRow).where(EventRow.type == kind.value).order_by(EventRow.number))
        return [json.loads(row.counts) for row in rows]


# Reserving


def test_the_same_plan_twice_is_one_reservation_and_one_event(engine: Engine) -> None:
    account(engine).reserve(plan())
    account(engine, now_s=NOW + 5).reserve(plan())
    assert count(engine, PrivacyReservationRow) == 1
    (event,) = events(engine, EventType.BUDGET_RESERVED)
    charged = pytest.approx(1000 * epsilon_of(1), abs=1)
    assert event == {"rounds": 4, "epsilon_milli": charged, "cap_milli": 8000}


@pytest.mark.parametrize(
    "changed",
    [
        {"rounds": 5},
        {"sigma_milli": 8001},
        {"sample_rate_ppm": 999_999},
        {"steps_per_round": 1},
        {"mechanism": "discrete_gaussian", "rho_billionths": 1},
        {"expires_at": NOW + 1001},
    ],
)
def test_another_plan_for_the_same_attempt_is_refused(engine: Engine, changed: dict[str, object]) -> None:
    account(engine).reserve(plan())
    assert code(lambda: account(engine).reserve(plan(**changed))) == "budget.other_plan"
    assert code(lambda: account(engine, asset="tax/2").reserve(plan())) == "budget.other_plan"


@pytest.mark.parametrize(
    "changed",
    [
        {"sigma_milli": 0},
        {"rounds": 0},
        {"steps_per_round": 0},
        {"sample_rate_ppm": 0},
        {"sample_rate_ppm": 1_000_001},
        {"mechanism": "laplace"},
        {"mechanism": "discrete_gaussian"},
        {"rho_billionths": 1},
    ],
)
def test_a_plan_that_cannot_be_composed_is_no_plan(changed: dict[str, object]) -> None:
    assert code(lambda: plan(**changed)) == "budget.malformed_plan"


def test_a_plan_beyond_the_cap_is_refused_with_the_figures_and_stores_nothing(engine: Engine) -> None:
    for number in range(allowed_plans()):
        account(engine).reserve(plan(f"run-{number}"))
    before = account(engine).state()
    with pytest.raises(DoudiError, match=r"budget\.exhausted") as caught:
        account(engine).reserve(plan("run-last"))
    assert f"ε {before.epsilon_reserved:.3f} of 8 " in caught.value.message
    assert "doudi node budget" in caught.value.next_step
    assert account(engine).state() == before
    assert len(events(engine, EventType.BUDGET_REFUSED)) == 1


def test_an_accountant_that_gives_no_number_refuses(engine: Engine) -> None:
    for answer in (float("nan"), float("inf")):
        silent = account(engine, compose=lambda history, delta, answer=answer: answer)
        assert code(lambda silent=silent: silent.reserve(plan())) == "budget.exhausted"


def test_another_asset_has_its_own_account(engine: Engine) -> None:
    for number in range(allowed_plans()):
        account(engine).reserve(plan(f"run-{number}"))
    account(engine, asset="health/1").reserve(plan("run-other"))
    assert account(engine).state().attempts == allowed_plans()


def test_an_account_that_changes_while_it_is_composed_is_composed_again(engine: Engine) -> None:
    """Another run is accepted between composition and lock, at every look: this one must be refused, not squeezed in."""
    room = 4
    seen: list[History] = []

    def overtaken(history: History, delta: float) -> float:
        if len(seen) < room:
            seen.append(history)
            account(engine).reserve(plan(f"run-faster-{len(seen)}"))
        return closed_form(history, delta)

    for number in range(allowed_plans() - room):
        account(engine).reserve(plan(f"run-{number}"))
    assert code(lambda: account(engine, compose=overtaken).reserve(plan("run-slow"))) == "budget.exhausted"
    assert account(engine).state().attempts == allowed_plans()


# Charging


def test_a_round_is_charged_once_however_often_it_is_asked(engine: Engine) -> None:
    account(engine).reserve(plan())
    for _ in range(3):
        account(engine).charge("run-1", 1, 1)
    assert count(engine, PrivacyChargeRow) == 1
    assert events(engine, EventType.BUDGET_CHARGED) == [{"round": 1, "steps": 2}]


def test_no_round_is_charged_without_a_reservation_or_beyond_it(engine: Engine) -> None:
    assert code(lambda: account(engine).charge("run-1", 1, 1)) == "budget.not_reserved"
    account(engine).reserve(plan(rounds=2))
    assert code(lambda: account(engine).charge("run-1", 1, 0)) == "budget.not_reserved"
    assert code(lambda: account(engine).charge("run-1", 2, 1)) == "budget.not_reserved"
    assert code(lambda: account(engine, asset="health/1").charge("run-1", 1, 1)) == "budget.not_reserved"
    account(engine).charge("run-1", 1, 1)
    account(engine).charge("run-1", 1, 2)
    assert code(lambda: account(engine).charge("run-1", 1, 3)) == "budget.not_reserved"
    assert count(engine, PrivacyChargeRow) == 2


def test_a_run_that_goes_on_from_a_checkpoint_charges_as_many_rounds_as_it_reserved(engine: Engine) -> None:
    account(engine).reserve(plan(rounds=2))
    account(engine).charge("run-1", 1, 7)
    account(engine).charge("run-1", 1, 8)
    assert code(lambda: account(engine).charge("run-1", 1, 9)) == "budget.not_reserved"


def test_a_round_that_was_passed_uncharged_stays_so(engine: Engine) -> None:
    account(engine).reserve(plan())
    account(engine).charge("run-1", 1, 1)
    account(engine).charge("run-1", 1, 3)
    assert code(lambda: account(engine).charge("run-1", 1, 2)) == "budget.round_passed"
    account(engine).charge("run-1", 1, 1)
    assert count(engine, PrivacyChargeRow) == 2


# Settling


def test_settling_releases_what_was_not_charged_and_refunds_no_charge(engine: Engine) -> None:
    account(engine).reserve(plan())
    account(engine).charge("run-1", 1, 1)
    account(engine).settle("run-1", 1)
    account(engine).settle("run-1", 1)
    state = account(engine).state()
    assert state.epsilon_spent == state.epsilon_reserved == epsilon_of(1, rounds=1)
    assert events(engine, EventType.BUDGET_SETTLED) == [{"charged": 1, "released": 3}]
    assert not account(engine).is_reserved("run-1", 1)
    for number in (1, 2):
        assert code(lambda number=number: account(engine).charge("run-1", 1, number)) == "budget.not_reserved"
    account(engine).reserve(plan())
    assert not account(engine).is_reserved("run-1", 1)


def test_settling_an_unknown_run_does_nothing(engine: Engine) -> None:
    account(engine).settle("run-1", 1)
    assert events(engine, EventType.BUDGET_SETTLED) == []


def test_a_newer_attempt_settles_the_older_ones_and_their_charges_stay(engine: Engine) -> None:
    for number in range(1, allowed_plans() - 1):
        account(engine).reserve(plan(f"run-{number}"))
    account(engine).charge("run-1", 1, 1)
    # Twice the plan of the older attempt, but nothing of that is left to it: three quarters are released.
    account(engine).reserve(plan("run-1", 2, rounds=8))
    assert events(engine, EventType.BUDGET_SETTLED) == [{"charged": 1, "released": 3}]
    assert code(lambda: account(engine).charge("run-1", 1, 2)) == "budget.not_reserved"
    assert code(lambda: account(engine).reserve(plan("run-last", 1, rounds=8))) == "budget.exhausted"
    assert account(engine).state().epsilon_spent == epsilon_of(1, rounds=1)


def test_an_older_attempt_reserves_nothing_any_more(engine: Engine) -> None:
    account(engine).reserve(plan(attempt=2))
    assert code(lambda: account(engine).reserve(plan(attempt=1))) == "budget.attempt_passed"


def test_a_refused_attempt_settles_nothing(engine: Engine) -> None:
    account(engine).reserve(plan())
    assert code(lambda: account(engine).reserve(plan(attempt=2, rounds=900))) == "budget.exhausted"
    assert account(engine).is_reserved("run-1", 1)


def test_what_a_run_did_not_charge_by_its_end_is_released(engine: Engine) -> None:
    account(engine).reserve(plan())
    account(engine).charge("run-1", 1, 1)
    after = NOW + 1001
    assert account(engine, NOW + 1000).settle_overdue() == 0
    assert code(lambda: account(engine, after).charge("run-1", 1, 2)) == "budget.not_reserved"
    assert account(engine, after).state().epsilon_reserved == epsilon_of(1, rounds=1)
    assert account(engine, after).settle_overdue() == 1
    assert account(engine, after).settle_overdue() == 0
    assert account(engine).state().epsilon_reserved == epsilon_of(1, rounds=1)


def test_a_reservation_settles_the_overdue_ones_that_it_counted_as_released(engine: Engine) -> None:
    for number in range(allowed_plans()):
        account(engine).reserve(plan(f"run-{number}"))
    account(engine, NOW + 1001).reserve(plan("run-later", expires_at=NOW + 9000))
    # A clock that goes back must not bring the released rounds back.
    assert code(lambda: account(engine).charge("run-0", 1, 1)) == "budget.not_reserved"


# The account


def test_two_runs_cost_less_together_than_their_sum_and_the_history_says_both(engine: Engine) -> None:
    for number, rounds in (("run-1", 4), ("run-2", 2)):
        account(engine, NOW + rounds).reserve(plan(number))
    for number in range(1, 5):
        account(engine).charge("run-1", 1, number)
    account(engine).charge("run-2", 1, 1)
    state = account(engine).state()
    second, first = state.history
    assert (second.run_id, second.rounds_charged, second.rounds_reserved) == ("run-2", 1, 4)
    assert (first.run_id, first.rounds_charged, first.state) == ("run-1", 4, "reserved")
    assert second.epsilon_after == second.epsilon_alone == epsilon_of(1, rounds=1)
    assert first.epsilon_after == state.epsilon_spent == epsilon_of(1, rounds=5)
    assert state.epsilon_spent < first.epsilon_alone + second.epsilon_alone
    assert state.epsilon_reserved == epsilon_of(2)
    assert (state.asset, state.cap_epsilon, state.delta) == (ASSET, CAP, DELTA)


def test_a_shortened_history_still_composes_everything(engine: Engine) -> None:
    for number in range(3):
        account(engine, NOW + number).reserve(plan(f"run-{number}"))
        account(engine).charge(f"run-{number}", 1, 1)
    whole, short = account(engine).state(), account(engine).state(newest=1)
    assert short.history == whole.history[-1:]
    assert (short.epsilon_spent, short.attempts) == (whole.epsilon_spent, 3)


def test_an_empty_account_needs_no_accountant(engine: Engine) -> None:
    state = BudgetAccount(engine, ASSET, CAP, DELTA, NOW).state()
    assert (state.epsilon_spent, state.epsilon_reserved, state.history) == (0.0, 0.0, ())


def test_mechanisms_of_both_kinds_are_composed_in_one_history(engine: Engine) -> None:
    account(engine).reserve(plan("run-1"))
    discrete = plan("run-2", mechanism="discrete_gaussian", rho_billionths=2_000_000, steps_per_round=1)
    account(engine).reserve(discrete)
    together = ((discrete.per_round, 4), (plan().per_round, 4))
    assert account(engine).state().epsilon_reserved == closed_form(together, DELTA)


def test_the_real_accountant_composes_runs_below_their_sum_and_holds_the_cap(engine: Engine) -> None:
    """The cap lies between one run and two: the second is refused although half of each ε would fit."""
    sampled = plan("run-1", sigma_milli=1000, sample_rate_ppm=20_000, steps_per_round=50)
    steps = GaussianSteps(1.0, 0.02, 200)
    one, two = accountant_epsilon([steps], DELTA), accountant_epsilon([steps, steps], DELTA)
    assert one < two < 2 * one
    tight = BudgetAccount(engine, ASSET, (one + two) / 2, DELTA, NOW)
    tight.reserve(sampled)
    assert tight.state().epsilon_reserved == one
    assert code(lambda: tight.reserve(replace(sampled, run_id="run-2"))) == "budget.exhausted"
    BudgetAccount(engine, ASSET, two, DELTA, NOW).reserve(replace(sampled, run_id="run-2"))
    assert tight.state().epsilon_reserved == two
    shared = replace(plan("run-3", mechanism="discrete_gaussian", rho_billionths=3_000_000), sample_rate_ppm=1_000_000)
    BudgetAccount(engine, ASSET, CAP, DELTA, NOW).reserve(shared)
    both = [steps, steps, DiscreteGaussianRounds(3_000_000, 4)]
    assert tight.state().epsilon_reserved == accountant_epsilon(both, DELTA)


# Threads, processes and crashes


def test_two_hundred_reservations_in_threads_never_overspend(engine: Engine) -> None:
    def reserve(number: int) -> str:
        try:
            account(engine, compose=slow_closed_form).reserve(plan(f"run-{number}"))
        except DoudiError as error:
            return error.code
        return "ok"

    with ThreadPoolExecutor(16) as pool:
        codes = Counter(pool.map(reserve, range(200)))
    assert codes == {"ok": allowed_plans(), "budget.exhausted": 200 - allowed_plans()}
    assert account(engine).state().attempts == allowed_plans()
    assert account(engine).state().epsilon_reserved <= CAP


@pytest.mark.processes
def test_two_hundred_reservations_in_processes_never_overspend(engine: Engine, url: str) -> None:
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("spawn")) as pool:
        accepted = sum(pool.map(budget_driver.reserve_many, [url] * 8, range(8), [25] * 8))
    assert accepted == allowed_plans() == account(engine).state().attempts


def test_two_hundred_charges_in_threads_charge_each_round_once(engine: Engine) -> None:
    account(engine).reserve(plan())

    def charge(number: int) -> str:
        try:
            account(engine).charge("run-1", 1, number % 20 + 1)
        except DoudiError as error:
            return error.code
        return "ok"

    with ThreadPoolExecutor(16) as pool:
        codes = set(pool.map(charge, range(200)))
    assert codes <= {"ok", "budget.not_reserved", "budget.round_passed"}
    assert 1 <= count(engine, PrivacyChargeRow) <= 4


@pytest.mark.processes
@pytest.mark.parametrize(("moment", "charged"), [("before", 0), ("after", 1)])
def test_a_killed_node_keeps_its_charge_and_its_reservation(
    engine: Engine, url: str, moment: str, charged: int
) -> None:
    command = [sys.executable, str(Path(budget_driver.__file__)), url, moment]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    engine.dispose()
    reopened = open_engine(url)
    (entry,) = account(reopened).state().history
    assert (entry.rounds_charged, entry.state) == (charged, "reserved")
    assert account(reopened).state().epsilon_reserved == epsilon_of(1)
    # The node goes on where it was: the repeated charge costs nothing, the next one does.
    account(reopened).charge("run-1", 1, 1)
    account(reopened).charge("run-1", 1, 2)
    assert count(reopened, PrivacyChargeRow) == 2
    reopened.dispose()
