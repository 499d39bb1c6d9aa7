"""Searching the opened records: each condition, all together, and what is only found through a grant."""

import pytest
from ledger_story import CRASHED, DAY_S, FINISHED, HIDDEN, MONDAY, Story, grant_of

from auditors.opened import OpenedRecords
from auditors.searching import Query, moment, search
from crypto.errors import DoudiError


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    story = Story(folder / "log")
    home = story.opened(folder)
    with OpenedRecords.read(home.opened_file) as records:
        records.shredded = story.shredded
        yield records


def acts(opened, **conditions):
    return search(opened, Query(limit=10_000, **conditions)).acts


def test_without_a_condition_everything_is_found_the_newest_first(opened):
    found = acts(opened)
    assert len(found) == opened.size
    assert [act.index for act in found] == sorted((act.index for act in found), reverse=True)


def test_a_party_is_found_as_producer_as_who_acted_and_as_whom_it_is_about(opened):
    found = acts(opened, party="tax")
    assert {act.producer for act in found} == {"tax", "coordinator"}
    assert all("tax" in (act.producer, act.who, act.subject) for act in found)
    assert {act.type for act in found} >= {
        "party.registered",
        "node.step.started",
        "run.step_sent",
        "node.grant.signed",
    }


def test_time_is_from_the_start_on_and_before_the_end(opened):
    times = [act.at for act in acts(opened)]
    first, last = min(times), max(times)
    assert len(acts(opened, start=first, end=last)) == opened.size - 1
    day = acts(opened, start=MONDAY + 3 * DAY_S, end=MONDAY + 4 * DAY_S)
    assert 0 < len(day) < opened.size
    assert all(MONDAY + 3 * DAY_S <= act.at < MONDAY + 4 * DAY_S for act in day)


def test_a_kind_is_a_type_or_the_beginning_of_types(opened):
    assert {act.type for act in acts(opened, kind="run.started")} == {"run.started"}
    assert {act.type for act in acts(opened, kind="node.step")} == {
        "node.step.started",
        "node.step.answered",
        "node.step.refused",
        "node.step.failed",
        "node.step.unknown",
    }
    assert not acts(opened, kind="node.ste")
    assert all(act.type.startswith("run.") for act in acts(opened, kind="run"))


def test_an_account_is_found_as_who_acted_and_as_whom_it_is_about(opened):
    found = acts(opened, account=3)
    assert {act.type for act in found} >= {"request.drafted", "account.locked", "account.created"}
    assert all(3 in (act.account, act.about) for act in found)


def test_a_purpose_is_found_through_the_grant_and_through_the_run(opened):
    found = acts(opened, purpose="medical_assistance")
    assert {act.purpose for act in found} == {"medical_assistance"}
    traced = [act for act in found if act.traced]
    assert {act.type for act in traced} >= {"run.started", "node.step.answered", "node.labels.charged"}
    refused = next(act for act in acts(opened, kind="node.step.refused", party="tax"))
    # It names its run only; the grant is the run's.
    assert (refused.run, refused.purpose, refused.traced) == (FINISHED, "social_assistance", True)
    assert refused.index in {act.index for act in acts(opened, purpose="social_assistance")}


def test_an_asset_is_found_where_it_is_named_and_through_the_grant(opened):
    found = acts(opened, asset="health_disability/health_disability")
    assert {act.type for act in found} >= {"asset.registered", "request.drafted", "run.started", "node.step.started"}
    # A department's own steps are about its own asset, though the grant has those of others too.
    own = next(act for act in found if act.type == "node.step.started" and act.producer == "health_disability")
    assert own.assets == ("health_disability/health_disability",)
    assert not any(act.run == CRASHED for act in acts(opened, asset="health_disability/nothing"))


def test_a_run_is_found_wherever_it_is_named(opened):
    found = acts(opened, run=HIDDEN)
    assert [act.type for act in found] == ["node.step.answered", "node.step.started"]


def test_a_grant_is_found_by_its_beginning_and_through_the_run(opened):
    grant = grant_of("winter-aid")
    whole = acts(opened, grant=grant)
    assert whole == acts(opened, grant=grant[:8])
    assert any(act.type == "node.step.refused" for act in whole)
    assert {act.grant for act in whole} == {grant}


def test_conditions_hold_together(opened):
    found = acts(opened, party="tax", run=CRASHED, kind="node.step.started", purpose="social_assistance")
    assert len(found) == 4
    assert not acts(opened, party="tax", run=CRASHED, purpose="medical_assistance")


def test_what_is_not_opened_is_found_by_its_header(opened):
    found = [act for act in acts(opened, party="housing", kind="node.report") if not act.opened]
    assert [act.index for act in found] == [opened.shredded + 1, opened.shredded]


def test_a_limit_says_that_there_is_more(opened):
    result = search(opened, Query(limit=5))
    assert (len(result.acts), result.more) == (5, True)
    assert not search(opened, Query(run=HIDDEN, limit=2)).more


def test_an_act_says_how_to_prove_it(opened):
    act = acts(opened, run=HIDDEN)[0]
    shown = act.shown()
    assert shown["prove"] == f"doudi audit prove {act.index}"
    assert shown["index"] == act.index
    assert "account" not in shown


@pytest.mark.parametrize("query", [Query(limit=0), Query(limit=10**9), Query(grant="abc"), Query(grant="x" * 64)])
def test_wrong_values_are_refused(opened, query):
    with pytest.raises(DoudiError, match=r"search\.bad_value"):
        search(opened, query)


@pytest.mark.parametrize("text", ["' OR 1=1 --", "%", "_", "run.%"])
def test_a_value_is_never_part_of_the_question(opened, text):
    for name in ("party", "purpose", "asset", "kind", "run"):
        assert not acts(opened, **{name: text})


@pytest.mark.parametrize(
    ("text", "as_end", "expected"),
    [
        ("2026-03-02", False, 1_772_409_600),
        ("2026-03-02", True, 1_772_409_600 + DAY_S),
        ("2026-03-02T09:00+08:00", False, MONDAY),
        ("2026-03-02T01:00", True, MONDAY),
        ("2026-03-02T01:00:00Z", False, MONDAY),
    ],
)
def test_a_moment_is_a_day_or_a_time(text, as_end, expected):
    assert moment(text, as_end=as_end) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-03-02T25:00", "9999-12-31", "1772413200"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(DoudiError, match=r"search\.bad_value"):
        moment(text, as_end=True)
