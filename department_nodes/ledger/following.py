"""Following the log: the newest checkpoint is judged, becomes durable, is cosigned; the newest witnessed one is verified.

Steps 4 and 5 of `witness`. What is durable decides: between two steps another process may have changed it, and then nothing is
cosigned. May import the store.
"""

import logging
import threading
from collections import OrderedDict
from enum import IntEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crypto.checkpoint import Checkpoint, Note, Signature, cosign, parse_note, with_signatures
from crypto.errors import DoudiError
from crypto.signing import signing_public_key
from department_nodes.engine import NodeEngine
from department_nodes.ledger.alarms import is_held, raise_alarm
from department_nodes.ledger.log_calls import LedgerClient, consistency, hand_in_cosignature, newest, newest_witnessed
from department_nodes.ledger.quorum import Witnessed, verify_witnessed
from department_nodes.ledger.terms import TermsKeeper
from department_nodes.ledger.witness import Refused, Seen, consider, consider_older
from department_nodes.store.journal import Event, EventType
from department_nodes.store.models import EventRow, LedgerBatchRow, WitnessStateRow
from department_nodes.store.session import reading, transaction
from policies.contracts.ledger.evidence import MAXIMUM_NOTE_CHARACTERS, WitnessEvidence
from policies.contracts.ledger.terms import LedgerTerms

log = logging.getLogger("doudi.node")
# A log may sign larger sizes; the journal's numbers end here.
_MOST = 2**53
_REMEMBERED_ROOTS = 64


class Progress(IntEnum):
    """What came of one look at the log. WITNESSED: own batches may have got further."""

    NONE = 0
    ACCEPTED = 1
    WITNESSED = 2


