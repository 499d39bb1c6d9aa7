"""A grant that expires or is revoked while a run is under way stops it between two steps: nothing more is computed or sent."""

from contextlib import suppress
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
from department_nodes.offers import make_offer
from department_nodes.retention import end_grants
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
    """A clock at whose third reading in a step the grant is revoked: the second is after the gate, then the step computes."""

    def __init__(self, now_s: float) -> None:
        super().__init__(now_s)
        self.revoke: Any = None
        self.readings = 0

    def __call__(self) -> float:
        if self.revoke is not None:
            self.readings += 1
            if self.readings == 3:
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


def test_a_grant_that_a_node_has_ended_never_lives_again(region_before: Any, stages: Stages) -> None:
    """The attack: end a finished run's grant, so that nodes forget what they answered, and have it answered anew, uncharged.

    Here a clock does it that was ahead for a moment; a revocation list that names a past end would have done the same.
    """
    clock = Clock(float(stages.manifest.manifest.created_at))
    region = region_before(None, clock)
    charged = len(evidence_charges(region))
    clock.now_s = stages.signed.grant.expires_at + 1.0
    for name in DEPARTMENTS:
        assert end_grants(region.engines[name]) == 1
    clock.now_s = float(stages.manifest.manifest.created_at)
    with pytest.raises(DoudiError) as caught:
        make_offer(region.engines[NODE], stages.signed, "run-1", 1)
    assert caught.value.code == "grant.ended"
    sent_before = sent(region, NODE)
    for step in (Step.BLIND, Step.TRAIN):
        assert region.ask(step, NODE, stages.request(step, NODE)) == "grant.ended"
    assert (len(evidence_charges(region)), sent(region, NODE)) == (charged, sent_before)


def test_what_a_department_revoked_stops_a_run_that_leaves_it_out_within_a_week(
    region_before: Any, stages: Stages
) -> None:
    """Its list is withheld and it is left out of the run: the others go on for seven times their limit, and no longer."""
    clock = Clock(float(stages.manifest.manifest.created_at))
    region = region_before(Step.BLIND, clock)
    for name in DEPARTMENTS:
        region.set_policy(name, max_revocation_age_hours=24)
    others = tuple(name for name in DEPARTMENTS if name != NODE)

    def refusal_after(days: float) -> str:
        clock.now_s = float(stages.manifest.manifest.created_at) + days * 24 * 3600
        for party in (CENTRE, *others):
            region.deliver(region.next_list(party, int(clock())))
        run = (f"run-{days:g}".replace(".", "-"), 2, 1)
        manifest = region.schedule(stages.signed, *run, mode="evidence", departments=others)
        relay, marks = EngineRelay(region.engines), Marks()
        with suppress(DoudiError):
            region.run(stages.signed, manifest, relay, marks)
        return code_of(relay.seen[0][2])

    assert refusal_after(6.9) == "ok"
    assert refusal_after(7.1) == "revocation.stale"


def evidence_charges(region: Region) -> list[Any]:
    with transaction(region.engines[NODE].db) as session:
        return list(session.scalars(select(EvidenceChargeRow)))
