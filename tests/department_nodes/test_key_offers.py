"""Offers of run keys: nothing leaves a node whose grant, extract or list does not fit."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from region import EXTRACT, LEAD, Region, Stages, edited
from sqlalchemy import func, select

from crypto.errors import DoudiError
from department_nodes.home import IDENTITY_KEY
from department_nodes.offers import make_offer
from department_nodes.officers import make_manifest
from department_nodes.store.models import EventRow, RunKeyRow, SentRow
from department_nodes.store.session import transaction
from policies.contracts.steps import Step

NODE = "tax"


def change_extract(region: Region, change: Any, name: str = NODE) -> None:
    path = region.folder / name / EXTRACT
    pq.write_table(change(pq.read_table(path)), path)


def with_first(table: pa.Table, column: str, value: object) -> pa.Table:
    """Return the table with another value in the first row of a column."""
    index = table.column_names.index(column)
    values = [value, *table.column(index).to_pylist()[1:]]
    return table.set_column(index, column, pa.array(values, pa.int64() if isinstance(value, int) else pa.string()))


def counts(region: Region) -> tuple[int, int]:
    """Return how many run keys the node has made and how many things it has sent."""
    with transaction(region.engines[NODE].db) as session:
        keys = session.scalar(select(func.count()).select_from(RunKeyRow)) or 0
        return keys, session.scalar(select(func.count()).select_from(SentRow)) or 0


def refusal(region: Region, stages: Stages, run_id: str = "run-2", attempt: int = 1) -> str:
    with pytest.raises(DoudiError) as caught:
        make_offer(region.engines[NODE], stages.signed, run_id, attempt)
    return caught.value.code


def test_an_offer_is_made_once_and_is_the_same_after_a_restart(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    first = make_offer(region.engines[NODE], stages.signed, "run-2", 1)
    assert make_offer(region.engines[NODE], stages.signed, "run-2", 1) == first
    assert make_offer(region.restart(NODE), stages.signed, "run-2", 1) == first
    second_attempt = make_offer(region.engines[NODE], stages.signed, "run-2", 2)
    assert {first.sealing_key, first.mask_key}.isdisjoint({second_attempt.sealing_key, second_attempt.mask_key})
    first.verify(stages.signed.grant.participant(NODE).identity_key)
    with transaction(region.engines[NODE].db) as session:
        events = session.scalars(select(EventRow.type).where(EventRow.run_id == "run-2")).all()
    assert events == ["run.keys_offered", "run.keys_offered"]


FAULTS = [
    ("invalid ID", lambda table: with_first(table, "resident_id", "110101185001010011")),
    ("same ID twice", lambda table: with_first(table, "resident_id", table.column("resident_id")[1].as_py())),
    ("out of range", lambda table: with_first(table, "WAGP", -5)),
    ("missing column", lambda table: table.drop_columns(["WAGP"])),
    ("not a table", None),
]


@pytest.mark.parametrize("change", [case[1] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_a_faulty_extract_stops_the_run_before_keys_are_offered(
    region_before: Any, stages: Stages, change: Any
) -> None:
    region = region_before(Step.BLIND)
    before = counts(region)
    if change is None:
        (region.folder / NODE / EXTRACT).write_bytes(b"not a table")
    else:
        change_extract(region, change)
    assert refusal(region, stages).startswith("extract.")
    assert counts(region) == before


def test_a_faulty_extract_after_the_offer_stops_the_first_step(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    change_extract(region, lambda table: with_first(table, "WAGP", -5))
    assert region.ask(Step.BLIND, NODE, stages.request(Step.BLIND, NODE)) == "extract.faults"
    assert counts(region)[1] == 0


def test_an_extract_of_another_length_than_offered_is_refused(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    change_extract(region, lambda table: table.slice(1))
    assert region.ask(Step.BLIND, NODE, stages.request(Step.BLIND, NODE)) == "extract.changed"
    assert counts(region)[1] == 0


def test_an_extract_longer_than_declared_is_refused_and_a_shorter_one_offered(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    path = region.folder / NODE / EXTRACT
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    shorter = region.sign(declared(region, table.num_rows - 1))
    assert make_offer(region.engines[NODE], shorter, "run-2", 1).people == table.num_rows - 1
    pq.write_table(table, path)
    with pytest.raises(DoudiError) as caught:
        make_offer(region.engines[NODE], shorter, "run-3", 1)
    assert caught.value.code == "offer.list_too_long"


def declared(region: Region, people: int) -> Any:
    grant = region.draft()
    shares = tuple(
        each.model_copy(update={"declared_people": people}) if each.department == NODE else each
        for each in grant.participants
    )
    return grant.model_copy(update={"participants": shares})


@pytest.mark.parametrize(("run_id", "attempt"), [("../run", 1), ("", 1), ("Run", 1), ("run-2", 0), ("run-2", 11)])
def test_a_run_of_a_malformed_name_or_attempt_is_refused(
    region_before: Any, stages: Stages, run_id: str, attempt: int
) -> None:
    assert refusal(region_before(Step.BLIND), stages, run_id, attempt) == "offer.bad_run"


def test_no_keys_are_offered_for_a_grant_that_the_guard_refuses(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    before = counts(region)
    region.set_policy(NODE, max_epsilon_milli=500)
    assert refusal(region, stages) == "policy.epsilon"
    assert counts(region) == before


def test_no_keys_are_offered_for_a_run_that_has_keys_under_another_grant(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    other = region.sign(region.draft())
    with pytest.raises(DoudiError) as caught:
        make_offer(region.engines[NODE], other, "run-1", 1)
    assert caught.value.code == "offer.other_grant"


def test_the_scheduler_signs_no_run_with_an_offer_of_another_key(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    offers = list(stages.manifest.manifest.offers)
    run = {"run_id": "run-1", "run_number": 1, "attempt": 1}
    make_manifest(region.homes[LEAD], stages.signed, run, offers, "both", int(region.clock()))
    forged = offers[1].signed(region.homes[LEAD].key(IDENTITY_KEY))
    assert offers[1].department != LEAD
    with pytest.raises(DoudiError) as caught:
        make_manifest(region.homes[LEAD], stages.signed, run, [forged, *offers[2:]], "both", int(region.clock()))
    assert caught.value.code == "offer.bad_signature"


def test_other_labels_or_values_between_offer_and_first_step_are_no_fault(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    change_extract(region, lambda table: table.take(list(reversed(range(table.num_rows)))))
    assert region.ask(Step.BLIND, NODE, edited(stages.request(Step.BLIND, NODE))) == "ok"
