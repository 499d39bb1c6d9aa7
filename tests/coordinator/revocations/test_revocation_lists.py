"""Revocation lists at the coordinator: who publishes them, in which order, and what they end. `coordinator/revocations`."""

from dataclasses import replace

import pytest
from coordinator_world import DEPARTMENTS, LEAD, PROJECT, START_S, Keys
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from coordinator.revocations.ages import newest_lists
from coordinator.revocations.services import revocations_of
from coordinator.runs.services import claim_running, fail_run
from crypto.canonical import canonical_json
from policies.contracts.revocations import SignedRevocationList, sign_revocations


def newest(world, party="tax"):
    items = world.listed(party, "/v1/revocations")
    return {one["content"]["party"]: one["content"]["number"] for one in items}


def start(world):
    return world.send(LEAD, "POST", f"/v1/projects/{PROJECT}/runs", canonical_json({"mode": "evidence"}))


@pytest.mark.parametrize("party", ["centre", *DEPARTMENTS])
def test_any_party_of_a_grant_revokes_it_at_once(world, code, party):
    grant = world.agree()
    answer = world.publish(world.revocations(party, grant))
    assert (answer.status_code, answer.json()) == (201, {"number": 1})
    shown = world.show_request(1)
    assert (shown["state"], shown["transitions"][-1]["party"], shown["transitions"][-1]["reason"]) == (
        "revoked",
        party,
        "misuse",
    )
    assert code(start(world)) == "grant.revoked"
    with world.begin() as session:
        assert [row.party for row in revocations_of(session, grant.digest())] == [party]


def test_a_revocation_stops_the_runs_of_the_grant(world):
    grant = world.agree()
    running, waiting = world.schedule(world.start_run()), world.start_run()
    with world.begin() as session:
        claim_running(session, running["run_id"], 1)
    world.publish(world.revocations("tax", grant))

    def shown(run):
        found = world.send(LEAD, "GET", f"/v1/runs/{run['run_id']}").json()
        return found["state"], found["stop_requested"], found["reason_code"]

    assert shown(waiting) == ("stopped", True, "grant.revoked")
    assert shown(running) == ("running", True, "grant.revoked")
    with world.begin() as session:
        fail_run(session, running["run_id"], "run.stopped")
    assert shown(running) == ("stopped", True, "grant.revoked")
    (event,) = world.events("run.stop_requested")
    assert (event["actor"], event["code"]) == ("tax", "grant.revoked")
    # And it stays stopped.
    answer = world.send(LEAD, "POST", f"/v1/runs/{waiting['run_id']}/restart")
    assert answer.json()["type"] == "urn:doudi:grant.revoked"


@pytest.mark.parametrize("state", ["submitted", "granted", "exhausted"])
def test_a_grant_is_revoked_before_and_after_it_is_in_force(world, state):
    world.prepare()
    grant = world.grant(runs_allowed=1, not_before=START_S + 10 if state == "granted" else START_S - 10)
    number = world.request(grant)
    if state != "submitted":
        world.sign_all(number, grant)
    if state == "exhausted":
        run = world.schedule(world.start_run())
        with world.begin() as session:
            claim_running(session, run["run_id"], 1)
            fail_run(session, run["run_id"], "node.lost")
        world.send(LEAD, "POST", f"/v1/runs/{run['run_id']}/restart")
        world.send(LEAD, "POST", f"/v1/runs/{run['run_id']}/stop")
        world.keep_house()
    assert world.show_request(number)["state"] == state
    world.publish(world.revocations("health", grant))
    assert world.show_request(number)["state"] == "revoked"


@pytest.mark.parametrize("sender", ["centre", "health"])
def test_nobody_publishes_anothers_list(world, code, sender):
    grant = world.agree()
    content = world.revocations("tax", grant)
    for key in (world.keys["tax"].revocation, world.keys["health"].revocation, world.revocation_key):
        assert code(world.publish(content, sender, key)) == "authorization.denied"
    signed = sign_revocations(content, world.keys["tax"].revocation)
    answer = world.send(sender, "PUT", f"/v1/revocations/{sender}", signed.to_bytes())
    assert code(answer) == "revocation.wrong_party"
    assert world.show_request(1)["state"] == "active"


@pytest.mark.parametrize("key", ["identity", "approval", "scheduling"])
def test_only_the_revocation_key_revokes(world, code, key):
    grant = world.agree()
    content = world.revocations("tax", grant)
    assert code(world.publish(content, key=getattr(world.keys["tax"], key))) == "revocation.bad_signature"
    assert code(world.publish(world.revocations("centre", grant), key=world.approval_key)) == "revocation.bad_signature"
    signed = sign_revocations(world.revocations("tax"), world.keys["tax"].revocation)
    altered = SignedRevocationList(content=content, signature=signed.signature)
    assert code(world.send("tax", "PUT", "/v1/revocations/tax", altered.to_bytes())) == "revocation.bad_signature"
    assert world.show_request(1)["state"] == "active"


