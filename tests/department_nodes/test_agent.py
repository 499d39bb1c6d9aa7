"""The running node's duties: lists before keys, one duty's failure stops no other, and keys only for what the run names."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from region import Region, Stages
from sqlalchemy import select

from crypto.errors import DoudiError
from department_nodes.agent import Duty, KeyOfferer, duties_of
from department_nodes.governance.revocation_exchange import PAUSE_S, RevocationExchange
from department_nodes.home import CENTRE
from department_nodes.revocations import known_lists
from department_nodes.store.models import EventRow
from department_nodes.store.session import transaction
from policies.contracts.grant import SignedGrant
from policies.contracts.revocations import SignedRevocationList
from policies.contracts.steps import Step

NODE = "tax"


@dataclass
class Clock:
    """The time of a test."""

    now_s: float

    def __call__(self) -> float:
        return self.now_s


class Coordinator:
    """What the node's service asks: one waiting run, its grant, and the lists that were handed in."""

    def __init__(self, signed: SignedGrant, run_id: str = "run-7") -> None:
        self.signed, self.run_id = signed, run_id
        self.told_hash = signed.grant_hash
        self.lists: list[SignedRevocationList] = []
        self.asked: list[str] = []
        self.put: list[str] = []

    def get(self, path: str) -> Any:
        self.asked.append(path.partition("?")[0])
        if path.startswith("/v1/revocations"):
            return {"items": [json.loads(each.to_bytes()) for each in self.lists], "next_cursor": None}
        run = {
            "run_id": self.run_id,
            "attempt": 1,
            "project_id": self.signed.grant.project_id,
            "grant_hash": self.told_hash,
        }
        return {"items": [run], "next_cursor": None}

    def get_bytes(self, path: str) -> bytes:
        self.asked.append(path.partition("?")[0])
        return self.signed.to_bytes()

    def put_bytes(self, path: str, body: bytes) -> Any:
        self.put.append(path)
        return {}


def offerer(region: Region, coordinator: Coordinator) -> KeyOfferer:
    client: Any = coordinator
    return KeyOfferer(region.engines[NODE], client, RevocationExchange(region.engines[NODE], client))


def offer_refusals(region: Region) -> list[str]:
    with transaction(region.engines[NODE].db) as session:
        return list(session.scalars(select(EventRow.code).where(EventRow.type == "run.offer_refused")))


def test_keys_are_offered_once_for_a_waiting_run(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    coordinator = Coordinator(stages.signed)
    looking = offerer(region, coordinator)
    looking.look()
    looking.look()
    assert coordinator.put == [f"/v1/runs/run-7/offers/{NODE}"]
    # Every list is recent: none was asked for.
    assert "/v1/revocations" not in coordinator.asked


def test_no_keys_are_offered_under_another_grant_than_the_run_names(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    coordinator = Coordinator(stages.signed)
    coordinator.told_hash = "ab" * 32
    offerer(region, coordinator).look()
    assert coordinator.put == []
    assert offer_refusals(region) == ["grant.wrong_hash"]


def test_stale_lists_are_asked_for_at_once_before_keys_are_offered(region_before: Any, stages: Stages) -> None:
    clock = Clock(float(stages.manifest.manifest.created_at))
    region = region_before(Step.BLIND, clock)
    region.set_policy(NODE, max_revocation_age_hours=1)
    coordinator = Coordinator(stages.signed)
    looking = offerer(region, coordinator)
    clock.now_s += 3601
    looking.look()
    assert coordinator.asked.count("/v1/revocations") == 1
    assert offer_refusals(region) == ["revocation.stale"]
    # Not asked again within a few seconds, and refused without a second line in the journal.
    looking.look()
    assert coordinator.asked.count("/v1/revocations") == 1
    assert len(offer_refusals(region)) == 1
    clock.now_s += PAUSE_S
    coordinator.lists = [
        region.next_list(party, int(clock.now_s)) for party in (CENTRE, *region.departments) if party != NODE
    ]
    looking.look()
    assert f"/v1/runs/run-7/offers/{NODE}" in coordinator.put


def test_the_own_list_is_renewed_at_a_quarter_of_the_limit_and_handed_in(region_before: Any, stages: Stages) -> None:
    clock = Clock(float(stages.manifest.manifest.created_at))
    region = region_before(Step.BLIND, clock)
    region.set_policy(NODE, max_revocation_age_hours=4)
    coordinator = Coordinator(stages.signed)
    client: Any = coordinator
    exchange = RevocationExchange(region.engines[NODE], client)
    before = known_lists(region.homes[NODE])[NODE].content
    clock.now_s = before.issued_at + 3600.0
    exchange.exchange()
    assert known_lists(region.homes[NODE])[NODE].content == before
    # The coordinator had none of it.
    assert coordinator.put == [f"/v1/revocations/{NODE}"]
    clock.now_s += 1
    exchange.exchange()
    after = known_lists(region.homes[NODE])[NODE]
    assert (after.content.number, after.content.issued_at) == (before.number + 1, int(clock.now_s))
    coordinator.lists = [after]
    exchange.exchange()
    assert coordinator.put == [f"/v1/revocations/{NODE}"] * 2


def test_without_its_revocation_key_a_node_goes_on_and_takes_the_others_lists(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    (region.folder / NODE / "keys" / "revocation.key").unlink()
    (region.folder / NODE / "revocations" / f"{NODE}.json").unlink()
    coordinator = Coordinator(stages.signed)
    coordinator.lists = [region.next_list(CENTRE, int(region.clock()))]
    client: Any = coordinator
    assert RevocationExchange(region.engines[NODE], client).exchange()
    assert coordinator.put == []


def test_one_dutys_failure_stops_no_other_and_each_has_its_own_time() -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("failing")
        raise DoudiError("coordinator.unreachable", "away")

    def crash() -> None:
        done.append("crashing")
        raise ValueError("unforeseen")

    duties = [Duty("a", fail, 30.0), Duty("b", crash, 10.0), Duty("c", lambda: done.append("fine"))]
    for now_s in (100.0, 105.0, 110.0, 130.0):
        for duty in duties:
            duty.do_if_due(now_s)
    assert (done.count("failing"), done.count("crashing"), done.count("fine")) == (2, 3, 4)


def test_lists_come_first_so_that_a_node_that_starts_offers_keys_at_once(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    for path in (region.folder / NODE / "revocations").glob("*.json"):
        path.unlink()
    coordinator = Coordinator(stages.signed)
    coordinator.lists = [
        region.next_list(party, int(region.clock())) for party in (CENTRE, *region.departments) if party != NODE
    ]
    client: Any = coordinator
    for duty in duties_of(region.engines[NODE], client):
        duty.do_if_due(0.0)
    assert coordinator.put == [
        f"/v1/revocations/{NODE}",
        f"/v1/runs/run-7/offers/{NODE}",
        f"/v1/parties/{NODE}/report",
    ]


@pytest.mark.parametrize("answer", [None, [], {"items": 7}, {"items": [{"content": 1}], "next_cursor": "a b"}])
def test_a_malformed_answer_about_lists_changes_nothing(region_before: Any, stages: Stages, answer: Any) -> None:
    region = region_before(Step.BLIND)
    known = known_lists(region.homes[NODE])
    client: Any = Coordinator(stages.signed)
    client.get = lambda _path: answer
    with pytest.raises(DoudiError, match=r"coordinator\.bad_answer"):
        RevocationExchange(region.engines[NODE], client).exchange()
    assert known_lists(region.homes[NODE]) == known
