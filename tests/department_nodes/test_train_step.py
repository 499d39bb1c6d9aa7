"""Local training and evidence at a department: what is opened, what is charged, what leaves and what is held back."""

import math
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from region import EXTRACT, LEAD, Opened, Region, Stages, edited, parts_of
from sqlalchemy import select

from crypto.errors import DoudiError
from crypto.randomised_response import debias, keep_threshold
from department_nodes.evidence.levels import SUM_BITS_PER_PERSON, base_rate_level, fit_level_edges, to_levels
from department_nodes.steps.accounts import YEAR_S, Accounts
from department_nodes.store.models import EvidenceChargeRow
from department_nodes.store.session import transaction
from department_nodes.training.evidence_model import EvidenceModel
from policies.contracts.framing import parse_frame
from policies.contracts.steps import Step

NODE = "tax"
EVERY_LEVEL_TELLS_TOO_MUCH = {"disclosure_max_share": 0.01, "disclosure_max_rank_correlation": 0.01}


def evidence_charges(region: Region, name: str = NODE) -> list[int]:
    with transaction(region.engines[name].db) as session:
        return list(session.scalars(select(EvidenceChargeRow.bits_per_person)))


def evidence_only(region: Region, stages: Stages, step: Step = Step.TRAIN) -> bytes:
    """Return the train request of a run in evidence mode."""
    manifest = region.schedule(stages.signed, "run-2", 2, mode="evidence")
    region.run_until(stages.signed, manifest, step)
    data = region.run_folder(manifest).request(step, NODE)
    assert data is not None
    return data


def recomputed(opened: Opened, name: str) -> tuple[Any, Any, float]:
    """Return evidence by row, training rows and base rate, from the model and the cells that a node holds."""
    region = opened.region
    features = region.engines[name].extract.load().features(opened.signed.grant.participant(name).columns)
    evidence = EvidenceModel.from_bytes(opened.value(name, "model")).predict(features)
    cells = opened.label_cells()[opened.slots_by_row(name)]
    train_rows = np.flatnonzero((cells >> 1) == 0)
    return evidence, train_rows, float(debias(cells & 1, keep_threshold(1000))[train_rows].mean())


def test_a_department_sends_a_cell_for_every_slot_and_the_lead_gets_its_register_only(stages: Stages) -> None:
    opened = Opened(stages.before(None), stages.signed, stages.manifest)
    register = opened.slots_by_row(LEAD)
    assert len(register) < len(opened.slots_by_row("housing")) < opened.slots
    passed_on = opened.request(Step.COMBINE, LEAD)
    for name in (NODE, "health_disability", "housing"):
        parts = opened.reply(Step.TRAIN, name)
        assert len(parts["evidence"]) == 17 * opened.slots
        assert len(parts["sum"]) == 18 * opened.slots
        assert len(passed_on[f"evidence/{name}"]) == 17 * len(register)
        assert len(passed_on[f"sum/{name}"]) == 18 * len(register)


def test_a_slot_that_is_not_held_gets_the_base_rate_level(stages: Stages) -> None:
    opened = Opened(stages.before(None), stages.signed, stages.manifest)
    evidence, train_rows, base_rate = recomputed(opened, NODE)
    edges = fit_level_edges(evidence[train_rows], 32, 50)
    sent, held = opened.evidence(NODE), opened.slots_by_row(NODE)
    assert np.array_equal(sent[held], to_levels(evidence, edges))
    not_held = np.setdiff1d(np.arange(opened.slots), held)
    assert len(not_held) > 20
    assert set(sent[not_held].tolist()) == {base_rate_level(base_rate, edges)}


