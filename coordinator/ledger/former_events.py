"""What an older program recorded in clear: sealed into the ledger at the first start, then removed.

The table `events` stays, empty: an installation that is upgraded later brings its rows in it. Their times are kept in the sealed
headers. Until then they stood in clear in the database and unprovable; that cannot be mended afterwards, and copies of an old
database still hold them.
"""

from sqlalchemy import JSON, CheckConstraint, Engine, Integer, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from coordinator.db.base import Base, RowNumber, UnixSeconds
from coordinator.db.session import Clock, begin
from coordinator.ledger.recording import seal_into_outbox
from crypto.errors import DoudiError
from crypto.ledger_entries import MAX_BATCH_ENTRIES, Plain
from policies.contracts.ledger.record_types import COORDINATOR_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import COORDINATOR


class FormerEventRow(Base):
    """One event of the time before the ledger."""

    __tablename__ = "events"
    __table_args__ = (
        CheckConstraint("sequence >= 1", name="sequence"),
        {"sqlite_autoincrement": True},
    )

    sequence: Mapped[int] = mapped_column(RowNumber, primary_key=True, comment="order of recording, never reused")
    at: Mapped[int] = mapped_column(UnixSeconds, comment="seconds since 1970 UTC")
    type: Mapped[str] = mapped_column(String(40), comment="an EventType")
    actor: Mapped[str] = mapped_column(String(63), comment="department, centre or coordinator")
    account: Mapped[int | None] = mapped_column(Integer, comment="account of the person who acted, if one did")
    project_id: Mapped[str | None] = mapped_column(String(63), comment="project, if the act is about one")
    run_id: Mapped[str | None] = mapped_column(String(63), comment="run, if the act is about one")
    grant_hash: Mapped[str | None] = mapped_column(String(64), comment="grant under which the act was done")
    subject: Mapped[str | None] = mapped_column(String(63), comment="party that the act is about, if not the actor")
    code: Mapped[str] = mapped_column(String(80), comment="reason code, or empty")
    counts: Mapped[dict[str, int]] = mapped_column(JSON, comment="integers by name, no text")


def take_over(engine: Engine, clock: Clock) -> int:
    """Seal and remove what an older program left, in portions that each are durable as a whole; return how many rows.

    A row that its type does not allow as it stands is taken without what is not allowed. Raises `record.malformed` for a row of a
    type that no program ever wrote: somebody should look at it before it is gone.
    """
    taken = 0
    while True:
        with begin(engine, clock) as session:
            portion = _take(session)
        # Sealed rows and their removal are durable together; a crash between portions repeats nothing and loses nothing.
        taken += portion
        if portion < MAX_BATCH_ENTRIES:
            return taken


def _take(session: Session) -> int:
    rows = session.scalars(select(FormerEventRow).order_by(FormerEventRow.sequence).limit(MAX_BATCH_ENTRIES)).all()
    if rows:
        seal_into_outbox(session, [_plain(row) for row in rows])
        session.execute(
            delete(FormerEventRow).where(FormerEventRow.sequence <= rows[-1].sequence),
            execution_options={"synchronize_session": False},
        )
    return len(rows)


def _plain(row: FormerEventRow) -> Plain:
    counts = dict(row.counts)
    record = Record(
        type=row.type,
        at=row.at,
        actor="" if row.actor == COORDINATOR else row.actor,
        account=row.account or 0,
        subject=row.subject or "",
        project=row.project_id or "",
        run=row.run_id or "",
        attempt=counts.pop("attempt", 0),
        code=row.code,
        counts=counts,
        grant_hash=row.grant_hash or "",
    )
    try:
        return to_plain(record, COORDINATOR_TYPES)
    except DoudiError:
        return to_plain(_reduced(record), COORDINATOR_TYPES)


def _reduced(record: Record) -> Record:
    """Return the record without what its type does not list. Raises `record.malformed` for a type that no program knows."""
    kind = COORDINATOR_TYPES.get(record.type)
    if kind is None:
        raise DoudiError("record.malformed", "a former event has a type that this program does not know")
    body = {
        name: getattr(record, name)
        for name in ("actor", "account", "subject", "project", "run", "attempt", "code")
        if name in kind.fields
    }
    counts = {name: count for name, count in record.counts.items() if name in kind.counts}
    grant = record.grant_hash if "grant" in kind.fields else ""
    return Record(type=record.type, at=record.at, counts=counts, grant_hash=grant, **body)
