"""What this node saw the log do and must not be done: shown until an officer acknowledges it, kept as signed evidence for others.

After a fork, a rollback or a proof that does not lead from the accepted tree to the offered one, the node cosigns nothing of that
log and takes nothing as witnessed until an officer has acknowledged the alarm. The other kinds are shown, and the next right
checkpoint is judged by itself. An alarm and its event of the journal become durable together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from crypto.checkpoint import parse_note, verify_checkpoint
from crypto.errors import CryptoError, DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.ledger.sealing import pinned_terms
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import LedgerAlarmRow, LedgerBatchRow, WitnessStateRow
from department_nodes.store.session import reading, transaction
from policies.contracts.ledger.evidence import SignedWitnessEvidence, WitnessEvidence, sign_evidence

# Two histories may exist: nothing that this log signs is built upon before a person has looked.
HOLDING_KINDS = frozenset({"fork", "rollback", "bad_proof"})
# One unacknowledged alarm of a kind says it; a log cannot fill this node's disk with further ones.
_ONCE_KINDS = HOLDING_KINDS | {"bad_signature", "other_terms"}


@dataclass(frozen=True)
class Alarm:
    """One alarm, as it is stored."""

    number: int
    at: int
    kind: str
    signed: SignedWitnessEvidence
    acknowledged_at: int | None


def raise_alarm(engine: NodeEngine, session: Session, evidence: WitnessEvidence, event: Event) -> int | None:
    """Store evidence, signed, and its event, inside the caller's transaction; return the alarm's number.

    None, and nothing is stored, where an alarm of this kind waits for an officer already.
    """
    if evidence.kind in _ONCE_KINDS and evidence.kind in {alarm.kind for alarm in open_alarms(session)}:
        return None
    signed = sign_evidence(evidence, engine.identity_private)
    row = LedgerAlarmRow(at=evidence.at, kind=evidence.kind, evidence=signed.to_bytes())
    session.add(row)
    session.flush()
    record(session, _with_evidence(event, signed))
    return row.number


def open_alarms(session: Session) -> list[Alarm]:
    """Return the alarms that no officer has acknowledged, oldest first."""
    query = select(LedgerAlarmRow).where(LedgerAlarmRow.acknowledged_at.is_(None)).order_by(LedgerAlarmRow.number)
    return _alarms(session.scalars(query).all())


def all_alarms(session: Session) -> list[Alarm]:
    """Return every alarm, oldest first."""
    return _alarms(session.scalars(select(LedgerAlarmRow).order_by(LedgerAlarmRow.number)).all())


def is_held(session: Session) -> bool:
    """Return whether the node builds upon nothing of the log until an officer has looked."""
    held = select(LedgerAlarmRow.number).where(
        LedgerAlarmRow.acknowledged_at.is_(None), LedgerAlarmRow.kind.in_(HOLDING_KINDS)
    )
    return session.scalar(held.limit(1)) is not None


def acknowledge(engine: NodeEngine, number: int, follow: bool = False) -> Alarm:
    """Note that an officer has seen an alarm, and return it as it is now.

    Without `follow` the node goes on from the history that it had accepted. With it, the node gives that history up and accepts
    the offered one: for a log that was put back to an earlier state and that all parties agreed to continue. Every own batch is
    then looked for again. Raises `alarm.unknown`, `alarm.acknowledged`, `alarm.nothing_to_follow`.
    """
    now_s = int(engine.clock())
    with transaction(engine.db) as session:
        row = session.get(LedgerAlarmRow, number)
        if row is None:
            raise DoudiError("alarm.unknown", "there is no alarm of this number", "See `doudi node ledger status`.")
        if row.acknowledged_at is not None:
            raise DoudiError("alarm.acknowledged", "this alarm is acknowledged already")
        alarm = _alarm(row)
        if follow:
            _follow_offered(session, alarm, now_s)
        row.acknowledged_at = now_s
        # An entry that was left out is handed in once more, under its old number and in its old bytes.
        left_out = update(LedgerBatchRow).where(LedgerBatchRow.alarm == number, LedgerBatchRow.included_size.is_(None))
        session.execute(left_out.values(first_index=None, acknowledged_at=None, alarm=None))
        event = Event(
            EventType.ALARM_ACKNOWLEDGED,
            now_s,
            code="alarm.followed" if follow else f"alarm.{alarm.kind}",
            counts={"number": number},
        )
        record(session, _with_evidence(event, alarm.signed))
        return _alarm(row)


def evidence_files(engine: NodeEngine) -> list[tuple[str, bytes]]:
    """Return name and content of one file for each alarm: the signed evidence, which stands alone."""
    with reading(engine.db) as session:
        return [(f"alarm-{one.number}-{one.kind}.json", one.signed.to_bytes()) for one in all_alarms(session)]


def _follow_offered(session: Session, alarm: Alarm, now_s: int) -> None:
    terms = pinned_terms(session)
    offered = alarm.signed.evidence.offered
    if terms is None or alarm.kind not in HOLDING_KINDS or not offered:
        raise DoudiError("alarm.nothing_to_follow", "this alarm is not about another history of the log")
    try:
        checkpoint = verify_checkpoint(parse_note(offered.encode()), terms.log_note_key)
    except CryptoError:
        raise DoudiError(
            "alarm.nothing_to_follow", "the log's present key has not signed the history that was offered"
        ) from None
    row = session.get(WitnessStateRow, terms.origin)
    if row is None:
        raise DoudiError("alarm.nothing_to_follow", "this node has accepted no history of the log")
    row.size, row.root, row.note = checkpoint.size, checkpoint.root.hex(), offered.encode()
    row.accepted_at, row.cosigned_at = now_s, None
    again = update(LedgerBatchRow).where(LedgerBatchRow.first_index.is_not(None))
    session.execute(again.values(included_size=None, witnessed_at=None, acknowledged_at=now_s))


def _with_evidence(event: Event, signed: SignedWitnessEvidence) -> Event:
    hashes = {**event.hashes, "evidence": signed.digest()}
    return Event(event.type, event.at, code=event.code, counts=event.counts, hashes=hashes)


def _alarms(rows: Sequence[LedgerAlarmRow]) -> list[Alarm]:
    return [_alarm(row) for row in rows]


def _alarm(row: LedgerAlarmRow) -> Alarm:
    signed = SignedWitnessEvidence.parse(row.evidence)
    return Alarm(row.number, row.at, row.kind, signed, row.acknowledged_at)
