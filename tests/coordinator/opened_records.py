"""An auditor of a test's coordinator, who opens what was recorded there: also what waits in the outbox."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from coordinator.db.session import read
from coordinator.ledger.founding import found_ledger
from coordinator.ledger.models import LedgerBatchRow
from coordinator.ledger.settings import LedgerSettings
from coordinator.ledger.terms_store import newest_terms
from crypto import ledger_entries, sealing, signing
from policies.contracts.ledger.batches import unframe
from policies.contracts.ledger.record_types import RECORD_TYPES
from policies.contracts.ledger.records import Record, parse_record
from policies.contracts.ledger.terms import COORDINATOR, AuditorCard, SignedLedgerTerms

ORIGIN = "localhost:8443/ledger-00c0ffee"


@dataclass(frozen=True)
class Recorded:
    """A record in the form in which events are spoken of at the coordinator. `sequence`: order of recording, from 1."""

    sequence: int
    producer: str
    at: int
    type: str
    actor: str
    account: int | None
    project_id: str | None
    run_id: str | None
    grant_hash: str | None
    subject: str | None
    code: str
    counts: dict[str, int]
    purpose: str
    assets: tuple[str, ...]
    hashes: dict[str, str]


@dataclass(frozen=True)
class Auditor:
    """An auditor with its keys. Batches that it opened once are kept: opening costs more than most tests."""

    name: str = "court"
    sealing_key: bytes = field(default_factory=sealing.generate_sealing_key)
    signing_key: bytes = field(default_factory=signing.generate_signing_key)
    _opened: dict[bytes, list[Record]] = field(default_factory=dict)

    @classmethod
    def in_folder(cls, home: Path) -> "Auditor":
        """Return the auditor whose keys are in a home folder, as `doudi centre init` makes one."""
        keys = home / "keys"
        return cls("", (keys / "sealing.key").read_bytes(), (keys / "signing.key").read_bytes())

    @property
    def card(self) -> AuditorCard:
        """What the auditor shows of itself."""
        return AuditorCard(
            auditor=self.name,
            sealing_key=sealing.sealing_public_key(self.sealing_key).hex(),
            signing_key=signing.signing_public_key(self.signing_key).hex(),
        )

    def found(self, home: Path, settings: LedgerSettings, approval_key: bytes, now_s: int) -> SignedLedgerTerms:
        """Found a ledger that this auditor reads, before the coordinator of this home starts."""
        return found_ledger(home, settings, approval_key, [self.card], ORIGIN, now_s)

    def records(self, engine: Engine, ledgers_own: bool = False) -> list[Recorded]:
        """Return everything recorded in a database, oldest first; what is about the ledger itself only if asked for.

        Batches whose keys were destroyed are left out, unless they were opened before.
        """
        with read(engine) as session:
            origin = newest_terms(session).origin
            rows = session.execute(
                select(
                    LedgerBatchRow.batch_id, LedgerBatchRow.producer, LedgerBatchRow.wraps, LedgerBatchRow.entries
                ).order_by(LedgerBatchRow.id)
            ).all()
        found = []
        for batch_id, producer, wraps, entries in rows:
            if batch_id not in self._opened and wraps is None:
                continue
            if batch_id not in self._opened:
                self._opened[batch_id] = self._open(origin, producer, batch_id, wraps, entries)
            found += [(producer, record) for record in self._opened[batch_id]]
        wanted = [(maker, one) for maker, one in found if ledgers_own or not one.type.startswith("ledger.")]
        return [_recorded(number, maker, one) for number, (maker, one) in enumerate(wanted, start=1)]

    def _open(self, origin: str, producer: str, batch_id: bytes, wraps: bytes, entries: bytes) -> list[Record]:
        own = ledger_entries.auditor_id(sealing.sealing_public_key(self.sealing_key))
        wrap = ledger_entries.parse_wraps(wraps)[own]
        key = ledger_entries.open_wrap(origin, producer, batch_id, wrap, self.sealing_key)
        records = []
        for position, data in enumerate(unframe(entries)):
            entry = ledger_entries.parse_entry(data)
            body = ledger_entries.open_entry(origin, entry, ledger_entries.entry_key(key, batch_id, position))
            records.append(parse_record(entry.header, body, RECORD_TYPES))
        return records


def _recorded(sequence: int, producer: str, record: Record) -> Recorded:
    counts: dict[str, Any] = {"attempt": record.attempt} if record.attempt else {}
    return Recorded(
        sequence=sequence,
        producer=producer,
        at=record.at,
        type=record.type,
        actor=record.actor or COORDINATOR,
        account=record.account or None,
        project_id=record.project or None,
        run_id=record.run or None,
        grant_hash=record.grant_hash or None,
        subject=record.subject or None,
        code=record.code,
        counts={**counts, **record.counts},
        purpose=record.purpose,
        assets=record.assets,
        hashes=dict(record.hashes),
    )
