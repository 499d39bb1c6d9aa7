"""The log's writer on both databases: places, tiles, checkpoints and their pace, cosignatures, refusals."""

import threading

import pytest
from log_world import DEPARTMENTS
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from coordinator.db.session import begin, read
from coordinator.ledger import batch_store, log_reader
from coordinator.ledger.batch_store import BatchGap
from coordinator.ledger.log_head import read_head
from coordinator.ledger.models import (
    LedgerBatchRow,
    LedgerCheckpointRow,
    LedgerHeadRow,
    LedgerPlaceRow,
    LedgerTermsRow,
    LedgerTileRow,
)
from coordinator.ledger.sequencer import Sequencer
from crypto.errors import DoudiError
from crypto.signing import generate_signing_key


def code(caught):
    return caught.value.code


def publish(log, sequencer):
    """Publish what is placed, whatever the pace; return the size."""
    log.now += 10
    sequencer.publish()
    with read(log.engine) as session:
        return log_reader.published_size(session)


def test_a_founded_log_begins_with_its_own_opening(log):
    sequencer = log.sequencer()
    sequencer.advance()
    assert len(log.check()) == 2
    opened, changed = log.auditor.records(log.engine, ledgers_own=True)
    assert (opened.type, opened.counts) == ("ledger.opened", {"size": 0, "batches": 0})
    counts = {"number": 1, "auditors": 1, "witnesses": 0, "faulty": 0}
    assert (changed.type, changed.counts) == ("ledger.terms_changed", counts)
    assert changed.hashes == {"terms": log.terms().digest()}


def test_everything_recorded_gets_a_place_and_the_whole_log_verifies_after_each_step(log):
    sequencer = log.sequencer()
    sizes = []
    # Across the edges of tiles and bundles (256), of pages (256 batches), and with batches that cross them.
    for count in (1, 1, 252, 1, 3, 300, 500, 7):
        log.record(count)
        sequencer.append_and_place([log.batch("tax", 2), log.batch("health", 1)])
        sequencer.place()
        sizes.append(publish(log, sequencer))
        assert len(log.check()) == sizes[-1]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == 2 + 1065 + 3 * 8
    assert not sequencer.is_behind()


def test_many_small_batches_are_placed_in_the_order_in_which_they_came(log):
    rows = [row for number in range(300) for row in log.record(1, f"run-{number}")]
    sequencer = log.sequencer()
    head = sequencer.place(limit=100)
    assert head.size == 100
    sequencer.advance()
    log.check()
    with read(log.engine) as session:
        places = [log_reader.place_of(session, row) for row in rows]
    assert places == [(2 + number, 1) for number in range(300)]


def test_a_log_of_more_than_65536_entries_has_a_third_level_of_tiles(sqlite_log):
    log, sequencer = sqlite_log, sqlite_log.sequencer()
    for _ in range(132):
        sequencer.append_and_place([log.batch("tax", 500)])
    assert publish(log, sequencer) == 2 + 66_000
    log.check()
    with read(log.engine) as session:
        assert len(log_reader.tile(session, 2, 0, 1)) == 32


def test_a_batch_that_waits_comes_before_one_that_is_given_directly(log):
    with begin(log.engine, log.clock) as session:
        batch_store.append(session, log.batch("tax"))
    sequencer = log.sequencer()
    sequencer.append_and_place([log.batch("tax"), log.batch("tax")])
    publish(log, sequencer)
    assert len(log.check()) == 5


def test_the_same_batch_again_changes_nothing(log):
    sequencer = log.sequencer()
    batch = log.batch("tax", 3)
    first = sequencer.append_and_place([batch])
    assert sequencer.append_and_place([batch]) == first
    with begin(log.engine) as session:
        row = batch_store.append(session, batch)
        assert log_reader.place_of(session, row) == (2, 3)
    assert not batch_store.is_waiting(session)


def test_another_batch_with_the_same_numbers_or_the_same_id_is_a_conflict(log):
    sequencer = log.sequencer()
    batch = log.batch("tax", 3)
    head = sequencer.append_and_place([batch])
    for first in (1, 2, 3):
        with pytest.raises(DoudiError) as caught:
            sequencer.append_and_place([log.sealed("tax", first, 1)])
        assert code(caught) == "batch.conflict"
    other = log.sealed("tax", 4, 1)
    borrowed = type(batch)(**{**vars(other), "batch_id": batch.batch_id})
    with pytest.raises(DoudiError) as caught:
        sequencer.append_and_place([borrowed])
    assert code(caught) == "batch.conflict"
    assert sequencer.place() == head


