"""The node's own events on their way: handed in, given a place, found in a witnessed checkpoint; and an alarm when left out.

What is durable here decides what is done next, so a crash at any place repeats a call that changes nothing. A receipt of the log
is not believed: every own entry is looked for in a checkpoint that a quorum cosigned. May import the store.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from crypto import merkle, merkle_log
from crypto.checkpoint import Checkpoint
from crypto.errors import CryptoError, DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.ledger.alarms import is_held, raise_alarm
from department_nodes.ledger.following import LogFollower
from department_nodes.ledger.log_calls import MOST_PROOFS, LedgerClient, hand_in, inclusion
from department_nodes.ledger.quorum import Witnessed
from department_nodes.ledger.sealing import seal_pending, unplaced_batches, unseal_unplaced
from department_nodes.ledger.terms import TermsKeeper
from department_nodes.store.journal import Event, EventType
from department_nodes.store.models import LedgerBatchRow
from department_nodes.store.session import reading, transaction
from policies.contracts.ledger.batches import Batch, parse_batch
from policies.contracts.ledger.evidence import WitnessEvidence
from policies.contracts.ledger.terms import LedgerTerms

log = logging.getLogger("doudi.node")
_EXPECTED = re.compile(r"\bnumber ([0-9]{1,16})\b")
_MOST_ROWS = 200
SOON_S = 0.1
LATER_S = 2.0


class OwnBatches:
    """Brings the node's journal into the log. For one thread."""

    def __init__(self, engine: NodeEngine, terms: TermsKeeper, follower: LogFollower) -> None:
        self._engine, self._terms, self._follower = engine, terms, follower

    def advance(self, client: LedgerClient) -> float:
        """Seal, hand in and look for the own events; return after how many seconds to look again, if nothing happens before.

        Raises what the client raises, and the coordinator's refusal of a batch; nothing is lost then, and the next call goes on.
        """
        terms = self._terms.known or self._terms.refresh(client)
        seal_pending(self._engine)
        while waiting := unplaced_batches(self._engine):
            for number, document in waiting:
                self._hand_in(client, number, document)
        lacks_recent = self._confirm(client, terms)
        self._look_for_omissions(client, terms)
        return SOON_S if lacks_recent else LATER_S

    def _hand_in(self, client: LedgerClient, number: int, document: bytes) -> None:
        batch = parse_batch(document)
        try:
            index = hand_in(client, document, batch)
        except DoudiError as error:
            if error.code == "batch.gap":
                self._go_back(batch, error)
            elif error.code == "batch.wrong_auditors":
                # Sealed to auditors of terms that are two changes old; nothing of it is in the log.
                unseal_unplaced(self._engine)
                self._terms.refresh(client)
            raise
        now_s = int(self._engine.clock())
        with transaction(self._engine.db) as session:
            row = session.get_one(LedgerBatchRow, number)
            # The clock of an omission begins with the first receipt, however often the log asks for the batch again.
            row.first_index, row.acknowledged_at = index, row.acknowledged_at or now_s

    def _go_back(self, batch: Batch, error: DoudiError) -> None:
        """Have everything from the log's next number on handed in again: it lacks what it gave receipts for."""
        found = _EXPECTED.search(error.message)
        expected = int(found[1]) if found else 1
        log.warning("the log lacks batches that it gave receipts for; they are handed in again")
        again = update(LedgerBatchRow).where(
            LedgerBatchRow.signer == batch.signer.hex(),
            LedgerBatchRow.first_sequence >= expected,
            LedgerBatchRow.first_sequence < batch.first_sequence,
        )
        with transaction(self._engine.db) as session:
            session.execute(again.values(first_index=None, included_size=None, witnessed_at=None))

    def _confirm(self, client: LedgerClient, terms: LedgerTerms) -> bool:
        """Look for every own entry that has a place in the newest witnessed checkpoint.

        Returns whether that checkpoint is too old for a batch that is recent itself: a step may be waiting, and a checkpoint
        that cannot open its gate does not settle the batch. More cosignatures may make it recent.
        """
        witnessed, now_s = self._follower.witnessed, int(self._engine.clock())
        if witnessed is None:
            return False
        rows, since = self._rows(witnessed.checkpoint.size), now_s - terms.checkpoint_max_age_s
        lacks_recent = False
        if not witnessed.is_recent(now_s, terms) and any(row.sealed_at >= since for row in rows):
            self._follower.look_again(client)
            witnessed = self._follower.witnessed or witnessed
            lacks_recent = not witnessed.is_recent(now_s, terms)
            rows = [row for row in rows if not lacks_recent or row.sealed_at < since]
        for group in _groups(rows):
            self._settle(client, witnessed, group)
        return lacks_recent

    def _settle(self, client: LedgerClient, witnessed: Witnessed, group: Sequence[LedgerBatchRow]) -> None:
        left_out = _missing(client, witnessed.checkpoint, group)
        found = [row.first_number for row in group if row not in left_out]
        settled = update(LedgerBatchRow).where(LedgerBatchRow.first_number.in_(found))
        with transaction(self._engine.db) as session:
            # What was verified before an alarm opens no gate after it.
            if is_held(session):
                return
            session.execute(settled.values(included_size=witnessed.checkpoint.size, witnessed_at=witnessed.at))
            self._raise_omissions(session, left_out, witnessed.note.to_bytes().decode(), witnessed.checkpoint)

    def _rows(self, size: int) -> list[LedgerBatchRow]:
        query = (
            _unwitnessed()
            .where(LedgerBatchRow.first_index + LedgerBatchRow.count <= size)
            .order_by(LedgerBatchRow.first_number)
            .limit(_MOST_ROWS)
        )
        with reading(self._engine.db) as session:
            return list(session.scalars(query))

    def _look_for_omissions(self, client: LedgerClient, terms: LedgerTerms) -> None:
        """Alarm about receipts that the log does not honour within the age that the terms allow a checkpoint."""
        # A log that has not been heard of since is away; one whose checkpoints lack cosignatures leaves nothing out.
        until = self._follower.heard_at - terms.checkpoint_max_age_s
        query = _unwitnessed().where(LedgerBatchRow.acknowledged_at < until)
        with reading(self._engine.db) as session:
            if is_held(session):
                return
            overdue = list(session.scalars(query.order_by(LedgerBatchRow.first_number).limit(_MOST_ROWS)))
        if not overdue:
            return
        seen = self._follower.seen()
        newest = Checkpoint(terms.origin, seen.size, seen.root)
        left_out = [row for row in overdue if _end(row) > seen.size]
        for group in _groups([row for row in overdue if _end(row) <= seen.size]):
            left_out += _missing(client, newest, group)
        with transaction(self._engine.db) as session:
            self._raise_omissions(session, left_out, seen.note, newest)

    def _raise_omissions(
        self, session: Session, left_out: Sequence[LedgerBatchRow], note: str, checkpoint: Checkpoint
    ) -> None:
        now_s, terms = int(self._engine.clock()), self._terms.known
        for row in left_out:
            stored = session.get_one(LedgerBatchRow, row.first_number)
            if stored.alarm is not None or terms is None:
                continue
            evidence = WitnessEvidence(
                kind="omission",
                witness=self._engine.home.config.department,
                at=now_s,
                terms_number=terms.number,
                offered=note,
                batch_id=row.batch_id,
                first_sequence=row.first_sequence,
                entries=row.count,
            )
            event = Event(
                EventType.WITNESS_OMISSION,
                now_s,
                code="witness.omission",
                counts={"size": checkpoint.size, "first_sequence": row.first_sequence, "entries": row.count},
                hashes={"batch": hashlib.sha256(row.document).hexdigest()},
            )
            stored.alarm = raise_alarm(self._engine, session, evidence, event)
            log.error("ALARM %s: the log left out events of this node that it gave a receipt for", stored.alarm)