class LogFollower:
    """One log and what this node made of it. `follow` is for one thread; `look_again` may come from another."""

    def __init__(self, engine: NodeEngine, terms: TermsKeeper) -> None:
        self._engine, self._terms = engine, terms
        self._department = engine.home.config.department
        self._public = signing_public_key(engine.identity_private).hex()
        self._lock = threading.Lock()
        self._witnessed: Witnessed | None = None
        # What this process has dealt with: only what is newer is asked for. None at its start, and when an officer had the node
        # follow another history.
        self._handled: tuple[int, bytes] | None = None
        self._undelivered: tuple[int, str] | None = None
        # Accepted in this process, so that an older one that becomes witnessed needs no further proof.
        self._roots: OrderedDict[int, bytes] = OrderedDict()
        self.heard_at = 0

    @property
    def witnessed(self) -> Witnessed | None:
        """The newest checkpoint that counts and that this node found consistent with what it accepted; None while held."""
        with reading(self._engine.db) as session:
            return None if is_held(session) else self._witnessed

    def seen(self) -> Seen:
        """Return the newest checkpoint that this node accepted."""
        terms = self._terms.known
        with reading(self._engine.db) as session:
            return _seen(session, terms.origin) if terms is not None else Seen()

    def follow(self, client: LedgerClient, wait_s: int) -> Progress:
        """Wait for something newer, and deal with it.

        Raises `coordinator.bad_answer`, what `TermsKeeper.refresh` raises, and what the client raises.
        """
        terms = self._terms.known or self._terms.refresh(client)
        with reading(self._engine.db) as session:
            if is_held(session):
                return Progress.NONE
        self._deliver(client)
        seen_size, witnessed_size = self._dealt_with()
        found = newest(client, seen_size, witnessed_size, terms.number, wait_s)
        self.heard_at = int(self._engine.clock())
        progress = Progress.NONE
        # When the log's key changed, its newest note may be signed by the former key still, or by the new one already.
        changed = found.terms != terms.number
        if changed and found.latest is not None and not _names_key(found.latest, terms):
            terms, changed = self._terms.refresh(client), False
        growth = None if found.growth is None else (seen_size, found.growth)
        if found.latest is not None and self._take(client, found.latest, terms, growth):
            progress = Progress.ACCEPTED
        if changed:
            terms = self._terms.refresh(client)
        if (
            found.witnessed is not None
            and witnessed_size < _MOST
            and self._take_witnessed(client, found.witnessed, terms)
        ):
            progress = Progress.WITNESSED
        return progress

    def look_again(self, client: LedgerClient) -> None:
        """Ask whether the newest witnessed checkpoint has got further cosignatures. Raises what the client raises."""
        terms = self._terms.known
        if terms is not None:
            self._take_witnessed(client, newest_witnessed(client), terms)

    def _dealt_with(self) -> tuple[int, int]:
        """Return the sizes of the accepted and of the witnessed checkpoint above which there is news for this node."""
        with self._lock:
            seen = self.seen()
            if self._handled != (seen.size, seen.root):
                self._handled, self._witnessed = None, None
                self._roots.clear()
                return 0, 0
            with reading(self._engine.db) as session:
                if not _is_expecting(session):
                    # Nothing of this node's waits for a quorum. Its next event makes the log grow, which ends the long poll.
                    return seen.size, _MOST
            return seen.size, self._witnessed.checkpoint.size if self._witnessed is not None else 0

    def _take(
        self, client: LedgerClient, note: Note, terms: LedgerTerms, growth: tuple[int, list[bytes]] | None = None
    ) -> bool:
        def prove(old: int, new: int) -> list[bytes]:
            return growth[1] if growth is not None and growth[0] == old else consistency(client, old, new)

        with self._lock:
            seen = self.seen()
            if seen.note and note.text == parse_note(seen.note.encode()).text:
                known, self._handled = self._handled is not None, (seen.size, seen.root)
                if not known and not _has_line(note, self._department):
                    # Accepted before this process began, and perhaps not cosigned: the same tree, so it may be said again.
                    self._cosign(client, note, seen.size, terms)
                return not known
            outcome = consider(seen, note, terms, prove)  # 1, 2, 3
            if isinstance(outcome, Refused):
                self._refuse(seen, note, outcome, terms)
                return False
            # Further lines are other parties' statements; they are not kept as if this node had verified them.
            note = Note(note.text, tuple(one for one in note.signatures if _is_of_log(one, terms)))
            if not self._accept(seen, note, outcome.checkpoint):  # 4
                return False
            self._handled = (outcome.checkpoint.size, outcome.checkpoint.root)
            self._cosign(client, note, outcome.checkpoint.size, terms)  # 5
            return True

    def _take_witnessed(self, client: LedgerClient, note: Note, terms: LedgerTerms) -> bool:
        try:
            found = verify_witnessed(note, terms)
        except DoudiError as error:
            log.warning("a checkpoint that the log calls witnessed: %s", error.message)
            return False
        known = self._witnessed
        if known is not None and (found.checkpoint.size, found.at) <= (known.checkpoint.size, known.at):
            return False
        if found.checkpoint.size > self.seen().size and not self._take(client, note, terms):
            return False
        with self._lock:
            seen, checkpoint = self.seen(), found.checkpoint
            refused: Refused | None = None
            if checkpoint.size == seen.size:
                refused = Refused("fork", "witness.fork", checkpoint) if checkpoint.root != seen.root else None
            elif self._roots.get(checkpoint.size) != checkpoint.root:
                refused = consider_older(seen, checkpoint, lambda old, new: consistency(client, old, new))
            if refused is not None:
                self._refuse(seen, note, refused, terms)
                return False
            self._witnessed = found
        return True

    def _accept(self, seen: Seen, note: Note, checkpoint: Checkpoint) -> bool:
        now_s = int(self._engine.clock())
        with transaction(self._engine.db) as session:
            if is_held(session) or _seen(session, checkpoint.origin) != seen:
                return False
            row = session.get(WitnessStateRow, checkpoint.origin) or WitnessStateRow(origin=checkpoint.origin)
            row.size, row.root, row.note = checkpoint.size, checkpoint.root.hex(), note.to_bytes()
            row.accepted_at, row.cosigned_at = now_s, None
            session.add(row)
        # The checkpoint is durable from here: a crash loses its cosignature, and another root of this size is a fork for ever.
        self._roots[checkpoint.size] = checkpoint.root
        while len(self._roots) > _REMEMBERED_ROOTS:
            self._roots.popitem(last=False)
        return True

    def _cosign(self, client: LedgerClient, note: Note, size: int, terms: LedgerTerms) -> None:
        if terms.signer(self._department) != self._public:
            return
        now_s = int(self._engine.clock())
        signature = cosign(note, self._department, self._engine.identity_private, now_s)
        self._undelivered = (size, signature.line().rstrip("\n"))
        try:
            self._deliver(client)
        finally:
            self._keep(terms, note, signature, now_s)

    def _deliver(self, client: LedgerClient) -> None:
        if self._undelivered is None:
            return
        size, line = self._undelivered
        try:
            hand_in_cosignature(client, size, line)
        except DoudiError as error:
            if error.code == "coordinator.unreachable":
                raise
            log.warning("a cosignature was not taken: %s", error.code)
        self._undelivered = None

    def _keep(self, terms: LedgerTerms, note: Note, signature: Signature, now_s: int) -> None:
        with transaction(self._engine.db) as session:
            row = session.get(WitnessStateRow, terms.origin)
            kept = parse_note(row.note) if row is not None else None
            if row is not None and kept is not None and kept.text == note.text:
                row.note, row.cosigned_at = with_signatures(kept, [signature]).to_bytes(), now_s

    def _refuse(self, seen: Seen, note: Note, refused: Refused, terms: LedgerTerms) -> None:
        now_s = int(self._engine.clock())
        evidence = WitnessEvidence(
            kind=refused.kind,
            witness=self._department,
            at=now_s,
            terms_number=terms.number,
            seen=seen.note,
            offered=_as_evidence(note, terms),
            proof=tuple(item.hex() for item in refused.proof),
        )
        counts, hashes = {"seen_size": min(seen.size, _MOST)}, {"seen_root": seen.root.hex()}
        if refused.checkpoint is not None:
            counts["size"], hashes["root"] = min(refused.checkpoint.size, _MOST), refused.checkpoint.root.hex()
        event = Event(EventType.WITNESS_REFUSED, now_s, code=refused.code, counts=counts, hashes=hashes)
        with transaction(self._engine.db) as session:
            number = raise_alarm(self._engine, session, evidence, event)
        if number is not None:
            log.error("ALARM %d: the log offered a checkpoint that this node refuses: %s", number, refused.code)


