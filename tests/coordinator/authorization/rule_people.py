"""People of the centre and of a department as rows and as principals, for tests of the rules at work."""

from dataclasses import dataclass
from typing import Any

import httpx
from coordinator_world import World

from coordinator.accounts.models import AccountRow
from coordinator.accounts.tokens import make_token
from coordinator.authorization.principals import Principal
from coordinator.context import AppContext
from crypto.canonical import canonical_json
from policies.authorization.coordinator_rules import shipped_engine

SHIPPED = shipped_engine().text
# A change that breaks nothing: grants can no longer be signed by the centre's device.
NARROWER = SHIPPED.replace('action == Action::"grant.sign", resource)\nwhen { principal is Node || principal is Device };',
                           'action == Action::"grant.sign", resource)\nwhen { principal is Node };')  # fmt: skip
# Another one, which removes a permit.
OTHER = SHIPPED.replace('@id("reading.own_report")\npermit', '@id("reading.own_report")\nforbid')
assert len({SHIPPED, NARROWER, OTHER}) == 3


@dataclass
class Person:
    """Somebody with an account, as who is signed in with two factors, and an API token that may write."""

    principal: Principal
    token: str

    @property
    def number(self) -> int:
        assert self.principal.number is not None
        return self.principal.number


@dataclass
class Town:
    """A coordinator with people in every role that matters to its rules."""

    world: World
    people: int = 0

    def __post_init__(self) -> None:
        self.world.register_all()
        self.officer = self.add("centre", "centre_officer")
        self.approver = self.add("centre", "centre_approver")
        self.second = self.add("centre", "centre_approver")
        self.third = self.add("centre", "centre_approver")
        self.auditor = self.add("centre", "auditor")
        self.operator = self.add("tax", "department_it")
        self.steward = self.add("tax", "department_approver")

    @property
    def context(self) -> AppContext:
        context: AppContext = self.world.app.state.context
        return context

    def add(self, party: str, *roles: str) -> Person:
        self.people += 1
        with self.world.begin() as session:
            row = AccountRow(
                login_name=f"person-{self.people}",
                party=party,
                roles=sorted(roles),
                state="active",
                oidc_issuer="https://issuer.example",
                oidc_subject=f"subject-{self.people}",
                created_at=1,
                changed_at=1,
            )
            session.add(row)
            session.flush()
            token, _ = make_token(session, row, "tests", ["read", "write"], 1, two_factor=True)
            principal = Principal("account", party, row.number, frozenset(roles), two_factor=True)
            return Person(principal, token)

    def call(self, person: Person, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Send a request with a person's token."""
        content = b"" if body is None else canonical_json(body)
        return self.world.raw(method, path, content, {"Authorization": f"Bearer {person.token}"})

    def decisions(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return the recorded decisions, oldest first, with these fields."""
        found = self.world.listed("centre", "/v1/decisions")[::-1]
        return [row for row in found if all(row[name] == value for name, value in wanted.items())]

    def changes(self) -> list[tuple[int, str]]:
        return [(row["number"], row["state"]) for row in self.world.listed("centre", "/v1/policy/changes")][::-1]
