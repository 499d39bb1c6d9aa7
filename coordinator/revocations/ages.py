"""How old the newest revocation list of each party is, without reading the lists: nodes refuse to work on old ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.revocations.models import RevocationListRow


@dataclass(frozen=True)
class ListAge:
    """The newest list of a party. `issued_at` is by the clock of who signed it, seconds since 1970 UTC."""

    number: int
    issued_at: int


def newest_lists(session: Session, parties: Iterable[str]) -> Mapping[str, ListAge]:
    """Return number and time of the newest list of each of these parties that has published one."""
    newest = (
        select(func.max(RevocationListRow.sequence))
        .where(RevocationListRow.party.in_(list(parties)))
        .group_by(RevocationListRow.party)
    )
    query = select(RevocationListRow.party, RevocationListRow.number, RevocationListRow.issued_at).where(
        RevocationListRow.sequence.in_(newest)
    )
    return {party: ListAge(number, issued_at) for party, number, issued_at in session.execute(query)}
