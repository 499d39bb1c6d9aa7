"""What is changed in a log of 300 entries is found: every file, batch and field; every entry and batch left out or moved.

Exhaustive over structure: each field of each file is changed. Of the entries, each field of one entry of every batch and one
field of every other entry. Sampled over bytes: `BYTES_PER_FIELD` bytes of a field, each to a random other value.
"""

import os
import random
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from logs_of_300 import SHREDDED, Liar, LogOf300, without_entry
from mirror_fields import Field, fields_of, files_of
from mirror_hands import edit_page, edited, found

from auditors.opening_home import open_home_log
from auditors.verification.verifier import verify_store
from crypto.ledger_entries import AUDITOR_ID_BYTES, WRAP_BYTES
from policies.contracts.ledger.placed import parse_page
from policies.contracts.ledger.terms import COORDINATOR

SEED = 20_260_301
BYTES_PER_FIELD = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in memory where there is one: thousands of verifications note durably how far they came."""
    memory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path_factory.mktemp("logs")
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def log(folder):
    return LogOf300(folder / "sound")


@pytest.fixture(scope="module")
def liar(folder):
    return Liar(folder / "liar")


def findings_of(home):
    """Return all that a full verification without memory finds."""
    home.verified_file.unlink(missing_ok=True)
    return {(one.code, one.severity, one.place) for one in verify_store(home, full=True).findings}


def chosen_fields(place, data, batches, chosen) -> list[Field]:
    """Return the fields of a file that are changed: all, but for entries as the module's text says."""
    fields = fields_of(place, data)
    if not place.startswith("tile/entries/"):
        return fields
    first = 0 if place == "tile/entries/000" else 256
    by_entry: dict[int, list[Field]] = {}
    for one in fields:
        by_entry.setdefault(first + int(one.group.split()[1]), []).append(one)
    whole = set()
    for batch in batches:
        inside = [index for index in range(batch.first_index, batch.first_index + batch.count) if index in by_entry]
        whole |= {chosen.choice(inside)} if inside else set()
    return [one for index, own in by_entry.items() for one in (own if index in whole else [chosen.choice(own)])]


def test_the_log_is_sound_and_what_was_shredded_is_stated(log):
    assert findings_of(log.home) == {("batch.wraps_destroyed", "warning", f"batch/{SHREDDED}")}
    opening = open_home_log(log.home)
    assert {one.code for one in opening.findings} == {"batch.shredded"}
    (page,) = (log.home.store.folder / "batches" / "0.p").iterdir()
    shredded = parse_page(page.read_bytes(), int(page.name))[SHREDDED]
    assert opening.portion.entries == 300 - shredded.count
    assert {place.split("/")[0] for place in files_of(log.home.store.folder)} == {
        "batches",
        "checkpoint",
        "checkpoints",
        "terms",
        "tile",
        "witnessed",
    }


