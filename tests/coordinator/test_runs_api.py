"""Runs over the API: who may start, offer, schedule, stop and restart: `coordinator/runs`."""

import pytest
from coordinator_world import DEPARTMENTS, LEAD, PROJECT, START_S, Keys

from coordinator.runs.scheduling import fail_overdue
from coordinator.runs.services import claim_running, fail_run, finish_run
from crypto.canonical import canonical_json
from policies.contracts.manifest import sign_manifest


def start(world, party=LEAD, mode="evidence"):
    return world.send(party, "POST", f"/v1/projects/{PROJECT}/runs", canonical_json({"mode": mode}))


def act(world, run, verb, party=LEAD):
    return world.send(party, "POST", f"/v1/runs/{run['run_id']}/{verb}")


def show(world, run, party=LEAD):
    return world.send(party, "GET", f"/v1/runs/{run['run_id']}").json()


def test_a_run_goes_from_keys_to_results(world, code):
    run = world.scheduled_run()
    assert run["state"] == "scheduled"
    assert run["offered"] == list(DEPARTMENTS)
    results = f"/v1/runs/{run['run_id']}/results"
    assert code(world.send(LEAD, "GET", results)) == "run.no_results"
    with world.begin() as session:
        claim_running(session, run["run_id"], 2**63 + 5)
    with world.begin() as session:
        finish_run(session, run["run_id"], {"auc": 0.88, "households": 120})
    for party in (*DEPARTMENTS, "centre"):
        assert world.send(party, "GET", results).json()["metrics"] == {"auc": 0.88, "households": 120}
    assert show(world, run)["state"] == "finished"
    kinds = [event["type"] for event in world.events() if event["run_id"] == run["run_id"]]
    assert kinds == ["run.created", *["run.offer_stored"] * 4, "run.scheduled", "run.started", "run.finished"]


def test_only_the_holder_of_the_scheduling_right_starts_a_run(world, code):
    world.agree()
    for party in ("tax", "centre"):
        assert code(start(world, party)) == "authorization.denied"
    assert start(world).status_code == 201


@pytest.mark.parametrize(
    ("party", "role", "creates", "stops"),
    [
        (LEAD, "scheduler", True, True),
        (LEAD, "department_it", False, True),
        (LEAD, "department_approver", False, True),
        ("tax", "scheduler", False, False),
        ("centre", "centre_officer", False, True),
        ("centre", "centre_approver", False, True),
        ("centre", "auditor", False, False),
    ],
)
def test_people_create_and_stop_runs_by_their_role(world, party, role, creates, stops):
    world.agree()
    token = world.token(party, role)
    answer = world.ask(token, "POST", f"/v1/projects/{PROJECT}/runs", canonical_json({"mode": "evidence"}))
    assert answer.status_code == (201 if creates else 403)
    run = answer.json() if creates else world.start_run()
    assert world.ask(token, "POST", f"/v1/runs/{run['run_id']}/stop").status_code == (200 if stops else 403)


def test_a_person_who_holds_the_scheduling_right_still_needs_its_key(world, code):
    """An account says who may; that the run starts is the key's word, which nodes verify."""
    world.agree()
    run = world.start_run()
    manifest = world.manifest(run, world.offer_all(run))
    token, path = world.token(LEAD, "scheduler"), f"/v1/runs/{run['run_id']}/manifest"
    forged = sign_manifest(manifest, Keys().scheduling)
    assert code(world.ask(token, "PUT", path, forged.to_bytes())) == "manifest.bad_signature"
    signed = sign_manifest(manifest, world.keys[LEAD].scheduling)
    other = world.token("tax", "scheduler")
    assert code(world.ask(other, "PUT", path, signed.to_bytes())) == "authorization.denied"
    assert world.ask(token, "PUT", path, signed.to_bytes()).status_code == 201


