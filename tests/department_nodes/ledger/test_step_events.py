"""What a node records of a run: how much, for whom and what it was held to, and nothing about a person."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from region import DEPARTMENTS, LEAD, Opened, Region, Stages
from sealed_journal import Auditor, accept_terms
from sqlalchemy import select

from department_nodes.accounts_of_runs import reports, result_arrays
from department_nodes.engine import NodeEngine
from department_nodes.evidence.outcome import meter_counts
from department_nodes.ledger.sealing import seal_pending
from department_nodes.steps.linkage import LIST_SALT_VALUE, list_commitment
from department_nodes.steps.release import period_digest
from department_nodes.store.models import EventRow
from department_nodes.store.session import transaction
from policies.contracts.steps import Step

NODE = "tax"


def rows(engine: NodeEngine, kind: str) -> list[EventRow]:
    with transaction(engine.db) as session:
        return list(session.scalars(select(EventRow).where(EventRow.type == kind).order_by(EventRow.number)))


def only(engine: NodeEngine, kind: str, code: str = "") -> tuple[EventRow, dict[str, int], dict[str, str]]:
    """Return the one event of a type and code, its counts and its hashes."""
    (row,) = [each for each in rows(engine, kind) if each.code == code]
    return row, json.loads(row.counts), json.loads(row.hashes)


def test_the_lead_records_how_much_it_released_and_what_it_is_held_to(stages: Stages) -> None:
    region = stages.before(None)
    engine, opened = region.engines[LEAD], Opened(region, stages.signed, stages.manifest)
    row, counts, hashes = only(engine, "labels.released")
    households = len(set(engine.extract.load().table.column("household_number").to_pylist()))
    assert counts == {"slots": opened.slots, "households": households, "epsilon_milli": 1000}
    assert hashes == {
        "commitment": opened.reply(Step.RELEASE, LEAD)["commitment"].hex(),
        "period": period_digest("support-2026", "public_coverage", "2026"),
    }
    assert (row.run_id, row.step, row.grant_hash) == ("run-1", "release", stages.signed.grant_hash)
    assert all(rows(region.engines[name], "labels.released") == [] for name in DEPARTMENTS if name != LEAD)


@pytest.mark.parametrize("name", DEPARTMENTS)
def test_a_list_is_committed_to_with_a_salt_that_the_node_can_show(stages: Stages, name: str) -> None:
    region = stages.before(None)
    engine, opened = region.engines[name], Opened(region, stages.signed, stages.manifest)
    row, counts, hashes = only(engine, "list.committed")
    pseudonyms = opened.reply(Step.FINISH, name)["pseudonyms"]
    salt = opened.value(name, LIST_SALT_VALUE)
    assert len(salt) == 32
    assert hashes == {"list": list_commitment(salt, pseudonyms)}
    assert list_commitment(bytes(32), pseudonyms) != hashes["list"]
    assert counts == {"people": engine.extract.load().people}
    assert row.step == "finish"


def test_each_list_has_a_salt_of_its_own(stages: Stages) -> None:
    opened = Opened(stages.before(None), stages.signed, stages.manifest)
    assert len({opened.value(name, LIST_SALT_VALUE) for name in DEPARTMENTS}) == len(DEPARTMENTS)


@pytest.mark.parametrize("name", [name for name in DEPARTMENTS if name != LEAD])
def test_a_department_records_how_much_evidence_left_and_what_the_meter_read(stages: Stages, name: str) -> None:
    region = stages.before(None)
    engine, opened = region.engines[name], Opened(region, stages.signed, stages.manifest)
    row, counts, _ = only(engine, "evidence.released", "evidence.levels")
    report = reports(engine, "run-1")["disclosure"]
    assert counts.pop("slots") == opened.slots
    assert counts.pop("held") == engine.extract.load().people
    assert counts == meter_counts(report)
    assert counts["levels"] == report["levels"]
    assert counts["columns"] == len(report["columns"]) > 0
    assert (row.purpose, json.loads(row.assets)) == ("social_assistance", [f"{name}/{name}"])
    _, of_sum, _ = only(engine, "evidence.released", "evidence.masked_sum")
    assert of_sum == {"slots": opened.slots, "held": engine.extract.load().people}


def column(share: float | None, rank: float | None = None, base: float = 0.5) -> Mapping[str, Any]:
    found = None if share is None else {"share": share, "base_share": base}
    return {"largest_share": found, "most_telling": found, "rank_correlation": rank}


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        (
            [column(0.556, 0.1)],
            [column(0.556, 0.1)],
            {"largest_share_milli": 556, "largest_rank_milli": 100, "capped": 0},
        ),
        ([column(0.5561), column(0.2)], [column(0.96)], {"largest_share_milli": 557, "capped": 1}),
        (
            [column(1.0, 1.0)],
            [column(1.0, 1.0)],
            {"largest_share_milli": 1000, "largest_rank_milli": 1000, "capped": 1},
        ),
        ([column(None)], [column(None)], {"capped": 0}),
        ([], [], {"capped": 0}),
        # A value that is as common among everybody tells nothing of a level.
        ([column(0.97, base=0.97)], [column(0.97, base=0.97)], {"largest_share_milli": 970, "capped": 0}),
        (
            [column(0.1, 0.8)],
            [column(0.1, 0.86), column(0.1, 0.85)],
            {"largest_share_milli": 100, "largest_rank_milli": 800, "capped": 1},
        ),
    ],
)
def test_the_meter_is_told_in_thousandths_and_never_lower_than_it_read(
    after: list[Any], before: list[Any], expected: dict[str, int]
) -> None:
    report = {
        "columns": after,
        "columns_before_merging": before,
        "levels": 6,
        "levels_before_merging": 9,
        "cap": {"max_share": 0.95, "max_rank_correlation": 0.85},
    }
    assert meter_counts(report) == {"levels": 6, "merged": 3, "columns": len(after), **expected}


def test_evidence_that_the_cap_withholds_is_recorded_as_withheld(tmp_path: Any) -> None:
    region = Region(tmp_path / "region", people=240)
    for share, name in ((0.01, NODE), (1.0, "housing")):
        region.set_policy(name, disclosure_max_share=share, disclosure_max_rank_correlation=share)
    signed = region.sign(region.draft())
    region.run(signed, region.schedule(signed))
    engine = region.engines[NODE]
    row, counts, _ = only(engine, "evidence.withheld", "disclosure.over_cap")
    assert counts.keys() == {"slots"}
    assert rows(engine, "evidence.released") == []
    assert rows(region.engines["housing"], "evidence.withheld") == []
    assert row.step == "train"
    region.close()


def test_reading_the_results_is_recorded_with_purpose_and_size(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    data = result_arrays(region.engines[LEAD], "run-1")
    row, counts, _ = only(region.engines[LEAD], "results.read")
    assert (row.purpose, row.run_id, counts) == ("social_assistance", "run-1", {"bytes": len(data)})


def test_who_signs_a_grant_or_a_manifest_says_which_and_for_what(stages: Stages) -> None:
    region = stages.before(None)
    row, _, _ = only(region.engines[NODE], "grant.signed")
    assert (row.purpose, json.loads(row.assets)) == ("social_assistance", [f"{NODE}/{NODE}"])
    (answered, *_) = rows(region.engines[NODE], "step.started")
    assert json.loads(answered.hashes)["manifest"] == stages.manifest.manifest.digest()


def test_an_auditor_opens_a_whole_run_of_every_node_and_finds_no_person_in_it(
    region_before: Any, stages: Stages
) -> None:
    region, auditor = region_before(None), Auditor()
    people: set[str] = set()
    for name in DEPARTMENTS:
        extract = region.engines[name].extract.load()
        people |= {identity.decode() for identity in extract.resident_ids}
        if name == LEAD:
            people |= set(extract.table.column("household_number").to_pylist())
    opened = Opened(region, stages.signed, stages.manifest)
    points = {opened.union[32 * slot : 32 * slot + 32].hex() for slot in range(opened.slots)}
    assert len(people) > 300
    for name in DEPARTMENTS:
        engine = region.engines[name]
        accept_terms(engine.db, auditor)
        written = [repr(record) for batch in seal_pending(engine) for record in auditor.open(batch, batch.signer)]
        assert len(written) > 10
        text = "\n".join(written)
        assert not [secret for secret in people if secret in text]
        assert not [point for point in points if point in text]
