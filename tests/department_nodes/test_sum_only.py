"""Sum-only mode over real nodes: the sum over the exact set appears at the lead, a single vector nowhere."""

import itertools
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from region import DEPARTMENTS, LEAD, EngineRelay, Opened, Region, Stages, edited, lose, parts_of
from scipy.stats import chi2
from sqlalchemy import func, select

from crypto.errors import DoudiError
from crypto.masking import unmask_sum
from crypto.randomised_response import debias, keep_threshold
from department_nodes.evidence.levels import base_rate_logit, sum_only_code
from department_nodes.store.models import SentRow, SumSetRow
from department_nodes.store.session import transaction
from department_nodes.training.evidence_model import EvidenceModel
from policies.contracts.grant import SignedGrant
from policies.contracts.steps import Step

SUPPORTING = tuple(name for name in DEPARTMENTS if name != LEAD)
NODE = "tax"


def codes(opened: Opened, name: str) -> Any:
    """Return the integers that a department put under its masks, int64 [slots], from the model and cells that it holds."""
    features = opened.region.engines[name].extract.load().features(opened.signed.grant.participant(name).columns)
    evidence = EvidenceModel.from_bytes(opened.value(name, "model")).predict(features)
    own = opened.slots_by_row(name)
    cells = opened.label_cells()[own]
    base_rate = float(debias(cells & 1, keep_threshold(1000))[(cells >> 1) == 0].mean())
    values = np.full(opened.slots, sum_only_code(np.array([base_rate_logit(base_rate)], np.float32))[0], np.int64)
    values[own] = sum_only_code(evidence)
    return values


@pytest.fixture(scope="module")
def opened(stages: Stages) -> Opened:
    """The messages of the finished run of mode `both`."""
    return Opened(stages.before(None), stages.signed, stages.manifest)


def test_the_sum_over_the_exact_set_is_the_sum_of_the_codes(opened: Opened) -> None:
    total = unmask_sum([opened.masked(name) for name in SUPPORTING])
    assert np.array_equal(total, sum(codes(opened, name) for name in SUPPORTING))


def test_every_smaller_sum_is_noise(opened: Opened) -> None:
    vectors = {name: opened.masked(name) for name in SUPPORTING}
    for some in itertools.combinations(SUPPORTING, 4):
        # Uniform sums over 250 slots stay within the possible ±8000 with a probability below 10^-100.
        with pytest.raises(DoudiError) as caught:
            unmask_sum([vectors[name] for name in some])
        assert caught.value.code == "masking.sum_out_of_range"


def test_a_single_vector_is_uniform_even_to_who_opens_its_cells(opened: Opened) -> None:
    # Chi-square over 16 bins of each byte of all five vectors; false alarm: 10^-6 per test, two tests.
    masked = np.concatenate([opened.masked(name) for name in SUPPORTING])
    limit = chi2.isf(1e-6, 15)
    for shift in (4, 12):
        counts = np.bincount(masked >> shift & 15, minlength=16)
        expected = len(masked) / 16
        assert ((counts - expected) ** 2 / expected).sum() < limit
    # The same test does see the codes when nothing masks them.
    plain = np.concatenate([codes(opened, name) for name in SUPPORTING]).astype(np.int16).view(np.uint16)
    counts = np.bincount(plain >> 12 & 15, minlength=16)
    assert ((counts - expected) ** 2 / expected).sum() > limit


def test_the_masks_of_another_run_are_others(region_before: Any, stages: Stages, opened: Opened) -> None:
    region = region_before(Step.BLIND)
    manifest = region.schedule(stages.signed, "run-2", 2, mode="sum_only")
    region.run_until(stages.signed, manifest, Step.COMBINE)
    second = Opened(region, stages.signed, manifest)
    difference = [first.masked(NODE)[first.slots_by_row(NODE)].astype(np.int64) for first in (opened, second)]
    # The codes differ by at most 32; two masked values do so by chance once in a thousand.
    assert (np.abs(difference[0] - difference[1]) > 32).mean() > 0.9


def five_parties(region: Region) -> SignedGrant:
    """Return a signed grant of the same project without housing."""
    region.departments = tuple(name for name in DEPARTMENTS if name != "housing")
    return region.sign(region.draft())


