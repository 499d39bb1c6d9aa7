"""A real coordinator, four departments' nodes that witness its log, and auditors who visit it: in one process, on files.

whole = WholeLedger(tmp_path, migrated)
whole.nodes["tax"].act()          # something in the journal of a node
size = whole.settle()             # everybody sends, looks and cosigns until nothing is new
whole.visit(whole.auditor_home("court"))
whole.restart()                   # the coordinator's process ends, another one begins with the same folder
"""

import copy
import shutil
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import Any

from coordinator_world import DEPARTMENTS, World, code_of, public
from ledger_hands import Hands
from opened_records import Auditor

from auditors.fetching import Fetched, fetch
from auditors.home import Home
from auditors.verification.findings import Severity
from auditors.verification.verifier import Verification, verify_store
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from department_nodes.config import NodeConfig, write_config
from department_nodes.engine import NodeEngine
from department_nodes.enrolment import create_node
from department_nodes.home import IDENTITY_KEY, NodeHome, Trust
from department_nodes.ledger.alarms import Alarm, open_alarms
from department_nodes.ledger.exchange import LedgerExchange
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.session import reading, transaction
from policies.contracts.cards import CentreCard


class WholeLedger:
    """`world`: the coordinator. `hands`: what people do to its ledger. `nodes`: by department. `people`: the auditors."""

    def __init__(self, folder: Path, migrated: Path) -> None:
        self.folder = folder
        place = folder / "coordinator"
        place.mkdir()
        self.world = World.in_folder(place, migrated)
        self.hands = Hands(self.world)
        self.world.register_all()
        self.hands.name_witnesses()
        self.people = {"court": self.world.auditor}
        self._token = self.world.token("tax", "auditor", write=False)
        template = folder / "node"
        create_node(template, _config("tax"))
        self.nodes = {name: self._node(name, template) for name in DEPARTMENTS}

    def _node(self, name: str, template: Path) -> "LedgerNode":
        path = self.folder / name
        shutil.copytree(template, path)
        (path / "keys" / IDENTITY_KEY).write_bytes(self.world.keys[name].identity)
        write_config(path, _config(name))
        NodeHome(path).write_trust(Trust(centre=self.centre_card()))
        return LedgerNode(path, WorldClient(self, name), lambda: self.world.now)

    def centre_card(self) -> CentreCard:
        world = self.world
        return CentreCard(
            approval_key=public(world.approval_key),
            co_approval_keys=(public(world.second_approval_key),),
            revocation_key=public(world.revocation_key),
            api_key=public(world.api_key),
            url="https://coordinator",
            superlink="coordinator:9092",
        )

    # The log.

    def settle(self, *departments: str) -> int:
        """Have the log and these nodes (all) do what there is to do; return the size of the newest checkpoint."""
        nodes = [self.nodes[name] for name in departments or DEPARTMENTS]
        for _ in range(4):
            for node in nodes:
                node.send()
            self.hands.advance()
            while any([node.look() for node in nodes]):
                pass
        return int(self.world.send("tax", "GET", "/log/summary").json()["size"])

    def witnessed_size(self) -> int:
        return int(self.world.send("tax", "GET", "/log/summary").json()["witnessed_size"])

    # The coordinator's host.

    def keep_copy(self, place: Path) -> None:
        """Copy the coordinator's database as an operator's backup does."""
        with (
            closing(sqlite3.connect(self.world.config.home / "coordinator.db")) as source,
            closing(sqlite3.connect(place)) as target,
        ):
            source.backup(target)

    def put_back(self, place: Path) -> None:
        """Put the database back to a copy, and start the coordinator again."""
        self._end_coordinator()
        for path in self.world.config.home.glob("coordinator.db*"):
            path.unlink()
        shutil.copy(place, self.world.config.home / "coordinator.db")
        self.restart()

    def restart(self) -> None:
        """End the coordinator's process and begin another one with the same folder."""
        self._end_coordinator()
        self.world = self._world_at(self.world.config.home)
        self.hands.world = self.world

    def twin(self, folder: Path, shown_to: Collection[str] = ()) -> "WholeLedger":
        """Return a second coordinator with the same keys and past in another folder; these nodes take it for the first."""
        home = self.world.config.home
        shutil.copytree(home, folder / "coordinator", ignore=shutil.ignore_patterns("coordinator.db*"))
        self.keep_copy(folder / "coordinator" / "coordinator.db")
        other = copy.copy(self)
        other.folder, other.world = folder, self._world_at(folder / "coordinator")
        other.hands = Hands(other.world)
        for name in shown_to:
            self.nodes[name].client.whole = other
        return other

    def _world_at(self, home: Path) -> World:
        world = self.world
        keys = (world.api_key, world.approval_key, world.keys, world.second_approval_key, world.revocation_key)
        return World(world.config.at_home(home), *keys, world.now, auditor=world.auditor)

    def _end_coordinator(self) -> None:
        self.world.engine.dispose()
        self.world.context.engine.dispose()

    # Auditors.

    def auditor_home(self, name: str) -> Home:
        """Return the folder of an auditor, with the cards that every party handed over by itself."""
        home = Home(self.folder / f"auditor-{name}")
        if home.path.exists():
            return home
        keys: Auditor = self.people[name]
        home.cards_folder.mkdir(parents=True)
        (home.cards_folder / "centre-card.json").write_bytes(self.centre_card().to_bytes())
        for department in DEPARTMENTS:
            (home.cards_folder / f"{department}.json").write_bytes(self.world.card(department).to_bytes())
        home.keys.mkdir()
        for path, data in ((home.sealing_key_file, keys.sealing_key), (home.signing_key_file, keys.signing_key)):
            path.touch(mode=0o600)
            path.write_bytes(data)
        home.card_file.write_bytes(keys.card.to_bytes())
        return home

    def get(self, path: str, at_most: int) -> bytes | None:
        """Return a file of the log, as auditors fetch it."""
        answer = self.world.ask(self._token, "GET", f"/log/{path}")
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        assert len(answer.content) <= at_most
        return answer.content

    def fetch(self, home: Home) -> Fetched:
        return fetch(self, home.store, "https://coordinator", int(self.world.now))

    def visit(self, home: Home, **options: Any) -> set[str]:
        """Fetch and verify; return the codes of what is found, notices left out."""
        self.fetch(home)
        return serious(verify_store(home, **options))

    def close(self) -> None:
        for node in self.nodes.values():
            node.engine.db.dispose()
        self._end_coordinator()


