"""How many sealed records a second become durable in the log: in batches, and one at a time by a writer that waits for each.

Three auditors. "Durable" is the database's own word: SQLite with `synchronous=FULL`, PostgreSQL with `synchronous_commit=on`.
What is measured is the whole way from a typed record to its place in the log: check against the type's list, sealing, the outbox,
tree and tiles. Beside it stands the rate of bare commits of one row of the same size in the same database, because disks differ.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select, text

from benchmarks.ledger.temporary_postgres import find_programs, temporary_postgres
from coordinator.db.session import begin, open_engine, upgrade
from coordinator.events import Event, EventType, record
from coordinator.ledger.models import LedgerBatchRow
from coordinator.ledger.recording import seal_into_outbox
from coordinator.ledger.sequencer import Sequencer
from coordinator.ledger.terms_store import store_terms
from crypto.ledger_entries import seal_batch
from crypto.sealing import generate_sealing_key, sealing_public_key
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.ledger.batches import sign_batch
from policies.contracts.ledger.record_types import COORDINATOR_TYPES, NODE_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import AuditorCard, LedgerTerms, sign_terms

AUDITORS = 3
BATCH = 500
BATCHES = 200
WARM_UP = 10
ROUNDS = 5
SINGLE = 600
ROW_BYTES = 700
PRODUCER = "health_disability"


def measure() -> dict[str, Any]:
    """Return the figures of SQLite, and those of PostgreSQL where its programs are installed (else `None`, with the reason)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        figures = _measure(f"sqlite:///{path}")
        figures["bytes_per_entry"] = _bytes_per_entry(path)
    figures["sqlite_synchronous"] = "FULL"
    if find_programs() is None:
        # Named, so that nobody takes a missing figure for one that was not wanted.
        return figures | {"append_per_s_postgres": None, "postgres_left_out": "no PostgreSQL server on this machine"}
    with temporary_postgres() as url:
        found = _measure(url)
    return figures | {
        "append_per_s_postgres": found["append_per_s_batched"],
        "append_per_s_postgres_single": found["append_per_s_single"],
        "commits_per_s_postgres": found["commits_per_s"],
        "postgres_synchronous_commit": "on",
    }