def test_no_second_sum_is_taken_over_another_set(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    signed = five_parties(region)
    manifest = region.schedule(signed, "run-2", mode="sum_only")
    region.run_until(signed, manifest, Step.TRAIN)
    request = region.run_folder(manifest).request(Step.TRAIN, NODE)
    for _ in range(2):
        assert region.ask(Step.TRAIN, NODE, request) == "sum_only.other_set"
        region.restart(NODE)
    with transaction(region.engines[NODE].db) as session:
        assert session.scalars(select(SumSetRow.departments)).all() == [",".join(sorted(SUPPORTING))]
        sent = select(func.count()).select_from(SentRow).where(SentRow.run_id == "run-2", SentRow.step == "train")
        assert session.scalar(sent) == 0


def test_another_set_may_be_summed_in_another_label_period(region_before: Any) -> None:
    region = region_before(None)
    five_parties(region)
    signed = region.sign(region.draft(label_period="2027"))
    manifest = region.schedule(signed, "run-2", mode="sum_only")
    region.run_until(signed, manifest, Step.COMBINE)
    assert "sum" in Opened(region, signed, manifest).reply(Step.TRAIN, NODE)


def test_three_supporting_departments_are_needed(region_before: Any) -> None:
    region = region_before(Step.BLIND)
    region.departments = (LEAD, NODE, "housing")
    with pytest.raises(ValidationError, match="three supporting"):
        region.draft()
    region.departments = (LEAD, NODE, "housing", "public_security")
    assert len(region.draft().supporting) == 3


@pytest.mark.parametrize("step", [Step.FINISH, Step.TRAIN])
def test_a_missing_department_aborts_a_sum_only_run(region_before: Any, stages: Stages, step: Step) -> None:
    region = region_before(Step.BLIND)
    manifest = region.schedule(stages.signed, "run-2", 2, mode="sum_only")
    with pytest.raises(DoudiError) as caught:
        region.run(stages.signed, manifest, EngineRelay(region.engines, lose("housing", step)))
    assert caught.value.code == "sum_only.department_missing"
    assert region.run_folder(manifest).request(Step.COMBINE, LEAD) is None


@pytest.mark.parametrize("step", [Step.FINISH, Step.TRAIN])
def test_a_missing_department_leaves_the_evidence_only_in_mode_both(
    region_before: Any, stages: Stages, step: Step
) -> None:
    region = region_before(step)
    outcome = region.run(stages.signed, stages.manifest, EngineRelay(region.engines, lose("housing", step)))
    assert "sum_only" not in outcome["metrics"]
    assert outcome["metrics"]["evidence"]["contributions"]["housing"] == 0
    assert outcome["run"]["missing"] == {"housing": "node.unreachable"}
    passed_on = Opened(region, stages.signed, stages.manifest).request(Step.COMBINE, LEAD)
    assert not [part for part in passed_on if part.startswith("sum")]


def test_a_department_masks_nothing_when_it_is_told_that_one_is_missing(region_before: Any, stages: Stages) -> None:
    fewer = [name for name in SUPPORTING if name != "housing"]
    for departments in (fewer, None, [*SUPPORTING, "education"], [1, [2]]):
        request = edited(stages.request(Step.TRAIN, NODE), terms={"departments": departments})
        reply = region_before(Step.TRAIN).engines[NODE].answer(request)
        assert set(parts_of(reply)) == {"evidence", "evidence-key"}


def test_the_lead_opens_no_sum_over_another_set(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.COMBINE)
    request = stages.request(Step.COMBINE, LEAD)
    fewer = [name for name in sorted(SUPPORTING) if name != "housing"]
    assert region.ask(Step.COMBINE, LEAD, edited(request, terms={"sum": fewer})) == "sum_only.department_missing"
    # A vector given twice in the place of another does not open either: cells and key belong to one sender.
    parts = Opened(region, stages.signed, stages.manifest).request(Step.COMBINE, LEAD)
    doubled = edited(request, {"sum/housing": parts["sum/tax"], "sum-key/housing": parts["sum-key/tax"]})
    assert region.ask(Step.COMBINE, LEAD, doubled) == "envelope.wrong_header"


def test_sums_are_refused_in_a_run_of_evidence_mode(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    manifest = region.schedule(stages.signed, "run-2", 2, mode="evidence", departments=(LEAD, NODE, "housing"))
    region.run_until(stages.signed, manifest, Step.COMBINE)
    request = region.run_folder(manifest).request(Step.COMBINE, LEAD)
    asked = edited(request, terms={"sum": sorted(SUPPORTING)})
    assert region.ask(Step.COMBINE, LEAD, asked) == "manifest.mode_not_granted"
