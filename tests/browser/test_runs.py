"""Runs and the queue in a real browser: accessible, followed live, without a script, by keyboard."""

import pytest
from operation import DEPARTMENTS

from coordinator.runs.services import fail_run, mark_step


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


def test_a_run_is_followed_live_until_it_ends(open_page, operation, console, new_run):
    run_id = new_run()
    page = open_page(f"/console/runs/{run_id}", role="scheduler")
    cell = page.locator('[data-live="tax.blind.kind"]')
    assert page.locator(".sentence").inner_text() == "The first step begins."
    with operation.world.begin() as session:
        for name in DEPARTMENTS:
            mark_step(session, run_id, 1, "blind", name, "answered" if name == "tax" else "sent")
    page.get_by_text("Blind: 1 of 4 departments are through.").wait_for()
    assert cell.get_attribute("data-state") == "answered"
    assert page.locator(".progress progress").get_attribute("value") == "1"
    # The look of a state follows the word.
    assert cell.evaluate("element => getComputedStyle(element, '::before').borderRadius") == "50%"
    with operation.world.begin() as session:
        fail_run(session, run_id, "node.timeout")
    page.get_by_role("link", name="Show how it ended").wait_for()
    assert page.locator(".run-state").inner_text() == "failed"
    page.get_by_role("link", name="Show how it ended").click()
    page.get_by_text("the node did not answer in time").first.wait_for()
    assert page.locator("[data-live-url]").count() == 0
    assert page.locator('[data-live="tax.blind.kind"]').get_attribute("data-state") == "answered"


def test_without_a_script_the_page_says_how_far_it_is_and_can_be_loaded_again(open_page, operation, new_run):
    run_id = new_run()
    page = open_page(f"/console/runs/{run_id}", role="scheduler", java_script_enabled=False)
    with operation.world.begin() as session:
        mark_step(session, run_id, 1, "blind", "tax", "answered")
    assert page.locator(".sentence").inner_text() == "The first step begins."
    page.get_by_role("link", name="Load again").click()
    assert page.locator(".sentence").inner_text() == "Blind: 1 of 1 departments are through."
    assert (
        page.get_by_text("The run has ended.").count() == 0 or not page.get_by_text("The run has ended.").is_visible()
    )


def test_a_run_is_stopped_by_keyboard_and_without_a_script(open_page, new_run, check_accessible):
    page = open_page(f"/console/runs/{new_run()}", role="scheduler", java_script_enabled=False)
    opener = page.locator("#stop summary")
    opener.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("The stop is asked for. The run ends before its next step.").wait_for()
    assert page.get_by_text("A stop was asked for").is_visible()
    assert page.locator("#stop").count() == 0


def test_the_question_before_a_stop_is_accessible(open_page, new_run, check_accessible):
    page = open_page(f"/console/runs/{new_run()}", role="scheduler", language="zh")
    page.locator("#stop summary").click()
    page.locator("#stop button").click()
    assert page.locator("#error-reason").inner_text() == "请选择停止运行的原因。"
    check_accessible(page, "run-stop-refused", here=True)


def test_a_plot_opens_its_table(open_page, operation):
    page = open_page(f"/console/runs/{operation.runs['finished']}", role="auditor")
    assert page.get_by_role("img", name="Area under the curve (AUC)").is_visible()
    page.get_by_text("The numbers as a table").first.click()
    table = page.get_by_role("table", name="Area under the curve (AUC)")
    assert table.get_by_role("cell").first.inner_text() == "0.891 (0.874–0.907)"


def test_a_page_that_is_left_closes_its_stream(open_page, console, new_run):
    streams = console.app.state.console.live_streams
    page = open_page(f"/console/runs/{new_run()}", role="scheduler")
    page.wait_for_function("document.querySelector('.sentence') !== null")
    for _ in range(100):
        if streams.open_streams:
            break
        page.wait_for_timeout(50)
    assert streams.open_streams == 1
    page.goto("/console/queue")
    for _ in range(100):
        if not streams.open_streams:
            break
        page.wait_for_timeout(50)
    assert streams.open_streams == 0
