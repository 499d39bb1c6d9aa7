"""Revoking a grant for this department: it works here at once, elsewhere when the list comes or the known one is too old."""

from typing import get_args

from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.governance.finding import NamedGrant
from department_nodes.governance.revocation_exchange import issue
from department_nodes.retention import end_grants
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.session import transaction
from policies.contracts.revocations import RevocationReason, RevokedGrant, SignedRevocationList

REASONS: tuple[str, ...] = get_args(RevocationReason)
# A grant whose end nobody here knows stays on the list for as long as no tier lets a grant last.
UNKNOWN_END_S = 100 * 366 * 24 * 3600


def revoke_grant(engine: NodeEngine, named: NamedGrant, reason: RevocationReason) -> SignedRevocationList:
    """Return this department's next list, with the grant on it, stored; what was derived here under the grant is destroyed.

    A grant that is on the list already stays there; the list gets a new time. Raises `grant.not_a_participant` for a grant that
    does not concern this department, `grant.expired`, or `key.missing`.
    """
    now_s = int(engine.clock())
    expires_at = now_s + UNKNOWN_END_S
    project_id = ""
    if named.signed is not None:
        grant = named.signed.grant
        grant.share(engine.home.config.department)
        expires_at, project_id = grant.expires_at, grant.project_id
    if expires_at < now_s:
        raise DoudiError("grant.expired", "the grant has expired, so that there is nothing to revoke")
    entry = RevokedGrant(grant_hash=named.grant_hash, reason=reason, revoked_at=now_s, expires_at=expires_at)
    signed = issue(engine, entry)
    # From here the guard refuses the grant. A crash after it leaves the ending to the running node, which looks often.
    with transaction(engine.db) as session:
        record(session, Event(EventType.GRANT_REVOKED, now_s, project_id=project_id, grant_hash=named.grant_hash))
    end_grants(engine)
    return signed
