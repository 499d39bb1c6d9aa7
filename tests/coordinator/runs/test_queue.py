"""Which run starts next: the decision of the supervisor, pure, and the queue of the database. `coordinator/runs/queue.py`."""

from datetime import UTC, datetime

import pytest
from coordinator_world import LEAD, PROGRAM, START_S, Keys
from hypothesis import given
from hypothesis import strategies as st

from coordinator.runs.queue import WaitingRun, next_opening, place_runs
from coordinator.runs.queueing import load_queue
from coordinator.runs.services import claim_running, fail_run, finish_run
from policies.contracts.node_reports import NodeReport, sign_report
from policies.contracts.run_windows import RunWindow, is_open


def run(name, departments="ab", at=0, window_open=True, earlier_unended=False):
    return WaitingRun(name, frozenset(departments), at, window_open, earlier_unended)


def codes(waiting, busy=None, capacity=None):
    return {place.run_id: place.code for place in place_runs(waiting, busy or {}, capacity or {})}


def test_a_run_with_room_everywhere_starts():
    assert codes([run("r")]) == {"r": ""}


@pytest.mark.parametrize(
    ("changes", "busy", "expected"),
    [
        ({"window_open": False}, {}, "queue.window"),
        ({"earlier_unended": True}, {}, "queue.order"),
        ({}, {"a": 2}, "queue.node_busy"),
        ({}, {"a": 1, "b": 1, "c": 2}, ""),
        # The first reason is the one that lasts longest: a closed window is not opened by an idle node.
        ({"window_open": False, "earlier_unended": True}, {"a": 2}, "queue.window"),
    ],
)
def test_why_a_run_waits(changes, busy, expected):
    assert codes([run("r", **changes)], busy) == {"r": expected}


def test_runs_start_in_the_order_in_which_they_were_scheduled():
    waiting = [run("c", at=1), run("a", at=3), run("b", at=2)]
    places = place_runs(waiting, {}, {})
    assert [(place.run_id, place.position, place.code) for place in places] == [
        ("c", 1, ""),
        ("b", 2, ""),
        ("a", 3, "queue.node_busy"),
    ]


def test_what_cannot_start_holds_nobody_up():
    waiting = [run("closed", at=1, window_open=False), run("busy", "ax", at=2), run("free", "bc", at=3)]
    assert codes(waiting, {"x": 2}) == {"closed": "queue.window", "busy": "queue.node_busy", "free": ""}


def test_a_node_takes_as_many_runs_as_it_reports():
    waiting = [run(f"r{number}", "a", at=number) for number in range(4)]
    assert list(codes(waiting).values()) == ["", "", "queue.node_busy", "queue.node_busy"]
    assert list(codes(waiting, {"a": 1}, {"a": 1}).values()) == ["queue.node_busy"] * 4
    assert list(codes(waiting, {"a": 1}, {"a": 4}).values()) == ["", "", "", "queue.node_busy"]


RUNS = st.lists(
    st.builds(
        WaitingRun,
        run_id=st.text("abcdefgh", min_size=1, max_size=6),
        departments=st.frozensets(st.sampled_from("wxyz"), min_size=1),
        scheduled_at=st.integers(0, 5),
        window_open=st.booleans(),
        earlier_unended=st.booleans(),
    ),
    unique_by=lambda one: one.run_id,
)


@given(
    RUNS,
    st.dictionaries(st.sampled_from("wxyz"), st.integers(0, 3)),
    st.dictionaries(st.sampled_from("wxyz"), st.integers(1, 3)),
)
def test_no_node_ever_gets_more_runs_than_it_takes(waiting, busy, capacity):
    places = place_runs(waiting, busy, capacity)
    assert [place.position for place in places] == list(range(1, len(waiting) + 1))
    started = [one for one in waiting if not dict((place.run_id, place.code) for place in places)[one.run_id]]
    assert all(one.window_open and not one.earlier_unended for one in started)
    for name in "wxyz":
        new = sum(name in one.departments for one in started)
        assert new == 0 or busy.get(name, 0) + new <= capacity.get(name, 2)


def window(days, start, end, offset=0):
    return RunWindow(weekdays=days, start_minute=start, end_minute=end, utc_offset_minutes=offset)


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_the_next_opening_of_windows():
    nights = window((1, 2, 3, 4, 5), 22 * 60, 24 * 60, 8 * 60)  # 14:00 to 16:00 UTC
    assert next_opening([], at("2027-01-15T10:00")) is None
    # A Friday.
    assert next_opening([nights], at("2027-01-15T15:00")) is None
    assert next_opening([nights], at("2027-01-15T10:00")) == at("2027-01-15T14:00")
    assert next_opening([nights], at("2027-01-15T16:00")) == at("2027-01-18T14:00")
    saturday = window((6,), 0, 60)
    assert next_opening([nights, saturday], at("2027-01-15T16:00")) == at("2027-01-16T00:00")


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=7, unique=True),
    st.integers(0, 1438),
    st.integers(-14 * 60, 14 * 60),
    st.integers(START_S, START_S + 14 * 86_400),
)
def test_a_window_is_open_at_its_next_opening_and_not_a_second_before(days, start, offset, now):
    windows = [window(tuple(days), start, start + 1, offset)]
    opening = next_opening(windows, now)
    if opening is None:
        assert is_open(windows, now)
    else:
        assert is_open(windows, opening)
        assert not is_open(windows, opening - 1)
        assert now < opening <= now + 7 * 86_400


