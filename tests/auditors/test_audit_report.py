"""The report: what it answers, from a log that tells a story in which everything happens once."""

import json
from zoneinfo import ZoneInfo

import pytest
from ledger_story import CRASHED, DAY_S, FAILED, FINISHED, HIDDEN, LOST, MONDAY, Story, grant_of
from ledger_world import LedgerWorld
from opened_logs import opened_of

from auditors.checkpoints_here import CheckpointsHere
from auditors.keys import all_keys
from auditors.opened import OpenedRecords
from auditors.opening import OwnKeys
from auditors.opening_home import verified_terms
from auditors.reporting.document import Sources, build_document
from auditors.reporting.field_titles import _COUNTS, _HASHES
from auditors.reporting.period import Period, zone_named
from auditors.reporting.type_titles import _TITLES
from auditors.verification.state import load_state
from crypto.errors import DoudiError
from policies.contracts.ledger.record_types import RECORD_TYPES
from policies.contracts.ledger.records import Record, to_plain
from policies.contracts.ledger.terms import COORDINATOR

SHANGHAI = ZoneInfo("Asia/Shanghai")


def document_of(home, period=None):
    with OpenedRecords.read(home.opened_file) as opened:
        checkpoints = CheckpointsHere(home.store, verified_terms(home))
        sources = Sources(opened, checkpoints, load_state(home), OwnKeys(all_keys(home)).ids)
        return build_document(sources, period or Period(SHANGHAI), MONDAY)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reported")
    story = Story(folder / "log")
    return story, story.opened(folder)


@pytest.fixture(scope="module")
def document(told):
    return document_of(told[1])


def test_who_used_what_for_which_purpose(document):
    rows = {(row["who"], row["purpose"], row["asset"]): row for row in document["uses"]}
    row = rows["civil_affairs", "social_assistance", "tax/tax"]
    # run-0001, run-0002, run-0004 and the hidden one; the first and the last but one finished; tax answered 3 + 2 + 3 steps.
    assert (row["grants"], row["runs"], row["runs_finished"], row["steps_answered"], row["results_read"]) == (
        1,
        4,
        2,
        8,
        2,
    )
    assert ("civil_affairs", "medical_assistance", "tax/tax") not in rows
    assert rows["civil_affairs", "medical_assistance", "human_resources/human_resources"]["runs"] == 2


def test_runs_say_how_they_ended_and_what_is_unknown(document):
    runs = {row["run"]: row for row in document["runs"]["newest"]}
    assert {run: row["state"] for run, row in runs.items()} == {
        FINISHED: "finished",
        FAILED: "failed",
        CRASHED: "finished",
        LOST: "without_end",
        HIDDEN: "unrecorded",
        "run-0005": "finished",
    }
    assert document["runs"]["without_result"] == 3
    assert runs[FAILED]["code"] == "step.lost"
    (crashed,) = runs[CRASHED]["unknown"]
    assert (crashed["department"], crashed["step"], crashed["stated"]) == ("tax", "train", True)
    (lost,) = runs[LOST]["unknown"]
    assert (lost["department"], lost["stated"]) == ("health_disability", False)
    assert runs[CRASHED]["steps"]["tax"] == {"started": 4, "answered": 3, "unknown": 1}
    assert document["runs"]["unknown_steps"] == 2
    steps = {row["department"]: row for row in document["steps_by_department"]}
    assert (steps["health_disability"]["failed"], steps["health_disability"]["unknown"]) == (1, 1)


def test_budgets_stand_against_the_caps_that_were_recorded(document):
    rows = {(row["department"], row["account"]): row for row in document["budgets"]}
    label = rows["civil_affairs", "label"]
    assert (label["charged"], label["charges"], label["refused"], label["cap"]) == (5000, 5, 1, 8000)
    line = rows["health_disability", "line"]
    # The refused plan was not charged.
    assert (line["charged"], line["refused"], line["cap"]) == (2600, 1, 3000)
    assert (rows["tax", "evidence"]["charged"], rows["tax", "evidence"]["cap"]) == (6, 40)


def test_refusals_are_counted_by_code_and_party(document):
    rows = {(row["type"], row["code"], row["who"]): row["times"] for row in document["refusals"]}
    assert rows["node.step.refused", "grant.expired", "tax"] == 4
    assert rows["request.refused", "auth.not_allowed", "civil_affairs"] == 1
    assert rows["request.declined", "request.purpose_not_allowed", "housing"] == 1
    assert document["refusals"][0]["times"] == 4


def test_numbering_has_no_gap_where_nothing_is_missing(document):
    assert {row["producer"] for row in document["numbering"]} == set(Story.__init__.__globals__["DEPARTMENTS"])
    assert all(row["gaps"] == [] and row["entries"] == row["last"] for row in document["numbering"])


