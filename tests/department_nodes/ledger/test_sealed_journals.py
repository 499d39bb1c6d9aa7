"""The node's journal as the ledger gets it: numbered without a gap, only what is listed, sealed once, sent byte for byte."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sealed_journal import (
    DEPARTMENT,
    NOW,
    Auditor,
    accept_terms,
    acknowledge,
    numbers_of,
    record_reports,
    record_together,
    small_node,
    stored_batches,
)
from sqlalchemy import Engine, column, event, select, table
from sqlalchemy.exc import OperationalError

from crypto.errors import DoudiError
from crypto.ledger_entries import auditor_id, parse_wraps
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.engine import NodeEngine
from department_nodes.home import IDENTITY_KEY, NodeHome
from department_nodes.ledger.sealing import seal_pending, unplaced_batches, unseal_unplaced
from department_nodes.store.journal import Event, EventType
from department_nodes.store.models import EventRow, LedgerBatchRow
from department_nodes.store.session import MIGRATIONS, migrate, open_engine, transaction
from policies.contracts.ledger.batches import Batch
from policies.contracts.ledger.record_types import NODE_PREFIX, NODE_TYPES


@pytest.fixture
def home(tmp_path: Path) -> NodeHome:
    return small_node(tmp_path / "node")


@pytest.fixture
def engine(home: NodeHome) -> Iterator[NodeEngine]:
    made = NodeEngine(home, lambda: NOW)
    yield made
    made.db.dispose()


@pytest.fixture
def auditor() -> Auditor:
    return Auditor()


def signer_of(engine: NodeEngine) -> bytes:
    return signing_public_key(engine.identity_private)


def sequences(batches: list[Batch]) -> list[int]:
    return [batch.first_sequence + place for batch in batches for place in range(len(batch.entries))]


def test_events_are_numbered_from_one_and_a_rollback_leaves_no_gap(engine: NodeEngine) -> None:
    assert record_reports(engine.db, 7, 8) == [1, 2]
    # The second event of the transaction is refused, when the first has been written already.
    with pytest.raises(DoudiError, match=r"record\.malformed"):
        record_reports(engine.db, 9, 2**60)
    assert numbers_of(engine.db) == [1, 2]
    assert record_reports(engine.db, 10) == [3]
    engine.db.dispose()
    again = NodeEngine(NodeHome(engine.home.path), lambda: NOW)
    assert record_reports(again.db, 11) == [4]
    assert numbers_of(again.db) == [1, 2, 3, 4]
    again.db.dispose()


def test_writers_at_the_same_time_leave_neither_gaps_nor_repetitions(engine: NodeEngine) -> None:
    with ThreadPoolExecutor(4) as pool:
        given = [
            number
            for numbers in pool.map(
                lambda start: [record_reports(engine.db, start, start + 1) for _ in range(10)], range(4)
            )
            for pair in numbers
            for number in pair
        ]
    assert sorted(given) == list(range(1, 81)) == numbers_of(engine.db)


def test_every_type_of_event_is_a_type_of_record_and_the_other_way_round() -> None:
    assert {NODE_PREFIX + kind.value for kind in EventType} == NODE_TYPES.keys()
    assert all(len(kind.value) <= 40 for kind in EventType)


@pytest.mark.parametrize(
    "fields",
    [
        {"counts": {"resident_id": 1}},
        {"counts": {"number": "110105199001011234"}},
        {"counts": {"number": 1.5}},
        {"counts": {"number": True}},
        {"counts": {"number": 2**60}},
        {"code": "the household of Wang"},
        {"code": "a" * 81},
        {"party": "tax"},
        {"project_id": "support-2026"},
        {"run_id": "run-1"},
        {"grant_hash": "a" * 64},
        {"purpose": "social_assistance"},
        {"assets": ("tax/tax",)},
        {"hashes": {"list": "a" * 64}},
        {"step": "train"},
        {"round": 1},
        {"attempt": 1},
        {"at": -1},
    ],
)
def test_nothing_beyond_a_types_list_is_recorded_and_nothing_else_of_the_transaction_either(
    engine: NodeEngine, fields: dict[str, Any]
) -> None:
    good: dict[str, Any] = {"type": EventType.REPORT_SIGNED, "at": NOW}
    with pytest.raises(DoudiError, match=r"record\.malformed"):
        record_together(engine.db, Event(**good), Event(**{**good, **fields}))
    assert numbers_of(engine.db) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"project_id": "Support 2026"},
        {"grant_hash": "a" * 63},
        {"purpose": "help them"},
        {"assets": ("tax",)},
        {"assets": ("tax/Wang Wei",)},
    ],
)
def test_a_listed_field_has_its_form_too(engine: NodeEngine, fields: dict[str, Any]) -> None:
    good: dict[str, Any] = {"project_id": "p", "grant_hash": "a" * 64, "purpose": "aid", "assets": ("tax/tax",)}
    record_together(engine.db, Event(EventType.GRANT_SIGNED, NOW, **good))
    with pytest.raises(DoudiError, match=r"record\.malformed"):
        record_together(engine.db, Event(EventType.GRANT_SIGNED, NOW, **{**good, **fields}))
    assert numbers_of(engine.db) == [1]


def test_an_auditor_opens_exactly_what_was_recorded(engine: NodeEngine, auditor: Auditor) -> None:
    accept_terms(engine.db, auditor)
    event = Event(
        EventType.STEP_STARTED,
        NOW,
        project_id="p",
        run_id="run-1",
        attempt=2,
        step="line_update",
        grant_hash="a" * 64,
        round=3,
        purpose="aid",
        assets=("tax/tax",),
        hashes={"request": "b" * 64},
    )
    record_together(engine.db, event)
    record_reports(engine.db, 9)
    (batch,) = seal_pending(engine)
    started, signed = auditor.open(batch, signer_of(engine))
    assert (started.type, started.at, started.project, started.run) == ("node.step.started", NOW, "p", "run-1")
    assert (started.attempt, started.round, started.step) == (2, 3, "line_update")
    assert (started.purpose, started.assets, started.grant_hash) == ("aid", ("tax/tax",), "a" * 64)
    assert started.hashes == {"request": "b" * 64}
    assert (signed.type, signed.counts) == ("node.report.signed", {"number": 9})
    assert (batch.producer, batch.first_sequence) == (DEPARTMENT, 1)


def test_many_events_go_in_full_batches_that_follow_each_other(engine: NodeEngine, auditor: Auditor) -> None:
    accept_terms(engine.db, auditor)
    record_reports(engine.db, *range(1, 1204))
    batches = seal_pending(engine)
    assert [len(batch.entries) for batch in batches] == [500, 500, 203]
    assert sequences(batches) == list(range(1, 1204))
    opened = [entry.counts["number"] for batch in batches for entry in auditor.open(batch, signer_of(engine))]
    assert opened == list(range(1, 1204))
    assert len({batch.batch_id for batch in batches}) == 3


def test_what_is_sent_again_is_the_same_to_the_byte_also_after_a_restart(engine: NodeEngine, auditor: Auditor) -> None:
    accept_terms(engine.db, auditor)
    record_reports(engine.db, 1, 2)
    (first,) = seal_pending(engine)
    assert seal_pending(engine) == []
    record_reports(engine.db, 3)
    (second,) = seal_pending(engine)
    expected = [(1, first.to_bytes()), (3, second.to_bytes())]
    assert unplaced_batches(engine) == expected
    engine.db.dispose()
    again = NodeEngine(NodeHome(engine.home.path), lambda: NOW)
    assert seal_pending(again) == []
    assert unplaced_batches(again) == expected
    acknowledge(again, 1)
    assert unplaced_batches(again) == expected[1:]
    assert unplaced_batches(again, limit=0) == []
    again.db.dispose()


def test_without_terms_events_wait_and_lose_neither_order_nor_number(engine: NodeEngine, auditor: Auditor) -> None:
    record_reports(engine.db, 1, 2)
    assert seal_pending(engine) == []
    record_reports(engine.db, 3)
    accept_terms(engine.db, auditor)
    (batch,) = seal_pending(engine)
    assert [entry.counts["number"] for entry in auditor.open(batch, signer_of(engine))] == [1, 2, 3]


def test_events_are_sealed_to_the_newest_terms_auditors_and_to_nobody_else(
    engine: NodeEngine, auditor: Auditor
) -> None:
    later = Auditor("later")
    accept_terms(engine.db, auditor)
    record_reports(engine.db, 1)
    (first,) = seal_pending(engine)
    accept_terms(engine.db, later, number=2)
    record_reports(engine.db, 2)
    (second,) = seal_pending(engine)
    for batch, reader, other in ((first, auditor, later), (second, later, auditor)):
        assert list(parse_wraps(batch.wraps)) == [auditor_id(bytes.fromhex(reader.card.sealing_key))]
        reader.open(batch, signer_of(engine))
        with pytest.raises(KeyError):
            other.open(batch, signer_of(engine))


def test_two_that_seal_at_once_seal_each_event_once(engine: NodeEngine, auditor: Auditor) -> None:
    accept_terms(engine.db, auditor)
    record_reports(engine.db, *range(1, 1101))
    with ThreadPoolExecutor(4) as pool:
        sealed = [batch for batches in pool.map(lambda _: seal_pending(engine), range(4)) for batch in batches]
    assert sorted(sequences(sealed)) == list(range(1, 1101))
    assert sequences(stored_batches(engine.db)) == list(range(1, 1101))


def test_a_batch_that_cannot_be_stored_is_not_given_away(engine: NodeEngine, auditor: Auditor) -> None:
    accept_terms(engine.db, auditor)
    record_reports(engine.db, *range(1, 301))
    limits = [0]

    @event.listens_for(engine.db, "checkout")
    def _full(connection: Any, *_: Any) -> None:
        limit = limits[0] or 1_000_000_000
        connection.execute(f"PRAGMA max_page_count = {limit}")

    with engine.db.connect() as connection:
        limits[0] = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    with pytest.raises(OperationalError, match="full"):
        seal_pending(engine)
    limits[0] = 0
    assert stored_batches(engine.db) == []
    (batch,) = seal_pending(engine)
    assert sequences([batch]) == list(range(1, 301))


def test_under_a_new_key_the_numbering_begins_at_one_and_no_event_is_lost(home: NodeHome, auditor: Auditor) -> None:
    before = NodeEngine(home, lambda: NOW)
    accept_terms(before.db, auditor)
    record_reports(before.db, 1, 2)
    seal_pending(before)
    acknowledge(before, 1)
    record_reports(before.db, 3)
    seal_pending(before)
    before.db.dispose()
    (home.path / "keys" / IDENTITY_KEY).write_bytes(generate_signing_key())
    after = NodeEngine(NodeHome(home.path), lambda: NOW)
    record_reports(after.db, 4)
    (new,) = seal_pending(after)
    assert new.first_sequence == 1
    assert [entry.counts["number"] for entry in auditor.open(new, signer_of(after))] == [3, 4]
    former, *rest = stored_batches(after.db)
    assert (former.first_sequence, former.signer) == (1, signer_of(before))
    assert rest == [new]
    after.db.dispose()


def test_what_was_not_acknowledged_can_be_sealed_to_newer_auditors_under_the_same_numbers(
    engine: NodeEngine, auditor: Auditor
) -> None:
    accept_terms(engine.db, auditor)
    for number in (1, 2, 3):
        record_reports(engine.db, number)
        seal_pending(engine)
    acknowledge(engine, 1)
    kept = stored_batches(engine.db)[0]
    later = Auditor("later")
    accept_terms(engine.db, later, number=3)
    unseal_unplaced(engine)
    (batch,) = seal_pending(engine)
    assert batch.first_sequence == 2
    assert [entry.counts["number"] for entry in later.open(batch, signer_of(engine))] == [2, 3]
    assert stored_batches(engine.db) == [kept, batch]


def test_the_journal_of_an_older_database_is_kept_and_numbered_whole(
    tmp_path: Path, home: NodeHome, auditor: Auditor
) -> None:
    path = home.path / "node.db"
    for name in ("node.db", "node.db-wal", "node.db-shm"):
        (home.path / name).unlink(missing_ok=True)
    older = open_engine(f"sqlite:///{path}")
    written = _older_journal(older)
    migrate(older)
    with transaction(older) as session:
        rows = session.scalars(select(EventRow).order_by(EventRow.number)).all()
        assert [(row.number, row.at, row.type, row.run_id, row.code, row.counts) for row in rows] == [
            (each["number"], each["at"], each["type"], each["run_id"], each["code"], each["counts"]) for each in written
        ]
    older.dispose()
    engine = NodeEngine(home, lambda: NOW)
    accept_terms(engine.db, auditor)
    record_reports(engine.db, 1)
    (batch,) = seal_pending(engine)
    opened = auditor.open(batch, signer_of(engine))
    assert sequences([batch]) == list(range(1, len(written) + 2))
    assert [(entry.type, entry.at) for entry in opened[:-1]] == [
        (NODE_PREFIX + each["type"], each["at"]) for each in written
    ]
    assert opened[-1].counts == {"number": 1}
    engine.db.dispose()


def _older_journal(db: Engine) -> list[dict[str, Any]]:
    """Fill the journal of a database of 0003 with what its program could have written, one of each kind."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with db.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    run = {"project_id": "p", "run_id": "run-1", "attempt": 1, "grant_hash": "a" * 64}
    step, grant = {**run, "step": "train"}, {"project_id": "p", "grant_hash": "a" * 64}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("project.joined", grant),
        ("project.left", {"project_id": "p"}),
        ("grant.signed", grant),
        ("run.keys_offered", {**run, "counts": '{"people": 3}'}),
        ("run.scheduled", {**run, "counts": '{"departments": 3}'}),
        ("step.started", step),
        ("step.answered", {**step, "counts": '{"bytes": 3, "milliseconds": 4}'}),
        ("step.repeated", step),
        ("step.refused", {"run_id": "run-1", "attempt": 1, "step": "train", "code": "policy.epsilon"}),
        ("step.refused", {"code": "frame.malformed"}),
        ("step.failed", {"run_id": "run-1", "attempt": 1, "step": "train", "code": "node.internal_error"}),
        ("run.offer_refused", {**run, "code": "extract.faults"}),
        ("grant.ended", {**grant, "code": "grant.expired"}),
        ("labels.charged", {**step, "counts": '{"epsilon_milli": 1000}'}),
        ("evidence.charged", {**step, "counts": '{"bits_per_person": 5}'}),
        ("results.read", run),
        ("budget.reserved", {**run, "counts": '{"epsilon_milli": 3, "rounds": 4}'}),
        ("budget.charged", {**run, "counts": '{"round": 3, "steps": 4}'}),
        ("budget.settled", {**run, "counts": '{"charged": 3, "released": 0}'}),
        (
            "budget.refused",
            {**run, "code": "budget.exhausted", "counts": '{"cap_milli": 1, "epsilon_milli": 3, "rounds": 4}'},
        ),
        ("line.model_adopted", {**step, "counts": '{"bytes": 3}'}),
        ("results.destroyed", {**grant, "counts": '{"values": 3}'}),
        ("grant.revoked", grant),
        ("revocation.issued", {"party": "tax", "counts": '{"number": 3, "revoked": 0}'}),
        ("revocation.accepted", {"party": "centre", "counts": '{"number": 3, "revoked": 0}'}),
        ("revocation.refused", {"party": "tax", "code": "list.rollback", "counts": '{"number": 3, "revoked": 0}'}),
        ("asset.signed", {"counts": '{"people": 3, "revision": 1, "withdrawn": 0}'}),
        ("report.signed", {"counts": '{"number": 3}'}),
        ("request.drafted", {**grant, "counts": '{"request": 3}'}),
        ("request.refused", {**grant, "counts": '{"request": 3}'}),
        ("request.withdrawn", {"grant_hash": "a" * 64, "counts": '{"request": 3}'}),
    ]
    blank = dict.fromkeys(("project_id", "run_id", "step", "grant_hash", "code", "party"), "")
    written = [
        {**blank, "attempt": 0, "counts": "{}", **fields, "number": number, "at": NOW - 1000 + number, "type": kind}
        for number, (kind, fields) in enumerate(kinds, start=1)
    ]
    with db.begin() as connection:
        for row in written:
            connection.execute(table("events", *map(column, row)).insert().values(row))
    return written


def test_the_numbers_of_a_batch_say_which_events_it_holds(engine: NodeEngine, auditor: Auditor) -> None:
    accept_terms(engine.db, auditor)
    record_reports(engine.db, 1, 2, 3)
    (batch,) = seal_pending(engine)
    with transaction(engine.db) as session:
        (row,) = session.scalars(select(LedgerBatchRow)).all()
    assert (row.first_number, row.first_sequence, row.count, row.sealed_at) == (1, 1, 3, NOW)
    assert (row.batch_id, row.signer) == (batch.batch_id.hex(), signer_of(engine).hex())
    assert row.first_index is row.included_size is row.witnessed_at is row.alarm is None
