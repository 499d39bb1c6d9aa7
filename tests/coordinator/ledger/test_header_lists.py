"""Lists of headers that are narrowed, and the marks behind them: `coordinator/ledger/header_lists.py`, `marks.py`."""

import itertools

import pytest
from coordinator_world import World
from ledger_hands import Hands
from sqlalchemy import delete, func, insert, select

from coordinator.db.session import read
from coordinator.events import Event, EventType, record
from coordinator.ledger import background, header_lists
from coordinator.ledger.background import SequencerThread
from coordinator.ledger.header_lists import Narrowed, newest_headers
from coordinator.ledger.log_reader import published_size
from coordinator.ledger.marks import Marker, marked_index
from coordinator.ledger.models import MARKS, LedgerMarkRow
from coordinator.paging import PageRequest
from crypto import ledger_entries
from crypto.errors import DoudiError
from policies.contracts.ledger.batches import sign_batch
from policies.contracts.ledger.record_types import NODE_TYPES
from policies.contracts.ledger.records import Record, to_plain

GRANT, OTHER = "ab" * 32, "cd" * 32
KINDS = ("node.step.started", "node.step.answered", "node.grant.ended")


def submit(hands: Hands, department: str, *records: tuple[str, str]) -> None:
    """Submit one batch of a department: (type, grant hash) of each record."""
    first = hands.sequences.get(department, 0) + 1
    plains = [to_plain(Record(kind, int(hands.world.now), grant_hash=grant), NODE_TYPES) for kind, grant in records]
    auditors = [bytes.fromhex(card.sealing_key) for card in hands.terms.auditors]
    sealed = ledger_entries.seal_batch(hands.terms.origin, department, first, plains, auditors)
    key = hands.world.keys[department].identity
    assert hands.submit(sign_batch(hands.terms.origin, department, first, sealed, key)).status_code == 200


@pytest.fixture
def log(hands):
    """A published log with batches of several records, some under a grant."""
    for number in range(12):
        records = [(kind, (GRANT, OTHER, "")[(number + place) % 3]) for place, kind in enumerate(KINDS)]
        submit(hands, ("tax", "health")[number % 2], *records[: 1 + number % 3])
    hands.witness()
    return hands


def listed(world: World, narrowed: Narrowed, limit: int = 1000):
    """Return all rows of a list, page by page."""
    found, cursor = [], None
    for _ in range(1000):
        with read(world.engine) as session:
            page = newest_headers(session, narrowed, PageRequest(limit, cursor))
        assert len(page.rows) <= limit
        found += page.rows
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("the list does not end")


def everything(world: World):
    """Return all published headers in the order of the log, as the API gives them."""
    items = world.listed("centre", "/v1/ledger/entries?limit=7")
    return [(one["index"], one["producer"], one["type"], one["grant_hash"]) for one in items]


WANTED = [
    Narrowed(),
    *(Narrowed(producer=name) for name in ("tax", "health", "coordinator", "housing")),
    *(Narrowed(type=name) for name in (*KINDS, "party.registered", "run.created")),
    *(Narrowed(grant_hash=name) for name in (GRANT, OTHER, "ef" * 32)),
    Narrowed(producer="tax", type=KINDS[1], grant_hash=GRANT),
    Narrowed(producer="coordinator", type=KINDS[0]),
    Narrowed(up_to=9),
    Narrowed(up_to=0),
    Narrowed(type=KINDS[0], up_to=20),
    Narrowed(up_to=10**9),
]


def check_all(world: World) -> None:
    whole = everything(world)
    assert len(whole) > 20
    for narrowed, limit in itertools.product(WANTED, (1, 3, 1000)):
        expected = [
            index
            for index, producer, kind, grant in reversed(whole)
            if narrowed.producer in (None, producer)
            and narrowed.type in (None, kind)
            and narrowed.grant_hash in (None, grant)
            and (narrowed.up_to is None or index <= narrowed.up_to)
        ]
        assert [one.index for one in listed(world, narrowed, limit)] == expected, (narrowed, limit)


def marked(world: World) -> int:
    with read(world.engine) as session:
        return marked_index(session)


def test_lists_are_the_same_without_marks_with_some_and_with_all(log):
    world = log.world
    assert marked(world) == -1
    check_all(world)
    marker = Marker(world.engine)
    assert marker.mark(limit=8)
    assert 0 < marked(world) < published(world) - 1
    check_all(world)
    while marker.mark(limit=8):
        pass
    assert marked(world) >= published(world) - 3
    check_all(world)


