"""Signatures, decisions, two people, replays and races: `coordinator/requests/services.py`, `progress.py`."""

import threading
from dataclasses import replace

import pytest
from coordinator_world import DEPARTMENTS, LEAD, PROJECT, START_S, Keys, public
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from coordinator.accounts.models import AccountRow
from coordinator.accounts.principals import principal_of
from coordinator.authorization.principals import Principal
from coordinator.requests import services
from coordinator.requests.reading import count_waiting, decisions_of
from coordinator.runs.services import claim_running, fail_run, finish_run, stop_requested
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from policies.contracts.grant import GrantSignature, SignedGrant, sign_grant
from policies.standards.tier_loader import load_tier


@pytest.fixture
def ready(world):
    world.prepare()
    return world


def of_tier(world, tier):
    named = {"tier": tier, "tier_hash": load_tier(tier).standard_hash()}
    participants = [{**share.model_dump(), **named} for share in world.grant().participants]
    return world.grant(participants=participants, modes=["sum_only"])


def decide(world, principal, number, decision="approve", reason="ok"):
    """Return the state after a decision, or the code of its refusal."""
    try:
        with world.context.begin() as session:
            return services.decide(session, world.context, principal, number, decision, reason).state
    except DoudiError as error:
        return error.code


def test_signatures_are_gathered_until_the_grant_is_in_force(ready):
    grant = ready.grant()
    number = ready.request(grant)
    for count, party in enumerate(DEPARTMENTS, start=1):
        answer = ready.sign(number, ready.signed(grant, party), party)
        assert (answer.status_code, answer.json()["state"]) == (201, "submitted")
        assert sum(one["gathered"] for one in answer.json()["parties"]) == count
    answer = ready.sign(number, ready.signed(grant, "centre"), "centre")
    assert (answer.status_code, answer.json()["state"]) == (201, "active")
    fetched = ready.send("tax", "GET", f"/v1/projects/{PROJECT}/grant")
    assert fetched.headers["doudi-fully-signed"] == "true"
    assert len(SignedGrant.parse(fetched.content).signatures) == 5
    assert fetched.content == ready.send("tax", "GET", f"/v1/requests/{number}/grant").content
    assert len(ready.events("grant.fully_signed")) == 1
    decided = ready.show_request(number)["decisions"]
    assert {(one["party"], one["way"], one["decision"]) for one in decided} == {
        (party, "signature", "approve") for party in ("centre", *DEPARTMENTS)
    }


def test_the_signatures_of_others_are_not_taken_from_a_party(ready, code):
    grant = ready.grant()
    number = ready.request(grant)
    answer = ready.sign(number, ready.signed(grant), "tax")
    assert [one["party"] for one in answer.json()["parties"] if one["gathered"]] == ["tax"]
    assert code(ready.sign(number, ready.signed(grant, "health", "centre"), "housing")) == "grant.unsigned"


def test_unsound_signatures_are_refused_and_leave_nothing(ready, code):
    grant = ready.grant()
    number = ready.request(grant)
    good = ready.signed(grant, "tax").signatures[0]
    other_grant = ready.signed(ready.grant(runs_allowed=3), "tax").signatures[0]
    wrong_role = sign_grant(grant, "tax", "lead", ready.keys["tax"].approval)
    wrong_key = sign_grant(grant, "tax", "owner", Keys().approval)
    node_key = sign_grant(grant, "tax", "owner", ready.keys["tax"].identity)
    forged = GrantSignature(party="tax", role="owner", key=good.key, signature="00" * 64)
    for signature in (other_grant, wrong_role, wrong_key, node_key, forged):
        signed = SignedGrant(grant=grant, signatures=(good, signature))
        assert code(ready.sign(number, signed, "tax")) == "grant.bad_signature"
    assert code(ready.sign(number, SignedGrant(grant=grant), "tax")) == "grant.unsigned"
    assert all(one["gathered"] == 0 for one in ready.show_request(number)["parties"])
    assert ready.show_request(number)["decisions"] == []


def test_signatures_under_another_grant_are_refused(ready, code):
    number = ready.request(ready.grant())
    wider = ready.grant(runs_allowed=50)
    assert code(ready.sign(number, ready.signed(wider, "tax"), "tax")) == "request.other_grant"


