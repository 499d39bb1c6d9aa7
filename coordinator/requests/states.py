"""The state machine of a request for access. Pure: no database, no clock.

drafted → submitted → granted → active → expired | exhausted
drafted | submitted | granted → withdrawn (by the lead) | expired (by the clock)
submitted | granted → refused (by an owner or the centre)
submitted | granted | active | exhausted → revoked (by any party of the grant)

A request is *granted* when every owner's people have signed and the centre has decided; it is *active* when the centre's
people have signed too and the first day has come. What is active can be used; nothing else can.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from crypto.errors import DoudiError


class RequestState(StrEnum):
    """Where a request stands."""

    DRAFTED = "drafted"
    SUBMITTED = "submitted"
    GRANTED = "granted"
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
    EXHAUSTED = "exhausted"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"


LEGAL: Mapping[RequestState, frozenset[RequestState]] = {
    RequestState.DRAFTED: frozenset({RequestState.SUBMITTED, RequestState.WITHDRAWN, RequestState.EXPIRED}),
    RequestState.SUBMITTED: frozenset(
        {
            RequestState.GRANTED,
            RequestState.WITHDRAWN,
            RequestState.REFUSED,
            # Who has signed already may take it back before the others have.
            RequestState.REVOKED,
            RequestState.EXPIRED,
        }
    ),
    RequestState.GRANTED: frozenset(
        {
            RequestState.ACTIVE,
            RequestState.WITHDRAWN,
            RequestState.REFUSED,
            RequestState.REVOKED,
            RequestState.EXPIRED,
        }
    ),
    RequestState.ACTIVE: frozenset({RequestState.EXPIRED, RequestState.REVOKED, RequestState.EXHAUSTED}),
    # Its runs are used, but what came of them is still kept at the nodes: a revocation ends that too.
    RequestState.EXHAUSTED: frozenset({RequestState.REVOKED}),
    RequestState.EXPIRED: frozenset(),
    RequestState.REVOKED: frozenset(),
    RequestState.WITHDRAWN: frozenset(),
    RequestState.REFUSED: frozenset(),
}

# Signatures are still gathered, and a refusal still counts.
OPEN = frozenset({RequestState.SUBMITTED, RequestState.GRANTED})
# Time or facts can still change it without anybody's act.
MOVING = frozenset({RequestState.DRAFTED, RequestState.SUBMITTED, RequestState.GRANTED, RequestState.ACTIVE})


@dataclass(frozen=True)
class Standing:
    """What decides whether a request moves by itself. Times are seconds since 1970 UTC.

    `owners_signed`: enough people of every department. `centre_decided`: enough people of the centre decided or signed.
    `fully_signed`: every signature that the nodes ask for is there. `used_up`: no run or attempt is left.
    """

    now: int
    not_before: int
    expires_at: int
    owners_signed: bool = False
    centre_decided: bool = False
    fully_signed: bool = False
    used_up: bool = False


def require_transition(current: RequestState, wanted: RequestState) -> None:
    """Raise `request.illegal_transition` unless the table allows it."""
    if wanted not in LEGAL[current]:
        raise DoudiError(
            "request.illegal_transition",
            f"a request that is {current.value} cannot become {wanted.value}",
            "Look at the request's state.",
        )


def next_state(current: RequestState, standing: Standing) -> RequestState | None:
    """Return the state that a request moves to by itself, one step, or `None` when it stays."""
    if current not in MOVING:
        return None
    if standing.now >= standing.expires_at:
        return RequestState.EXPIRED
    if current is RequestState.SUBMITTED and standing.owners_signed and standing.centre_decided:
        return RequestState.GRANTED
    if current is RequestState.GRANTED and standing.fully_signed and standing.now >= standing.not_before:
        return RequestState.ACTIVE
    if current is RequestState.ACTIVE and standing.used_up:
        return RequestState.EXHAUSTED
    return None
