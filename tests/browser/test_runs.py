"""Runs and the queue in a real browser: accessible, followed live, without a script, by keyboard."""

import time

import pytest
from navigation import follow, send_by_key
from operation import DEPARTMENTS
from playwright.sync_api import expect

from coordinator.runs.services import fail_run, mark_step

SERVER_TIMEOUT_S = 30


@pytest.fixture
def console(working_console):
    """In the place of the console that all tests share."""
    return working_console


@pytest.fixture
def operation(working_console):
    return working_console.prepared


@pytest.fixture
def new_run(operation, console):
    """Return a function that starts a run, as of now."""

    def started():
        operation.world.now = console.clock()
        run = operation.started_run()
        return run["run_id"]

    return started


@pytest.fixture
def streams(console):
    """The streams of the coordinator, once all that pages of earlier tests had are closed: one person may have four."""
    found = console.app.state.console.live_streams
    deadline = time.monotonic() + SERVER_TIMEOUT_S
    while found.open_streams:
        assert time.monotonic() < deadline, "streams of pages that are gone stay open"
        time.sleep(0.05)
    return found


@pytest.mark.parametrize(
    "path", ["/console/runs", "/console/queue", "/console/runs?state=failed", "/console/runs?project=nothing"]
)
def test_a_list_is_accessible(open_page, check_accessible, path):
    name = path.strip("/").replace("/", "-").replace("?", "-").replace("=", "-")
    check_accessible(open_page(path, role="centre_officer"), name)


@pytest.mark.parametrize(
    "name",
    ["gathering", "waiting", "running", "finished", "failed", "stopped", "line_running", "line_finished", "windowed"],
)
def test_a_run_in_each_state_is_accessible(open_page, check_accessible, operation, name):
    check_accessible(open_page(f"/console/runs/{operation.runs[name]}", role="scheduler"), f"run-{name}")


def test_a_run_is_followed_live_until_it_ends(open_page, operation, new_run, streams):
    run_id = new_run()
    page = open_page(f"/console/runs/{run_id}", role="scheduler")
    cell = page.locator('[data-live="tax.blind.kind"]')
    expect(page.locator(".sentence")).to_have_text("The first step begins.")
    with operation.world.begin() as session:
        for name in DEPARTMENTS:
            mark_step(session, run_id, 1, "blind", name, "answered" if name == "tax" else "sent")
    expect(page.locator(".sentence")).to_have_text("Blind: 1 of 4 departments are through.")
    expect(cell).to_have_attribute("data-state", "answered")
    expect(page.locator(".progress progress")).to_have_attribute("value", "1")
    # The look of a state follows the word.
    assert cell.evaluate("element => getComputedStyle(element, '::before').borderRadius") == "50%"
    with operation.world.begin() as session:
        fail_run(session, run_id, "node.timeout")
    expect(page.get_by_role("link", name="Show how it ended")).to_be_visible()
    expect(page.locator(".run-state")).to_have_text("failed")
    follow(page, page.get_by_role("link", name="Show how it ended"))
    expect(page.get_by_text("the node did not answer in time").first).to_be_visible()
    expect(page.locator("[data-live-url]")).to_have_count(0)
    expect(cell).to_have_attribute("data-state", "answered")


def test_without_a_script_the_page_says_how_far_it_is_and_can_be_loaded_again(open_page, operation, new_run):
    run_id = new_run()
    page = open_page(f"/console/runs/{run_id}", role="scheduler", java_script_enabled=False)
    with operation.world.begin() as session:
        mark_step(session, run_id, 1, "blind", "tax", "answered")
    expect(page.locator(".sentence")).to_have_text("The first step begins.")
    follow(page, page.get_by_role("link", name="Load again"))
    expect(page.locator(".sentence")).to_have_text("Blind: 1 of 1 departments are through.")
    expect(page.get_by_text("The run has ended.")).to_be_hidden()


def test_a_run_is_stopped_by_keyboard_and_without_a_script(open_page, new_run):
    page = open_page(f"/console/runs/{new_run()}", role="scheduler", java_script_enabled=False)
    opener = page.locator("#stop summary")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#stop")).to_have_attribute("open", "")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("#stop input[type=radio]").first).to_be_checked()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#stop input[type=radio]").nth(1)).to_be_checked()
    page.keyboard.press("Tab")
    send_by_key(page)
    expect(page.get_by_text("The stop is asked for. The run ends before its next step.")).to_be_visible()
    expect(page.get_by_text("A stop was asked for")).to_be_visible()
    expect(page.locator("#stop")).to_have_count(0)


def test_the_question_before_a_stop_is_accessible(open_page, new_run, check_accessible):
    page = open_page(f"/console/runs/{new_run()}", role="scheduler", language="zh")
    page.locator("#stop summary").click()
    follow(page, page.locator("#stop button"))
    expect(page.locator("#error-reason")).to_have_text("请选择停止运行的原因。")
    check_accessible(page, "run-stop-refused", here=True)


def test_a_plot_opens_its_table(open_page, operation):
    page = open_page(f"/console/runs/{operation.runs['finished']}", role="auditor")
    expect(page.get_by_role("img", name="Area under the curve (AUC)")).to_be_visible()
    page.get_by_text("The numbers as a table").first.click()
    table = page.get_by_role("table", name="Area under the curve (AUC)")
    expect(table.get_by_role("cell").first).to_have_text("0.891 (0.874–0.907)")


def test_a_page_that_is_left_closes_its_stream(open_page, new_run, streams):
    page = open_page(f"/console/runs/{new_run()}", role="scheduler")
    _until(page, lambda: streams.open_streams == 1)
    page.goto("/console/queue")
    _until(page, lambda: streams.open_streams == 0)


def _until(page, condition):
    """Return when the coordinator is where it should be; the browser goes on between two looks."""
    deadline = time.monotonic() + SERVER_TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)