def _as_evidence(note: Note, terms: LedgerTerms) -> str:
    """Return a refused note as evidence keeps it: whole, or with the log's own lines alone.

    A log must not escape the alarm by drowning its second history in other lines. What is too long even so did not come from the
    log's key, or it would be three short lines; then the alarm stands without it.
    """
    own = Note(note.text, tuple(one for one in note.signatures if _is_of_log(one, terms))[:2])
    texts = (one.to_bytes().decode() for one in (note, own))
    return next((text for text in texts if len(text) <= MAXIMUM_NOTE_CHARACTERS), "")


def _seen(session: Session, origin: str) -> Seen:
    row = session.get(WitnessStateRow, origin)
    return Seen() if row is None else Seen(row.size, bytes.fromhex(row.root), row.note.decode())


def _is_expecting(session: Session) -> bool:
    """Return whether an own event is not known to be witnessed."""
    unsettled = LedgerBatchRow.included_size.is_(None) & LedgerBatchRow.alarm.is_(None)
    if session.scalar(select(LedgerBatchRow.first_number).where(unsettled).limit(1)) is not None:
        return True
    sealed_to = session.scalar(select(func.max(LedgerBatchRow.first_number + LedgerBatchRow.count - 1))) or 0
    return session.scalar(select(EventRow.number).where(EventRow.number > sealed_to).limit(1)) is not None


def _names_key(note: Note, terms: LedgerTerms) -> bool:
    return any(_is_of_log(one, terms) for one in note.signatures)


def _is_of_log(signature: Signature, terms: LedgerTerms) -> bool:
    return (signature.name, signature.key_hash) == (terms.origin, terms.log_note_key.key_hash)


def _has_line(note: Note, department: str) -> bool:
    return any(one.name == department for one in note.signatures)
