"""Who acts at the coordinator, and how the rules see that principal.

A principal is a person's account, a department's node (signed HTTP requests), or the centre officer's device (signed
requests of the party `centre`). Everything here comes from what authentication proved; nothing of it comes from a body.
Imports the engine of `policies/authorization` only.
"""

from dataclasses import dataclass
from typing import Literal, Self

from policies.authorization.engine import Entity, EntityRef, Value

CENTRE = "centre"


@dataclass(frozen=True)
class Principal:
    """Who acts. `party`: "centre" or a department.

    `number` and `roles` are an account's. `two_factor`: signed in with a second factor; of a token, as when it was made.
    `scopes`: what an API token may do ({"read"} or {"read", "write"}); None is no narrowing. `active` is false for a
    disabled account: authentication refuses it before, and the rules refuse it again.
    """

    kind: Literal["account", "node", "device"]
    party: str
    number: int | None = None
    roles: frozenset[str] = frozenset()
    two_factor: bool = False
    scopes: frozenset[str] | None = None
    active: bool = True

    @classmethod
    def of_party(cls, party: str) -> Self:
        """Return the principal of a request that the party's own key signed: the centre's device, or a node."""
        return cls("device" if party == CENTRE else "node", party)

    @property
    def id(self) -> str:
        """The name by which records and rules know it: "12", "node:tax", "device:centre"."""
        return str(self.number) if self.kind == "account" else f"{self.kind}:{self.party}"

    @property
    def is_centre(self) -> bool:
        """Whether it acts for the data-management centre."""
        return self.party == CENTRE

    @property
    def reads_all(self) -> bool:
        """Whether it sees what concerns other parties too: the centre, and auditors of any party."""
        return self.is_centre or "auditor" in self.roles

    @property
    def may_write(self) -> bool:
        """Whether its token, if it uses one, allows changes."""
        return self.scopes is None or "write" in self.scopes

    @property
    def ref(self) -> EntityRef:
        """The principal of a question to the rules."""
        return EntityRef(self.kind.capitalize(), self.id if self.kind == "account" else self.party)

    def entity(self) -> Entity:
        """Return the principal with the attributes that the rules read."""
        party: dict[str, Value] = {"party": EntityRef("Party", self.party)}
        if self.kind == "account":
            party |= {"roles": self.roles, "active": self.active, "strong": self.two_factor}
        return Entity(self.ref, party)