def test_a_shredded_batch_says_who_destroyed_it_and_why(told, document):
    (row,) = document["shredded"]
    assert (row["first_index"], row["entries"], row["producer"]) == (told[0].shredded, 2, "housing")
    assert (row["stated"]["code"], row["stated"]["account"], row["stated"]["who"]) == ("legal_order", 4, "centre")
    assert document["coverage"]["shredded"] == 2
    assert document["coverage"]["opened"] == document["coverage"]["entries"] - 2


def test_witnesses_have_their_last_cosignature(told, document):
    assert document["quorum"] == 4
    assert {row["size"] for row in document["witnesses"]} == {told[0].world.size}
    assert document["witnessed"]["size"] == told[0].world.size


def test_a_witness_that_never_cosigned_is_shown_without_one(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    world.fill(20)
    world.publish(cosigners=["health", "tax"])
    home = world.home(tmp_path / "audit")
    chain = verified_terms(home)
    rows = {row["department"]: row for row in CheckpointsHere(home.store, chain).witnesses()}
    assert rows["pension"] == {"department": "pension", "size": None, "at": None}
    assert rows["tax"]["size"] == 20


def test_acts_at_unusual_hours_are_those_of_people_by_the_stated_rule(document):
    hours = document["hours"]
    found = {(act["type"], act["at"]) for act in hours["newest_unusual"]}
    kinds = sorted(kind for kind, _ in found)
    # Sunday at two, a run at eleven in the evening, and a sign-in on a Sunday.
    assert kinds == [
        "account.roles_changed",
        "account.signed_in",
        "account.signed_in",
        "node.results.read",
        "node.run.scheduled",
        "run.created",
    ]
    assert hours["unusual"] == len(found)
    assert sum(map(sum, hours["by_weekday_and_hour"])) == hours["acts"]
    assert {"who": "centre", "account": 5, "acts": 2} in hours["by_person"]


def test_the_rule_of_hours_follows_the_zone(told):
    _, home = told
    other = document_of(home, Period(zone_named("America/New_York")))
    assert other["hours"]["unusual"] > 30
    assert other["period"]["zone"] == "America/New_York"


@pytest.mark.parametrize(
    ("hours_after_monday_nine", "unusual"),
    [
        (0, False),
        (-2, False),
        (-2.01, True),
        (10.99, False),
        (11, True),
        (4 * 24, False),
        (5 * 24, True),
        (6 * 24, True),
    ],
)
def test_usual_hours_are_from_seven_to_twenty_on_weekdays(hours_after_monday_nine, unusual):
    at = MONDAY + int(hours_after_monday_nine * 3600)
    assert Period(SHANGHAI).is_unusual(at) is unusual


def test_a_time_that_no_calendar_has_ends_nothing():
    period = Period(SHANGHAI)
    assert period.is_unusual(2**53)
    assert period.local(2**53) is None


def test_an_unknown_zone_is_refused():
    with pytest.raises(DoudiError, match=r"report\.unknown_zone"):
        zone_named("Mars/Olympus")
    with pytest.raises(DoudiError, match=r"report\.unknown_zone"):
        zone_named("../../etc/passwd")


def test_sign_ins_and_changes_of_roles_stand_by_account(document):
    accounts = {row["account"]: row for row in document["sign_ins"]["accounts"]}
    assert (accounts[2]["sign_ins"], accounts[5]["sign_ins"]) == (6, 1)
    assert accounts[3]["events"]["account.locked"] == 1
    changed = [act for act in document["sign_ins"]["changes"] if act["type"] == "account.roles_changed"]
    assert [(act["account"], act["about"]) for act in changed] == [(5, 5)]


def test_changes_of_rules_terms_and_auditors_are_listed(document):
    kinds = [act["type"] for act in document["changes"]["newest"]]
    assert kinds[:4] == ["policy.activated", "policy.approved", "policy.proposed", "ledger.batch_shredded"]
    assert document["terms"][0]["auditors"] == ["court"]


def test_terms_say_which_auditors_and_witnesses_came_and_went(tmp_path):
    from ledger_world import AuditorKeys

    world = LedgerWorld(tmp_path / "log")
    world.auditors = [AuditorKeys("court"), AuditorKeys("new")]
    del world.departments["tax"]
    world.renew_terms()
    world.fill(8)
    world.publish()
    home = world.home(tmp_path / "audit", auditor=1)
    from auditors.reporting.log_state import terms_of

    _, second = terms_of(verified_terms(home).terms)
    # The first one has other keys under the same name: it is both gone and new.
    assert (second["auditors_added"], second["auditors_removed"]) == (["court", "new"], ["court"])
    assert (second["witnesses_added"], second["witnesses_removed"]) == ([], ["tax"])


def test_findings_of_verification_opening_and_records_stand_together(document):
    assert document["finding_counts"] == {
        "batch.shredded": 1,
        "step.outcome_unknown": 2,
        "run.without_end": 1,
        "run.unrecorded": 1,
        "witness.reports_refusal": 1,
    }


def test_a_gap_in_a_departments_numbers_is_shown(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    plain = to_plain(Record("node.report.signed", world.now), RECORD_TYPES)
    world.place(world.batch("tax", [plain, plain]))
    world.batch("tax", [plain, plain, plain])
    world.place(world.batch("tax", [plain]))
    home, opened = opened_of(world, tmp_path / "audit")
    opened.close()
    document = document_of(home)
    (row,) = (row for row in document["numbering"] if row["producer"] == "tax")
    assert (row["gaps"], row["entries"], row["last"]) == ([[3, 5]], 3, 6)
    assert document["finding_counts"]["batch.gap"] == 1


def test_a_period_takes_acts_and_runs_of_its_time_only(told):
    _, home = told
    third_day = Period(SHANGHAI, MONDAY + 3 * DAY_S, MONDAY + 4 * DAY_S)
    document = document_of(home, third_day)
    assert [row["run"] for row in document["runs"]["newest"]] == [FINISHED]
    assert [row["charged"] for row in document["budgets"] if row["account"] == "label"] == [1000]
    assert document["refusals"] == []
    # What is wrong with the log is wrong whatever the period.
    assert document["finding_counts"]["run.unrecorded"] == 1


def test_the_document_is_json_without_floats_that_no_number_stands_for(document):
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_an_empty_log_has_an_empty_report(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    world.add(COORDINATOR, [Record("ledger.opened", world.now, counts={"size": 0})])
    home, opened = opened_of(world, tmp_path / "audit")
    opened.close()
    document = document_of(home)
    assert (document["uses"], document["runs"]["total"], document["refusals"], document["findings"]) == ([], 0, [], [])


def test_a_running_step_of_a_running_run_is_not_called_unknown(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    of_run = {"run": "run-1", "project": "winter-aid", "grant_hash": grant_of("winter-aid")}
    world.add(COORDINATOR, [Record("run.started", world.now, **of_run, counts={"attempt": 1})])
    world.add("tax", [Record("node.step.started", world.now, **of_run, attempt=1, step="train")])
    for after, unknown, without_end in ((0, 0, False), (3601, 1, False), (86_401, 1, True)):
        world.add(COORDINATOR, [Record("account.signed_in", world.now + after, account=1)])
        home, opened = opened_of(world, tmp_path / "audit")
        opened.close()
        (run,) = document_of(home)["runs"]["newest"]
        assert (len(run["unknown"]), run["state"] == "without_end") == (unknown, without_end)


def test_two_intents_in_a_row_leave_one_outcome_unknown(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    of_run = {"run": "run-1", "attempt": 1, "step": "train", "project": "winter-aid"}
    started, answered = (
        Record("node.step.started", world.now, **of_run),
        Record("node.step.answered", world.now, **of_run),
    )
    world.add(COORDINATOR, [Record("run.started", world.now, run="run-1")])
    world.add("tax", [started, started, answered])
    home, opened = opened_of(world, tmp_path / "audit")
    opened.close()
    (run,) = document_of(home)["runs"]["newest"]
    assert [step["index"] for step in run["unknown"]] == [1]


def test_the_refusal_of_another_request_is_not_the_outcome_of_the_step(tmp_path):
    world = LedgerWorld(tmp_path / "log")
    of_run = {"run": "run-1", "attempt": 1, "step": "train"}
    started = Record("node.step.started", world.now, **of_run, project="winter-aid", hashes={"request": "aa" * 32})
    refused = Record(
        "node.step.refused", world.now, **of_run, code="step.different_request", hashes={"request": "bb" * 32}
    )
    world.add(
        COORDINATOR, [Record("run.started", world.now, run="run-1"), Record("run.finished", world.now, run="run-1")]
    )
    world.add("tax", [started, refused])
    for outcome, unknown in (
        (None, 1),
        (Record("node.step.refused", world.now, **of_run, hashes={"request": "aa" * 32}), 0),
    ):
        if outcome is not None:
            world.add("tax", [outcome])
        home, opened = opened_of(world, tmp_path / "audit")
        opened.close()
        (run,) = document_of(home)["runs"]["newest"]
        assert len(run["unknown"]) == unknown


def test_every_type_number_and_hash_of_a_record_has_its_title_in_both_languages():
    counts, hashes = set(), set()
    for kind in RECORD_TYPES.values():
        counts |= kind.counts
        hashes |= kind.hashes
    assert RECORD_TYPES.keys() <= _TITLES.keys()
    assert counts <= _COUNTS.keys()
    assert hashes <= _HASHES.keys()
    for titles in (_TITLES, _COUNTS, _HASHES):
        assert all(en and zh for en, zh in titles.values())
