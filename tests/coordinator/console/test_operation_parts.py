"""What the pages of the operation are computed from: results of runs, texts of rules, secrets that are shown once."""

import pytest

from coordinator.authorization.differences import difference
from coordinator.console.diffs import DiffLine
from coordinator.console.languages import ENGLISH
from coordinator.console.rule_texts import checked, lines_of, shown_rules
from coordinator.console.run_plots import plots_of
from coordinator.console.run_results import parse_results
from coordinator.console.shown_once import KEPT_S, ShownOnce
from policies.authorization.coordinator_rules import shipped_engine

# Results


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"metrics": None, "run": [], "line": "x"},
        {"metrics": {"evidence": [], "sum_only": 1}, "run": {"seconds": "long"}, "line": {"rounds": 3}},
        {
            "metrics": {
                "evidence": {"auc": "high", "auc_interval": [None], "contributions": {"tax": True}, "recall": [1, {}]}
            }
        },
        {"metrics": {"evidence": {"auc": float("nan"), "contributions": {"tax": float("inf"), "housing": 10**400}}}},
        {"line": {"rounds": [None, {"round": "x"}, {"round": -1}, {"survivors": []}], "planned": -3}},
        {"run": {"missing": {"tax": ["code"]}, "bytes_sent": {"tax": None}}},
    ],
)
def test_results_of_any_form_are_shown_as_far_as_they_are_numbers(stored):
    results = parse_results(stored)
    plots = plots_of(ENGLISH, results)
    assert not any((plots.auc, plots.seconds, plots.megabytes, plots.survivors, plots.norms))
    assert results.rounds == []
    assert results.missing == []


def test_what_a_department_reaches_alone_stands_beside_the_modes():
    results = parse_results({"metrics": {"evidence": {"auc": 0.9}, "departments": {"tax": 0.7, "housing": "?"}}})
    bars = plots_of(ENGLISH, results).auc
    assert [(bar.label, bar.value) for bar in bars] == [("Evidence", 0.9), ("Tax alone", 0.7)]


def test_recalls_of_two_modes_stand_under_the_share_that_they_belong_to():
    metrics = {
        "evidence": {"auc": 0.9, "recall": [{"top": 0.05, "recall": 0.2}, {"top": 0.1, "recall": 0.4}]},
        "sum_only": {"auc": 0.8, "recall": [{"top": 0.05, "recall": None}, {"top": 0.1, "recall": 0.3}]},
    }
    results = parse_results({"metrics": metrics})
    assert results.tops == [0.05, 0.1]
    assert results.qualities[1].recall == {0.1: 0.3}


def test_rounds_count_names_and_numbers_alike():
    rows = [
        {"round": 1, "survivors": ["a", "b"], "dropped": {"c": "x"}},
        {"round": 2, "survivors": 2, "dropped": 0, "code": "x.y"},
    ]
    first, second = parse_results({"line": {"rounds": rows}}).rounds
    assert (first.survivors, first.dropped, first.code) == (2, 1, "")
    assert (second.survivors, second.dropped, second.code) == (2, 0, "x.y")


# Rules


def test_every_rule_is_shown_once_with_its_comment_and_its_whole_text():
    engine = shipped_engine()
    shown = shown_rules(engine)
    assert [one.rule.id for one in shown] == [rule.id for rule in engine.rules]
    for one in shown:
        assert one.text.startswith("@id")
        assert one.text.endswith(";")
        assert "//" not in one.text.split("\n")[0]
    by_id = {one.rule.id: one for one in shown}
    assert by_id["policy.not_own"].comment.startswith("Four eyes and a third pair")
    assert by_id["policy.approve"].comment == ""


def test_a_difference_has_gaps_where_lines_are_left_out():
    old = "\n".join(f"line {number}" for number in range(1, 41))
    new = old.replace("line 10\n", "line ten\n").replace("line 30\n", "")
    lines = lines_of(difference(old, new))
    assert [line.hidden for line in lines if line.kind == "gap"] == [6, 13]
    assert DiffLine("removed", "line 10", 10, None) in lines
    assert DiffLine("added", "line ten", None, 10) in lines
    assert lines_of(difference(old, old)) == []


def test_a_check_names_the_rule_or_the_line():
    assert checked(shipped_engine().text).code == ""
    assert checked("permit (").code == "policy.invalid"
    without = shipped_engine().text.replace('@id("policy.not_own")', '@id("policy.other")')
    assert (checked(without).code, "policy.not_own" in checked(without).where) == ("policy.breaks_invariant", True)


# Secrets


def test_a_secret_is_given_once_and_to_its_own_person_only():
    kept = ShownOnce()
    kept.keep(1, "account-7", "secret")
    assert kept.take(2, "account-7") is None
    assert kept.take(1, "account-8") is None
    assert kept.take(1, "account-7") == "secret"
    assert kept.take(1, "account-7") is None


def test_a_secret_that_waits_too_long_is_forgotten_and_the_newest_counts():
    now = [0.0]
    kept = ShownOnce(lambda: now[0])
    kept.keep(1, "a", "first")
    kept.keep(1, "a", "second")
    now[0] = KEPT_S - 1
    assert kept.take(1, "a") == "second"
    kept.keep(1, "a", "third")
    now[0] += KEPT_S
    assert kept.take(1, "a") is None


def test_secrets_that_nobody_fetches_do_not_pile_up():
    kept = ShownOnce(lambda: 0.0)
    for number in range(1000):
        kept.keep(number, "a", "secret")
    assert kept.take(0, "a") is None
    assert kept.take(999, "a") == "secret"
    assert len(kept._kept) < 200
