"""Runs start in the order of their numbers, and a few at a time: counted by each node itself, whatever the coordinator sends."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from region import LEAD, Region, Stages, code_of
from sqlalchemy import func, select

from department_nodes.run_order import IDLE_AFTER_S, unfinished_runs
from department_nodes.store.models import RunNumberRow, SentRow, StepRow
from department_nodes.store.session import transaction
from policies.contracts.grant import SignedGrant
from policies.contracts.steps import Step, pack_request

NODE = "tax"


@dataclass
class Clock:
    """The time of a test."""

    now_s: float

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(stages: Stages) -> Clock:
    return Clock(float(stages.manifest.manifest.created_at))


def blind(region: Region, signed: SignedGrant, run_id: str, number: int, attempt: int = 1) -> bytes:
    """Return the request for the first step of a run that the scheduler signed."""
    return pack_request(Step.BLIND, signed, region.schedule(signed, run_id, number, attempt))


def unfinished(region: Region, name: str = NODE) -> list[str]:
    with transaction(region.engines[name].db) as session:
        return unfinished_runs(session, int(region.clock()))


def traces(region: Region, run_id: str) -> int:
    """Return how many rows a run left at the node besides the keys that it offered."""
    with transaction(region.engines[NODE].db) as session:
        tables = (RunNumberRow, StepRow, SentRow)
        return sum(session.scalar(select(func.count()).where(table.run_id == run_id)) or 0 for table in tables)


# ---- order ----


def test_a_run_with_a_lower_number_than_one_that_started_is_refused_for_ever(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    low, high = blind(region, stages.signed, "run-2", 2), blind(region, stages.signed, "run-3", 3)
    assert region.ask(Step.BLIND, NODE, high) == "ok"
    for _ in range(2):
        assert region.ask(Step.BLIND, NODE, low) == "manifest.out_of_order"
        region.restart(NODE)
    assert traces(region, "run-2") == 0
    # The refusal holds for the run, not for its grant: the next number starts.
    assert region.ask(Step.BLIND, NODE, blind(region, stages.signed, "run-4", 4)) == "ok"


def test_a_run_that_has_started_goes_on_beside_a_later_one(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)  # run 1 has answered its first step
    assert region.ask(Step.BLIND, NODE, blind(region, stages.signed, "run-2", 2)) == "ok"
    assert region.ask(Step.EVALUATE, NODE, stages.request(Step.EVALUATE, NODE)) == "ok"
    # Nor is a new attempt of it a new run.
    assert region.ask(Step.BLIND, NODE, blind(region, stages.signed, "run-1", 1, attempt=2)) == "ok"


def test_each_grant_has_an_order_of_its_own(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    other = region.sign(region.draft())
    assert region.ask(Step.BLIND, NODE, blind(region, stages.signed, "run-3", 3)) == "ok"
    assert region.ask(Step.BLIND, NODE, blind(region, other, "other-1", 1)) == "ok"


# ---- number at a time ----


def test_a_third_run_is_told_to_wait_and_starts_when_one_has_ended(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    assert region.homes[NODE].config.policy.max_concurrent_runs == 2
    requests = [blind(region, stages.signed, f"run-{number}", number) for number in (2, 3, 4)]
    assert [region.ask(Step.BLIND, NODE, request) for request in requests] == ["ok", "ok", "node.busy"]
    assert unfinished(region) == ["run-2", "run-3"]
    assert traces(region, "run-4") == 0
    # A newer attempt of one of them takes its place and no other.
    again = blind(region, stages.signed, "run-2", 2, attempt=2)
    assert region.ask(Step.BLIND, NODE, again) == "ok"
    assert region.ask(Step.BLIND, NODE, requests[2]) == "node.busy"


def test_a_run_counts_until_the_departments_last_step_is_answered(region_before: Any, stages: Stages) -> None:
    before, after = region_before(Step.TRAIN), region_before(Step.COMBINE)
    assert unfinished(before) == ["run-1"]
    assert unfinished(after) == []
    # The lead has one step more.
    assert unfinished(after, LEAD) == ["run-1"]
    done = region_before(None)
    assert unfinished(done, LEAD) == []
    after.set_policy(NODE, max_concurrent_runs=1)
    assert after.ask(Step.BLIND, NODE, blind(after, stages.signed, "run-2", 2)) == "ok"
    # A finished run's stored replies need no place.
    assert after.ask(Step.TRAIN, NODE, stages.request(Step.TRAIN, NODE)) == "ok"


def test_a_lost_run_holds_its_place_for_an_hour_and_not_longer(
    region_before: Any, stages: Stages, clock: Clock
) -> None:
    region = region_before(Step.EVALUATE, clock)
    region.set_policy(NODE, max_concurrent_runs=1)
    later = blind(region, stages.signed, "run-2", 2)
    with transaction(region.engines[NODE].db) as session:
        last = session.scalar(select(func.max(StepRow.finished_at)))
    clock.now_s = last + IDLE_AFTER_S - 1.0
    assert region.ask(Step.BLIND, NODE, later) == "node.busy"
    clock.now_s = last + float(IDLE_AFTER_S)
    assert region.ask(Step.BLIND, NODE, later) == "ok"
    # Now the lost one finds the node busy, until the other has gone.
    assert region.ask(Step.EVALUATE, NODE, stages.request(Step.EVALUATE, NODE)) == "node.busy"
    clock.now_s += IDLE_AFTER_S
    assert region.ask(Step.EVALUATE, NODE, stages.request(Step.EVALUATE, NODE)) == "ok"


def test_a_run_whose_manifest_expired_holds_no_place(region_before: Any, stages: Stages, clock: Clock) -> None:
    region = region_before(Step.EVALUATE, clock)
    clock.now_s = stages.manifest.manifest.expires_at + 1.0
    assert unfinished(region) == []


def test_a_narrower_policy_lets_the_runs_that_have_started_end(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    assert region.ask(Step.BLIND, NODE, blind(region, stages.signed, "run-2", 2)) == "ok"
    region.set_policy(NODE, max_concurrent_runs=1)
    assert region.ask(Step.EVALUATE, NODE, stages.request(Step.EVALUATE, NODE)) == "ok"
    assert region.ask(Step.BLIND, NODE, blind(region, stages.signed, "run-3", 3)) == "node.busy"


def test_runs_that_are_asked_at_the_same_time_take_the_places_that_there_are(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    grants = [region.sign(region.draft()) for _ in range(6)]
    requests = [blind(region, signed, f"run-{index}-x", 1) for index, signed in enumerate(grants)]
    engine = region.engines[NODE]
    with ThreadPoolExecutor(len(requests)) as pool:
        codes = sorted(code_of(reply) for reply in pool.map(engine.answer, requests))
    assert codes == ["node.busy"] * 4 + ["ok"] * 2
    assert len(unfinished(region)) == 2


def test_a_busy_node_charges_nothing_and_sends_nothing(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    region.set_policy(NODE, max_concurrent_runs=1)
    with transaction(region.engines[NODE].db) as session:
        before = session.scalar(select(func.count()).select_from(SentRow))
    request = blind(region, stages.signed, "run-2", 2)
    assert region.ask(Step.BLIND, NODE, request) == "node.busy"
    with transaction(region.engines[NODE].db) as session:
        assert session.scalar(select(func.count()).select_from(SentRow)) == before
