"""What an officer asks about the ledger: how far the own events have come, what was cosigned, who may read, what is wrong."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crypto.checkpoint import parse_note
from crypto.errors import DoudiError
from crypto.signing import signing_public_key
from department_nodes.engine import NodeEngine
from department_nodes.ledger.alarms import HOLDING_KINDS, Alarm, open_alarms
from department_nodes.ledger.sealing import pinned_terms
from department_nodes.store.models import EventRow, LedgerBatchRow, WitnessStateRow
from department_nodes.store.session import reading
from policies.contracts.ledger.terms import LedgerTerms


@dataclass(frozen=True)
class LedgerStatus:
    """Numbers are of events. `waiting_since`: when the oldest one that has no place was recorded; times in s since 1970 UTC.

    `size`, `root`: of the newest checkpoint that this node accepted. `is_witness`: the terms name this node's key.
    """

    terms: LedgerTerms | None
    is_witness: bool
    waiting: int
    placed: int
    witnessed: int
    waiting_since: int | None
    newest_witnessed_at: int | None
    size: int
    root: str
    accepted_at: int | None
    cosigned_at: int | None
    alarms: tuple[Alarm, ...]

    @property
    def is_held(self) -> bool:
        """Whether the node cosigns nothing and lets no step through until an officer has looked."""
        return any(alarm.kind in HOLDING_KINDS for alarm in self.alarms)

    def facts(self) -> dict[str, Any]:
        """Return all of it for machines."""
        terms = self.terms
        return {
            "origin": terms.origin if terms else None,
            "terms": terms.number if terms else None,
            "witnesses": len(terms.witnesses) if terms else 0,
            "quorum": terms.quorum if terms else None,
            "tolerated_faulty": terms.tolerated_faulty_witnesses if terms else None,
            "auditors": {card.auditor: card.fingerprint() for card in terms.auditors} if terms else {},
            "is_witness": self.is_witness,
            "held": self.is_held,
            "events": {"waiting": self.waiting, "placed": self.placed, "witnessed": self.witnessed},
            "waiting_since": self.waiting_since,
            "newest_witnessed_at": self.newest_witnessed_at,
            "size": self.size,
            "root": self.root,
            "accepted_at": self.accepted_at,
            "cosigned_at": self.cosigned_at,
            "alarms": [{"number": one.number, "at": one.at, "kind": one.kind} for one in self.alarms],
        }


def ledger_status(engine: NodeEngine) -> LedgerStatus:
    """Return how this node and the ledger stand, from the node's own database: nobody is asked."""
    own_key = signing_public_key(engine.identity_private).hex()
    with reading(engine.db) as session:
        terms = pinned_terms(session)
        state = session.get(WitnessStateRow, terms.origin) if terms is not None else None
        last_placed = _last(session, LedgerBatchRow.first_index.is_not(None))
        witnessed = _count(session, LedgerBatchRow.included_size.is_not(None))
        waiting = session.execute(
            select(func.count(), func.min(EventRow.at)).where(EventRow.number > last_placed)
        ).one()
        return LedgerStatus(
            terms=terms,
            is_witness=terms is not None and terms.signer(engine.home.config.department) == own_key,
            waiting=waiting[0],
            placed=_count(session, LedgerBatchRow.first_index.is_not(None)) - witnessed,
            witnessed=witnessed,
            waiting_since=waiting[1],
            newest_witnessed_at=session.scalar(select(func.max(LedgerBatchRow.witnessed_at))),
            size=state.size if state is not None else 0,
            root=state.root if state is not None else "",
            accepted_at=state.accepted_at if state is not None else None,
            cosigned_at=state.cosigned_at if state is not None else None,
            alarms=tuple(open_alarms(session)),
        )


def own_checkpoint(engine: NodeEngine) -> bytes:
    """Return the newest checkpoint that this node accepted, with its own cosignature, for auditors who come to it.

    Raises `ledger.no_checkpoint`.
    """
    with reading(engine.db) as session:
        terms = pinned_terms(session)
        state = session.get(WitnessStateRow, terms.origin) if terms is not None else None
    if state is None:
        raise DoudiError(
            "ledger.no_checkpoint", "this node has accepted no checkpoint yet", "Run the node, then ask again."
        )
    return parse_note(state.note).to_bytes()


def _count(session: Session, condition: Any) -> int:
    return session.scalar(select(func.coalesce(func.sum(LedgerBatchRow.count), 0)).where(condition)) or 0


def _last(session: Session, condition: Any) -> int:
    # Batches are placed in their order, so the events behind the last placed one are those that wait.
    number = func.max(LedgerBatchRow.first_number + LedgerBatchRow.count - 1)
    return session.scalar(select(number).where(condition)) or 0
