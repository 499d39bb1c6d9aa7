"""What acts are about, as the rules see it: one function per kind of resource, from plain values. Pure.

Each carries exactly the attributes that `policies/authorization/coordinator/schema.cedarschema` names; a missing one would make
every question about it a denial.
"""

from collections.abc import Collection, Iterable

from coordinator.authorization.principals import CENTRE
from policies.authorization.engine import Entity, EntityRef

SYSTEM_ID = "coordinator"


def party_ref(name: str) -> EntityRef:
    """Return the name of a party in attributes and in `values`."""
    return EntityRef("Party", name)


def system_resource() -> Entity:
    """The coordinator as a whole: lists, events, decisions, the rules."""
    return Entity(EntityRef("System", SYSTEM_ID), {})


def party_resource(name: str) -> Entity:
    """A party: to be registered, of a revocation list, of a report."""
    return Entity(party_ref(name), {"kind": "centre" if name == CENTRE else "department"})


def account_resource(number: int | None, party: str, roles: Collection[str]) -> Entity:
    """An account that is administered, with the roles that it has now; `number` is None before it exists."""
    text = "" if number is None else str(number)
    return Entity(
        EntityRef("AccountRecord", text or "new"),
        {"party": party_ref(party), "number": text, "roles": frozenset(roles)},
    )


def asset_resource(owner: str, asset_id: str) -> Entity:
    """A data asset of the catalogue."""
    return Entity(EntityRef("Asset", asset_id), {"owner": party_ref(owner)})


def project_resource(project_id: str, lead: str, parties: Iterable[str] = ()) -> Entity:
    """A project. `parties`: the departments that its grants name; the lead is always among them."""
    return Entity(EntityRef("Project", project_id), {"lead": party_ref(lead), "parties": _parties({lead, *parties})})


def request_resource(
    number: int | str,
    *,
    lead: str,
    owners: Iterable[str],
    drafter: str,
    submitter: str = "",
    deciders: Iterable[str] = (),
    state: str,
) -> Entity:
    """A request for access. `drafter`, `submitter`, `deciders`: `Principal.id`, empty where there is none yet."""
    owning = set(owners)
    return Entity(
        EntityRef("AccessRequest", str(number)),
        {
            "lead": party_ref(lead),
            "owners": _parties(owning),
            "parties": _parties({lead, *owning}),
            "drafter": drafter,
            "submitter": submitter,
            "deciders": frozenset(deciders),
            "state": state,
        },
    )


def grant_resource(grant_hash: str, *, parties: Iterable[str], lead: str, scheduler: str, state: str) -> Entity:
    """A grant. `scheduler`: the department that holds the scheduling right."""
    return Entity(
        EntityRef("GrantRecord", grant_hash),
        {
            "parties": _parties(parties),
            "lead": party_ref(lead),
            "scheduler": party_ref(scheduler),
            "state": state,
        },
    )


def run_resource(run_id: str, *, parties: Iterable[str], lead: str, scheduler: str) -> Entity:
    """A run, with what its grant says of it."""
    return Entity(
        EntityRef("Run", run_id),
        {"parties": _parties(parties), "lead": party_ref(lead), "scheduler": party_ref(scheduler)},
    )


def policy_change_resource(policy_hash: str, *, proposer: int, approvers: Iterable[int]) -> Entity:
    """A proposed version of the rules."""
    return Entity(
        EntityRef("PolicyChange", policy_hash),
        {"proposer": str(proposer), "approvers": frozenset(str(number) for number in approvers)},
    )


def _parties(names: Iterable[str]) -> frozenset[EntityRef]:
    return frozenset(party_ref(name) for name in names)
