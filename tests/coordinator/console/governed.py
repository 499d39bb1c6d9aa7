"""A coordinator with registered departments, assets and a project, and people of every role in front of its pages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from console_people import Person, enrolled
from coordinator_world import DEPARTMENTS, LEAD, PROJECT

# By the names that tests use: party and role.
PEOPLE: Mapping[str, tuple[str, str]] = {
    "lead_it": (LEAD, "department_it"),
    "lead_approver": (LEAD, "department_approver"),
    "scheduler": (LEAD, "scheduler"),
    "owner_it": ("tax", "department_it"),
    "owner": ("tax", "department_approver"),
    "officer": ("centre", "centre_officer"),
    "approver": ("centre", "centre_approver"),
    "auditor": ("centre", "auditor"),
}


@dataclass
class Governed:
    """The world of `coordinator_world`, prepared, with people. `browser_of`: of a person who is signed in."""

    world: Any
    browser_of: Callable[[Person], Any]
    people: dict[str, Person] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world.prepare()
        for name, (party, role) in PEOPLE.items():
            self.people[name] = enrolled(self.world.context, name.replace("_", "-"), party, role)

    def at(self, name: str) -> Any:
        """Return the browser of a person; a new session each time."""
        return self.browser_of(self.people[name])

    def submitted(self, **changes: Any) -> int:
        """Return the number of a request that the lead's node has submitted."""
        return int(self.world.request(self.world.grant(**changes)))

    def active(self, **changes: Any) -> int:
        """Return the number of a request whose grant is in force."""
        grant = self.world.grant(**changes)
        number = int(self.world.request(grant))
        assert self.world.sign_all(number, grant)["state"] == "active"
        return number

    def state_of(self, number: int) -> str:
        """Return where a request stands."""
        return str(self.world.show_request(number)["state"])


def form_fields(**changes: Any) -> dict[str, Any]:
    """Return what a person types into the form of a new request, and presses the button that stores it."""
    fields: dict[str, Any] = {
        "project": PROJECT,
        "target": "public_coverage",
        "label_period": "2026",
        "epsilon": "1.0",
        "mode": "evidence",
        "bits": "60",
        "key_holders": "3",
        "runs": "5",
        "days": "180",
        "supporting": [name for name in DEPARTMENTS if name != LEAD],
        "act": "draft",
    }
    return {**fields, **changes}
