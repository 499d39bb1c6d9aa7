"""The search of everything that the coordinator stored, received or logged in a run; it finds what is planted, and nothing else.

Searched for: resident IDs (as text, in hexadecimal, hashed, hashed to the group), household numbers, labels, bits, flags and
evidence, as bytes in slot, register and household order, packed, and as JSON. What nobody but the nodes holds is read with the
nodes' own keys.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from region import DEPARTMENTS, LEAD, Opened, Region, Stages

from crypto.masking import unmask_sum
from crypto.pseudonyms import hash_to_group, linkage_domain
from department_nodes.labels import read_register
from policies.contracts.framing import parse_frame
from policies.contracts.steps import Step

SUPPORTING = tuple(name for name in DEPARTMENTS if name != LEAD)


class Watched:
    """A finished run with everything that reached the coordinator, and what must not be in it."""

    def __init__(self, region: Region, stages: Stages, logged: str) -> None:
        self.texts: dict[str, bytes] = {"log": logged.encode()}
        folder = region.folder / "coordinator"
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.texts[str(path.relative_to(folder))] = path.read_bytes()
        self.needles = dict(_needles(Opened(region, stages.signed, stages.manifest)))


def search(texts: Mapping[str, bytes], needles: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Return (where, what) for everything that is found; what is searched for is named, never quoted."""
    return [(where, what) for where, text in texts.items() for what, needle in needles.items() if needle in text]


def _needles(opened: Opened) -> Iterator[tuple[str, bytes]]:
    region = opened.region
    domain = linkage_domain(opened.signed.grant.linkage.domain())
    ids = sorted({identity for name in DEPARTMENTS for identity in region.engines[name].extract.load().resident_ids})
    points = hash_to_group(ids, domain)
    for i, identity in enumerate(ids):
        yield f"resident ID {i}", identity
        yield f"resident ID {i} in hexadecimal", identity.hex().encode()
        yield f"resident ID {i} hashed", hashlib.sha256(identity).digest()
        yield f"resident ID {i} hashed, in hexadecimal", hashlib.sha256(identity).hexdigest().encode()
        yield f"resident ID {i} as a point", points[32 * i : 32 * i + 32]

    register = read_register(region.engines[LEAD].extract.load(), "public_coverage")
    for i, number in enumerate(register.households):
        yield f"household number {i}", number.encode()

    stored = opened.value(LEAD, "opening")
    labels, bits, flags = np.frombuffer(stored[32:], np.uint8).reshape(3, opened.slots)
    own_slots = opened.slots_by_row(LEAD)
    yield "opening key", stored[:32]
    arrays = {
        "labels by household": register.labels,
        "labels by person": register.labels[register.household_of_row],
        "labels by slot": labels,
        "bits by slot": bits,
        "flags by slot": flags,
        "cells by slot": opened.label_cells(),
        "bits of the register": bits[own_slots],
    }
    for name, values in arrays.items():
        yield from _forms(name, values)
        yield f"{name}, packed", np.packbits(values & 1).tobytes()
        yield f"{name}, packed from the low end", np.packbits(values & 1, bitorder="little").tobytes()
    # In so small a region a department may have one level only: an array of zeros, which tells nothing and is everywhere.
    telling = [name for name in SUPPORTING if opened.evidence(name).max() > 0]
    assert len(telling) >= 3
    for name in telling:
        levels = opened.evidence(name)
        yield from _forms(f"levels of {name} by slot", levels)
        yield from _forms(f"levels of {name} by row", levels[opened.slots_by_row(name)])
        yield from _forms(f"levels of {name} in the register", levels[own_slots])
    for name in SUPPORTING:
        yield f"masked vector of {name}", opened.masked(name).astype("<u2").tobytes()
    total = unmask_sum([opened.masked(name) for name in SUPPORTING]).astype(np.int16)
    yield from _forms("sum by slot", total)
    yield from _forms("sum of the register", total[own_slots])


def _forms(name: str, values: Any) -> Iterator[tuple[str, bytes]]:
    """Yield an array as bytes, also from its middle, and as two spellings of JSON."""
    yield name, values.tobytes()
    part = values[len(values) // 4 : len(values) // 4 + 64]
    if len(set(part.tolist())) > 1:
        yield f"{name}, a part of it", part.tobytes()
        for separators in ((",", ":"), (", ", ": ")):
            text = json.dumps(part.tolist(), separators=separators)[1:-1]
            yield f"{name}, a part of it as JSON {separators[0]!r}", text.encode()


@pytest.fixture(scope="module")
def watched(stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A whole run from the first step, with all logging on."""
    region = stages.before(Step.BLIND).copy(tmp_path_factory.mktemp("scan") / "region")
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    collector, root = Collector(), logging.getLogger()
    level = root.level
    root.addHandler(collector)
    root.setLevel(logging.DEBUG)
    try:
        region.run(stages.signed, stages.manifest)
    finally:
        root.removeHandler(collector)
        root.setLevel(level)
    yield Watched(region, stages, "\n".join(lines))
    region.close()


def test_nothing_about_a_person_reaches_the_coordinator(watched: Watched) -> None:
    replies = [where for where in watched.texts if where.endswith(".reply")]
    requests = [where for where in watched.texts if where.endswith(".request")]
    assert len(replies) == len(requests) == 25
    assert "answered in" in watched.texts["log"].decode()
    assert len(watched.needles) > 1000
    assert min(len(needle) for needle in watched.needles.values()) >= 10
    assert search(watched.texts, watched.needles) == []


def test_the_search_finds_each_thing_that_is_planted(watched: Watched) -> None:
    where = "run-1/1/train/tax.reply"
    text = watched.texts[where]
    kinds = [what for what in watched.needles if not what.startswith(("resident", "household"))]
    for what in [*kinds, "resident ID 3", "resident ID 3 hashed", "resident ID 3 as a point", "household number 5"]:
        planted = {**watched.texts, where: text[:1000] + watched.needles[what] + text[1000:]}
        assert (where, what) in search(planted, {what: watched.needles[what]})


def test_the_search_finds_what_a_careless_node_would_send(watched: Watched, stages: Stages) -> None:
    opened = Opened(stages.before(None), stages.signed, stages.manifest)
    careless = _needles(opened)
    texts = {
        "log": b"row 12: "
        + next(needle for what, needle in careless if what.startswith("resident"))
        + b" is not valid",
        "reply": json.dumps({"levels": opened.evidence("tax").tolist()}).encode(),
    }
    found = {where for where, _ in search(texts, dict(_needles(opened)))}
    assert found == {"log", "reply"}


def test_what_is_searched_is_what_was_exchanged(watched: Watched) -> None:
    for where, text in watched.texts.items():
        if where.endswith(".reply"):
            assert parse_frame(text[64:]).header["status"] == "ok"
        if where.endswith(".request"):
            assert parse_frame(text).header["kind"] == "request"
