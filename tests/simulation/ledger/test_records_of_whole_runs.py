"""Everything that all parties record of a whole main-job run and of a whole line, opened by an auditor: nobody is in it.

Real nodes, the coordinator's own marks over its database, journals sealed as they are sent. Searched is what an auditor reads:
headers and opened bodies. By form: every text is a name, an asset, a code or a hash, every number belongs to its type. By value:
no resident ID, household number, pseudonym, label, level or text of an extract is there; and what is planted is found.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from coordinator_world import World
from cosigning_departments import cosign_newest
from governed_runs import register, running_world
from ledger_world import AuditorKeys
from line_region import Line
from region import LEAD, EngineRelay, Opened, Region
from sealed_journal import ORIGIN, accept_terms
from sqlalchemy import select

from coordinator.db.session import read
from coordinator.federation.line_run import LineRun
from coordinator.federation.run_child import DatabaseMarks
from coordinator.ledger.models import LedgerBatchRow
from coordinator.ledger.terms_store import newest_terms
from crypto.errors import DoudiError
from crypto.ledger_entries import Entry, auditor_id, entry_key, open_entry, open_wrap, parse_entry, parse_wraps
from department_nodes.labels import read_register
from department_nodes.ledger.sealing import seal_pending
from policies.contracts.ledger.batches import unframe
from policies.contracts.ledger.record_types import COORDINATOR_TYPES, NODE_TYPES, RECORD_TYPES
from policies.contracts.ledger.records import Record, parse_record, to_plain
from policies.contracts.ledger.terms import COORDINATOR
from policies.contracts.steps import Step

FORMS = (
    re.compile(r"[a-z][a-z0-9_-]{0,62}"),
    re.compile(r"[a-z][a-z0-9_-]{0,62}/[a-z][a-z0-9_-]{0,62}"),
    re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+"),
    re.compile(r"[0-9a-f]{64}"),
)
# As many as the largest record of a run has; an array of labels or levels has hundreds.
MOST_NUMBERS = 12


@dataclass
class Read:
    """What an auditor reads of some batches. `texts`: header and body of each record, by where it comes from."""

    texts: dict[str, bytes] = field(default_factory=dict)
    bodies: dict[str, object] = field(default_factory=dict)
    records: list[tuple[str, Record]] = field(default_factory=list)

    def add(self, origin: str, producer: str, batch_id: bytes, wraps: bytes, data: list[bytes], private: bytes) -> None:
        (wrap,) = parse_wraps(wraps).values()
        key = open_wrap(origin, producer, batch_id, wrap, private)
        types = COORDINATOR_TYPES if producer == COORDINATOR else NODE_TYPES
        for position, item in enumerate(data):
            entry: Entry = parse_entry(item)
            body = open_entry(origin, entry, entry_key(key, batch_id, position))
            # Its type allows all of it, or this raises.
            self.records.append((producer, parse_record(entry.header, body, types)))
            where = f"{producer} {len(self.texts)} {entry.header.type}"
            self.texts[where] = entry.header_bytes + body
            self.bodies[where] = json.loads(body)

    def add_coordinator(self, world: World) -> None:
        with read(world.engine) as session:
            origin = newest_terms(session).origin
            rows = session.scalars(select(LedgerBatchRow).where(LedgerBatchRow.producer == COORDINATOR)).all()
            for row in rows:
                self.add(origin, COORDINATOR, row.batch_id, row.wraps, unframe(row.entries), world.auditor.sealing_key)

    def add_node(self, engine, auditor: AuditorKeys) -> None:
        accept_terms(engine.db, auditor)
        for batch in seal_pending(engine):
            assert set(parse_wraps(batch.wraps)) == {auditor_id(bytes.fromhex(auditor.card.sealing_key))}
            self.add(ORIGIN, batch.producer, batch.batch_id, batch.wraps, list(batch.entries), auditor.sealing)

    def types(self) -> set[str]:
        return {record.type for _, record in self.records}


def forms_of(name: str, value: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a value as it could stand in a record: in itself, in hexadecimal, in Base64, hashed."""
    yield name, value
    digest = hashlib.sha256(value)
    yield f"{name} in hexadecimal", value.hex().encode()
    yield f"{name} in Base64", base64.b64encode(value).rstrip(b"=")
    yield f"{name} hashed", digest.digest()
    yield f"{name} hashed, in hexadecimal", digest.hexdigest().encode()