def test_a_signature_sent_again_is_no_second_one(ready):
    grant = ready.grant()
    number = ready.request(grant)
    signed = ready.signed(grant, "tax")
    assert [ready.sign(number, signed, "tax").status_code for _ in range(3)] == [201, 200, 200]
    shown = ready.show_request(number)
    assert (len(shown["decisions"]), len(ready.events("grant.signatures_added"))) == (1, 1)
    ready.sign_all(number, grant, LEAD, "health", "housing", "centre")
    # Also when the request is in force: who repeats a lost answer is not told that it is too late.
    assert ready.sign(number, signed, "tax").status_code == 200


def test_keys_that_were_replaced_since_are_not_signed_for(ready, code):
    grant = ready.grant()
    number = ready.request(grant)
    ready.keys["health"].approval = Keys().approval
    path = "/v1/parties?replace=true"
    assert ready.send("centre", "POST", path, ready.card("health").to_bytes()).status_code == 201
    assert code(ready.sign(number, ready.signed(grant, "tax"), "tax")) == "grant.key_mismatch"


def test_the_centres_decision_grants_and_its_signature_activates(ready):
    grant = ready.grant()
    number = ready.request(grant)
    approver = ready.person("centre", "centre_approver")
    assert decide(ready, approver, number) == "submitted"
    assert ready.sign_all(number, grant, *DEPARTMENTS)["state"] == "granted"
    code = ready.send(LEAD, "POST", f"/v1/projects/{PROJECT}/runs", canonical_json({"mode": "evidence"})).json()
    assert code["type"] == "urn:doudi:grant.signature_missing"
    assert ready.sign_all(number, grant, "centre")["state"] == "active"


def test_an_owners_decision_at_the_console_replaces_no_signature(ready):
    grant = ready.grant()
    number = ready.request(grant)
    for party in DEPARTMENTS:
        assert decide(ready, ready.person(party, "department_approver"), number) == "submitted"
    assert decide(ready, ready.person("centre", "centre_approver"), number) == "submitted"
    assert ready.sign_all(number, grant, *DEPARTMENTS)["state"] == "granted"


def test_where_a_tier_asks_for_two_people_one_key_does_not_count_twice(world, code):
    world.register_all()
    world.open_project()
    world.register_assets(tier="important", tier_hash=load_tier("important").standard_hash())
    grant = of_tier(world, "important")
    number = world.request(grant)
    assert {one["needed"] for one in world.show_request(number)["parties"]} == {2}
    assert world.sign_all(number, grant)["state"] == "submitted"
    signed = world.signed(grant, "tax")
    twice = SignedGrant(grant=grant, signatures=(*signed.signatures, *signed.signatures))
    assert world.sign(number, twice, "tax").status_code == 200
    assert next(one["gathered"] for one in world.show_request(number)["parties"] if one["party"] == "tax") == 1
    assert world.sign_all(number, grant, *DEPARTMENTS, second=True)["state"] == "submitted"
    assert world.sign_all(number, grant, "centre", second=True)["state"] == "active"


def test_two_approvers_of_the_centre_decide_where_a_tier_asks_for_two(world):
    world.register_all()
    world.open_project()
    world.register_assets(tier="important", tier_hash=load_tier("important").standard_hash())
    grant = of_tier(world, "important")
    number = world.request(grant)
    for second in (False, True):
        world.sign_all(number, grant, *DEPARTMENTS, second=second)
    first, other = (world.person("centre", "centre_approver") for _ in range(2))
    assert decide(world, first, number) == "submitted"
    assert decide(world, first, number) == "request.already_decided"
    # One decision and one signature may be one person's, so they are not added up.
    assert world.sign_all(number, grant, "centre")["state"] == "submitted"
    assert decide(world, other, number) == "granted"
    assert world.sign_all(number, grant, "centre", second=True)["state"] == "active"


