"""The one question before every act: do the rules allow it? And the record of what they answered.

`authorise` is asked in the transaction of the act. Recorded are all denials, and what was allowed except for reading and for what
nodes bring to the ledger: the record is for what somebody did or tried, and those would bury it. An allowed act and its row are
durable together or not at all.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.authorization.models import DecisionRow
from coordinator.authorization.principals import Principal
from coordinator.context import AppContext
from coordinator.db.session import now_s
from coordinator.paging import Order, PageRequest, Slice, page_of
from crypto.errors import DoudiError
from policies.authorization.engine import AuthorizationRequest, Decision, Entity, Value

# The actions of the schema's group "reads"; a test compares the two.
READS = frozenset(
    {
        "account.read",
        "party.read",
        "project.read",
        "asset.read",
        "request.read",
        "grant.read",
        "run.read",
        "run.read_results",
        "policy.read",
        "decision.read",
        "ledger.read_proofs",
        "ledger.read_entries",
        "ledger.read_headers",
        "report.read",
    }
)
# What every node does all day, and whose own rows in the ledger say who did it: a decision each would bury the others.
_NOTED_BY_THEMSELVES = frozenset({"ledger.submit", "ledger.cosign"})
NEWEST_FIRST = Order("decisions", (DecisionRow.sequence,), newest_first=True)
_NO_VALUES: Mapping[str, Value] = MappingProxyType({})


def authorise(
    session: Session,
    context: AppContext,
    principal: Principal,
    action: str,
    resource: Entity,
    *,
    extra: Sequence[Entity] = (),
    values: Mapping[str, Value] = _NO_VALUES,
) -> Decision:
    """Return the decision that allows the act.

    `extra`: further entities whose attributes the rules read. `values`: what the action's context needs besides who asks.
    Ask it before the act: on a denial the session is rolled back. Raises `authorization.denied`, or `policy.not_loadable`.
    """
    decision = context.rules.engine(session).decide(question(principal, action, resource, extra, values))
    if decision.allowed and action in READS | _NOTED_BY_THEMSELVES:
        return decision
    row = DecisionRow(
        at=now_s(session),
        principal_kind=principal.kind,
        party=principal.party,
        account=principal.number,
        action=action,
        resource_type=resource.ref.type,
        resource_id=resource.ref.id,
        allowed=decision.allowed,
        rules=list(decision.rules),
        errors=decision.errors,
        policy_hash=decision.policy_hash,
    )
    if decision.allowed:
        session.add(row)
        session.flush()
        return decision
    # What this transaction did must not stay, and while it holds the writer's place in SQLite's queue no other one could write:
    # it ends here, and the denial is durable in a transaction of its own.
    session.rollback()
    with context.begin() as record:
        record.add(row)
    raise DoudiError(
        "authorization.denied",
        f"the rules do not allow {action} ({', '.join(decision.rules) or 'no rule permits it'})",
        "Ask the party or the role that may.",
    )


def may(
    context: AppContext,
    principal: Principal,
    action: str,
    resource: Entity,
    *,
    extra: Sequence[Entity] = (),
    values: Mapping[str, Value] = _NO_VALUES,
) -> bool:
    """Return whether a page should offer the act. Recorded nowhere, and no leave to do it: that is `authorise` alone."""
    return context.rules.newest.decide(question(principal, action, resource, extra, values)).allowed


def question(
    principal: Principal, action: str, resource: Entity, extra: Sequence[Entity], values: Mapping[str, Value]
) -> AuthorizationRequest:
    """Return the question to the rules. Who asks comes from authentication and cannot be given in `values`."""
    asking: dict[str, Value] = {**values, "principal_id": principal.id, "may_write": principal.may_write}
    entities = (principal.entity(), resource, *extra)
    return AuthorizationRequest(principal.ref, action, resource.ref, entities, asking)


def list_decisions(
    session: Session,
    wanted: PageRequest,
    *,
    allowed: bool | None = None,
    action: str | None = None,
    account: int | None = None,
) -> Slice[DecisionRow]:
    """Return a page of the recorded decisions, newest first. `account`: only those on what one person did or tried."""
    query = select(DecisionRow)
    if allowed is not None:
        query = query.where(DecisionRow.allowed.is_(allowed))
    if action is not None:
        query = query.where(DecisionRow.action == action)
    if account is not None:
        query = query.where(DecisionRow.account == account)
    return page_of(session, query, NEWEST_FIRST, wanted)