def test_every_changed_field_of_every_file_is_found(log):
    chosen = random.Random(SEED)
    folder = log.home.store.folder
    sound = findings_of(log.home)
    (page,) = (folder / "batches" / "0.p").iterdir()
    batches = parse_page(page.read_bytes(), int(page.name))
    changed: dict[str, int] = {}
    for place, data in files_of(folder).items():
        for one in chosen_fields(place, data, batches, chosen):
            for at in chosen.sample(range(one.start, one.end), min(BYTES_PER_FIELD, one.end - one.start)):
                value = data[at] ^ chosen.randrange(1, 256)
                (folder / place).write_bytes(data[:at] + bytes([value]) + data[at + 1 :])
                more = findings_of(log.home) - sound
                assert more, f"seed {SEED}: byte {at} of {place} as {value} ({one.group}, {one.name})"
                changed[one.name] = changed.get(one.name, 0) + 1
        (folder / place).write_bytes(data)
    assert findings_of(log.home) == sound
    assert sum(changed.values()) > 1_500
    # What was changed: each field of a batch's place once per batch, each of an entry at least once per batch.
    assert changed["signature"] == changed["first index"] == len(batches)
    assert changed["encapsulated key of a wrap"] == sum(len(one.wraps) // WRAP_BYTES for one in batches)
    assert min(changed["ciphertext"], changed["commitment"], changed["tag"]) >= len(batches)
    assert changed["hash"] == 301
    assert changed["key and signature"] >= 4 * 5


def test_every_removed_file_is_found(log):
    folder, sound = log.home.store.folder, findings_of(log.home)
    for place, data in files_of(folder).items():
        if place in ("checkpoint", "witnessed") or place.startswith("checkpoints/"):
            # Without its newest checkpoint there is no mirror; older ones are the auditor's own memory.
            continue
        (folder / place).unlink()
        assert findings_of(log.home) - sound, place
        (folder / place).write_bytes(data)


def test_every_removed_wrap_is_found(log):
    """One auditor's wrap less, in its right form: that auditor would be shut out and the others would not notice."""
    sound = findings_of(log.home)
    (page,) = (log.home.store.folder / "batches" / "0.p").iterdir()
    whole = page.read_bytes()
    removed = 0
    for number, batch in enumerate(parse_page(whole, int(page.name))):
        size = AUDITOR_ID_BYTES + WRAP_BYTES
        for at in range(2, len(batch.wraps), size):
            left = batch.wraps[:at] + batch.wraps[at + size :]
            wraps = bytes([left[0], batch.wraps[1] - 1]) + left[2:]
            edit_page(log.home, lambda page, number=number, wraps=wraps: edited(page, number, wraps=wraps))
            assert ("batch.wrong_wraps", "error", f"batch/{number}") in findings_of(log.home) - sound
            page.write_bytes(whole)
            removed += 1
    assert removed > 20


# A log that signs anything.


def test_a_liars_true_version_is_sound(liar):
    assert found(liar.version(liar.batches)[1]) == set()


@pytest.mark.parametrize("act", ["dropped", "repeated", "moved to the front", "moved to the end"])
def test_every_entry_that_a_signing_log_moves_within_a_batch_is_found(liar, act):
    """The log signs the tree over what it made of the batch, and every witness cosigns it: the producer's signature is left."""
    chosen = random.Random(SEED)
    for number, batch in enumerate(liar.batches):
        position = chosen.randrange(len(batch.entries))
        entry, rest = batch.entries[position], without_entry(batch, position).entries
        made = {
            "dropped": rest,
            "repeated": (*batch.entries, entry),
            "moved to the front": (entry, *rest),
            "moved to the end": (*rest, entry),
        }[act]
        if not made or made == batch.entries:
            continue
        _, home = liar.version([*liar.batches[:number], replace(batch, entries=made), *liar.batches[number + 1 :]])
        assert found(home) & {"batch.inconsistent", "batch.bad_signature"}, (number, position)


def test_every_batch_of_a_department_that_a_signing_log_drops_is_found(liar):
    """By the missing numbers; of a department's last batch only that department, or whoever saw it, can tell."""
    last = {batch.producer: number for number, batch in enumerate(liar.batches)}
    for number, batch in enumerate(liar.batches):
        if batch.producer == COORDINATOR:
            continue
        _, home = liar.version([*liar.batches[:number], *liar.batches[number + 1 :]])
        assert found(home) == (set() if last[batch.producer] == number else {"batch.gap"}), number


def test_every_batch_that_a_signing_log_repeats_is_found(liar):
    for number, batch in enumerate(liar.batches):
        _, home = liar.version([*liar.batches, batch])
        assert "batch.repeated" in found(home), number


def test_batches_of_a_department_in_another_order_are_found(liar):
    own = {name: [i for i, one in enumerate(liar.batches) if one.producer == name] for name in ("health", "tax")}
    for numbers in own.values():
        for first, second in pairwise(numbers):
            batches = list(liar.batches)
            batches[first], batches[second] = batches[second], batches[first]
            _, home = liar.version(batches)
            assert "batch.out_of_order" in found(home), (first, second)


def test_whatever_a_signing_log_leaves_out_or_moves_is_found_by_whoever_saw_the_log_before(liar, tmp_path):
    """Also the coordinator's own records and the last ones: against the checkpoint that a department or an auditor kept."""
    honest, _ = liar.version(liar.batches)
    kept = tmp_path / "checkpoint-of-a-department"
    kept.write_bytes((honest.folder / "checkpoint").read_bytes())
    for number in range(len(liar.batches)):
        before, after = liar.batches[:number], liar.batches[number + 1 :]
        left_out = [*before, *after]
        exchanged = [*before, *after[:1], liar.batches[number], *after[1:]] if after else left_out
        for batches in (left_out, exchanged):
            # The liar's tree is no smaller than the kept one, so that its size gives nothing away.
            _, home = liar.version([*batches, liar.later])
            assert "history.fork" in found(home, department_files=[kept]), number
    assert found(liar.version([*liar.batches, liar.later])[1], department_files=[kept]) == set()


def test_any_cosignature_less_than_the_quorum_is_found(liar):
    for names in ([], ["health"], ["pension"], ["tax"]):
        assert found(liar.version(liar.batches, names)[1]) == {"witness.too_few"}
    assert found(liar.version(liar.batches, ["health", "tax"])[1]) == set()