def array_forms(name: str, values) -> Iterator[tuple[str, bytes]]:
    """Yield an array of labels or levels as bytes, hashed, and a part of it as JSON."""
    yield from forms_of(name, np.ascontiguousarray(values).tobytes())
    for separator in (",", ", "):
        yield f"{name} as JSON", separator.join(map(str, values[: max(40, len(values) // 4)].tolist())).encode()


def people_of(engines: Mapping) -> Iterator[tuple[str, bytes]]:
    """Yield every resident ID, and every text and longer number of a row of the extracts."""
    for name in list(engines):
        extract = engines[name].extract.load()
        for identity in extract.resident_ids:
            yield from forms_of("resident ID", identity)
        for column in extract.table.column_names:
            for value in set(extract.table.column(column).to_pylist()):
                text = str(value)
                # Shorter ones stand in every number; a row's short values are told apart by form, above.
                if len(text) >= 8 or (isinstance(value, str) and len(text) >= 4 and text not in engines):
                    yield f"value of {column}", text.encode()


def search(texts: Mapping[str, bytes], needles: Mapping[bytes, str]) -> list[tuple[str, str]]:
    return [(where, what) for where, text in texts.items() for needle, what in needles.items() if needle in text]


def by_value(found: Iterator[tuple[str, bytes]]) -> dict[bytes, str]:
    kept: dict[bytes, str] = {}
    for what, value in found:
        kept.setdefault(value, what)
    return kept


@pytest.fixture(scope="module")
def governed(tmp_path_factory, migrated) -> Iterator[World]:
    """A coordinator with a run of a grant that everybody signed, and witnesses who cosign all the time."""
    world, run_id = running_world(tmp_path_factory.mktemp("coordinator"), migrated)
    world.run_id = run_id
    ending = threading.Event()

    def cosign_on() -> None:
        while not ending.wait(0.02):
            cosign_newest(world)

    thread = threading.Thread(target=cosign_on)
    thread.start()
    yield world
    ending.set()
    thread.join()


@pytest.fixture(scope="module")
def main_job(stages, governed, tmp_path_factory) -> Iterator[tuple[Read, Region, dict[bytes, str]]]:
    """A whole run of a region of six, marked by the coordinator's own code; what the auditor reads of all seven."""
    region = stages.before(Step.BLIND).copy(tmp_path_factory.mktemp("main") / "region")
    register(governed, region)
    marks = DatabaseMarks(governed.engine, governed.run_id, 1, witness_timeout_s=60)
    region.run(stages.signed, stages.manifest, marks=marks)
    found, auditor = Read(), AuditorKeys("court")
    found.add_coordinator(governed)
    for name in region.departments:
        found.add_node(region.engines[name], auditor)
    opened = Opened(region, stages.signed, stages.manifest)

    def needles() -> Iterator[tuple[str, bytes]]:
        yield from people_of(region.engines)
        register = read_register(region.engines[LEAD].extract.load(), "public_coverage")
        for number in register.households:
            yield from forms_of("household number", str(number).encode())
        for at in range(0, len(opened.union), 32):
            yield from forms_of("pseudonym", opened.union[at : at + 32])
        yield from array_forms("labels by household", register.labels)
        yield from array_forms("labels by person", register.labels[register.household_of_row])
        yield from array_forms("released cells", opened.label_cells())
        for name in region.departments:
            if name != LEAD and opened.evidence(name).max() > 0:
                yield from array_forms("levels of evidence", opened.evidence(name))
        # The run's own secrets: an auditor sees commitments to them.
        stored = opened.value(LEAD, "opening")
        yield from forms_of("opening of the labels", stored[:32])

    yield found, region, by_value(needles())
    region.close()


@pytest.fixture(scope="module")
def line_job(governed, tmp_path_factory) -> Iterator[tuple[Read, dict[bytes, str]]]:
    """A whole line of four regions, marked round by round by the coordinator's own code."""
    line = Line(tmp_path_factory.mktemp("line") / "line")
    register(governed, line)
    signed = line.sign(line.draft())
    manifest = line.schedule(signed)

    def marks(round_number: int) -> DatabaseMarks:
        return DatabaseMarks(governed.engine, governed.run_id, 1, round_number, witness_timeout_s=60)

    LineRun(signed, manifest, EngineRelay(line.engines), line.run_folder(manifest), marks, 60).execute()
    found, auditor = Read(), AuditorKeys("court")
    found.add_coordinator(governed)
    for name in line.parties:
        found.add_node(line.engines[name], auditor)
    yield found, by_value(people_of(line.engines))
    line.close()


def texts_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, str):
        yield value


def numbers_in(value: object) -> int:
    if isinstance(value, dict):
        return sum(numbers_in(item) for item in value.values())
    return sum(numbers_in(item) for item in value) if isinstance(value, list) else int(isinstance(value, int))


def require_forms(found: Read) -> None:
    assert len(found.bodies) == len(found.records) > 100
    for where, body in found.bodies.items():
        odd = [word for word in texts_in(body) if not any(form.fullmatch(word) for form in FORMS)]
        assert not odd, where
        assert numbers_in(body) <= MOST_NUMBERS, where


def test_a_main_job_says_who_did_what_and_nothing_of_anybody(main_job):
    found, region, needles = main_job
    assert {producer for producer, _ in found.records} == {COORDINATOR, *region.departments}
    assert {
        "request.submitted",
        "grant.fully_signed",
        "run.started",
        "run.numbered",
        "run.step_answered",
        "node.step.started",
        "node.step.answered",
        "node.labels.released",
        "node.evidence.released",
        "node.list.committed",
    } <= found.types()
    require_forms(found)
    assert len(needles) > 3_000
    assert search(found.texts, needles) == []


def test_a_line_says_who_did_what_and_nothing_of_anybody(line_job):
    found, needles = line_job
    assert {"node.step.started", "node.step.answered", "run.step_answered"} <= found.types()
    rounds = {record.counts.get("round", 0) for _, record in found.records if record.type == "run.step_answered"}
    assert {1, 2} <= rounds
    require_forms(found)
    assert len(needles) > 1_000
    assert search(found.texts, needles) == []


def test_the_search_finds_each_kind_that_is_planted(main_job):
    found, _, needles = main_job
    where, text = next(iter(found.texts.items()))
    kinds = {what: value for value, what in needles.items()}
    assert {
        "resident ID",
        "value of household_number",
        "pseudonym in hexadecimal",
        "levels of evidence as JSON",
    } <= set(kinds)
    for what, value in kinds.items():
        assert (where, what) in search({where: text[:-5] + value + text[-5:]}, {value: what})


def test_a_record_cannot_be_made_to_carry_what_is_searched_for(main_job):
    """Neither on writing nor on reading: no field of any type takes an ID, a household number or a text of a row."""
    _, region, needles = main_job
    identity = region.engines[LEAD].extract.load().resident_ids[0].decode()
    household = next(value.decode() for value, what in needles.items() if what == "value of household_number")
    for value in (identity, household, "a sentence about somebody", "王"):
        for name in RECORD_TYPES:
            for fields in (
                {"subject": value},
                {"run": value},
                {"code": value},
                {"purpose": value},
                {"step": value},
                {"assets": (value,)},
                {"counts": {value: 1}},
                {"hashes": {"seed": value}},
            ):
                with pytest.raises(DoudiError, match=r"record\.malformed"):
                    to_plain(Record(name, 1, **fields), RECORD_TYPES)