def test_nobody_decides_on_what_they_drafted_or_submitted(ready):
    """Roles change: who was an operator when drafting may be an approver now, and is still the same person."""
    drafter, submitter, third = (ready.person(LEAD, "department_it") for _ in range(3))
    with ready.context.begin() as session:
        row, _ = services.draft_request(session, ready.context, drafter, ready.grant())
        number = row.number
        services.submit_request(session, ready.context, submitter, number)
        for person in (drafter, submitter, third):
            session.get_one(AccountRow, person.number).roles = ["department_approver"]
    for person in (drafter, submitter):
        now = replace(person, roles=frozenset({"department_approver"}))
        assert decide(ready, now, number) == "authorization.denied"
        assert decide(ready, now, number, "refuse") == "authorization.denied"
    with ready.begin() as session:
        now = principal_of(session.get_one(AccountRow, third.number), two_factor=True)
    assert decide(ready, now, number) == "submitted"


def test_a_person_without_a_second_factor_decides_nothing(ready):
    number = ready.request(ready.grant())
    weak = replace(ready.person("centre", "centre_approver"), two_factor=False)
    assert decide(ready, weak, number) == "authorization.denied"


@pytest.mark.parametrize("party", ["tax", "health", "centre"])
def test_one_refusal_ends_a_request(ready, code, party):
    grant = ready.grant()
    number = ready.request(grant)
    ready.sign_all(number, grant, "housing")
    refusal = {"decision": "refuse", "reason": "not this purpose"}
    answer = ready.act(party, number, "decisions", refusal)
    assert (answer.status_code, answer.json()["state"]) == (200, "refused")
    assert answer.json()["transitions"][-1]["reason"] == "not this purpose"
    assert code(ready.sign(number, ready.signed(grant, "centre"), "centre")) == "request.illegal_transition"
    assert code(ready.act("tax", number, "decisions", refusal)) == "request.illegal_transition"


def test_a_refusal_needs_a_reason_in_sound_characters(ready, code):
    number = ready.request(ready.grant())
    for reason in ("", "   ", "\n"):
        assert code(ready.act("tax", number, "decisions", {"decision": "refuse", "reason": reason})) == (
            "request.reason_missing"
        )
    for body in (
        {"decision": "refuse", "reason": "x" * 501},
        {"decision": "refuse", "reason": "\x00"},
        {"decision": "maybe", "reason": "x"},
        {"decision": "refuse"},
    ):
        assert code(ready.act("tax", number, "decisions", body)) == "document.malformed"
    assert ready.act("tax", number, "decisions", {"decision": "refuse", "reason": "理由\n" * 100}).status_code == 200


def test_reasons_stay_out_of_the_record(ready):
    number = ready.request(ready.grant())
    ready.act("tax", number, "decisions", {"decision": "refuse", "reason": "because of secret-word"})
    assert "secret-word" not in str(ready.events())
    assert "secret-word" in str(ready.show_request(number))


def test_a_request_becomes_active_on_its_first_day_and_ends_on_its_last(ready):
    grant = ready.grant(not_before=START_S + 50, expires_at=START_S + 100)
    number = ready.request(grant)
    assert ready.sign_all(number, grant)["state"] == "granted"
    ready.now += 49
    assert ready.keep_house() == 0
    ready.now += 1
    assert ready.keep_house() == 1
    assert ready.show_request(number)["state"] == "active"
    run = ready.start_run()
    ready.now += 50
    assert ready.keep_house() == 1
    shown = ready.show_request(number)
    assert (shown["state"], shown["transitions"][-1]["actor"]) == ("expired", "coordinator")
    stopped = ready.send(LEAD, "GET", f"/v1/runs/{run['run_id']}").json()
    assert (stopped["state"], stopped["reason_code"]) == ("stopped", "grant.expired")


def test_an_expired_grant_stops_a_run_between_steps(ready):
    grant = ready.grant()
    number = ready.request(grant)
    ready.sign_all(number, grant)
    run = ready.schedule(ready.start_run())
    with ready.begin() as session:
        claim_running(session, run["run_id"], 1)
    ready.now = grant.expires_at
    ready.keep_house()
    with ready.begin() as session:
        assert stop_requested(session, run["run_id"])
        fail_run(session, run["run_id"], "run.stopped")
    assert ready.send(LEAD, "GET", f"/v1/runs/{run['run_id']}").json()["reason_code"] == "grant.expired"