def test_numbers_never_decrease_and_one_number_is_one_list(world, code):
    grant = world.agree()
    assert world.publish(world.revocations("tax", number=3)).status_code == 201
    assert world.publish(world.revocations("tax", number=3)).status_code == 200
    assert code(world.publish(world.revocations("tax", number=2))) == "revocation.rollback"
    assert code(world.publish(world.revocations("tax", number=4, issued_at=START_S - 1))) == "revocation.rollback"
    assert code(world.publish(world.revocations("tax", grant, number=3))) == "revocation.fork"
    assert world.show_request(1)["state"] == "active"
    assert world.publish(world.revocations("tax", grant, number=4)).status_code == 201
    assert code(world.publish(world.revocations("tax", number=5))) == "revocation.dropped"
    assert newest(world) == {"tax": 4}


def test_a_list_drops_no_grant_also_after_its_end(world, code):
    grant = world.agree()
    world.publish(world.revocations("tax", grant))
    world.now = grant.expires_at + 1
    assert code(world.publish(world.revocations("tax", number=2))) == "revocation.dropped"
    assert world.show_request(1)["state"] == "revoked"


def test_a_list_from_the_future_would_be_fresh_for_too_long(world, code):
    world.register_all()
    for ahead, expected in ((120, None), (121, "revocation.from_the_future")):
        answer = world.publish(world.revocations("tax", number=ahead, issued_at=START_S + ahead))
        assert (answer.status_code == 201) if expected is None else (code(answer) == expected)


def test_a_list_may_name_grants_that_are_unknown_or_anothers(world):
    """It is its party's word and is relayed as it is; what it does not concern, it does not end."""
    world.keys["outsider"] = Keys()
    grant = world.agree()
    world.send("centre", "POST", "/v1/parties", world.card("outsider").to_bytes())
    unknown = world.grant(grant_id="somewhere-else")
    assert world.publish(world.revocations("outsider", grant, unknown)).status_code == 201
    assert world.show_request(1)["state"] == "active"


def test_every_principal_fetches_the_newest_list_of_every_party(world):
    grant = world.agree()
    for party in ("centre", *DEPARTMENTS):
        for number in (1, 2):
            world.publish(world.revocations(party, *([grant] if party == "tax" else []), number=number))
    expected = dict.fromkeys(("centre", *DEPARTMENTS), 2)
    assert newest(world, "centre") == newest(world, "health") == expected
    for one in world.listed("health", "/v1/revocations"):
        signed = SignedRevocationList.model_validate(one)
        party = signed.content.party
        key = world.config.centre_revocation_key if party == "centre" else world.card(party).revocation_key
        signed.verify(key)
    first = world.send("health", "GET", "/v1/revocations?limit=2").json()
    assert ([one["content"]["party"] for one in first["items"]], first["next_cursor"] is None) == (
        ["centre", "civil_affairs"],
        False,
    )


@pytest.mark.parametrize("table", ["revocation_lists", "revoked_grants"])
@pytest.mark.parametrize("act", ["UPDATE {} SET party = 'health'", "DELETE FROM {}"])
def test_what_was_revoked_cannot_be_changed(world, table, act):
    world.publish(world.revocations("tax", world.agree()))
    with pytest.raises(DatabaseError, match="append-only"), world.engine.begin() as connection:
        connection.execute(text(act.format(table)))


def test_a_person_publishes_no_list(world, code):
    grant = world.agree()
    signed = sign_revocations(world.revocations("tax", grant), world.keys["tax"].revocation)
    for role in ("department_it", "department_approver"):
        answer = world.ask(world.token("tax", role), "PUT", "/v1/revocations/tax", signed.to_bytes())
        assert code(answer) == "authorization.denied"


def replace_keys(world, **keys):
    world.keys["tax"] = replace(world.keys["tax"], **keys)
    answer = world.send("centre", "POST", "/v1/parties?replace=true", world.card("tax").to_bytes())
    assert answer.status_code == 201


@pytest.mark.parametrize("taken", [7, 2**53])
def test_a_party_with_a_new_key_begins_at_one_again(world, code, taken):
    """The recovery after a taken host: new node, new card, new revocation key. No number of the old key blocks it."""
    grant = world.agree()
    world.publish(world.revocations("tax", grant, number=taken))
    old = world.keys["tax"].revocation
    replace_keys(world, revocation=Keys().revocation)
    # The new key knows nothing of the former lists: it need not repeat their entries, and takes none of them back.
    assert world.publish(world.revocations("tax", number=1)).status_code == 201
    assert world.publish(world.revocations("tax", number=1)).status_code == 200
    assert world.show_request(1)["state"] == "revoked"
    with world.begin() as session:
        assert [row.party for row in revocations_of(session, grant.digest())] == ["tax"]
        assert newest_lists(session, ["tax"])["tax"].number == 1
    assert newest(world)["tax"] == 1
    assert code(world.publish(world.revocations("tax", number=2), key=old)) == "revocation.bad_signature"


def test_the_order_holds_under_the_new_key_and_under_the_old_one_when_it_comes_back(world, code):
    world.register_all()
    old = world.keys["tax"].revocation
    world.publish(world.revocations("tax", number=7))
    replace_keys(world, revocation=Keys().revocation)
    world.publish(world.revocations("tax", number=3))
    assert code(world.publish(world.revocations("tax", number=2))) == "revocation.rollback"
    replace_keys(world, revocation=old)
    assert code(world.publish(world.revocations("tax", number=6))) == "revocation.rollback"
    assert world.publish(world.revocations("tax", number=8)).status_code == 201
    assert newest(world)["tax"] == 8
