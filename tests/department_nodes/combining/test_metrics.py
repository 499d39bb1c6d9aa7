import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from crypto.errors import DoudiError
from department_nodes.combining.metrics import evaluate


def region(households: int = 6000, seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    probability = generator.beta(1, 2, households)
    return {
        "probability": probability,
        "labels": (generator.random(households) < probability).astype(np.uint8),
        "held_out": generator.random(households) < 0.5,
        "subgroups": {"type": np.asarray(["couple", "single", "other"])[generator.integers(0, 3, households)]},
    }


def test_scores_are_those_of_the_held_out_households() -> None:
    given = region()
    result = evaluate(**given)
    label, score = given["labels"][given["held_out"]], given["probability"][given["held_out"]]
    assert result["households"] == len(label)
    assert result["positives"] == label.sum()
    assert result["auc"] == pytest.approx(roc_auc_score(label, score), abs=1e-6)
    assert result["average_precision"] == pytest.approx(average_precision_score(label, score), abs=1e-6)
    assert result["brier"] == pytest.approx(brier_score_loss(label, score), abs=1e-6)
    assert result["auc_interval"][0] < result["auc"] < result["auc_interval"][1]


def test_training_households_do_not_count() -> None:
    given = region()
    first = evaluate(**given)
    given["labels"][~given["held_out"]] = 0
    assert evaluate(**given) == first


def test_calibration_covers_everybody_in_rising_bins_that_match_when_the_model_is_right() -> None:
    result = evaluate(**region(40_000))
    bins = result["calibration"]
    assert len(bins) == 10
    assert sum(row["households"] for row in bins) == result["households"]
    predicted = [row["predicted"] for row in bins]
    assert predicted == sorted(predicted)
    for row in bins:
        # Five standard errors of a share among at least 1,900 households.
        assert abs(row["predicted"] - row["observed"]) < 5 * np.sqrt(0.25 / row["households"])


def test_calibration_bins_with_few_households_in_need_join_their_neighbours() -> None:
    given = region(400)
    given["labels"] = (given["probability"] > 0.5).astype(np.uint8)
    for row in evaluate(**given)["calibration"]:
        in_need = round(row["observed"] * row["households"])
        assert in_need >= 10
        assert row["households"] - in_need >= 10


def test_recall_at_a_share_counts_the_same_list_for_each_subgroup() -> None:
    given = region()
    result = evaluate(**given)
    label, score = given["labels"][given["held_out"]], given["probability"][given["held_out"]]
    names = given["subgroups"]["type"][given["held_out"]]
    top = np.argsort(-score, kind="stable")[: round(0.1 * len(score))]
    entry = next(row for row in result["recall"] if row["top"] == 0.1)
    assert entry["recall"] == pytest.approx(label[top].sum() / label.sum(), abs=1e-6)
    assert entry["interval"][0] <= entry["recall"] <= entry["interval"][1]
    for row in result["subgroups"]["type"]:
        member = names == row["group"]
        assert row["households"] == member.sum()
        expected = (label[top] * member[top]).sum() / (label * member).sum()
        assert row["recall"][1]["recall"] == pytest.approx(expected, abs=1e-6)


def test_small_groups_and_what_would_reveal_them_are_none() -> None:
    given = region(2000)
    groups = np.asarray(["north", "south", "west"])[np.arange(2000) % 3].astype("<U8")
    groups[:12] = "hamlet"
    given["subgroups"] = {"area": groups}
    rows = {row["group"]: row for row in evaluate(**given)["subgroups"]["area"]}
    assert rows["hamlet"]["households"] is None
    assert rows["hamlet"]["positives"] is None
    hidden = [name for name, row in rows.items() if row["households"] is None]
    assert len(hidden) == 2
    for name in hidden:
        assert all(entry["recall"] is None and entry["interval"] is None for entry in rows[name]["recall"])


def test_a_recall_that_would_tell_how_few_were_found_or_missed_is_none() -> None:
    generator = np.random.default_rng(5)
    given = region(4000)
    given["subgroups"] = {"area": generator.integers(0, 25, 4000)}
    result = evaluate(**given)
    shown = 0
    for row in result["subgroups"]["area"]:
        for entry in row["recall"]:
            if entry["recall"] is not None:
                found = round(entry["recall"] * row["positives"])
                assert found >= 10
                assert row["positives"] - found >= 10
                shown += 1
    assert shown > 0
    assert result["subgroups"]["area"][0]["recall"][0]["recall"] is None


@pytest.mark.parametrize("label", [0, 1])
def test_with_too_few_in_need_or_too_few_others_only_the_number_of_households_is_told(label: int) -> None:
    given = region(500)
    given["labels"][:] = label
    given["labels"][np.flatnonzero(given["held_out"])[:9]] = 1 - label
    result = evaluate(**given)
    assert isinstance(result["households"], int)
    for key in ("positives", "auc", "auc_interval", "average_precision", "brier", "calibration"):
        assert result[key] is None
    assert [entry["recall"] for entry in result["recall"]] == [None] * 3
    assert result["subgroups"] == {"type": []}


def test_fewer_households_than_the_minimum_tell_nothing_at_all() -> None:
    given = region(500)
    given["held_out"] = np.arange(500) < 9
    assert evaluate(**given)["households"] is None


def test_the_result_is_plain_json_and_the_same_for_the_same_seed() -> None:
    result = evaluate(**region())
    assert json.loads(json.dumps(result)) == result
    assert evaluate(**region()) == result


def test_what_does_not_fit_together_is_refused_with_its_code() -> None:
    given = region(100)
    for change, code in [
        ({"labels": given["labels"][:-1]}, "combining.wrong_length"),
        ({"subgroups": {"type": np.zeros(3)}}, "combining.wrong_length"),
        ({"probability": given["probability"] + 1}, "combining.not_a_probability"),
        ({"probability": given["probability"] * np.nan}, "combining.not_a_probability"),
    ]:
        with pytest.raises(DoudiError) as refused:
            evaluate(**{**given, **change})
        assert refused.value.code == code
