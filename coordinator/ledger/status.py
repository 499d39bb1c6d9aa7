"""How the ledger is, for the centre and auditors: how much waits, which checkpoints there are, who cosigned what last.

Counts, times and names of parties. What it says is the coordinator's word; what proves it stands under `/log/`.
"""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from coordinator.ledger import log_reader
from coordinator.ledger.log_head import read_head
from coordinator.ledger.models import LedgerCheckpointRow, LedgerCosignatureRow, LedgerOutboxRow
from coordinator.ledger.terms_store import newest_terms
from coordinator.parties.models import PartyRow
from policies.contracts.ledger.terms import LedgerTerms


@dataclass(frozen=True)
class CheckpointState:
    """One checkpoint. Times are seconds since 1970 UTC by the coordinator's clock."""

    size: int
    published_at: int
    witnessed_at: int | None


@dataclass(frozen=True)
class WitnessState:
    """A witness of the terms in force, with its newest cosignature: of which size, and when by its own clock."""

    department: str
    size: int | None
    cosigned_at: int | None


@dataclass(frozen=True)
class LedgerStatus:
    """How the ledger is. `waiting`: batches without a place yet. `placed`: entries that have one."""

    waiting: int
    placed: int
    latest: CheckpointState | None
    witnessed: CheckpointState | None
    terms: LedgerTerms
    witnesses: tuple[WitnessState, ...]


def ledger_status(session: Session) -> LedgerStatus:
    """Return how the ledger is. Raises `ledger.not_set_up`."""
    terms = newest_terms(session)
    return LedgerStatus(
        waiting=session.scalar(select(func.count()).select_from(LedgerOutboxRow)) or 0,
        placed=read_head(session).size,
        latest=_checkpoint(session, log_reader.published_size(session)),
        witnessed=_checkpoint(session, log_reader.published_size(session, witnessed=True)),
        terms=terms,
        witnesses=_witnesses(session, terms),
    )


def _checkpoint(session: Session, size: int) -> CheckpointState | None:
    row = session.get(LedgerCheckpointRow, size) if size else None
    return None if row is None else CheckpointState(row.size, row.published_at, row.witnessed_at)


def _witnesses(session: Session, terms: LedgerTerms) -> tuple[WitnessState, ...]:
    # Two looks into the index for each department, however many checkpoints there are; a join would read every cosignature.
    row = aliased(LedgerCosignatureRow)
    largest = select(func.max(row.size)).where(row.department == PartyRow.name).scalar_subquery()
    newest = select(PartyRow.name, largest.label("size")).subquery()
    time_s = select(LedgerCosignatureRow.time).where(
        LedgerCosignatureRow.size == newest.c.size, LedgerCosignatureRow.department == newest.c.name
    )
    rows = session.execute(
        select(newest.c.name, newest.c.size, time_s.scalar_subquery()).where(newest.c.size.is_not(None))
    )
    found = {name: (size, at) for name, size, at in rows}
    return tuple(
        WitnessState(witness.department, *found.get(witness.department, (None, None))) for witness in terms.witnesses
    )