def test_a_grant_is_exhausted_when_no_run_and_no_attempt_is_left(ready, code):
    grant = ready.grant(runs_allowed=2, attempts_allowed=2)
    number = ready.request(grant)
    ready.sign_all(number, grant)
    first = ready.schedule(ready.start_run())
    with ready.begin() as session:
        claim_running(session, first["run_id"], 1)
        finish_run(session, first["run_id"], {})
    second = ready.start_run()
    ready.send(LEAD, "POST", f"/v1/runs/{second['run_id']}/stop")
    # Its second attempt is left.
    assert ready.keep_house() == 0
    ready.send(LEAD, "POST", f"/v1/runs/{second['run_id']}/restart")
    ready.send(LEAD, "POST", f"/v1/runs/{second['run_id']}/stop")
    assert ready.keep_house() == 1
    assert ready.show_request(number)["state"] == "exhausted"
    answer = ready.send(LEAD, "POST", f"/v1/projects/{PROJECT}/runs", canonical_json({"mode": "evidence"}))
    assert code(answer) == "grant.runs_exhausted"


def test_of_two_grants_in_force_the_newer_one_counts(ready):
    grants = [ready.grant(grant_id=f"grant-{count}") for count in (1, 2)]
    for grant in grants:
        ready.sign_all(ready.request(grant), grant)
    newest_draft = ready.grant(grant_id="grant-3")
    ready.request(newest_draft)
    path = f"/v1/projects/{PROJECT}/grant"
    assert ready.send(LEAD, "GET", path).headers["doudi-grant-hash"] == grants[1].digest()
    asked = ready.send(LEAD, "GET", f"{path}?grant_hash={newest_draft.digest()}")
    assert asked.headers["doudi-fully-signed"] == "false"
    assert ready.start_run()["grant_hash"] == grants[1].digest()
    ready.publish(ready.revocations("tax", grants[1]))
    assert ready.start_run()["grant_hash"] == grants[0].digest()


def test_a_department_sees_requests_that_name_it_and_nothing_else(ready, code):
    ready.keys["outsider"] = Keys()
    ready.send("centre", "POST", "/v1/parties", ready.card("outsider").to_bytes())
    number = ready.request(ready.grant())
    assert ready.listed("outsider", "/v1/requests") == []
    for path in (f"/v1/requests/{number}", f"/v1/requests/{number}/grant", "/v1/requests/99"):
        assert code(ready.send("outsider", "GET", path)) == "request.unknown"
    for party in ("tax", "centre"):
        assert [one["number"] for one in ready.listed(party, "/v1/requests")] == [number]
    auditor = ready.token("outsider", "auditor")
    assert ready.ask(auditor, "GET", f"/v1/requests/{number}").status_code == 200


def test_inboxes_ask_for_what_waits(ready):
    grants = [ready.grant(grant_id=f"grant-{count}") for count in range(3)]
    numbers = [ready.request(grant) for grant in grants]
    ready.draft(ready.grant(grant_id="draft"))
    ready.sign_all(numbers[0], grants[0], "tax")
    ready.act("health", numbers[2], "decisions", {"decision": "refuse", "reason": "no"})

    def found(query, party="tax"):
        return [one["number"] for one in ready.listed(party, f"/v1/requests?{query}")]

    assert found("waits_for=tax") == [numbers[1]]
    assert found("waits_for=housing") == [numbers[1], numbers[0]]
    assert found("state=refused") == [numbers[2]]
    assert found(f"grant_hash={grants[1].digest()}") == [numbers[1]]
    assert found("project_id=other") == []
    with ready.begin() as session:
        assert (count_waiting(session, "tax"), count_waiting(session, "centre")) == (1, 2)


def test_of_decisions_that_race_one_ends_the_request(ready):
    """Each in its own thread and transaction: the database lets one after the other in."""
    grant = ready.grant()
    number = ready.request(grant)
    people = [Principal.of_party(party) for party in ("tax", "health", "housing", "centre")]
    people += [ready.person(party, "department_approver") for party in ("tax", "health")]
    assert race(lambda person: decide(ready, person, number, "refuse", "no"), people) == [
        "refused",
        *["request.illegal_transition"] * 5,
    ]
    with ready.begin() as session:
        assert len(decisions_of(session, number)) == 1
    assert len(ready.events("request.declined")) == 1


