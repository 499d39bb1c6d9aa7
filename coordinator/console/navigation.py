"""The console's menu: one line per page, in the order of the menu. An entry shows only to roles that have work there.

What is not in somebody's menu is not thereby forbidden: authorisation is in the services.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.accounts.sessions import SignedIn
from coordinator.console.addresses import CONSOLE
from coordinator.console.languages import N_


@dataclass(frozen=True)
class Entry:
    """One page of the menu. `roles`: who sees the entry; `None`: everybody."""

    path: str
    label: str
    roles: frozenset[str] | None = None


@dataclass(frozen=True)
class Section:
    """A group of entries under one heading."""

    label: str
    entries: tuple[Entry, ...]


_OF_DEPARTMENTS = frozenset({"department_it", "department_approver", "scheduler"})
_OVERSEERS = frozenset({"centre_officer", "centre_approver", "auditor"})

# Later features add their entry here, in the section where people look for it.
MENU: tuple[Section, ...] = (
    Section(
        N_("Work"),
        (
            Entry(CONSOLE, N_("Home")),
            Entry("/console/requests", N_("Requests")),
            Entry("/console/grants", N_("Grants")),
            Entry("/console/runs", N_("Runs")),
            Entry("/console/queue", N_("Queue")),
        ),
    ),
    Section(
        N_("Data"),
        (
            Entry("/console/catalogue", N_("Catalogue")),
            Entry("/console/standards", N_("Standards and tiers")),
        ),
    ),
    Section(
        N_("Oversight"),
        (
            Entry("/console/node", N_("My node"), _OF_DEPARTMENTS),
            Entry("/console/parties", N_("Departments")),
            Entry("/console/decisions", N_("Decisions"), _OVERSEERS),
            Entry("/console/ledger", N_("Record and ledger"), _OVERSEERS),
        ),
    ),
    Section(
        N_("Administration"),
        (
            Entry("/console/accounts", N_("Accounts"), frozenset({"centre_officer", "auditor"})),
            Entry("/console/policy", N_("Rules")),
            Entry("/console/account", N_("My account")),
        ),
    ),
)


def menu_for(user: SignedIn, menu: Sequence[Section] = MENU) -> list[Section]:
    """Return the menu of a person: sections without an entry for them are left out."""
    roles = user.principal.roles
    sections = (
        Section(section.label, tuple(one for one in section.entries if one.roles is None or one.roles & roles))
        for section in menu
    )
    return [section for section in sections if section.entries]


def current_path(path: str, menu: Sequence[Section] = MENU) -> str:
    """Return the entry that an address belongs to: the longest one that it starts with."""
    fitting = [
        entry.path
        for section in menu
        for entry in section.entries
        if path == entry.path or (entry.path != CONSOLE and path.startswith(f"{entry.path}/"))
    ]
    return max(fitting, key=len, default="")