# The queue of the database.


@pytest.fixture
def agreed(world):
    world.agree(runs_allowed=6)
    return world


def queue(world, party=LEAD):
    return world.send(party, "GET", "/v1/queue").json()


def waiting(world, party=LEAD):
    return [(one["run_number"], one["position"], one["code"]) for one in queue(world, party)["waiting"]]


def startable(world, begun=()):
    with world.begin() as session:
        found = load_queue(session, begun)
        return sorted(found.waiting[name].row.run_number for name in found.startable)


def claim(world, run):
    with world.begin() as session:
        claim_running(session, run["run_id"], 1)


def test_runs_of_a_grant_start_in_the_order_of_their_numbers(agreed):
    first, second = agreed.start_run(), agreed.start_run()
    agreed.schedule(second)
    # The first still gathers keys: it may yet begin, so the second waits.
    assert waiting(agreed) == [(2, 1, "queue.order")]
    agreed.now += 1
    agreed.schedule(first)
    assert waiting(agreed) == [(2, 1, "queue.order"), (1, 2, "")]
    assert startable(agreed) == [1]
    claim(agreed, first)
    assert startable(agreed) == []
    assert [one["run_number"] for one in queue(agreed)["running"]] == [1]
    with agreed.begin() as session:
        finish_run(session, first["run_id"], {})
    assert startable(agreed) == [2]


@pytest.mark.parametrize("ending", ["node.lost", "run.stopped"])
def test_a_run_that_failed_holds_up_nobody(agreed, ending):
    first, second = agreed.start_run(), agreed.start_run()
    agreed.schedule(second)
    with agreed.begin() as session:
        fail_run(session, first["run_id"], ending)
    assert startable(agreed) == [2]


def test_a_run_waits_for_its_window_and_says_until_when(world):
    opens = START_S + 3600
    midnight = opens - opens % 86_400
    start = (opens - midnight) // 60
    windows = [
        {"weekdays": [1, 2, 3, 4, 5, 6, 7], "start_minute": start, "end_minute": start + 60, "utc_offset_minutes": 0}
    ]
    world.agree(windows=windows)
    world.schedule(world.start_run())
    (one,) = queue(world)["waiting"]
    assert (one["code"], one["opens_at"], one["scheduled_at"]) == ("queue.window", opens, START_S)
    assert startable(world) == []
    world.now = opens
    assert (waiting(world), startable(world)) == ([(1, 1, "")], [1])
    world.now = opens + 3600
    assert startable(world) == []


def test_line_and_region_runs_count_alike_and_a_node_takes_what_it_reports(world):
    world.agree(grant_id="one")
    world.schedule(world.start_run())
    # A second grant of the same departments, so that order plays no part.
    grant = world.grant(grant_id="two")
    world.sign_all(world.request(grant), grant)
    world.now += 1
    world.schedule(world.start_run())
    assert [code for _, _, code in waiting(world)] == ["", ""]
    report = NodeReport(
        department="tax",
        number=1,
        made_at=START_S,
        program_hash=PROGRAM,
        people=1,
        faults=0,
        active_runs=0,
        max_concurrent_runs=1,
        budgets=(),
    )
    signed = sign_report(report, world.keys["tax"].identity)
    assert world.send("tax", "PUT", "/v1/parties/tax/report", signed.to_bytes()).status_code == 201
    assert [code for _, _, code in waiting(world)] == ["", "queue.node_busy"]
    occupancy = {one["department"]: one for one in queue(world)["departments"]}
    assert occupancy["tax"] == {"department": "tax", "running": 0, "waiting": 2, "max_concurrent_runs": 1}
    assert occupancy["health"]["max_concurrent_runs"] == 2


def test_a_process_that_was_started_takes_its_place_before_the_run_is_claimed(agreed):
    first = agreed.schedule(agreed.start_run())
    with agreed.begin() as session:
        found = load_queue(session, {first["run_id"]})
    assert (set(found.running), found.places) == ({first["run_id"]}, [])
    assert {one.department: one.running for one in found.occupancy}["tax"] == 1


def test_only_departments_of_the_manifest_are_busy(agreed):
    run = agreed.start_run()
    offers = [offer for offer in agreed.offer_all(run) if offer.department != "tax"]
    assert agreed.put_manifest(run, agreed.manifest(run, offers)).status_code == 201
    claim(agreed, run)
    assert "tax" not in {one["department"] for one in queue(agreed)["departments"]}


def test_a_department_sees_its_own_runs_in_the_queue(agreed):
    agreed.schedule(agreed.start_run())
    agreed.keys["outsider"] = Keys()
    agreed.send("centre", "POST", "/v1/parties", agreed.card("outsider").to_bytes())
    assert queue(agreed, "outsider") == {"waiting": [], "running": [], "departments": []}
    assert len(queue(agreed, "tax")["waiting"]) == len(queue(agreed, "centre")["waiting"]) == 1
    assert len(agreed.ask(agreed.token("outsider", "auditor"), "GET", "/v1/queue").json()["waiting"]) == 1