def test_one_person_who_decides_twice_at_once_decides_once(ready):
    number = ready.request(ready.grant())
    person = ready.person("tax", "department_approver")
    assert race(lambda _: decide(ready, person, number), range(6)) == [
        *["request.already_decided"] * 5,
        "submitted",
    ]


def test_signatures_that_race_are_all_kept(ready):
    grant = ready.grant()
    number = ready.request(grant)

    def sign(party):
        with ready.context.begin() as session:
            principal = Principal.of_party(party)
            signed = ready.signed(grant, party)
            return services.add_signatures(session, ready.context, principal, number, signed)[0].state

    assert sorted(race(sign, [*DEPARTMENTS, "centre"])) == ["active", *["submitted"] * 4]
    assert len(ready.events("request.activated")) == 1


def race(act, arguments):
    """Return the sorted results of acts that begin at once."""
    arguments = list(arguments)
    barrier, results = threading.Barrier(len(arguments)), []

    def run(argument):
        barrier.wait()
        results.append(act(argument))

    threads = [threading.Thread(target=run, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results)


@pytest.mark.parametrize("table", ["request_decisions", "request_transitions"])
@pytest.mark.parametrize("act", ["UPDATE {} SET reason = 'x'", "DELETE FROM {}"])
def test_what_was_decided_cannot_be_changed(ready, table, act):
    number = ready.request(ready.grant())
    ready.act("tax", number, "decisions", {"decision": "refuse", "reason": "no"})
    with pytest.raises(DatabaseError, match="append-only"), ready.engine.begin() as connection:
        connection.execute(text(act.format(table)))


def test_a_database_that_says_signed_is_not_believed(ready, code):
    """Whoever writes to the database makes no signature: a run still needs the document's own."""
    number = ready.request(ready.grant())
    with ready.engine.begin() as connection:
        connection.execute(text("UPDATE grants SET fully_signed = 1"))
        connection.execute(text("UPDATE access_requests SET state = 'active'"))
    answer = ready.send(LEAD, "POST", f"/v1/projects/{PROJECT}/runs", canonical_json({"mode": "evidence"}))
    assert code(answer) == "grant.signature_missing"
    assert number == 1


def test_a_second_approver_of_the_lead_may_sign_for_it(ready):
    grant = ready.grant()
    number = ready.request(grant)
    ready.sign_all(number, grant, LEAD, second=True)
    (decision,) = ready.show_request(number)["decisions"]
    assert decision["person"] == f"key:{public(ready.keys[LEAD].second)}"


def test_what_everybody_has_signed_is_revoked_and_not_refused_or_withdrawn(ready, code):
    """Its first day is to come, so it is not active; but every node would accept it on that day."""
    grant = ready.grant(not_before=START_S + 50)
    number = ready.request(grant)
    assert ready.sign_all(number, grant)["state"] == "granted"
    refusal = {"decision": "refuse", "reason": "no"}
    assert code(ready.act("tax", number, "decisions", refusal)) == "request.illegal_transition"
    assert code(ready.act(LEAD, number, "withdraw", {"reason": "no"})) == "request.illegal_transition"
    assert ready.publish(ready.revocations("tax", grant)).status_code == 201
    assert ready.show_request(number)["state"] == "revoked"


def test_a_damaged_document_holds_up_no_other_request(ready, caplog):
    grants = [ready.grant(grant_id=f"grant-{count}", not_before=START_S + 10) for count in (1, 2)]
    numbers = [ready.request(grant) for grant in grants]
    for number, grant in zip(numbers, grants, strict=True):
        ready.sign_all(number, grant)
    with ready.engine.begin() as connection:
        damaged = text("UPDATE grants SET document = x'7b7d' WHERE grant_hash = :name")
        connection.execute(damaged, {"name": grants[0].digest()})
    ready.now += 10
    assert ready.keep_house() == 1
    assert "document.malformed" in caplog.text
    assert ready.show_request(numbers[1])["state"] == "active"
    ready.now = grants[0].expires_at
    assert ready.keep_house() == 2