def test_a_gap_in_a_producers_numbers_is_refused_with_the_number_that_is_expected(log):
    sequencer = log.sequencer()
    sequencer.append_and_place([log.batch("tax", 3)])
    with pytest.raises(BatchGap) as caught:
        sequencer.append_and_place([log.sealed("tax", 5, 1)])
    assert (caught.value.code, caught.value.expected) == ("batch.gap", 4)
    # One of several is refused: none of them is stored.
    good = log.batch("tax", 1)
    with pytest.raises(BatchGap):
        sequencer.append_and_place([good, log.sealed("tax", 9, 1)])
    assert sequencer.append_and_place([good]).size == 6


def test_each_key_of_a_producer_has_numbers_of_its_own(log):
    sequencer = log.sequencer()
    sequencer.append_and_place([log.batch("tax", 3)])
    log.keys["tax"] = generate_signing_key()
    log.sequences.clear()
    sequencer.append_and_place([log.batch("tax", 2)])
    publish(log, sequencer)
    assert len(log.check()) == 7


def test_two_writers_of_one_log_never_give_one_place_twice(log, database_url):
    """Each with its own engine, as two processes have."""
    from coordinator.db.session import open_engine

    engines = [open_engine(database_url) for _ in range(2)]
    writers = [log.sequencer(engine) for engine in engines]
    failures = []

    def work(number):
        try:
            for _ in range(12):
                log.record(2, f"run-{number}")
                writers[number].append_and_place([log.sealed(DEPARTMENTS[number], numbers[number], 1)])
                numbers[number] += 1
                writers[number].advance()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
            failures.append(error)

    numbers = [1, 1]
    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    writers[0].place()
    assert publish(log, writers[0]) == 2 + 2 * 12 * 3
    log.check()
    for engine in engines:
        engine.dispose()


def test_acts_are_recorded_while_the_writer_places(log):
    """An act that fails because the log is being written would be refused for no reason of its own."""
    sequencer, failures, ending = log.sequencer(), [], threading.Event()

    def place_on():
        while not ending.is_set():
            sequencer.place()

    def act(number):
        try:
            for _ in range(15):
                log.record(1, f"run-{number}")
        except DBAPIError as error:
            failures.append(error)

    placing = threading.Thread(target=place_on)
    acting = [threading.Thread(target=act, args=(number,)) for number in range(3)]
    for thread in (placing, *acting):
        thread.start()
    for thread in acting:
        thread.join()
    ending.set()
    placing.join()
    assert failures == []
    sequencer.advance()
    assert len(log.check()) == 2 + 45


def test_checkpoints_keep_a_pace_in_which_cosignatures_meet(log):
    log.name_witnesses("tax", "health", "housing")
    sequencer = log.sequencer()
    sequencer.place()
    assert sequencer.publish() is not None
    assert sequencer.publish() is None, "the tree has not grown"
    log.record()
    sequencer.place()
    assert sequencer.publish() is None, "the last one waits for its witnesses"
    log.now += 2
    assert sequencer.publish() is not None, "the last one has waited long enough"
    log.record()
    sequencer.place()
    with read(log.engine) as session:
        size = log_reader.published_size(session)
    for name in ("tax", "health"):
        assert sequencer.publish() is None
        assert sequencer.add_cosignature(name, size, log.line(name, size))
    assert sequencer.publish() is not None, "the last one is witnessed"
    log.check()


def test_without_witnesses_every_growth_is_published_and_nothing_counts_as_witnessed(log):
    sequencer = log.sequencer()
    for _ in range(3):
        log.record()
        sequencer.place()
        assert sequencer.publish() is not None
    with read(log.engine) as session:
        assert log_reader.published_size(session, witnessed=True) == 0
        assert log_reader.checkpoint_note(session, witnessed=True) is None


def test_a_quorum_of_the_terms_in_force_makes_a_checkpoint_witnessed(log):
    # Of four with one that may be faulty: more than 2.5.
    log.name_witnesses(*DEPARTMENTS, tolerated_faulty_witnesses=1)
    sequencer = log.sequencer()
    sequencer.advance()
    size = publish(log, sequencer)
    heard = []
    sequencer.subscribe(lambda: heard.append(1))
    for number, name in enumerate(DEPARTMENTS, start=1):
        assert sequencer.add_cosignature(name, size, log.line(name, size))
        assert not sequencer.add_cosignature(name, size, log.line(name, size)), "the same line again"
        with read(log.engine) as session:
            assert log_reader.published_size(session, witnessed=True) == (size if number >= 3 else 0)
            note = log_reader.checkpoint_note(session)
            assert len(note.signatures) == 1 + number
    assert len(heard) == 4
    log.check()