def _unwitnessed() -> Select[LedgerBatchRow]:
    # An alarmed one is looked for again when an officer has acknowledged the alarm.
    return select(LedgerBatchRow).where(
        LedgerBatchRow.first_index.is_not(None), LedgerBatchRow.included_size.is_(None), LedgerBatchRow.alarm.is_(None)
    )


def _end(row: LedgerBatchRow) -> int:
    return (row.first_index or 0) + row.count


def _groups(rows: Sequence[LedgerBatchRow]) -> Iterator[list[LedgerBatchRow]]:
    """Return the rows in groups of at most 500 entries: as many proofs as are given at once."""
    group: list[LedgerBatchRow] = []
    for row in rows:
        if group and sum(one.count for one in group) + row.count > MOST_PROOFS:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _missing(client: LedgerClient, checkpoint: Checkpoint, rows: Sequence[LedgerBatchRow]) -> list[LedgerBatchRow]:
    """Return those whose entries are not all in the tree of this checkpoint, at the places that the log named."""
    leaves = [
        (row, (row.first_index or 0) + position, merkle.leaf_hash(entry))
        for row in rows
        for position, entry in enumerate(parse_batch(row.document).entries)
    ]
    proofs = inclusion(client, checkpoint.size, [index for _, index, _ in leaves])
    left_out: list[LedgerBatchRow] = []
    for (row, index, leaf), proof in zip(leaves, proofs, strict=True):
        try:
            merkle_log.verify_inclusion(checkpoint.root, leaf, index, checkpoint.size, proof)
        except CryptoError:
            if row not in left_out:
                left_out.append(row)
    return left_out