@pytest.mark.parametrize(
    ("part", "change", "code"),
    [
        ("cells", lambda data: data[:-1], "release.wrong_length"),
        ("cells", lambda data: b"", "cells.wrong_shape"),
        ("cells", lambda data: data[: len(data) // 17 * 16], "cells.wrong_shape"),
        ("slots", lambda data: data[:-4], "release.wrong_length"),
        ("slots", lambda data: data + data[:4], "release.wrong_length"),
        ("slots", lambda data: data[:4] + data[:4] + data[8:], "linkage.wrong_slots"),
        ("slots", lambda data: b"\xff\xff\xff\x7f" + data[4:], "linkage.wrong_slots"),
    ],
)
def test_cells_or_slots_of_the_wrong_length_are_refused(
    region_before: Any, stages: Stages, part: str, change: Any, code: str
) -> None:
    region = region_before(Step.TRAIN)
    request = stages.request(Step.TRAIN, NODE)
    altered = edited(request, {part: change(parse_frame(request).parts[part])})
    assert region.ask(Step.TRAIN, NODE, altered) == code
    assert evidence_charges(region) == []


@pytest.mark.parametrize(
    ("slots", "code"),
    [
        (None, "request.malformed"),
        (True, "request.malformed"),
        (0, "request.malformed"),
        ("300", "request.malformed"),
        (10**6, "evidence.too_many_slots"),
    ],
)
def test_a_wrong_number_of_slots_is_refused(region_before: Any, stages: Stages, slots: object, code: str) -> None:
    region = region_before(Step.TRAIN)
    assert region.ask(Step.TRAIN, NODE, edited(stages.request(Step.TRAIN, NODE), terms={"slots": slots})) == code


def test_another_number_of_slots_than_the_lead_released_for_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.TRAIN)
    request = stages.request(Step.TRAIN, NODE)
    more = parse_frame(request).header["terms"]["slots"] + 1
    assert region.ask(Step.TRAIN, NODE, edited(request, terms={"slots": more})) == "envelope.wrong_header"


def test_evidence_bits_are_charged_once_per_attempt_with_the_sum(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    levels = int(Opened(region, stages.signed, stages.manifest).evidence(NODE).max()) + 1
    assert evidence_charges(region) == [max(1, math.ceil(math.log2(levels))) + SUM_BITS_PER_PERSON]
    region.engines[NODE].answer(stages.request(Step.TRAIN, NODE))
    assert len(evidence_charges(region)) == 1


def test_the_evidence_account_refuses_when_it_is_used_up_and_opens_again_after_a_year(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(Step.TRAIN)
    engine, grant_hash, now_s = region.engines[NODE], stages.signed.grant_hash, int(region.clock())
    Accounts(engine.db, "support-2026", grant_hash, "run-0", 1, now_s).charge_evidence(55, 60)
    assert region.ask(Step.TRAIN, NODE, stages.request(Step.TRAIN, NODE)) == "evidence.budget_exhausted"
    assert evidence_charges(region) == [55]
    within = Accounts(engine.db, "support-2026", grant_hash, "run-8", 1, now_s + YEAR_S - 1)
    with pytest.raises(DoudiError) as caught:
        within.charge_evidence(6, 60)
    assert caught.value.code == "evidence.budget_exhausted"
    Accounts(engine.db, "support-2026", grant_hash, "run-9", 1, now_s + YEAR_S).charge_evidence(60, 60)


def test_over_the_disclosure_cap_evidence_is_refused_in_evidence_mode(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.TRAIN)
    request = evidence_only(region, stages)
    region.set_policy(NODE, **EVERY_LEVEL_TELLS_TOO_MUCH)
    assert region.ask(Step.TRAIN, NODE, request) == "disclosure.over_cap"
    assert evidence_charges(region) == []


def test_over_the_disclosure_cap_mode_both_withholds_evidence_and_sum_and_charges_nothing(
    region_before: Any, stages: Stages
) -> None:
    """With the others' levels the lead could subtract a sum down to the very evidence that the cap withholds."""
    region = region_before(Step.TRAIN)
    region.set_policy(NODE, **EVERY_LEVEL_TELLS_TOO_MUCH)
    reply = region.engines[NODE].answer(stages.request(Step.TRAIN, NODE))
    assert set(parts_of(reply)) == set()
    assert parse_frame(reply[64:]).header["facts"]["evidence_withheld"] == "disclosure.over_cap"
    assert evidence_charges(region) == []


def test_over_the_disclosure_cap_a_sum_only_run_is_still_possible(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    region.set_policy(NODE, **EVERY_LEVEL_TELLS_TOO_MUCH)
    manifest = region.schedule(stages.signed, "run-2", 2, mode="sum_only")
    assert "sum_only" in region.run(stages.signed, manifest)["metrics"]


def test_the_run_goes_on_with_the_evidence_of_the_others_when_one_withholds_it(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(Step.TRAIN)
    region.set_policy(NODE, **EVERY_LEVEL_TELLS_TOO_MUCH)
    outcome = region.run(stages.signed, stages.manifest)
    assert outcome["metrics"]["evidence"]["contributions"][NODE] == 0
    assert "sum_only" not in outcome["metrics"]


def test_the_disclosure_meter_is_kept_for_the_officer(stages: Stages) -> None:
    import json

    from department_nodes.store.models import ReportRow

    engine = stages.before(None).engines[NODE]
    with transaction(engine.db) as session:
        report = session.get(ReportRow, ("run-1", 1, "disclosure"))
        document = json.loads(report.document)
    columns = stages.signed.grant.participant(NODE).columns
    assert {each["column"] for each in document["columns"]} == set(columns)
    assert document["cap"]["max_share"] == 1.0


def test_a_training_set_that_is_too_small_gives_a_clear_code(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.TRAIN)
    region.set_policy(NODE, minimum_people_per_level=1000)
    assert region.ask(Step.TRAIN, NODE, stages.request(Step.TRAIN, NODE)) == "evidence.too_few_people"
    assert evidence_charges(region) == []


@pytest.mark.parametrize(("step", "name"), [(Step.RELEASE, LEAD), (Step.TRAIN, NODE), (Step.COMBINE, LEAD)])
def test_rows_in_another_order_change_nothing_and_other_people_are_refused(
    region_before: Any, stages: Stages, step: Step, name: str
) -> None:
    region = region_before(step)
    path = region.folder / name / EXTRACT
    table = pq.read_table(path)
    pq.write_table(table.slice(0, table.num_rows - 1), path)
    assert region.ask(step, name, stages.request(step, name)) == "extract.changed"
    # A database gives its rows in any order: the node names them by their number's place, not by the file's.
    pq.write_table(table.take(list(reversed(range(table.num_rows)))), path)
    assert region.ask(step, name, stages.request(step, name)) == "ok"
