"""A coordinator behind TLS with registered departments, assets, and requests in every state, for tests in a browser."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console_people import enrolled
from console_server import ConsoleServer
from coordinator_world import DEPARTMENTS, LEAD, World
from world_beside import server_beside

# Besides those of `console_people.ROLES`: the person who asks.
MORE_PEOPLE: Mapping[str, tuple[str, str]] = {"lead_it": (LEAD, "department_it")}


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
    server = server_beside(home, lambda world: Requests(world).everything())
    for name, (party, role) in MORE_PEOPLE.items():
        server.people[name] = enrolled(server.context, name.replace("_", "-"), party, role)
    return server
