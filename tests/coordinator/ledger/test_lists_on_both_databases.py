"""Lists of headers, marks, and how the ledger is, on SQLite and on a real PostgreSQL: the same answers."""

from typing import Any

import pytest

from coordinator.db.session import begin, read
from coordinator.ledger.entry_reader import first_witnessed, placed_entry, prove_entry
from coordinator.ledger.header_lists import Narrowed, newest_headers
from coordinator.ledger.marks import Marker, marked_index
from coordinator.ledger.overview import checkpoint_line, newest_checkpoints, waiting_since
from coordinator.ledger.status import ledger_status
from coordinator.paging import PageRequest
from coordinator.parties.models import PartyRow

EVERYTHING = PageRequest(1000)


@pytest.fixture
def filled(log: Any) -> Any:
    """A log of two witnesses with batches of two producers, of which the last is not cosigned by one."""
    log.name_witnesses("health", "tax")
    with begin(log.engine) as session:
        for name in ("health", "tax"):
            session.add(PartyRow(name=name, role="department", identity_key=name * 8, card=b"card", registered_at=1))
    sequencer = log.sequencer()
    for count in (1, 4, 2):
        sequencer.append_and_place([log.batch("tax", count)])
        log.record(1)
    sequencer.advance()
    log.now += 10
    for name in ("health", "tax"):
        size = len(listed(log, Narrowed()))
        sequencer.add_cosignature(name, size, log.line(name, size))
    sequencer.append_and_place([log.batch("health", 3)])
    sequencer.publish()
    size = len(listed(log, Narrowed()))
    sequencer.add_cosignature("tax", size, log.line("tax", size))
    return log


def listed(log: Any, narrowed: Narrowed) -> list[int]:
    with read(log.engine, log.clock) as session:
        page = newest_headers(session, narrowed, EVERYTHING)
    assert page.next_cursor is None
    return [one.index for one in page.rows]


def test_narrowed_lists_are_the_same_before_and_after_the_marks(filled: Any) -> None:
    wanted = [
        Narrowed(),
        Narrowed(producer="tax"),
        Narrowed(producer="health", type="node.step.answered", grant_hash="ef" * 32),
        Narrowed(type="run.started"),
        Narrowed(grant_hash="ef" * 32, up_to=5),
        Narrowed(producer="housing"),
    ]
    before = [listed(filled, narrowed) for narrowed in wanted]
    assert [len(found) for found in before[:4]] == [15, 7, 3, 3]
    while Marker(filled.engine).mark(limit=4):
        pass
    with read(filled.engine) as session:
        assert marked_index(session) == 12
    assert [listed(filled, narrowed) for narrowed in wanted] == before
    # The same marks once more, as by a second process.
    assert not Marker(filled.engine).mark()


def test_the_state_of_the_ledger_is_told(filled: Any) -> None:
    filled.record(1)
    with read(filled.engine, filled.clock) as session:
        status = ledger_status(session)
        lines = newest_checkpoints(session, 5)
        assert (status.latest.size, status.witnessed.size, status.waiting) == (15, 12, 1)
        assert [(one.department, one.size) for one in status.witnesses] == [("health", 12), ("tax", 15)]
        assert [(line.size, line.cosignatures, line.stamped) for line in lines[:2]] == [(15, 1, False), (12, 2, False)]
        assert checkpoint_line(session, 15) == lines[0]
        assert waiting_since(session) == int(filled.now)


def test_an_entry_is_found_and_proven(filled: Any) -> None:
    with read(filled.engine, filled.clock) as session:
        for index in range(15):
            placed = placed_entry(session, index)
            assert placed.index == index == placed.first_index + placed.entry.header.position
            assert prove_entry(session, placed).index == index
        assert first_witnessed(session, 11).size == 12
        assert first_witnessed(session, 12) is None
