"""Recording an event with its act: `coordinator/events.py` and `coordinator/ledger/recording.py`."""

import pytest
from coordinator_world import LEAD, PROJECT
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordinator.authorization.principals import Principal
from coordinator.events import Event, EventType, is_code, record
from coordinator.ledger.models import LedgerBatchRow, LedgerOutboxRow
from coordinator.ledger.recording import recorded_batches
from coordinator.projects.models import ProjectRow
from coordinator.projects.services import create_project
from coordinator.runs.models import RunRow, RunStepRow
from coordinator.runs.services import mark_step
from crypto.errors import DoudiError
from policies.contracts.ledger.record_types import COORDINATOR_TYPES

STARTED = Event(EventType.RUN_STARTED, "coordinator", run_id="run-1")


class PowerCut(Exception):
    """Stands for anything that ends a process between an act and its commit."""


def count(world, model):
    with world.begin() as session:
        return session.scalar(select(func.count()).select_from(model))


def test_an_act_and_its_event_are_rolled_back_together(world):
    world.register_all()
    before = len(world.records())

    def act_in_a_power_cut():
        with world.begin() as session:
            create_project(session, Principal.of_party("centre"), PROJECT, "t", "aid", "kentucky", LEAD)
            session.flush()
            raise PowerCut

    with pytest.raises(PowerCut):
        act_in_a_power_cut()
    assert (count(world, ProjectRow), len(world.records())) == (0, before)


def test_an_act_whose_event_cannot_be_recorded_does_not_happen(world):
    run = world.scheduled_run()
    with pytest.raises(DoudiError) as caught, world.begin() as session:
        # A department that is no name: the step is written first, the event refuses it.
        mark_step(session, run["run_id"], 1, "blind", "No Such Name", "sent")
    assert caught.value.code == "event.malformed"
    assert count(world, RunStepRow) == 0


def test_an_event_of_a_failed_commit_does_not_exist(world):
    run = world.scheduled_run()
    before = len(world.records())
    with pytest.raises(IntegrityError), world.begin() as session:
        mark_step(session, run["run_id"], 1, "blind", "unregistered", "sent")
    assert len(world.records()) == before
    assert count(world, RunRow) == 1


def test_the_events_of_one_transaction_are_one_batch_in_their_order(world):
    before = count(world, LedgerBatchRow)
    with world.begin() as session:
        for attempt in (1, 2, 3):
            record(session, Event(EventType.RUN_STARTED, "coordinator", run_id="run-1", counts={"attempt": attempt}))
    assert count(world, LedgerBatchRow) == before + 1
    assert [one.counts["attempt"] for one in world.records("run.started")] == [1, 2, 3]
    (row,) = recorded_batches(session)
    with world.begin() as session:
        assert session.get(LedgerBatchRow, row).count == 3
        assert session.get(LedgerOutboxRow, row) is not None


def test_a_transaction_with_more_events_than_a_batch_holds_makes_several(world):
    before = count(world, LedgerBatchRow)
    with world.begin() as session:
        for _ in range(501):
            record(session, STARTED)
    assert count(world, LedgerBatchRow) == before + 2
    assert len(world.records("run.started")) == 501


def test_a_transaction_without_events_makes_no_batch(world):
    before = count(world, LedgerBatchRow)
    with world.begin() as session:
        session.scalar(select(func.count()).select_from(RunRow))
    assert count(world, LedgerBatchRow) == before
    assert recorded_batches(session) == ()


def test_a_session_that_was_rolled_back_records_what_it_does_next_and_nothing_else(world):
    with Session(world.engine) as session:
        record(session, Event(EventType.RUN_FAILED, "coordinator", run_id="run-1"))
        session.rollback()
        record(session, STARTED)
        session.commit()
        session.commit()
    assert [one.type for one in world.records() if one.run_id] == ["run.started"]


def test_nothing_is_recorded_inside_a_savepoint_that_could_be_taken_back_alone(world):
    with pytest.raises(DoudiError) as caught, world.begin() as session, session.begin_nested():
        record(session, STARTED)
    assert caught.value.code == "ledger.savepoint"


