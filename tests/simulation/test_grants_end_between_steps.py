"""A grant that expires or is revoked while a run is under way stops it between two steps: nothing more is computed or sent."""

from dataclasses import dataclass
from typing import Any

import pytest
from compromised_coordinator import contents
from line_region import Line
from line_rounds_driver import RoundDriver
from region import DEPARTMENTS, LEAD, EngineRelay, Marks, Region, Stages, code_of, parts_of
from sqlalchemy import select

from crypto.errors import DoudiError
from department_nodes.home import CENTRE
from department_nodes.store.models import EventRow, EvidenceChargeRow, SentRow
from department_nodes.store.session import transaction
from policies.contracts.grant import SignedGrant
from policies.contracts.revocations import RevokedGrant
from policies.contracts.steps import REGION_STEPS, Step

NODE = "tax"
LATER_STEPS = [step for step in REGION_STEPS if step is not Step.BLIND]


@dataclass
class Clock:
    """The time of a test."""

    now_s: float

    def __call__(self) -> float:
        return self.now_s


def entry(signed: SignedGrant, at_s: float) -> RevokedGrant:
    return RevokedGrant(
        grant_hash=signed.grant_hash, reason="misuse", revoked_at=int(at_s), expires_at=signed.grant.expires_at
    )


def sent(region: Region, name: str) -> list[tuple[Any, ...]]:
    with transaction(region.engines[name].db) as session:
        return [(row.step, row.kind, row.receiver) for row in session.scalars(select(SentRow).order_by(SentRow.number))]


def assert_stopped(region: Region, stages: Stages, step: Step, code: str) -> None:
    """Assert that no node answers the step, that the run ends, and that nothing was computed, charged or sent any more."""
    before = {name: contents(region.engines[name]) for name in DEPARTMENTS}
    relay, marks = EngineRelay(region.engines), Marks()
    with pytest.raises(DoudiError):
        region.run(stages.signed, stages.manifest, relay, marks)
    refused = {(row[1], row[3]) for row in marks.rows if row[0] == "refused"}
    assert refused == {(step.value, code)}
    assert relay.seen
    assert {code_of(reply) for _, _, reply in relay.seen} == {code}
    assert {name: contents(region.engines[name]) for name in DEPARTMENTS} == before


@pytest.mark.parametrize("step", LATER_STEPS)
def test_an_expired_grant_stops_the_run_before_each_step(region_before: Any, stages: Stages, step: Step) -> None:
    clock = Clock(float(stages.manifest.manifest.created_at))
    region = region_before(step, clock)
    clock.now_s = stages.signed.grant.expires_at + 1.0
    assert_stopped(region, stages, step, "grant.expired")


@pytest.mark.parametrize("step", LATER_STEPS)
@pytest.mark.parametrize("party", [CENTRE, LEAD, NODE])
def test_a_revoked_grant_stops_the_run_before_each_step(
    region_before: Any, stages: Stages, step: Step, party: str
) -> None:
    clock = Clock(float(stages.manifest.manifest.created_at))
    region = region_before(step, clock)
    region.publish_revocations(entry(stages.signed, clock()), by=party)
    assert_stopped(region, stages, step, "grant.revoked")


def test_a_grant_in_force_goes_on(region_before: Any, stages: Stages) -> None:
    clock = Clock(float(stages.manifest.manifest.created_at))
    region = region_before(Step.TRAIN, clock)
    clock.now_s = float(min(stages.manifest.manifest.expires_at, stages.signed.grant.expires_at))
    assert region.run(stages.signed, stages.manifest)["run"]["missing"] == {}


class RevokingClock(Clock):
    """A clock at whose second reading in a step the grant is revoked: while the step computes."""

    def __init__(self, now_s: float) -> None:
        super().__init__(now_s)
        self.revoke: Any = None
        self.readings = 0

    def __call__(self) -> float:
        if self.revoke is not None:
            self.readings += 1
            if self.readings == 2:
                self.revoke()
        return self.now_s


@pytest.mark.parametrize("step", [Step.BLIND, Step.EVALUATE, Step.TRAIN])
def test_a_grant_revoked_while_a_step_computes_lets_no_reply_leave(
    region_before: Any, stages: Stages, step: Step
) -> None:
    clock = RevokingClock(float(stages.manifest.manifest.created_at))
    region = region_before(step, clock)
    engine, before = region.engines[NODE], sent(region, NODE)
    revoked = region.next_list(CENTRE, int(clock.now_s), [entry(stages.signed, clock.now_s)])
    clock.revoke = lambda: region.deliver(revoked)
    request = stages.request(step, NODE)
    assert code_of(engine.answer(request)) == "grant.revoked"
    clock.revoke = None
    assert sent(region, NODE) == before
    # What was charged for it stays charged; nothing of the step can be asked for again.
    with transaction(engine.db) as session:
        charged = session.scalars(select(EvidenceChargeRow)).all()
        codes = session.scalars(select(EventRow.code).where(EventRow.type == "step.refused")).all()
    assert len(charged) == (1 if step is Step.TRAIN else 0)
    assert codes[-1] == "grant.revoked"
    assert code_of(engine.answer(request)) == "grant.revoked"


def test_a_revoked_line_stops_in_the_middle_of_a_round(tmp_path: Any) -> None:
    line = Line(tmp_path / "line", regions=3)
    signed = line.sign(line.draft())
    driver = RoundDriver(line, signed, line.schedule(signed))
    driver.keys()
    driver.shares()
    name = line.parties[1]
    assert parts_of(driver.answer(name, driver.update_request(name)))
    line.publish_revocations(entry(signed, line.clock()), by=line.parties[2])
    before = {party: contents(line.engines[party]) for party in line.parties}
    for party in line.parties:
        assert driver.code(party, driver.update_request(party)) == "grant.revoked"
    assert {party: contents(line.engines[party]) for party in line.parties} == before
    line.close()
