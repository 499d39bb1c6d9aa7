"""A coordinator behind TLS with registered departments, assets, and requests in every state, for tests in a browser."""

import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

sys.path[:0] = [
    str(Path(__file__).parents[1] / "coordinator"),
    str(Path(__file__).parents[1] / "coordinator" / "console"),
]

from console_people import enrolled
from console_server import Clock, ConsoleServer
from coordinator_world import DEPARTMENTS, LEAD, START_S, Keys, World

from coordinator.config import CoordinatorConfig
from coordinator.installation import API_KEY_FILE, APPROVAL_KEY_FILE, REVOCATION_KEY_FILE

# Besides those of `console_people.ROLES`: the person who asks.
MORE_PEOPLE: Mapping[str, tuple[str, str]] = {"lead_it": (LEAD, "department_it")}


class WorldBeside(World):
    """The world, sending from a thread of its own: in the tests' thread the browser's event loop is running."""

    def raw(self, *arguments: Any, **options: Any) -> httpx.Response:
        """Send as the world does."""
        with ThreadPoolExecutor(1) as beside:
            return beside.submit(super().raw, *arguments, **options).result()


@dataclass
class Requests:
    """The world behind the pages. `numbers`: of requests, by what they show."""

    world: World
    numbers: dict[str, int] = field(default_factory=dict)

    def everything(self) -> "Requests":
        """Make a request in each state that pages show in another way."""
        self.world.prepare()
        everybody = (*DEPARTMENTS, "centre")
        self.numbers = {
            "draft": int(self.world.draft(self.world.grant(grant_id="grant-draft")).json()["number"]),
            "submitted": self.submitted("grant-submitted"),
            "signed": self.signed("grant-signed", *DEPARTMENTS[:2]),
            "refused": self.refused("grant-refused"),
            "active": self.signed("grant-active", *everybody),
            "revoked": self.signed("grant-revoked", *everybody),
        }
        self.world.publish(self.world.revocations("tax", self.world.grant(grant_id="grant-revoked")))
        self.world.publish(self.world.revocations("centre", number=4))
        return self

    def submitted(self, name: str) -> int:
        """Return the number of a new request before its approvers."""
        return self.world.request(self.world.grant(grant_id=name))

    def signed(self, name: str, *parties: str) -> int:
        """Return the number of a new request that these parties have signed."""
        number = self.submitted(name)
        self.world.sign_all(number, self.world.grant(grant_id=name), *parties)
        return number

    def refused(self, name: str) -> int:
        """Return the number of a new request that an owner has refused."""
        number = self.submitted(name)
        decision = {"decision": "refuse", "reason": "The purpose does not need our columns."}
        assert self.world.act("tax", number, "decisions", decision).status_code == 200
        return number


def governed_server(home: Path) -> ConsoleServer:
    """Return a coordinator with requests. `prepared` is its `Requests`, whose world sends more."""
    clock = Clock()
    clock.advance(START_S - time.time())
    officer = home / "officer"

    def prepare(config: CoordinatorConfig) -> Requests:
        api, approval, second, revocation = (
            bytes.fromhex((officer / name).read_text())
            for name in (API_KEY_FILE, APPROVAL_KEY_FILE, f"approver-2/{APPROVAL_KEY_FILE}", REVOCATION_KEY_FILE)
        )
        keys = {name: Keys() for name in DEPARTMENTS}
        return Requests(WorldBeside(config, api, approval, keys, second, revocation, now=START_S)).everything()

    server = ConsoleServer(home, prepare, clock)
    for name, (party, role) in MORE_PEOPLE.items():
        server.people[name] = enrolled(server.context, name.replace("_", "-"), party, role)
    return server