def test_a_savepoint_beside_a_recorded_act_changes_nothing_of_its_record(world):
    with world.begin() as session:
        record(session, STARTED)
        nested = session.begin_nested()
        nested.rollback()
        with session.begin_nested():
            pass
    assert len(world.records("run.started")) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"actor": "Someone With A Name"},
        {"actor": "tax", "run_id": "RUN 1"},
        {"actor": "tax", "subject": "A Person"},
        {"actor": "tax", "grant_hash": "ff"},
        {"actor": "tax", "code": "free text"},
        {"actor": "tax", "counts": {"share": 0.5}},
        {"actor": "tax", "counts": {"flag": True}},
        {"actor": "tax", "account": "zhang"},
        {"actor": "tax", "account": True},
        {"actor": "tax", "account": 0},
        {"actor": "tax", "counts": {"110101190001010019": 1}},
    ],
)
def test_an_event_has_no_place_for_free_text(fields):
    with pytest.raises(DoudiError) as caught:
        Event(EventType.RUN_STARTED, **fields)
    assert caught.value.code == "event.malformed"


@pytest.mark.parametrize(
    "fields",
    [
        {"purpose": "To Help Mrs Wang"},
        {"assets": ("110101190001010019",)},
        {"assets": ("tax/income", "health disability")},
        {"hashes": {"manifest": "not a hash"}},
        {"hashes": {"person": "ab" * 32}},
        {"counts": {"income": 3}},
        {"wraps": ("ab",)},
    ],
)
def test_a_record_carries_nothing_that_its_type_does_not_name(world, fields):
    with pytest.raises(DoudiError) as caught, world.begin() as session:
        record(session, Event(EventType.RUN_STARTED, "coordinator", **fields))
    assert caught.value.code == "event.malformed"
    assert world.records("run.started") == []


def test_every_event_has_a_type_of_record():
    assert {kind.value for kind in EventType} <= COORDINATOR_TYPES.keys()


def test_every_event_type_and_problem_has_the_form_of_a_code():
    from coordinator.problems import PROBLEMS

    assert all(is_code(kind.value) for kind in EventType)
    assert all(is_code(code) for code in PROBLEMS)


def test_a_refused_act_of_a_known_party_is_recorded_with_its_code(world):
    world.register_all()
    world.send("tax", "POST", "/v1/parties", world.card("tax").to_bytes())
    world.send("tax", "GET", "/v1/queue")
    world.raw("POST", "/v1/parties", b"by a stranger")
    (refused,) = world.events("request.refused")
    assert (refused["actor"], refused["code"], refused["counts"]) == ("tax", "authorization.denied", {})


def test_recording_needs_no_clock_of_its_own(world):
    world.now = 1_234_567_890.9
    with world.begin() as session:
        record(session, STARTED)
    assert [one.at for one in world.records("run.started")] == [1_234_567_890]


def test_a_person_who_acted_is_recorded_by_number(world):
    world.register_all()
    with world.begin() as session:
        officer = Principal("account", "centre", 12, frozenset({"centre_officer"}), two_factor=True)
        create_project(session, officer, PROJECT, "t", "aid", "kentucky", LEAD)
    (created,) = world.events("project.created")
    assert (created["actor"], created["account"]) == ("centre", 12)
    assert {event["account"] for event in world.events("party.registered")} == {None}


def test_the_coordinators_disk_opens_nothing_of_what_it_recorded(world):
    """All of the coordinator's home folder, key files too, against a word that only a sealed record holds."""
    with world.begin() as session:
        record(session, Event(EventType.RUN_FAILED, "coordinator", run_id="run-with-an-unmistakable-name"))
        record(session, Event(EventType.REQUEST_REFUSED, "centre", code="code.unmistakable_reason"))
    (failed,) = world.records("run.failed")
    assert failed.run_id == "run-with-an-unmistakable-name"
    files = [path for path in world.config.home.rglob("*") if path.is_file()]
    assert any(path.name == "log.key" for path in files)
    for path in files:
        data = path.read_bytes()
        assert b"unmistakable" not in data, path.name
        assert world.auditor.sealing_key not in data
        assert world.auditor.sealing_key.hex().encode() not in data