def test_a_run_needs_a_grant_that_every_party_signed(world, code):
    world.prepare()
    assert code(start(world)) == "grant.unknown"
    grant = world.grant()
    number = world.request(grant)
    world.sign_all(number, grant, "centre", LEAD, "health", "housing")
    assert code(start(world)) == "grant.signature_missing"
    world.sign_all(number, grant, "tax")
    assert start(world).status_code == 201


def test_a_run_needs_a_grant_that_is_valid_now(world, code):
    world.agree(not_before=START_S + 50, expires_at=START_S + 100)
    assert code(start(world)) == "grant.not_yet_valid"
    world.now = START_S + 50
    assert start(world).status_code == 201
    world.now = START_S + 100
    assert code(start(world)) == "grant.expired"


def test_runs_and_modes_are_those_of_the_grant(world, code):
    world.agree(modes=["evidence"])
    for mode in ("sum_only", "both"):
        assert code(start(world, mode=mode)) == "grant.mode_not_allowed"
    assert code(start(world, mode="everything")) == "document.malformed"
    assert [start(world).json()["run_number"] for _ in range(2)] == [1, 2]
    assert code(start(world)) == "grant.runs_exhausted"


def test_runs_are_listed_for_their_participants_only(world, code):
    world.agree()
    run = world.start_run()
    for query in ("", "?state=gathering_keys", "?department=tax", f"?project_id={PROJECT}"):
        assert [found["run_id"] for found in world.listed("tax", f"/v1/runs{query}")] == [run["run_id"]]
    assert world.listed("tax", "/v1/runs?state=running") == []
    assert code(world.send("tax", "GET", "/v1/runs?department=health")) == "authorization.denied"
    assert len(world.listed("centre", "/v1/runs?department=health")) == 1
    world.keys["outsider"] = Keys()
    world.send("centre", "POST", "/v1/parties", world.card("outsider").to_bytes())
    assert world.listed("outsider", "/v1/runs") == []
    for path in ("", "/offers", "/results"):
        assert code(world.send("outsider", "GET", f"/v1/runs/{run['run_id']}{path}")) == "run.unknown"


def test_the_same_offer_again_is_accepted_and_another_one_refused(world, code):
    world.agree()
    run = world.start_run()
    offer = world.offer(run, "tax")
    assert world.put_offer(run, "tax", offer).status_code == 201
    assert world.put_offer(run, "tax", offer).status_code == 200
    assert code(world.put_offer(run, "tax", world.offer(run, "tax", mask_key="33" * 32))) == "offer.already_made"


def test_a_department_offers_only_its_own_keys(world, code):
    world.agree()
    run = world.start_run()
    path = f"/v1/runs/{run['run_id']}/offers"
    body = world.offer(run, "health").to_bytes()
    assert code(world.send("tax", "PUT", f"{path}/health", body)) == "authorization.denied"
    assert code(world.send("tax", "PUT", f"{path}/tax", body)) == "offer.wrong_run"
    assert code(world.send("centre", "PUT", f"{path}/health", body)) == "authorization.denied"


def test_an_offer_signed_by_another_key_is_refused(world, code):
    world.agree()
    run = world.start_run()
    forged = world.offer(run, "tax", key=world.keys["health"].identity)
    assert code(world.put_offer(run, "tax", forged)) == "offer.bad_signature"


def test_an_offer_is_checked_against_the_key_that_the_grant_pins(world, code):
    """A card replaced after the grant was signed changes who may call, and not whose run keys count."""
    world.agree()
    run = world.start_run()
    world.keys["tax"].identity = Keys().identity
    world.send("centre", "POST", "/v1/parties?replace=true", world.card("tax").to_bytes())
    assert code(world.put_offer(run, "tax")) == "offer.bad_signature"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"attempt": 2}, "offer.wrong_run"),
        ({"run_id": "run-other"}, "offer.wrong_run"),
        ({"grant_hash": "0" * 64}, "offer.wrong_run"),
        ({"program_hash": "0" * 64}, "offer.program_mismatch"),
        ({"people": 3001}, "offer.too_many_people"),
    ],
)
def test_an_offer_outside_the_grant_or_the_attempt_is_refused(world, code, changes, expected):
    world.agree()
    run = world.start_run()
    assert code(world.put_offer(run, "tax", world.offer(run, "tax", **changes))) == expected


