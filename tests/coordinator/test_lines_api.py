"""Lines at the coordinator: grants of one department's regions, runs of mode `line`, and how far they are."""

import pytest
from coordinator_world import DEPARTMENTS, LEAD, PROJECT, START_S

from coordinator.runs.progress import SHOWN_ROUNDS
from coordinator.runs.services import claim_running, fail_run, finish_run, mark_step
from crypto.canonical import canonical_json
from policies.contracts.grant import SignedGrant


def start(world, mode="line", party=LEAD):
    return world.send(party, "POST", f"/v1/projects/{PROJECT}/runs", canonical_json({"mode": mode}))


@pytest.fixture
def run(world):
    world.agree_on_line()
    return world.schedule(world.start_run("line"))


def mark(world, run, number, step, department="tax", state="sent", attempt=1):
    with world.begin() as session:
        mark_step(session, run["run_id"], attempt, step, department, state, request_bytes=5, round_number=number)


def shown(world, run):
    return world.send(LEAD, "GET", f"/v1/runs/{run['run_id']}").json()


def test_a_lines_grant_is_gathered_like_any_other(world):
    grant = world.agree_on_line()
    fetched = world.send("tax", "GET", f"/v1/projects/{PROJECT}/grant")
    assert fetched.headers["doudi-fully-signed"] == "true"
    assert SignedGrant.parse(fetched.content).line_grant == grant


@pytest.fixture
def ready(world):
    world.register_all()
    world.open_project()
    world.register_line_assets()
    return world


@pytest.mark.parametrize("changes", [{"purpose": "statistics"}, {"region": "ohio"}])
def test_a_line_of_another_project_is_refused(ready, code, changes):
    assert code(ready.draft(ready.line_grant(**changes))) == "grant.other_project"


def test_a_line_with_another_key_than_a_card_is_refused(ready, code):
    grant = ready.line_grant()
    ready.keys["tax"].revocation = ready.keys["health"].revocation
    assert code(ready.draft(ready.line_grant())) == "grant.key_mismatch"
    assert ready.draft(grant).status_code == 201


def test_each_region_of_a_line_is_the_one_that_its_department_registered(ready, code):
    participants = [share.model_dump() for share in ready.line_grant().participants]
    participants[1]["region"] = "region-9"
    assert code(ready.draft(ready.line_grant(participants=participants))) == "request.wrong_region"


def test_a_party_that_the_line_does_not_name_learns_nothing_of_it(ready, code):
    three = [share for share in ready.line_grant().participants if share.department != "tax"]
    grant = ready.line_grant(participants=three)
    number = ready.request(grant)
    assert code(ready.sign(number, ready.signed(grant, LEAD), "tax")) == "request.unknown"
    assert ready.sign(number, ready.signed(grant, "health"), "health").status_code == 201


def test_a_lines_grant_allows_lines_and_nothing_else(world, code):
    world.agree_on_line()
    for mode in ("evidence", "sum_only", "both"):
        assert code(start(world, mode)) == "grant.mode_not_allowed"
    assert code(start(world, party="tax")) == "authorization.denied"
    assert start(world).json()["mode"] == "line"


def test_a_regions_grant_allows_no_line(world, code):
    world.agree()
    assert code(start(world)) == "grant.mode_not_allowed"


@pytest.mark.parametrize("without", [(), (LEAD,), ("tax",)])
def test_a_line_needs_enough_departments_and_neither_all_nor_its_lead(world, without):
    world.agree_on_line()
    run = world.start_run("line")
    offers = [offer for offer in world.offer_all(run) if offer.department not in without]
    assert world.put_manifest(run, world.manifest(run, offers)).status_code == 201


def test_a_line_below_its_smallest_round_is_not_scheduled(world, code):
    world.agree_on_line()
    run = world.start_run("line")
    offers = world.offer_all(run)[:2]
    assert code(world.put_manifest(run, world.manifest(run, offers))) == "manifest.departments"


def test_scheduler_lead_and_centre_stop_a_line(world, run, code):
    with world.begin() as session:
        claim_running(session, run["run_id"], 1)
    path = f"/v1/runs/{run['run_id']}/stop"
    assert code(world.send("tax", "POST", path)) == "authorization.denied"
    assert world.send("centre", "POST", path).json()["stop_requested"]


def test_a_run_says_its_round_and_how_many_are_granted(world, run):
    assert (shown(world, run)["round"], shown(world, run)["rounds"]) == (0, 40)
    for number in (1, 2):
        mark(world, run, number, "line_keys")
    assert (shown(world, run)["round"], shown(world, run)["rounds"]) == (2, 40)
    (listed,) = world.listed("tax", "/v1/runs")
    assert (listed["round"], listed["rounds"]) == (2, 40)
    assert world.events("run.step_sent")[-1]["counts"] == {"attempt": 1, "step": 7, "round": 2, "request_bytes": 5}


def test_the_main_job_has_no_rounds(world):
    run = world.scheduled_run()
    assert (shown(world, run)["round"], shown(world, run)["rounds"]) == (0, None)
    (listed,) = world.listed("tax", "/v1/runs")
    assert (listed["round"], listed["rounds"]) == (0, None)


def test_one_step_of_two_rounds_is_two_rows_in_the_order_of_rounds_and_steps(world, run):
    for number, step in ((2, "line_keys"), (1, "line_unmask"), (1, "line_keys"), (1, "line_shares")):
        for department in ("tax", "health"):
            mark(world, run, number, step, department)
    mark(world, run, 1, "line_keys", state="answered")
    steps = shown(world, run)["steps"]
    expected = [(1, "line_keys"), (1, "line_shares"), (1, "line_unmask"), (2, "line_keys")]
    assert [(step["round"], step["step"], step["department"]) for step in steps] == [
        (*name, department) for name in expected for department in ("health", "tax")
    ]
    assert [step["state"] for step in steps].count("answered") == 1


def test_a_long_line_shows_its_newest_rounds_and_counts_all(world, run):
    for number in range(1, 8):
        mark(world, run, number, "line_keys")
    detail = shown(world, run)
    assert [step["round"] for step in detail["steps"]] == [8 - SHOWN_ROUNDS + each for each in range(SHOWN_ROUNDS)]
    assert detail["progress"]["sent"] == 7


def test_the_rounds_of_a_former_attempt_are_not_those_of_the_present_one(world, run):
    mark(world, run, 5, "line_keys")
    with world.begin() as session:
        claim_running(session, run["run_id"], 1)
        fail_run(session, run["run_id"], "line.too_few_survivors")
    assert world.send(LEAD, "POST", f"/v1/runs/{run['run_id']}/restart").status_code == 200
    assert shown(world, run)["round"] == 0
    mark(world, run, 6, "line_keys", attempt=2)
    detail = shown(world, run)
    assert (detail["round"], [step["round"] for step in detail["steps"]]) == (6, [6])


def test_a_lines_account_is_its_result(world, run):
    with world.begin() as session:
        claim_running(session, run["run_id"], 1)
        finish_run(session, run["run_id"], {"line": {"done": 40}, "run": {"mode": "line"}})
    results = world.send("tax", "GET", f"/v1/runs/{run['run_id']}/results").json()
    assert results["metrics"]["line"] == {"done": 40}


def test_every_department_of_a_line_sees_the_run(world, run):
    assert world.now == START_S
    for department in DEPARTMENTS:
        assert [found["run_id"] for found in world.listed(department, "/v1/runs")] == [run["run_id"]]