def test_lists_are_the_same_where_a_page_looks_at_little(log, monkeypatch):
    """Nothing is left out when a page ends early, at every place where it can."""
    while Marker(log.world.engine).mark():
        pass
    for name in ("MOST_READ", "MOST_TRIED", "_PORTION_TRIED"):
        monkeypatch.setattr(header_lists, name, 2)
    check_all(log.world)


def test_a_page_is_bounded_when_nothing_fits(log, monkeypatch):
    monkeypatch.setattr(header_lists, "MOST_READ", 3)
    with read(log.world.engine) as session:
        page = newest_headers(session, Narrowed(type="run.created"), PageRequest(50))
    assert page.rows == []
    assert page.next_cursor is not None


def test_what_no_checkpoint_covers_is_not_listed(log):
    before = published(log.world)
    submit(log, "tax", (KINDS[0], GRANT))
    assert max(one.index for one in listed(log.world, Narrowed(producer="tax"))) < before
    assert published(log.world) == before


def test_entries_of_a_destroyed_batch_are_listed_as_such(log):
    world = log.world
    token = world.token("centre", "centre_approver")
    row = next(one for one in listed(world, Narrowed(producer="tax")))
    batch = row.header.batch_id
    body = b'{"batch":"%s","reason":"retention_over"}' % batch.hex().encode()
    assert world.ask(token, "POST", "/v1/ledger/shred", body).status_code == 201
    states = {one.index: one.keys_destroyed for one in listed(world, Narrowed(producer="tax"))}
    same = {one.index for one in listed(world, Narrowed(producer="tax")) if one.header.batch_id == batch}
    assert states == {index: index in same for index in states}
    assert set(states) > same


@pytest.mark.parametrize("cursor", ["AAAA", "WzEsIm90aGVyIiwxXQ", ""])
def test_a_cursor_that_the_list_did_not_give_is_refused(log, cursor):
    with read(log.world.engine) as session, pytest.raises(DoudiError) as caught:
        newest_headers(session, Narrowed(), PageRequest(5, cursor))
    assert caught.value.code == "request.bad_cursor"


def test_an_empty_log_has_no_rows(world):
    assert listed(world, Narrowed()) == []
    assert listed(world, Narrowed(producer="tax")) == []
    assert not Marker(world.engine).mark()


# Marks


def test_marks_are_made_once_and_by_two_at_once(log):
    world = log.world
    while Marker(world.engine).mark(limit=5):
        pass
    before = marks(world)
    assert not Marker(world.engine).mark()
    with world.begin() as session:
        session.execute(delete(LedgerMarkRow).where(LedgerMarkRow.mark == "end"))
    # Another process has made them meanwhile, and this one makes them all again.
    while Marker(world.engine).mark():
        pass
    assert {one for one in marks(world) if one[0] != "end"} == {one for one in before if one[0] != "end"}


def test_marks_name_producers_types_and_grants_and_nothing_else(log):
    while Marker(log.world.engine).mark():
        pass
    names = {mark for mark, _ in marks(log.world)}
    kinds = {f"type:{kind}" for _, _, kind, _ in everything(log.world)}
    assert names == kinds | {
        "end",
        f"grant:{GRANT}",
        f"grant:{OTHER}",
        "producer:coordinator",
        "producer:tax",
        "producer:health",
    }


def test_the_writers_thread_makes_them(log):
    world = log.world
    thread = SequencerThread(world.context.ledger.sequencer, Marker(world.engine), pause_s=0.01)
    done = background.threading.Event()
    world.context.ledger.sequencer.subscribe(done.set)
    with world.begin() as session:
        record(session, Event(EventType.PROJECT_CREATED, "centre", project_id="winter-aid"))
    world.now += 10
    thread.start()
    try:
        assert done.wait(20)
        wait = background.threading.Event()
        for _ in range(2000):
            if marked(world) >= published(world) - 1:
                break
            wait.wait(0.01)
    finally:
        thread.stop()
    assert marked(world) == published(world) - 1


def test_a_missing_mark_hides_nothing_from_the_whole_list(log):
    while Marker(log.world.engine).mark():
        pass
    with log.world.begin() as session:
        session.execute(delete(LedgerMarkRow).where(LedgerMarkRow.mark == "producer:tax"))
        session.execute(insert(MARKS), [{"mark": "producer:tax", "first_index": 0}])
    assert listed(log.world, Narrowed(producer="tax")) == []
    assert "tax" in {one.header.producer for one in listed(log.world, Narrowed())}


def marks(world):
    with read(world.engine) as session:
        assert session.scalar(select(func.count()).select_from(LedgerMarkRow))
        return {(row.mark, row.first_index) for row in session.execute(select(MARKS))}


def published(world) -> int:
    with read(world.engine) as session:
        return published_size(session)