def test_an_offer_after_scheduling_is_refused(world, code):
    world.agree()
    run = world.start_run()
    offers = [world.offer(run, name) for name in DEPARTMENTS if name != "tax"]
    for offer in offers:
        world.put_offer(run, offer.department, offer)
    assert world.put_manifest(run, world.manifest(run, offers)).status_code == 201
    assert code(world.put_offer(run, "tax")) == "run.not_gathering"
    assert world.put_offer(run, offers[0].department, offers[0]).status_code == 200


def test_only_the_scheduler_schedules_and_only_with_its_scheduling_key(world, code):
    world.agree()
    run = world.start_run()
    manifest = world.manifest(run, world.offer_all(run))
    for party in ("tax", "centre"):
        assert code(world.put_manifest(run, manifest, party=party)) == "authorization.denied"
    for key in (world.keys[LEAD].identity, world.keys["tax"].scheduling):
        assert code(world.put_manifest(run, manifest, key=key)) == "manifest.bad_signature"
    assert show(world, run)["state"] == "gathering_keys"


def test_a_tampered_manifest_is_refused(world, code):
    world.agree()
    run = world.start_run()
    manifest = world.manifest(run, world.offer_all(run))
    signed = sign_manifest(manifest, world.keys[LEAD].scheduling)
    tampered = signed.model_copy(update={"manifest": manifest.model_copy(update={"expires_at": START_S + 9_999})})
    answer = world.send(LEAD, "PUT", f"/v1/runs/{run['run_id']}/manifest", tampered.to_bytes())
    assert code(answer) == "manifest.bad_signature"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"run_number": 2}, "manifest.mismatch"),
        ({"mode": "sum_only"}, "manifest.mismatch"),
        ({"created_at": START_S + 121}, "manifest.expired"),
        ({"expires_at": START_S}, "manifest.expired"),
        ({"expires_at": START_S + 100_001}, "manifest.expired"),
    ],
)
def test_a_manifest_of_another_run_or_time_is_refused(world, code, changes, expected):
    world.agree()
    run = world.start_run()
    assert code(world.put_manifest(run, world.manifest(run, world.offer_all(run), **changes))) == expected


def test_the_manifests_offers_must_be_the_stored_ones(world, code):
    world.agree()
    run = world.start_run()
    offers = [world.offer(run, name) for name in DEPARTMENTS]
    assert code(world.put_manifest(run, world.manifest(run, offers))) == "manifest.offers_mismatch"
    stored = world.offer_all(run)
    swapped = [world.offer(run, "health", mask_key="44" * 32) if o.department == "health" else o for o in stored]
    assert code(world.put_manifest(run, world.manifest(run, swapped))) == "manifest.offers_mismatch"
    assert world.put_manifest(run, world.manifest(run, stored)).status_code == 201


def test_the_lead_and_enough_key_holders_must_take_part(world, code):
    world.agree()
    run = world.start_run()
    offers = world.offer_all(run)
    without_lead = [offer for offer in offers if offer.department != LEAD]
    assert code(world.put_manifest(run, world.manifest(run, without_lead))) == "manifest.departments"
    assert code(world.put_manifest(run, world.manifest(run, offers[:2]))) == "manifest.departments"
    assert world.put_manifest(run, world.manifest(run, offers[:3])).status_code == 201


def test_sum_only_needs_every_department_of_the_grant(world, code):
    world.agree()
    run = world.start_run("sum_only")
    offers = world.offer_all(run)
    assert code(world.put_manifest(run, world.manifest(run, offers[:3]))) == "manifest.departments"
    assert world.put_manifest(run, world.manifest(run, offers)).status_code == 201


