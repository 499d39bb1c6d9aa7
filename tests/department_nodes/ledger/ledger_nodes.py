"""Nodes that witness a log in memory: each has its folder, keys and database; none has an extract or a step to answer."""

import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hostile_log import HostileLog, LogClient, public_hex
from sqlalchemy import select

from crypto.checkpoint import Note
from crypto.errors import DoudiError
from crypto.signing import generate_signing_key
from department_nodes.config import NodeConfig, write_config
from department_nodes.engine import NodeEngine
from department_nodes.enrolment import create_node
from department_nodes.home import IDENTITY_KEY, NodeHome, Trust
from department_nodes.ledger.alarms import Alarm, all_alarms
from department_nodes.ledger.exchange import LedgerExchange
from department_nodes.ledger.gate import WitnessedGate
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import EventRow, LedgerBatchRow
from department_nodes.store.session import reading, transaction
from policies.contracts.cards import CentreCard

START_S = 1_800_000_000
FOUR = ("civil_affairs", "health_disability", "housing", "tax")
# The node that most tests are about.
ME = "tax"


@dataclass
class Clock:
    """The time of a test, in seconds since 1970."""

    now_s: float = START_S

    def __call__(self) -> float:
        return self.now_s


@cache
def _template() -> Path:
    """Return a node's folder to copy: migrating a database takes longer than a test."""
    folder = Path(tempfile.mkdtemp(prefix="doudi-node-"))
    create_node(folder / "tax", _config("tax"))
    return folder / "tax"


def _config(name: str) -> NodeConfig:
    return NodeConfig(
        department=name,
        region="test",
        dataset="tax",
        tier="general_2",
        allowed_purposes=("social_assistance",),
        extract="extract.parquet",
        coordinator_url="https://127.0.0.1:1",
        superlink_address="127.0.0.1:2",
    )


@dataclass
class Witnesses:
    """Some departments' nodes, and the log that they witness."""

    folder: Path
    names: tuple[str, ...] = FOUR
    clock: Clock = field(default_factory=Clock)
    faulty: int | None = None

    def __post_init__(self) -> None:
        keys = {name: generate_signing_key() for name in self.names}
        self.log = HostileLog(keys, self.clock, self.faulty)
        self.nodes = {name: self._make(name, keys[name]) for name in self.names}

    def _make(self, name: str, identity: bytes) -> "Node":
        path = self.folder / name
        shutil.copytree(_template(), path)
        (path / "keys" / IDENTITY_KEY).write_bytes(identity)
        write_config(path, _config(name))
        NodeHome(path).write_trust(Trust(centre=centre_card(self.log)))
        return Node(path, self.log.client(name), self.clock)

    def look(self, *names: str) -> None:
        """Have these nodes, or all, look at the log until nobody learns anything new."""
        while any([self.nodes[name].look() for name in names or self.names]):
            pass

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()


def centre_card(log: HostileLog) -> CentreCard:
    """Return the card of the centre that signs this log's terms."""
    others = [public_hex(generate_signing_key()) for _ in range(2)]
    return CentreCard(
        approval_key=public_hex(log.approval),
        revocation_key=others[0],
        api_key=others[1],
        url="https://127.0.0.1:1",
        superlink="127.0.0.1:2",
    )


class Node:
    """One node: its engine and its exchange, driven by hand or by its threads."""

    def __init__(self, path: Path, client: LogClient, clock: Clock) -> None:
        self.path, self.client, self.clock = path, client, clock
        self.start()

    def start(self) -> None:
        self.engine = NodeEngine(NodeHome(self.path), self.clock)
        self.exchange = LedgerExchange(self.engine, lambda: self.client)

    def restart(self) -> None:
        """End the process and begin another one with the same folder."""
        self.close()
        self.start()

    def close(self) -> None:
        self.engine.db.dispose()

    @property
    def name(self) -> str:
        return self.client.department

    def look(self) -> bool:
        """Look at the log once; return whether anything was new."""
        return bool(self.exchange.follower.follow(self.client, 0))

    def send(self) -> float:
        """Hand in and look for the own events once."""
        return self.exchange.own.advance(self.client)

    def act(self) -> int:
        """Record something, and return its number in the journal."""
        with transaction(self.engine.db) as session:
            return record(session, Event(EventType.REPORT_SIGNED, int(self.clock()), counts={"number": 1}))

    def alarms(self) -> list[Alarm]:
        """Return every alarm, oldest first."""
        with reading(self.engine.db) as session:
            return all_alarms(session)

    def alarm_kinds(self) -> list[str]:
        return [alarm.kind for alarm in self.alarms()]

    def passes(self, number: int) -> bool:
        """Return whether the gate would let a step with this intent through now."""
        try:
            WitnessedGate(self.engine.db, lambda: None, 0, self.clock).wait(number)
        except DoudiError as error:
            # Any other refusal is an error of the test.
            return {"ledger.not_witnessed": False}[error.code]
        return True

    def events(self, *kinds: str) -> list[EventRow]:
        with reading(self.engine.db) as session:
            rows = session.scalars(select(EventRow).order_by(EventRow.number)).all()
        return [row for row in rows if not kinds or row.type in kinds]

    def batches(self) -> list[LedgerBatchRow]:
        with reading(self.engine.db) as session:
            return list(session.scalars(select(LedgerBatchRow).order_by(LedgerBatchRow.first_number)))

    def kept(self) -> Any:
        """Return the checkpoint that this node accepted last."""
        return self.exchange.follower.seen()


def lines_of(note: Note) -> list[str]:
    """Return who signed a note."""
    return [one.name for one in note.signatures]