def test_a_later_cosignature_of_a_witness_takes_the_place_of_its_earlier_one(log):
    log.name_witnesses("tax")
    sequencer = log.sequencer()
    sequencer.advance()
    with read(log.engine) as session:
        size = log_reader.published_size(session)
    early, late = (log.line("tax", size, at) for at in (1_000, 2_000))
    assert sequencer.add_cosignature("tax", size, early)
    assert sequencer.add_cosignature("tax", size, late)
    assert not sequencer.add_cosignature("tax", size, early)
    with read(log.engine) as session:
        (_, signature) = log_reader.checkpoint_note(session).signatures
    assert signature.line() == late


def test_lines_that_are_not_a_witnesss_own_are_refused(log):
    log.name_witnesses("tax", "health")
    sequencer = log.sequencer()
    sequencer.advance()
    with read(log.engine) as session:
        size = log_reader.published_size(session)
    right = log.line("tax", size)
    flipped = right[:-10] + ("A" if right[-10] != "A" else "B") + right[-9:]
    for department, line, expected in (
        ("housing", log.line("housing", size), "ledger.not_a_witness"),
        ("tax", log.line("health", size), "checkpoint.no_signature"),
        ("tax", right + right, "checkpoint.malformed"),
        ("tax", "", "checkpoint.malformed"),
        ("tax", "— tax\n", "checkpoint.malformed"),
        ("tax", "x" * 1_000, "checkpoint.malformed"),
        ("tax", f"{right}\n\n{right}", "checkpoint.malformed"),
        ("tax", flipped, "checkpoint.bad_signature"),
    ):
        with pytest.raises(DoudiError) as caught:
            sequencer.add_cosignature(department, size, line)
        assert code(caught) in (expected, "checkpoint.malformed" if line is flipped else expected)
    with pytest.raises(DoudiError) as caught:
        sequencer.add_cosignature("tax", size + 1, right)
    assert code(caught) == "checkpoint.unknown"
    with read(log.engine) as session:
        assert len(log_reader.checkpoint_note(session).signatures) == 1


def test_a_cosignature_by_a_former_key_no_longer_counts(log):
    log.name_witnesses("tax")
    sequencer = log.sequencer()
    sequencer.advance()
    with read(log.engine) as session:
        size = log_reader.published_size(session)
    old = log.line("tax", size)
    log.keys["tax"] = generate_signing_key()
    log.name_witnesses("tax")
    with pytest.raises(DoudiError) as caught:
        sequencer.add_cosignature("tax", size, old)
    assert code(caught) == "checkpoint.no_signature"
    assert sequencer.add_cosignature("tax", size, log.line("tax", size))


def test_a_host_with_another_log_key_places_and_signs_nothing(log):
    log.record()
    stranger = Sequencer(log.engine, generate_signing_key(), log.clock)
    for act in (stranger.place, stranger.publish, lambda: stranger.append_and_place([log.batch()])):
        with pytest.raises(DoudiError) as caught:
            act()
        assert code(caught) == "ledger.other_log_key"
    with read(log.engine) as session:
        assert read_head(session).size == 0
        assert batch_store.is_waiting(session), "what was recorded waits for the right key"
    log.sequencer().advance()
    assert len(log.check()) == 3


def test_a_database_that_was_put_back_to_an_earlier_state_is_signed_no_further(log):
    """The checkpoint is there, its entries are not: what a restored backup beside a kept table would look like."""
    sequencer = log.sequencer()
    sequencer.advance()
    with begin(log.engine, log.clock) as session:
        session.add(LedgerCheckpointRow(size=1_000, note=b"as it was", published_at=1))
    log.record()
    sequencer.place()
    with pytest.raises(DoudiError) as caught:
        sequencer.publish()
    assert code(caught) == "ledger.damaged"


@pytest.mark.parametrize("column", ["root", "frontier"])
def test_a_head_that_contradicts_itself_is_found_before_anything_is_signed(log, column):
    sequencer = log.sequencer()
    sequencer.advance()
    with begin(log.engine) as session:
        session.execute(update(LedgerHeadRow).values({column: bytes(32)}))
    log.record()
    for act in (sequencer.place, sequencer.publish):
        with pytest.raises(DoudiError) as caught:
            act()
        assert code(caught) == "ledger.damaged"