def test_the_same_manifest_again_is_accepted_and_another_one_refused(world, code):
    world.agree()
    run = world.start_run()
    offers = world.offer_all(run)
    manifest = world.manifest(run, offers)
    assert [world.put_manifest(run, manifest).status_code for _ in range(2)] == [201, 200]
    other = world.manifest(run, offers, expires_at=START_S + 5_000)
    assert code(world.put_manifest(run, other)) == "manifest.already_stored"


def test_a_manifest_for_a_stopped_run_is_refused(world, code):
    world.agree()
    run = world.start_run()
    manifest = world.manifest(run, world.offer_all(run))
    act(world, run, "stop")
    assert code(world.put_manifest(run, manifest)) == "run.illegal_transition"


@pytest.mark.parametrize("party", [LEAD, "centre"])
def test_a_run_that_has_not_started_is_stopped_at_once(world, code, party):
    world.agree()
    run = world.start_run()
    assert code(act(world, run, "stop", "tax")) == "authorization.denied"
    assert act(world, run, "stop", party).json()["state"] == "stopped"
    assert act(world, run, "stop", party).json()["state"] == "stopped"
    assert len(world.events("run.stopped")) == 1


def test_a_running_run_is_asked_to_stop(world, code):
    run = world.scheduled_run()
    with world.begin() as session:
        claim_running(session, run["run_id"], 7)
    for _ in range(2):
        answer = act(world, run, "stop").json()
        assert (answer["state"], answer["stop_requested"]) == ("running", True)
    assert len(world.events("run.stop_requested")) == 1
    with world.begin() as session:
        fail_run(session, run["run_id"], "run.stopped")
    assert show(world, run)["state"] == "stopped"


def test_a_finished_run_can_be_neither_stopped_nor_restarted(world, code):
    run = world.scheduled_run()
    with world.begin() as session:
        claim_running(session, run["run_id"], 7)
        finish_run(session, run["run_id"], {})
    for verb in ("stop", "restart"):
        assert code(act(world, run, verb)) == "run.illegal_transition"


def test_a_restart_is_a_new_attempt_with_fresh_keys(world, code):
    run = world.scheduled_run()
    assert code(act(world, run, "restart")) == "run.illegal_transition"
    with world.begin() as session:
        fail_run(session, run["run_id"], "node.lost")
    assert show(world, run)["reason_code"] == "node.lost"
    for party in ("tax", "centre"):
        assert code(act(world, run, "restart", party)) == "authorization.denied"
    again = act(world, run, "restart").json()
    assert (again["state"], again["attempt"], again["offered"], again["reason_code"]) == ("gathering_keys", 2, [], "")
    assert code(world.put_offer(again, "tax", world.offer(run, "tax"))) == "offer.wrong_run"
    assert world.schedule(again)["state"] == "scheduled"
    act(world, again, "stop")
    assert code(act(world, again, "restart")) == "grant.attempts_exhausted"


def test_a_restart_after_the_grant_has_expired_is_refused(world, code):
    run = world.scheduled_run()
    act(world, run, "stop")
    world.now = START_S + 100_000
    assert code(act(world, run, "restart")) == "grant.expired"


def test_a_run_that_waits_for_keys_too_long_fails(world):
    world.agree()
    run = world.start_run()
    world.now += 99
    with world.begin() as session:
        assert fail_overdue(session, 100) == 0
    world.now += 1
    with world.begin() as session:
        assert fail_overdue(session, 100) == 1
    assert show(world, run)["reason_code"] == "run.gathering_timeout"


def test_a_scheduled_run_whose_manifest_ran_out_fails(world):
    run = world.scheduled_run()
    world.now += 9_999
    with world.begin() as session:
        assert fail_overdue(session, 100) == 0
    world.now += 1
    with world.begin() as session:
        assert fail_overdue(session, 100) == 1
    assert show(world, run)["reason_code"] == "run.manifest_expired"


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_an_unknown_run_is_refused(world, code, verb):
    assert code(act(world, {"run_id": "run-none"}, verb, "centre")) == "run.unknown"
