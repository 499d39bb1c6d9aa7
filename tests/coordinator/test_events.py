"""The record of events: `coordinator/events.py`."""

import pytest
from coordinator_world import LEAD, PROJECT
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from coordinator import events
from coordinator.authorization.principals import Principal
from coordinator.events import Event, EventRow, EventType, is_code, record
from coordinator.paging import PageRequest
from coordinator.projects.models import ProjectRow
from coordinator.projects.services import create_project
from coordinator.runs.models import RunRow, RunStepRow
from coordinator.runs.services import mark_step
from crypto.errors import DoudiError


class PowerCut(Exception):
    """Stands for anything that ends a process between an act and its commit."""


def count(world, model):
    with world.begin() as session:
        return session.scalar(select(func.count()).select_from(model))


def test_an_act_and_its_event_are_rolled_back_together(world):
    world.register_all()
    before = count(world, EventRow)

    def act_in_a_power_cut():
        with world.begin() as session:
            create_project(session, Principal.of_party("centre"), PROJECT, "t", "aid", "kentucky", LEAD)
            assert session.scalar(select(func.count()).select_from(EventRow)) == before + 1
            raise PowerCut

    with pytest.raises(PowerCut):
        act_in_a_power_cut()
    assert (count(world, ProjectRow), count(world, EventRow)) == (0, before)


def test_an_act_whose_event_cannot_be_recorded_does_not_happen(world):
    run = world.scheduled_run()
    with pytest.raises(DoudiError) as caught, world.begin() as session:
        # A department that is no name: the step is written first, the event refuses it.
        mark_step(session, run["run_id"], 1, "blind", "No Such Name", "sent")
    assert caught.value.code == "event.malformed"
    assert count(world, RunStepRow) == 0


def test_an_event_of_a_failed_commit_does_not_exist(world):
    run = world.scheduled_run()
    before = count(world, EventRow)
    with pytest.raises(IntegrityError), world.begin() as session:
        mark_step(session, run["run_id"], 1, "blind", "unregistered", "sent")
    assert count(world, EventRow) == before
    assert count(world, RunRow) == 1


def test_events_can_be_neither_changed_nor_deleted(world):
    world.register_all()
    for statement in (update(EventRow).values(code="other"), delete(EventRow)):
        with pytest.raises(IntegrityError, match="append-only"), world.begin() as session:
            session.execute(statement)


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


def test_every_event_type_and_problem_has_the_form_of_a_code():
    from coordinator.problems import PROBLEMS

    assert all(is_code(kind.value) for kind in EventType)
    assert all(is_code(code) for code in PROBLEMS)


def test_only_the_centre_reads_events_in_pages(world, code):
    world.register_all()
    answer = world.send("tax", "GET", "/v1/events")
    assert code(answer) == "authorization.denied"
    listed = world.events()
    assert [event["sequence"] for event in listed] == list(range(1, len(listed) + 1))
    assert world.listed("centre", "/v1/events?after=3") == listed[3:]
    with world.begin() as session:
        assert len(events.list_events(session, 0, PageRequest(2)).rows) == 2
    assert code(world.send("centre", "GET", "/v1/events?after=-1")) == "request.malformed"


def test_a_refused_act_of_a_known_party_is_recorded_with_its_code(world):
    world.register_all()
    world.send("tax", "POST", "/v1/parties", world.card("tax").to_bytes())
    world.send("tax", "GET", "/v1/events")
    world.raw("POST", "/v1/parties", b"by a stranger")
    (refused,) = world.events("request.refused")
    assert (refused["actor"], refused["code"], refused["counts"]) == ("tax", "authorization.denied", {})


def test_recording_needs_no_clock_of_its_own(world):
    world.now = 1_234_567_890.9
    with world.begin() as session:
        record(session, Event(EventType.RUN_STARTED, "coordinator"))
        assert session.scalars(select(EventRow.at).order_by(EventRow.sequence.desc())).first() == 1_234_567_890


def test_a_person_who_acted_is_recorded_by_number(world):
    world.register_all()
    with world.begin() as session:
        officer = Principal("account", "centre", 12, frozenset({"centre_officer"}), two_factor=True)
        create_project(session, officer, PROJECT, "t", "aid", "kentucky", LEAD)
    (created,) = world.events("project.created")
    assert (created["actor"], created["account"]) == ("centre", 12)
    assert {event["account"] for event in world.events("party.registered")} == {None}
