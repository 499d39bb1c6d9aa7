"""The pages of runs and of the queue: what is shown in each state, and stopping with a reason."""

import pytest
from coordinator_world import LEAD

from coordinator.events import EventType
from coordinator.runs.models import RunRow
from coordinator.runs.services import stop_requested


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("gathering", ("gathering keys", "Keys are missing.", "health", "Housing")),
        ("waiting", ("scheduled", "See where it stands in the queue")),
        ("running", ("running", "Train: 2 of 3 departments are through.", "evidence.budget_spent", "working")),
        ("finished", ("finished", "All steps are done.", "0.891", "(0.874–0.907)", "Shapley", "Seconds per step")),
        ("failed", ("failed", "the lead did not answer", "run.lead_missing", "doudi node restart-run")),
        ("stopped", ("stopped", "stopped by request")),
        ("line_running", ("Round 7 of 40, Shares: 2 of 3", "node.timeout", "Steps of the newest round")),
        ("line_finished", ("Survivors by round", "39 of 40", "too few departments were left in a round")),
    ],
)
def test_a_run_is_shown_as_it_stands(at_work, name, shown):
    role = "scheduler" if name == "failed" else "centre_officer"
    text = at_work.at(role).get(f"/console/runs/{at_work.runs[name]}").text
    for part in shown:
        assert part in text, part


def test_only_a_run_that_goes_on_is_followed(at_work):
    page = at_work.at("centre_officer")
    for name, followed in (
        ("running", True),
        ("waiting", True),
        ("gathering", True),
        ("finished", False),
        ("failed", False),
    ):
        run_id = at_work.runs[name]
        assert (
            f'data-live-url="/console/runs/{run_id}/events"' in page.get(f"/console/runs/{run_id}").text
        ) is followed


def test_a_plot_has_its_table(at_work):
    text = at_work.at("auditor").get(f"/console/runs/{at_work.runs['finished']}").text
    assert (
        text.count('<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img"')
        == text.count("The numbers as a table")
        == 5
    )


def test_the_list_is_narrowed_by_state_department_and_project(at_work):
    page = at_work.at("centre_officer")
    failed = page.get("/console/runs?state=failed").text
    assert at_work.runs["failed"] in failed
    assert at_work.runs["finished"] not in failed
    line = page.get("/console/runs?project=tax-line&department=tax").text
    assert at_work.runs["line_running"] in line
    assert at_work.runs["running"] not in line
    assert "Nothing fits." in page.get("/console/runs?project=nothing").text


def test_the_list_comes_in_pages(at_work):
    page = at_work.at("centre_officer")
    import re

    seen, path = [], "/console/runs?limit=4"
    while path:
        text = page.get(path).text
        seen += re.findall(r'<a href="/console/runs/(run-[0-9a-f]{16})"><code>', text)
        found = re.search(r'rel="next" href="([^"]+)"', text)
        path = found[1].replace("&amp;", "&") if found else None
    assert sorted(seen) == sorted(at_work.runs.values())


def test_the_queue_says_why_each_run_waits(at_work):
    text = at_work.at("centre_officer").get("/console/queue").text
    assert "a run of its grant with a lower number has not ended" in text
    assert "its window is closed" in text
    assert "16 Jan 2027, 14:00 UTC" in text
    # Its own runs are all of this department's.
    assert at_work.runs["waiting"] in at_work.at("department_it").get("/console/queue").text


# Stopping


@pytest.fixture
def running(at_work):
    """A run that is under way."""
    return at_work.operation.started_run()["run_id"]


STOP = {"confirm": "stop", "reason": "run.stopped_for_data"}


@pytest.mark.parametrize("role", ["scheduler", "centre_officer", "centre_approver"])
def test_scheduler_lead_and_centre_stop_a_run_with_a_reason(at_work, running, role):
    page = at_work.at(role)
    assert "Stop the run" in page.get(f"/console/runs/{running}").text
    answer = page.post(f"/console/runs/{running}/stop", STOP)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/runs/{running}?done=stopping")
    with at_work.world.begin() as session:
        assert stop_requested(session, running)
        assert session.get_one(RunRow, running).reason_code == "run.stopped_for_data"
    event = at_work.world.events(EventType.RUN_STOP_REQUESTED.value)[-1]
    assert (event["run_id"], event["code"], event["account"]) == (running, STOP["reason"], at_work.people[role].number)
    shown = page.get(answer.headers["location"]).text
    assert "The stop is asked for." in shown
    assert "A stop was asked for: the run ends before its next step." in shown
    assert f"/console/runs/{running}/stop" not in shown


@pytest.mark.parametrize("role", ["department_it", "department_approver", "auditor"])
def test_nobody_else_stops_a_run(at_work, running, role):
    page = at_work.at(role)
    assert "/stop" not in page.get(f"/console/runs/{running}").text
    assert page.post(f"/console/runs/{running}/stop", STOP).status_code == 403
    with at_work.world.begin() as session:
        assert not stop_requested(session, running)


@pytest.mark.parametrize("reason", ["", "run.finished", "run.stopped<b>"])
def test_a_stop_needs_a_reason_of_the_list(at_work, running, reason):
    page = at_work.at("scheduler")
    page.get(f"/console/runs/{running}")
    answer = page.post(f"/console/runs/{running}/stop", {**STOP, "reason": reason})
    assert answer.status_code == 422
    assert "Choose why the run is stopped." in answer.text
    with at_work.world.begin() as session:
        assert not stop_requested(session, running)


def test_a_run_that_has_not_begun_stops_at_once(at_work):
    run_id = at_work.operation.scheduled_run()["run_id"]
    page = at_work.at("scheduler")
    page.get(f"/console/runs/{run_id}")
    assert page.post(f"/console/runs/{run_id}/stop", STOP).headers["location"].endswith("done=stopped")
    assert "something is wrong with the data" in page.get(f"/console/runs/{run_id}").text


def test_a_run_that_is_over_is_not_stopped(at_work):
    page = at_work.at("scheduler")
    run_id = at_work.runs["finished"]
    page.get("/console/runs")
    answer = page.post(f"/console/runs/{run_id}/stop", STOP)
    assert answer.status_code == 409
    assert "does not allow this" in answer.text


def test_a_stop_without_the_secret_of_the_session_stops_nothing(at_work, running):
    page = at_work.at("scheduler")
    answer = page.ask("POST", f"/console/runs/{running}/stop", data=STOP)
    assert (answer.status_code, "console.foreign_form" in answer.text) == (403, True)
    with at_work.world.begin() as session:
        assert not stop_requested(session, running)


def test_the_lead_is_named_first(at_work):
    text = at_work.at("auditor").get(f"/console/runs/{at_work.runs['running']}").text
    rows = [text.index(f'data-live="{name}.blind.kind"') for name in (LEAD, "health", "housing", "tax")]
    assert rows == sorted(rows)
