"""A grant that has ended at this node stays ended: what it had answered is destroyed, so nothing could be counted any more.

Whatever a later revocation list, clock or manifest says: the row of the ended grant is asked in the transaction of every act.
"""

from sqlalchemy.orm import Session

from crypto.errors import DoudiError
from department_nodes.store.models import EndedGrantRow


def require_not_ended(session: Session, grant_hash: str) -> None:
    """Raise `grant.ended` if this node has ended the grant, because it expired or because a party revoked it."""
    if session.get(EndedGrantRow, grant_hash) is not None:
        raise DoudiError(
            "grant.ended",
            "this node has ended the grant and destroyed what it kept under it",
            "Have the parties sign a new grant.",
        )
