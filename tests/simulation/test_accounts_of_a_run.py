"""What a node writes down about a run: every byte that left is in its account, and no line names a person."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from region import DEPARTMENTS, LEAD, Opened, Region, Stages
from sqlalchemy import inspect, select

from department_nodes.store.models import Base, EventRow, ReportRow, SentRow
from department_nodes.store.session import transaction
from policies.contracts.steps import REGION_STEPS, Step

PLAIN_RECEIVER = {
    "pseudonyms": "coordinator",
    "cells": "coordinator",
    "commitment": "coordinator",
    "metrics": "coordinator",
    "evidence": LEAD,
    "evidence-key": LEAD,
    "sum": LEAD,
    "sum-key": LEAD,
}


def secrets_of_people(region: Region) -> list[str]:
    """Return every resident ID, and every household number of the lead's register."""
    found: set[str] = set()
    for name in region.departments:
        extract = region.engines[name].extract.load()
        found |= {identity.decode() for identity in extract.resident_ids}
        if name == LEAD:
            found |= set(extract.table.column("household_number").to_pylist())
    assert len(found) > 300
    return sorted(found)


@pytest.mark.parametrize("name", DEPARTMENTS)
def test_the_account_of_what_was_sent_matches_the_replies_byte_for_byte(stages: Stages, name: str) -> None:
    region = stages.before(None)
    opened = Opened(region, stages.signed, stages.manifest)
    expected = []
    for step in REGION_STEPS:
        if region.run_folder(stages.manifest).reply(step, name) is None:
            continue
        for part, data in opened.reply(step, name).items():
            kind, _, receiver = part.partition("/")
            expected.append((step.value, receiver or PLAIN_RECEIVER[kind], len(data)))
    with transaction(region.engines[name].db) as session:
        rows = session.scalars(select(SentRow).order_by(SentRow.number)).all()
        assert [(row.step, row.receiver, row.size_bytes) for row in rows] == expected
        assert {row.grant_hash for row in rows} == {stages.signed.grant_hash}
        assert {(row.run_id, row.attempt) for row in rows} == {("run-1", 1)}


def test_items_are_people_slots_or_keys(stages: Stages) -> None:
    region = stages.before(None)
    slots = Opened(region, stages.signed, stages.manifest).slots
    people = region.engines["tax"].extract.load().people
    with transaction(region.engines["tax"].db) as session:
        items = {row.kind: row.items for row in session.scalars(select(SentRow))}
    assert items["pseudonyms"] == items["blinded list"] == people
    assert items["evidence levels"] == items["masked sum vector"] == slots
    assert items["key of the evidence"] == 1


@pytest.mark.parametrize("name", DEPARTMENTS)
def test_every_act_of_a_run_is_an_event_with_its_run_and_grant(stages: Stages, name: str) -> None:
    region = stages.before(None)
    with transaction(region.engines[name].db) as session:
        events = session.scalars(select(EventRow).order_by(EventRow.number)).all()
    answered = [event.step for event in events if event.type == "step.answered"]
    only = {"release", "combine"} if name == LEAD else {"train"}
    assert answered == [step.value for step in REGION_STEPS if step.value in {"blind", "evaluate", "finish"} | only]
    assert [event.step for event in events if event.type == "step.started"] == answered
    types = {event.type for event in events}
    assert {"project.joined", "grant.signed", "run.keys_offered"} <= types
    assert ("labels.charged" in types) == (name == LEAD)
    assert ("evidence.charged" in types) == (name != LEAD)
    for event in events:
        assert event.grant_hash == stages.signed.grant_hash
        assert all(isinstance(count, int) for count in json.loads(event.counts).values())


def test_no_event_report_or_file_of_the_database_names_a_person(stages: Stages) -> None:
    region = stages.before(None)
    secrets = [secret.encode() for secret in secrets_of_people(region)]
    for name in DEPARTMENTS:
        with transaction(region.engines[name].db) as session:
            written = [row.document for row in session.scalars(select(ReportRow))]
            written += [f"{row.counts} {row.code}" for row in session.scalars(select(EventRow))]
        texts = [text.encode() for text in written]
        # The whole database too: whatever is about a person is sealed.
        texts += [path.read_bytes() for path in sorted((region.folder / name).glob("node.db*"))]
        if name == LEAD:
            texts += [path.read_bytes() for path in sorted((region.folder / name / "periods").rglob("*.sealed"))]
        haystack = b"\x00".join(texts)
        assert not [secret for secret in secrets if secret in haystack]


def test_no_log_record_of_a_run_names_a_person_also_when_steps_are_refused(
    region_before: Any, stages: Stages, caplog: pytest.LogCaptureFixture
) -> None:
    region = region_before(Step.BLIND)
    secrets = secrets_of_people(region)
    with caplog.at_level(logging.DEBUG):
        region.run(stages.signed, stages.manifest)
        for name in DEPARTMENTS:
            for step in REGION_STEPS:
                region.engines[name].answer(stages.request(Step.BLIND, name) + step.value.encode())
            region.engines[name].answer(stages.request(Step.EVALUATE, "tax"))
        broken_extract(region.folder / "tax" / "extract.parquet")
        manifest = region.schedule(
            stages.signed, "run-2", 2, departments=tuple(n for n in DEPARTMENTS if n != "tax"), mode="evidence"
        )
        region.run_until(stages.signed, manifest, Step.EVALUATE)
    written = "\n".join(f"{record.getMessage()} {record.exc_text or ''}" for record in caplog.records)
    assert "answered in" in written
    assert "refused" in written
    assert not [secret for secret in secrets if secret in written]


def broken_extract(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_a_refusal_is_in_the_journal_with_its_code_and_without_counts(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    region.set_policy("tax", max_epsilon_milli=1)
    assert region.ask(Step.BLIND, "tax", stages.request(Step.BLIND, "tax")) == "policy.epsilon"
    with transaction(region.engines["tax"].db) as session:
        event = session.scalars(select(EventRow).order_by(EventRow.number.desc())).first()
    assert (event.type, event.run_id, event.attempt, event.step, event.code, event.counts) == (
        "step.refused",
        "run-1",
        1,
        "blind",
        "policy.epsilon",
        "{}",
    )


def test_the_migrations_make_the_tables_that_the_program_reads(stages: Stages) -> None:
    engine = stages.before(Step.BLIND).engines["tax"].db
    found = {name for name in inspect(engine).get_table_names() if name != "alembic_version"}
    assert found == set(Base.metadata.tables)
    for name, table in Base.metadata.tables.items():
        assert {column["name"] for column in inspect(engine).get_columns(name)} == set(table.columns.keys())
