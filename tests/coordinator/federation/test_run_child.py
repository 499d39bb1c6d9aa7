"""The process of one run: which schedule it follows, and that its marks carry the round."""

from typing import Any

import pytest
from coordinator_world import LEAD, World
from line_nodes import LineRelay

from coordinator.federation.line_run import LineRun
from coordinator.federation.run_child import DatabaseMarks, schedule_of
from coordinator.federation.schedule import VerticalRun
from coordinator.runs.services import claim_running, load_run
from policies.contracts.steps import Step


def schedule(world: World, run: dict[str, Any]) -> Any:
    with world.begin() as session:
        claim_running(session, run["run_id"], 1)
        view = load_run(session, run["run_id"])
    assert view.signed_manifest is not None
    return schedule_of(world.config, world.engine, view, view.signed_manifest, LineRelay({}))


@pytest.mark.parametrize("mode", ["evidence", "line"])
def test_the_mode_of_the_manifest_chooses_the_schedule(world: World, mode: str) -> None:
    world.agree_on_line() if mode == "line" else world.agree()
    run = world.schedule(world.start_run(mode))
    assert type(schedule(world, run)) is (LineRun if mode == "line" else VerticalRun)


def test_the_marks_of_a_round_are_rows_of_that_round(world: World) -> None:
    world.agree_on_line()
    run = world.schedule(world.start_run("line"))
    marks = DatabaseMarks(world.engine, run["run_id"], 1, 2)
    marks.sent(Step.LINE_KEYS, "tax", 10)
    marks.answered(Step.LINE_KEYS, "tax", 20)
    marks.sent(Step.LINE_KEYS, "health", 10)
    marks.refused(Step.LINE_KEYS, "health", "budget.exhausted")
    marks.lost(Step.LINE_KEYS, "housing", "node.timeout")
    steps = world.send(LEAD, "GET", f"/v1/runs/{run['run_id']}").json()["steps"]
    assert [(step["round"], step["department"], step["state"], step["code"]) for step in steps] == [
        (2, "health", "refused", "budget.exhausted"),
        (2, "housing", "lost", "node.timeout"),
        (2, "tax", "answered", ""),
    ]
    assert (steps[2]["request_bytes"], steps[2]["reply_bytes"]) == (10, 20)


def test_a_line_asks_for_a_lost_message_soon_and_the_main_job_as_before() -> None:
    from coordinator.federation.exchange import Patience
    from coordinator.federation.run_child import patience_of

    assert patience_of("line").ask_again_s < Patience().ask_again_s
    assert patience_of("evidence") == Patience()