def _measure(url: str) -> dict[str, Any]:
    with _log(url) as (engine, sequencer, terms):
        records = [to_plain(_record(number), COORDINATOR_TYPES) for number in range(BATCH)]
        for _ in range(WARM_UP):
            _append(engine, sequencer, records)
        # The median of some rounds: on a shared disk one round may wait for somebody else.
        batched = sorted(_rate(engine, sequencer, BATCHES // ROUNDS) for _ in range(ROUNDS))[ROUNDS // 2]
        recorded = _record_rate(engine, sequencer)
        commits = _commit_rate(engine)
        single = _single_rate(sequencer, terms)
        recorded_single = _recorded_single_rate(engine, sequencer)
        again = _commit_rate(engine)
    base = (commits + again) / 2
    return {
        "append_per_s_batched": round(batched),
        "append_per_s_recorded": round(recorded),
        "append_per_s_single": round(single),
        "append_per_s_recorded_single": round(recorded_single),
        "commits_per_s": round(base),
        "single_of_commit_rate": round(single / base, 3),
    }


@contextmanager
def _log(url: str) -> Iterator[tuple[Engine, Sequencer, LedgerTerms]]:
    """Give an empty log with three auditors and its writer."""
    engine = open_engine(url)
    upgrade(engine)
    log_key, approval = generate_signing_key(), generate_signing_key()
    cards = [
        AuditorCard(
            auditor=f"auditor-{number}",
            sealing_key=sealing_public_key(generate_sealing_key()).hex(),
            signing_key=signing_public_key(generate_signing_key()).hex(),
        )
        for number in range(AUDITORS)
    ]
    terms = LedgerTerms(
        number=1,
        issued_at=int(time.time()),
        origin="bench.example/ledger",
        log_key=signing_public_key(log_key).hex(),
        auditors=tuple(cards),
    )
    with begin(engine) as session:
        store_terms(session, sign_terms(terms, approval))
    yield engine, Sequencer(engine, log_key), terms
    engine.dispose()


def _record(number: int) -> Record:
    """Return a record as runs make most of: a step's answer."""
    return Record(
        "run.step_answered",
        int(time.time()),
        actor="health_disability",
        project="household-support",
        run=f"run-{number:016x}",
        counts={"attempt": 1, "step": 2, "request_bytes": 812_345, "reply_bytes": 412_345},
        grant_hash="ab" * 32,
    )


def _node_record(number: int) -> Record:
    return Record(
        "node.step.answered",
        int(time.time()),
        project="household-support",
        run=f"run-{number:016x}",
        attempt=1,
        step="blind",
        counts={"bytes": 412_345, "milliseconds": 1_234},
        grant_hash="ab" * 32,
    )


def _append(engine: Engine, sequencer: Sequencer, records: list[Any]) -> None:
    with begin(engine) as session:
        seal_into_outbox(session, records)
    sequencer.place()


def _rate(engine: Engine, sequencer: Sequencer, batches: int) -> float:
    started = time.perf_counter()
    for _ in range(batches):
        _append(engine, sequencer, [to_plain(_record(number), COORDINATOR_TYPES) for number in range(BATCH)])
    return batches * BATCH / (time.perf_counter() - started)


def _record_rate(engine: Engine, sequencer: Sequencer, batches: int = 20) -> float:
    """Return the rate through `record()`, as the coordinator's services call it, 500 acts in one transaction."""
    started = time.perf_counter()
    for _ in range(batches):
        with begin(engine) as session:
            for number in range(BATCH):
                record(session, _event(number))
        sequencer.place()
    return batches * BATCH / (time.perf_counter() - started)


def _single_rate(sequencer: Sequencer, terms: LedgerTerms) -> float:
    """Return the rate of a producer in this process that seals, signs and waits until each record has its place: one commit."""
    private = generate_signing_key()
    started = time.perf_counter()
    for number in range(1, SINGLE + 1):
        plain = to_plain(_node_record(number), NODE_TYPES)
        sealed = seal_batch(terms.origin, PRODUCER, number, [plain], terms.sealing_keys)
        sequencer.append_and_place([sign_batch(terms.origin, PRODUCER, number, sealed, private)])
    return SINGLE / (time.perf_counter() - started)


def _recorded_single_rate(engine: Engine, sequencer: Sequencer) -> float:
    """Return the rate of acts of the coordinator that each wait for their place: the act's commit, and the log's."""
    started = time.perf_counter()
    for number in range(SINGLE):
        with begin(engine) as session:
            record(session, _event(number))
        sequencer.place()
    return SINGLE / (time.perf_counter() - started)


def _event(number: int) -> Event:
    return Event(
        EventType.RUN_STEP_ANSWERED,
        "health_disability",
        project_id="household-support",
        run_id=f"run-{number:016x}",
        grant_hash="ab" * 32,
        counts={"attempt": 1, "step": 2, "request_bytes": 812_345, "reply_bytes": 412_345},
    )


def _commit_rate(engine: Engine) -> float:
    """Return how often a second this database makes one row durable: what no ledger in it can exceed."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS bench_commits (id INTEGER, data VARCHAR(1000))"))
    value = "x" * ROW_BYTES
    started = time.perf_counter()
    for number in range(SINGLE):
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO bench_commits VALUES (:id, :data)"), {"id": number, "data": value})
    return SINGLE / (time.perf_counter() - started)


def _bytes_per_entry(path: Path) -> int:
    """Return the size of a fresh log of batches of 500 alone, with everything that it holds, for each entry."""
    path = path.with_name("size.db")
    with _log(f"sqlite:///{path}") as (engine, sequencer, _):
        empty = _size(engine)
        for _ in range(BATCHES):
            _append(engine, sequencer, [to_plain(_record(number), COORDINATOR_TYPES) for number in range(BATCH)])
        sequencer.publish()
        grown = _size(engine)
        with engine.connect() as connection:
            entries = connection.scalar(select(func.sum(LedgerBatchRow.count)))
    return round((grown - empty) / int(entries or 1))


def _size(engine: Engine) -> int:
    """Return the database's size in bytes, pages that still lie in the write-ahead log included."""
    with engine.connect() as connection:
        pages, size = (connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("page_count", "page_size"))
    return int(pages or 0) * int(size or 0)
