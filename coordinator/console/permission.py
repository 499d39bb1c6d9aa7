"""Asking the rules for a page that only leads to an act: a form nobody may send is not shown, and asking for it is recorded."""

from collections.abc import Mapping
from types import MappingProxyType

from coordinator.accounts.sessions import SignedIn
from coordinator.authorization.services import authorise, may
from coordinator.context import AppContext
from policies.authorization.engine import Entity, Value

_NO_VALUES: Mapping[str, Value] = MappingProxyType({})


def require_offered(
    context: AppContext, user: SignedIn, action: str, resource: Entity, values: Mapping[str, Value] = _NO_VALUES
) -> None:
    """Raise `authorization.denied`, with its row among the decisions, unless the person may do this."""
    if may(context, user.principal, action, resource, values=values):
        # No act yet, so nothing is recorded: the service asks again when there is one.
        return
    with context.begin() as session:
        authorise(session, context, user.principal, action, resource, values=values)
