"""The ledger's terms at this node: fetched from the log, believed because the centre's approver signed them, never taken back.

Whoever runs the log cannot add an auditor or a witness: the signature must be of a key on the centre's pinned card, and older
terms, or other ones under a known number, are refused with evidence.
"""

import threading

from sqlalchemy.orm import Session

from crypto.errors import DoudiError
from department_nodes.engine import NodeEngine
from department_nodes.ledger.alarms import raise_alarm
from department_nodes.ledger.log_calls import LedgerClient, newest_terms
from department_nodes.ledger.sealing import pinned_terms
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import LedgerTermsRow
from department_nodes.store.session import reading, transaction
from policies.contracts.ledger.evidence import WitnessEvidence
from policies.contracts.ledger.terms import LedgerTerms, SignedLedgerTerms, require_next_terms

_MOST_EVIDENCE_CHARACTERS = 65_536


class TermsKeeper:
    """Holds the terms in force for the running node. One process of a node accepts terms, so what it read stays right."""

    def __init__(self, engine: NodeEngine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        with reading(engine.db) as session:
            self._known = pinned_terms(session)

    @property
    def known(self) -> LedgerTerms | None:
        """The newest terms that this node accepted; None before the first."""
        return self._known

    def refresh(self, client: LedgerClient) -> LedgerTerms:
        """Fetch the newest terms, and return those in force afterwards.

        Raises `terms.no_centre` while no centre's card is pinned, `terms.bad_signature`, `terms.rollback`, `terms.fork`,
        `terms.other_log` (each with an alarm; the known terms stay in force), `document.malformed`, and what the client raises.
        """
        with self._lock:
            return self._refresh(newest_terms(client))

    def _refresh(self, signed: SignedLedgerTerms) -> LedgerTerms:
        centre = self._engine.home.trust.centre
        if centre is None:
            raise DoudiError(
                "terms.no_centre", "no card of the centre is pinned here", "Run `doudi node trust centre-card.json`."
            )
        now_s = int(self._engine.clock())
        try:
            offered = signed.verify((centre.approval_key, *centre.co_approval_keys))
            newer = require_next_terms(self._known, offered)
        except DoudiError as error:
            self._refuse(signed, error.code, now_s)
            raise
        if newer:
            with transaction(self._engine.db) as session:
                _accept(session, signed, now_s)
            self._known = offered
        return offered

    def _refuse(self, signed: SignedLedgerTerms, code: str, now_s: int) -> None:
        with transaction(self._engine.db) as session:
            known = session.get(LedgerTermsRow, self._known.number) if self._known is not None else None
            evidence = WitnessEvidence(
                kind="other_terms",
                witness=self._engine.home.config.department,
                at=now_s,
                terms_number=self._known.number if self._known is not None else signed.terms.number,
                seen=_as_evidence(known.document) if known is not None else "",
                offered=_as_evidence(signed.to_bytes()),
            )
            raise_alarm(self._engine, session, evidence, Event(EventType.WITNESS_REFUSED, now_s, code=code))


def _accept(session: Session, signed: SignedLedgerTerms, now_s: int) -> None:
    terms = signed.terms
    session.add(LedgerTermsRow(number=terms.number, document=signed.to_bytes(), accepted_at=now_s))
    counts = {
        "number": terms.number,
        "auditors": len(terms.auditors),
        "witnesses": len(terms.witnesses),
        "faulty": terms.tolerated_faulty_witnesses,
    }
    record(session, Event(EventType.TERMS_ACCEPTED, now_s, counts=counts, hashes={"terms": terms.digest()}))


def _as_evidence(document: bytes) -> str:
    # Terms of very many witnesses are too long for the evidence; whoever checks it asks the parties for their copies then.
    text = document.decode()
    return text if len(text) <= _MOST_EVIDENCE_CHARACTERS else ""
