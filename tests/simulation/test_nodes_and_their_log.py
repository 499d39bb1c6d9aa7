"""Nodes and a real coordinator behind TLS: their events are witnessed, terms arrive, threads end in the middle of a long poll."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from coordinator_server import CoordinatorServer
from region import Region
from sqlalchemy import select

from crypto.errors import DoudiError
from department_nodes.client import CoordinatorClient
from department_nodes.engine import NodeEngine
from department_nodes.home import IDENTITY_KEY, NodeHome
from department_nodes.ledger.exchange import LONG_POLL_S, LedgerExchange
from department_nodes.ledger.gate import WitnessedGate
from department_nodes.ledger.status import ledger_status
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import LedgerBatchRow
from department_nodes.store.session import reading, transaction
from policies.contracts.ledger.terms import LedgerTerms, SignedLedgerTerms, Witness, sign_terms, tolerable_faults

NAMES = ("civil_affairs", "housing", "human_resources", "tax")
PATIENCE_S = 60


class Running:
    """A node's exchange with the coordinator, as `doudi node run` has it."""

    def __init__(self, home: NodeHome) -> None:
        self.engine = NodeEngine(home)
        self.clients: list[CoordinatorClient] = []
        self.exchange = LedgerExchange(self.engine, self._connect)
        self.exchange.start()

    def _connect(self) -> CoordinatorClient:
        home = self.engine.home
        url, name = home.config.coordinator_url, home.config.department
        self.clients.append(CoordinatorClient(url, home.ca_file, name, home.key(IDENTITY_KEY)))
        return self.clients[-1]

    def act(self, timeout_s: float = PATIENCE_S) -> int:
        """Record something, wait at the gate, and return its number."""
        now_s = int(time.time())
        with transaction(self.engine.db) as session:
            number = record(session, Event(EventType.REPORT_SIGNED, now_s, counts={"number": 1}))
        WitnessedGate(self.engine.db, self.exchange.notify, timeout_s).wait(number)
        return number

    def batches(self) -> list[LedgerBatchRow]:
        with reading(self.engine.db) as session:
            return list(session.scalars(select(LedgerBatchRow).order_by(LedgerBatchRow.first_number)))

    def stop(self) -> None:
        self.exchange.stop()
        self.engine.db.dispose()


class World:
    """A coordinator with four departments that witness its log."""

    def __init__(self, folder: Path) -> None:
        self.server = CoordinatorServer(folder)
        self.region = Region(folder / "region", people=60, departments=NAMES)
        self.server.admit(self.region)
        self.renew_terms(NAMES)
        self.nodes = {name: Running(NodeHome(self.region.folder / name)) for name in NAMES}

    def renew_terms(self, names: tuple[str, ...], **changes: object) -> LedgerTerms:
        known = SignedLedgerTerms.parse(self.server.client.get_bytes("/log/terms/newest")).terms
        witnesses = tuple(Witness(department=name, key=self.region.cards[name].identity_key) for name in names)
        values = known.model_dump() | {"witnesses": [one.model_dump() for one in witnesses], **changes}
        values |= {"number": known.number + 1, "tolerated_faulty_witnesses": tolerable_faults(len(names))}
        terms = LedgerTerms.model_validate(values)
        self.server.client.post("/v1/ledger/terms", sign_terms(terms, self.server.approval_key).model_dump(mode="json"))
        return terms

    def close(self) -> None:
        for node in self.nodes.values():
            node.stop()
        self.server.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("nodes-and-their-log"))
    yield made
    made.close()


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.01)


def test_what_every_node_did_is_witnessed_by_the_others(world: World) -> None:
    threads = [threading.Thread(target=node.act) for node in world.nodes.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    for node in world.nodes.values():
        assert all(row.included_size is not None for row in node.batches())
        found = ledger_status(node.engine)
        assert (found.is_witness, found.waiting, found.placed, found.alarms) == (True, 0, 0, ())
        assert found.cosigned_at is not None


def test_new_terms_reach_every_node_without_being_waited_for(world: World) -> None:
    began = time.monotonic()
    terms = world.renew_terms(NAMES, checkpoint_max_age_s=299)

    def known() -> bool:
        found = [ledger_status(node.engine).terms for node in world.nodes.values()]
        return all(one is not None and one.number == terms.number for one in found)

    wait_for(known)
    assert time.monotonic() - began < LONG_POLL_S
    world.nodes["tax"].act()


def test_a_department_that_the_terms_no_longer_name_waits_and_goes_on_when_they_do(world: World) -> None:
    node = world.nodes["tax"]
    world.renew_terms(tuple(name for name in NAMES if name != "tax"))
    with pytest.raises(DoudiError, match=r"ledger\.not_witnessed"):
        node.act(1.0)
    world.nodes["housing"].act()
    wait_for(lambda: not ledger_status(node.engine).is_witness)
    assert ledger_status(node.engine).waiting > 0
    world.renew_terms(NAMES)
    node.act()
    assert all(row.included_size is not None for row in node.batches())


def test_a_node_ends_in_the_middle_of_a_long_poll(world: World) -> None:
    node = world.nodes["housing"]
    node.act()
    began = time.monotonic()
    node.stop()
    assert time.monotonic() - began < LONG_POLL_S / 2
    assert not [thread for thread in node.exchange._threads if thread.is_alive()]
    # The quorum is three of four: the others go on, and the node finds everything when it runs again.
    world.nodes["tax"].act()
    world.nodes["housing"] = Running(NodeHome(world.region.folder / "housing"))
    world.nodes["housing"].act()
    assert all(row.included_size is not None for row in world.nodes["housing"].batches())


def test_an_interrupted_call_ends_with_the_code_of_an_unreachable_coordinator(world: World) -> None:
    home = world.nodes["tax"].engine.home
    client = CoordinatorClient(home.config.coordinator_url, home.ca_file, "tax", home.key(IDENTITY_KEY))
    codes: list[str] = []

    def ask() -> None:
        try:
            client.get(f"/v1/ledger/checkpoint?seen={2**40}&witnessed={2**40}&terms={2**40}&wait_s=20")
        except DoudiError as error:
            codes.append(error.code)

    thread = threading.Thread(target=ask)
    began = time.monotonic()
    thread.start()
    while thread.is_alive() and time.monotonic() - began < 10:
        client.interrupt()
        thread.join(0.05)
    assert codes == ["coordinator.unreachable"]
    # The client itself goes on.
    assert client.get("/log/summary")["terms"] > 1
    client.close()
