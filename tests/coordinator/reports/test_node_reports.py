"""What nodes tell about themselves: `coordinator/reports`."""

import pytest
from coordinator_world import DEPARTMENTS, PROGRAM, START_S

from coordinator.reports.services import KEPT_REPORTS, concurrent_runs, node_health, report_history
from policies.contracts.node_reports import NodeReport, SignedNodeReport, sign_report


@pytest.fixture
def ready(world):
    world.register_all()
    return world


def report(number=1, department="tax", **changes):
    values = {
        "department": department,
        "number": number,
        "made_at": START_S,
        "program_hash": PROGRAM,
        "people": 2000,
        "faults": 3,
        "active_runs": 1,
        "max_concurrent_runs": 2,
        "budgets": [
            {"name": "labels_in_a_year", "unit": "epsilon_milli", "spent": 1000, "reserved": 2000, "cap": 4000}
        ],
    }
    return NodeReport.model_validate({**values, **changes})


def put(world, content, sender="tax", address="", key=None):
    signed = sign_report(content, key or world.keys[content.department].identity)
    return world.send(sender, "PUT", f"/v1/parties/{address or sender}/report", signed.to_bytes())


def test_a_node_reports_and_its_department_and_the_centre_read_it(ready, code):
    assert (put(ready, report()).status_code, put(ready, report()).status_code) == (201, 200)
    for party in ("tax", "centre"):
        answer = ready.send(party, "GET", "/v1/parties/tax/report")
        SignedNodeReport.parse(answer.content).verify(ready.card("tax").identity_key)
    assert ready.ask(ready.token("health", "auditor"), "GET", "/v1/parties/tax/report").status_code == 200
    for party in ("health", "civil_affairs"):
        assert code(ready.send(party, "GET", "/v1/parties/tax/report")) == "authorization.denied"
    assert code(ready.send("health", "GET", "/v1/parties/health/report")) == "report.none"


def test_nobody_reports_for_another_node(ready, code):
    assert code(put(ready, report(), "health", "tax")) == "authorization.denied"
    assert code(put(ready, report(), "centre", "tax")) == "authorization.denied"
    assert code(put(ready, report(), "health")) == "report.wrong_department"
    assert code(put(ready, report(), key=ready.keys["health"].identity)) == "report.bad_signature"
    forged = SignedNodeReport(
        report=report(faults=0), signature=sign_report(report(), ready.keys["tax"].identity).signature
    )
    answer = ready.send("tax", "PUT", "/v1/parties/tax/report", forged.to_bytes())
    assert code(answer) == "report.bad_signature"
    token = ready.token("tax", "department_it")
    body = sign_report(report(), ready.keys["tax"].identity).to_bytes()
    assert code(ready.ask(token, "PUT", "/v1/parties/tax/report", body)) == "authorization.denied"


def test_reports_only_grow_and_a_short_history_is_kept(ready, code):
    for number in range(1, KEPT_REPORTS + 4):
        assert put(ready, report(number, faults=number)).status_code == 201
    assert code(put(ready, report(KEPT_REPORTS))) == "report.rollback"
    assert code(put(ready, report(KEPT_REPORTS + 3, faults=0))) == "report.rollback"
    put(ready, report(1, "health"), "health")
    with ready.begin() as session:
        kept = [one.number for one in report_history(session, "tax")]
        assert len(report_history(session, "health")) == 1
    assert kept == list(range(KEPT_REPORTS + 3, 3, -1))


def test_a_report_from_the_future_is_refused(ready, code):
    assert code(put(ready, report(made_at=START_S + 121))) == "report.from_the_future"


def test_the_list_says_how_every_node_is(ready):
    put(ready, report())
    ready.now += 60
    found = {one["department"]: one for one in ready.listed("centre", "/v1/reports")}
    assert set(found) == set(DEPARTMENTS)
    tax = found["tax"]
    assert (tax["faults"], tax["received_at"], tax["last_seen_at"]) == (3, START_S, START_S)
    assert tax["budgets"][0]["cap"] == 4000
    assert (found["health"]["received_at"], found["health"]["faults"]) == (None, None)
    assert [one["department"] for one in ready.listed("tax", "/v1/reports")] == ["tax"]


def test_the_newest_report_says_how_many_runs_a_node_takes(ready):
    put(ready, report(1, max_concurrent_runs=4))
    put(ready, report(2, max_concurrent_runs=1))
    with ready.begin() as session:
        assert concurrent_runs(session) == {"tax": 1}
        health = node_health(session, "tax")
        assert health.report is not None
        assert health.report.number == 2
        assert node_health(session, "health").report is None