class LedgerNode:
    """A department's node as far as the ledger is concerned, driven by hand."""

    def __init__(self, path: Path, client: "WorldClient", clock: Callable[[], float]) -> None:
        self.path, self.client, self.clock = path, client, clock
        self.start()

    def start(self) -> None:
        self.engine = NodeEngine(NodeHome(self.path), self.clock)
        self.exchange = LedgerExchange(self.engine, lambda: self.client)

    def replace_key(self, key: bytes) -> None:
        """Go on under another identity key, as after a compromise."""
        self.engine.db.dispose()
        (self.path / "keys" / IDENTITY_KEY).write_bytes(key)
        self.start()

    def act(self, number: int = 1) -> int:
        """Record something; return its number in the journal."""
        with transaction(self.engine.db) as session:
            event = Event(EventType.REPORT_SIGNED, int(self.clock()), counts={"number": number})
            return record(session, event)

    def send(self) -> None:
        self.exchange.own.advance(self.client)

    def look(self) -> bool:
        return bool(self.exchange.follower.follow(self.client, 0))

    def alarms(self) -> list[Alarm]:
        with reading(self.engine.db) as session:
            return open_alarms(session)


class WorldClient:
    """A node's way to the coordinator of a `WholeLedger`: what `CoordinatorClient` is, without a network."""

    def __init__(self, whole: WholeLedger, department: str) -> None:
        self.whole, self.department = whole, department

    def get(self, path: str) -> Any:
        return self._send("GET", path).json()

    def get_bytes(self, path: str) -> bytes:
        return bytes(self._send("GET", path).content)

    def post(self, path: str, document: Any, key: str | None = None) -> Any:
        return self._send("POST", path, canonical_json(document)).json()

    def post_bytes(self, path: str, body: bytes) -> Any:
        return self._send("POST", path, body).json()

    def interrupt(self) -> None:
        """Nobody waits here."""

    def close(self) -> None:
        """Nothing to close."""

    def _send(self, method: str, path: str, body: bytes = b"") -> Any:
        answer = self.whole.world.send(self.department, method, path, body)
        if answer.status_code >= 400:
            raise DoudiError(code_of(answer), answer.json()["detail"])
        return answer


def serious(result: Verification) -> set[str]:
    """Return the codes of findings, notices left out."""
    return {one.code for one in result.findings if one.severity is not Severity.NOTICE}


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
