"""Departments lost in any step: a supporting one is left out and named, the lead ends the attempt, and a second one succeeds."""

from typing import Any

import pytest
from region import DEPARTMENTS, LEAD, EngineRelay, Marks, Opened, Stages, lose

from crypto.errors import DoudiError
from policies.contracts.steps import Step

SUPPORTING = tuple(name for name in DEPARTMENTS if name != LEAD)


@pytest.mark.parametrize("step", [Step.BLIND, Step.EVALUATE, Step.FINISH, Step.TRAIN])
@pytest.mark.parametrize("department", SUPPORTING)
def test_a_run_finishes_without_a_supporting_department_and_says_so(
    region_before: Any, stages: Stages, department: str, step: Step
) -> None:
    region, marks = region_before(step), Marks()
    outcome = region.run(stages.signed, stages.manifest, EngineRelay(region.engines, lose(department, step)), marks)
    assert outcome["run"]["missing"] == {department: "node.unreachable"}
    assert ("lost", step.value, department, "node.unreachable") in marks.rows
    contributions = outcome["metrics"]["evidence"]["contributions"]
    assert contributions[department] == 0
    assert "sum_only" not in outcome["metrics"]
    asked_later = [row[1] for row in marks.rows if row[0] == "sent" and row[2] == department]
    assert asked_later == [step.value]


@pytest.mark.parametrize("step", [Step.BLIND, Step.EVALUATE])
def test_a_lost_key_holder_is_left_out_of_every_list_so_that_the_others_still_meet(
    region_before: Any, stages: Stages, step: Step
) -> None:
    region = region_before(step)
    region.run(stages.signed, stages.manifest, EngineRelay(region.engines, lose("tax", step)))
    opened = Opened(region, stages.signed, stages.manifest)
    housing, security = opened.pseudonyms("housing"), opened.pseudonyms("public_security")
    assert housing == security
    full = Opened(stages.before(None), stages.signed, stages.manifest).pseudonyms("housing")
    assert not set(housing.values()) & set(full.values())


def test_a_department_lost_after_it_has_acted_is_missing_too(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.TRAIN)
    relay = EngineRelay(region.engines, alter_reply=lose("tax", Step.TRAIN))
    outcome = region.run(stages.signed, stages.manifest, relay)
    assert outcome["run"]["missing"] == {"tax": "node.unreachable"}


def test_two_departments_lost_in_different_steps_are_both_named(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    gone = {("tax", Step.EVALUATE), ("housing", Step.TRAIN)}
    relay = EngineRelay(region.engines, lambda step, name, data: None if (name, step) in gone else data)
    outcome = region.run(stages.signed, stages.manifest, relay)
    assert outcome["run"]["missing"] == dict.fromkeys(("tax", "housing"), "node.unreachable")


def test_a_refusing_department_is_named_with_its_code(region_before: Any, stages: Stages) -> None:
    region, marks = region_before(Step.TRAIN), Marks()
    region.set_policy("tax", allow_evidence=False)
    outcome = region.run(stages.signed, stages.manifest, marks=marks)
    assert outcome["run"]["missing"] == {"tax": "policy.evidence"}
    assert ("refused", "train", "tax", "policy.evidence") in marks.rows


@pytest.mark.parametrize("step", [Step.BLIND, Step.EVALUATE, Step.FINISH, Step.RELEASE, Step.COMBINE])
def test_the_loss_of_the_lead_ends_the_attempt_and_a_second_one_succeeds(
    region_before: Any, stages: Stages, step: Step
) -> None:
    region = region_before(step)
    with pytest.raises(DoudiError) as caught:
        region.run(stages.signed, stages.manifest, EngineRelay(region.engines, lose(LEAD, step)))
    assert caught.value.code == "run.lead_missing"
    assert step.value in caught.value.message
    second = region.schedule(stages.signed, attempt=2)
    first_keys = {offer.sealing_key for offer in stages.manifest.manifest.offers}
    assert first_keys.isdisjoint(offer.sealing_key for offer in second.manifest.offers)
    outcome = region.run(stages.signed, second)
    assert outcome["run"]["missing"] == {}
    assert {"evidence", "sum_only"} <= set(outcome["metrics"])


@pytest.mark.parametrize("step", [Step.BLIND, Step.EVALUATE])
def test_fewer_holders_than_granted_end_the_run_before_a_pseudonym_leaves(
    region_before: Any, stages: Stages, step: Step
) -> None:
    region = region_before(step)
    left = (LEAD, "tax")
    relay = EngineRelay(region.engines, lambda asked, name, data: data if asked is not step or name in left else None)
    with pytest.raises(DoudiError) as caught:
        region.run(stages.signed, stages.manifest, relay)
    assert caught.value.code == "run.too_few_key_holders"
    assert region.run_folder(stages.manifest).request(Step.FINISH, "tax") is None


def test_as_many_holders_as_granted_are_enough(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.EVALUATE)
    left = (LEAD, "tax", "housing")
    relay = EngineRelay(region.engines, lambda _, name, data: data if name in left else None)
    outcome = region.run(stages.signed, stages.manifest, relay)
    assert outcome["run"]["departments"] == sorted(left)
    assert set(outcome["run"]["missing"]) == set(DEPARTMENTS) - set(left)