def test_a_tile_at_the_edge_that_is_not_the_trees_is_found(log):
    sequencer = log.sequencer()
    log.record(3)
    sequencer.advance()
    with begin(log.engine) as session:
        session.execute(update(LedgerTileRow).values(width=200, data=bytes(32)))
    log.record()
    with pytest.raises(DoudiError) as caught:
        sequencer.place()
    assert code(caught) == "ledger.damaged"


def test_what_is_not_published_is_not_served(log):
    sequencer = log.sequencer()
    sequencer.advance()
    log.record(300)
    sequencer.place()
    with read(log.engine) as session:
        size = log_reader.published_size(session)
        assert (size, read_head(session).size) == (2, 302)
        for asked in (
            lambda: log_reader.tile(session, 0, 0, 3),
            lambda: log_reader.tile(session, 0, 0, 0),
            lambda: log_reader.tile(session, 1, 0, 1),
            lambda: log_reader.bundle(session, 0, 3),
            lambda: log_reader.bundle(session, 1, 1),
            lambda: log_reader.page(session, 0, 2),
            lambda: log_reader.page(session, 1, 1),
        ):
            with pytest.raises(DoudiError) as caught:
                asked()
            assert code(caught) == "ledger.unknown_tile"
        for asked in (
            lambda: log_reader.prove_inclusion(session, [0], 3),
            lambda: log_reader.prove_consistency(session, 2, 3),
        ):
            with pytest.raises(DoudiError) as caught:
                asked()
            assert code(caught) == "ledger.not_published"
        for asked in (
            lambda: log_reader.prove_inclusion(session, [2], 2),
            lambda: log_reader.prove_consistency(session, 2, 1),
        ):
            with pytest.raises(DoudiError) as caught:
                asked()
            assert code(caught) == "merkle.bad_index"
        with pytest.raises(DoudiError) as caught:
            log_reader.prove_inclusion(session, [0] * 501, 2)
        assert code(caught) == "ledger.too_many_proofs"


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (LedgerBatchRow, {"entries": b""}),
        (LedgerBatchRow, {"producer": "tax"}),
        (LedgerBatchRow, {"batch_id": bytes(16)}),
        (LedgerBatchRow, {"first_sequence": 9}),
        (LedgerBatchRow, {"signature": bytes(64)}),
        (LedgerBatchRow, {"wraps": b"others"}),
        (LedgerPlaceRow, {"first_index": 99}),
        (LedgerTermsRow, {"document": b"{}"}),
        (LedgerCheckpointRow, {"note": b"other"}),
        (LedgerCheckpointRow, {"size": 99}),
        (LedgerHeadRow, {"size": 1}),
        (LedgerTileRow, {"data": bytes(32), "width": 1}),
    ],
    ids=lambda part: part.__tablename__ if hasattr(part, "__tablename__") else next(iter(part)),
)
def test_what_is_recorded_is_not_changed_by_mistake(log, model, changes):
    log.sequencer().advance()
    with pytest.raises(DBAPIError, match="append-only"), begin(log.engine) as session:
        session.execute(update(model).values(changes))
    log.check()


@pytest.mark.parametrize(
    "table", ["batches", "places", "tiles", "head", "checkpoints", "cosignatures", "timestamps", "terms"]
)
def test_nothing_recorded_is_deleted_by_mistake(log, table):
    log.name_witnesses("tax")
    sequencer = log.sequencer()
    sequencer.advance()
    with begin(log.engine) as session:
        size = log_reader.published_size(session)
        session.execute(text(f"INSERT INTO ledger_timestamps (size, token) VALUES ({size}, 'x')"))  # noqa: S608
    sequencer.add_cosignature("tax", size, log.line("tax", size))
    with pytest.raises(DBAPIError, match="append-only"), begin(log.engine) as session:
        session.execute(text(f"DELETE FROM ledger_{table}"))  # noqa: S608
    log.check()


def test_the_wraps_of_a_batch_may_be_destroyed_and_everything_still_verifies(log):
    rows = log.record(3)
    sequencer = log.sequencer()
    with begin(log.engine) as session:
        session.execute(update(LedgerBatchRow).where(LedgerBatchRow.id.in_(rows)).values(wraps=None))
    # Destroyed before it was signed and placed, too: the hash in every entry is what is signed.
    sequencer.advance()
    assert len(log.check()) == 5
    with pytest.raises(DBAPIError, match="append-only"), begin(log.engine) as session:
        session.execute(update(LedgerBatchRow).where(LedgerBatchRow.id.in_(rows)).values(wraps=b"back"))
