"""The label release at the lead: one bit per household and period, whatever happens, and cells that nobody can move."""

import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from region import EXTRACT, LEAD, Opened, Region, Stages, edited
from sqlalchemy import func, select

from crypto import merkle
from crypto.errors import DoudiError
from crypto.pseudonyms import random_points
from crypto.randomised_response import keep_probability, keep_threshold
from department_nodes.labels import LabelOffice, Register, read_register
from department_nodes.steps.accounts import YEAR_S, Accounts
from department_nodes.steps.release import opening_payload, opening_salt
from department_nodes.store.models import LabelChargeRow, SentRow
from department_nodes.store.session import transaction
from policies.contracts.framing import parse_frame
from policies.contracts.grant import LabelTerms, SignedGrant
from policies.contracts.manifest import SignedManifest
from policies.contracts.steps import Step

NODE = "tax"
TERMS = LabelTerms(target="public_coverage", label_period="2026", epsilon_milli=1000)


def released(region: Region, signed: SignedGrant, manifest: SignedManifest) -> dict[bytes, int]:
    """Let the lead release, and return the cell of every slot by its pseudonym."""
    region.run_until(signed, manifest, Step.TRAIN)
    opened = Opened(region, signed, manifest)
    return {opened.union[32 * i : 32 * i + 32]: cell for i, cell in enumerate(opened.label_cells().tolist())}


def common(first: dict[bytes, int], second: dict[bytes, int]) -> list[tuple[int, int]]:
    """Return the cells of the pseudonyms that are in both: all but the padding."""
    both = first.keys() & second.keys()
    assert len(both) > 200
    return [(first[pseudonym], second[pseudonym]) for pseudonym in both]


def turn_labels(region: Region) -> None:
    """Let every person's outcome become its opposite in the lead's extract."""
    path = region.folder / LEAD / EXTRACT
    table = pq.read_table(path)
    index = table.column_names.index("public_coverage")
    column = table.column(index)
    turned = pa.array(1 - column.to_numpy()).cast(column.type)
    pq.write_table(table.set_column(index, table.field(index), turned), path)


def label_charges(region: Region) -> list[tuple[str, int]]:
    with transaction(region.engines[LEAD].db) as session:
        rows = session.scalars(select(LabelChargeRow).order_by(LabelChargeRow.period))
        return [(row.period, row.epsilon_milli) for row in rows]


def test_a_second_run_in_the_period_releases_the_same_bits_and_charges_nothing(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(Step.RELEASE)
    first = released(region, stages.signed, stages.manifest)
    assert label_charges(region) == [("2026", 1000)]
    region.restart(LEAD)
    second = released(region, stages.signed, region.schedule(stages.signed, "run-2", 2))
    assert all(one == other for one, other in common(first, second))
    assert label_charges(region) == [("2026", 1000)]


def test_the_bits_stay_whatever_the_labels_became_within_the_period(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.RELEASE)
    first = released(region, stages.signed, stages.manifest)
    before = read_register(region.engines[LEAD].extract.load(), "public_coverage").labels
    turn_labels(region)
    after = read_register(region.restart(LEAD).extract.load(), "public_coverage").labels
    assert (before != after).mean() > 0.5
    second = released(region, stages.signed, region.schedule(stages.signed, "run-2", 2))
    assert all(one == other for one, other in common(first, second))


def test_a_folder_restored_from_after_the_first_release_draws_the_same_bits(region_before: Any, stages: Stages) -> None:
    backup = region_before(Step.TRAIN)
    original = Opened(backup, stages.signed, stages.manifest)
    first = {original.union[32 * i : 32 * i + 32]: cell for i, cell in enumerate(original.label_cells().tolist())}
    turn_labels(backup)
    again = released(backup, stages.signed, backup.schedule(stages.signed, "run-2", 2))
    assert all(one == other for one, other in common(first, again))


def test_a_database_restored_from_before_the_first_release_draws_the_same_bits(
    region_before: Any, stages: Stages
) -> None:
    backup, region = region_before(Step.RELEASE), region_before(Step.RELEASE)
    first = released(region, stages.signed, stages.manifest)
    restore_older_database(backup, region)
    turn_labels(backup)
    again = released(backup, stages.signed, stages.manifest)
    assert all(one == other for one, other in common(first, again))


def restore_older_database(backup: Region, newer: Region) -> None:
    """Give the backup, which has an older database, the files that lie beside the newer database."""
    backup.stop(LEAD)
    shutil.copytree(newer.folder / LEAD / "periods", backup.folder / LEAD / "periods", dirs_exist_ok=True)


def test_another_epsilon_in_the_period_is_refused_also_with_an_older_database(
    region_before: Any, stages: Stages
) -> None:
    backup, region = region_before(Step.RELEASE), region_before(Step.RELEASE)
    released(region, stages.signed, stages.manifest)
    restore_older_database(backup, region)
    for each in (region, backup):
        signed = each.sign(each.draft(epsilon_milli=2000))
        manifest = each.schedule(signed, "run-b", mode="evidence", departments=(LEAD, NODE, "housing"))
        each.run_until(signed, manifest, Step.RELEASE)
        request = each.run_folder(manifest).request(Step.RELEASE, LEAD)
        assert each.ask(Step.RELEASE, LEAD, request) == "label.epsilon_changed"
        with transaction(each.engines[LEAD].db) as session:
            sent = select(func.count()).select_from(SentRow).where(SentRow.run_id == "run-b", SentRow.step == "release")
            assert session.scalar(sent) == 0


def test_the_next_period_draws_anew_for_everybody_and_is_charged(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.TRAIN)
    register = read_register(region.engines[LEAD].extract.load(), "public_coverage")
    everyone = np.arange(len(register.households))
    office = LabelOffice(region.homes[LEAD], "support-2026")
    outside = [random_points(1) for _ in range(64)]
    first = office.release(register, everyone, outside, TERMS)
    same = office.release(register, everyone, outside, TERMS)
    after = office.release(register, everyone, outside, TERMS.model_copy(update={"label_period": "2027"}))
    assert np.array_equal(first.bits, same.bits)
    # A bit stays with probability p² + (1−p)² = 0.61: all of more than 100 + 64 do with a probability below 10^-30.
    inside = len(register.households)
    assert (first.bits[:inside] != after.bits[:inside]).any()
    assert (first.bits[inside:] != after.bits[inside:]).any()
    assert np.array_equal(first.held_out, after.held_out), "the held-out flag is permanent"
    signed = region.sign(region.draft(label_period="2027"))
    manifest = region.schedule(signed, "run-b", mode="evidence", departments=(LEAD, NODE, "housing"))
    released(region, signed, manifest)
    assert label_charges(region) == [("2026", 1000), ("2027", 1000)]


def test_another_project_draws_anew(region_before: Any) -> None:
    region = region_before(Step.TRAIN)
    register = read_register(region.engines[LEAD].extract.load(), "public_coverage")
    everyone = np.arange(len(register.households))
    one, other = (
        LabelOffice(region.homes[LEAD], project).release(register, everyone, [], TERMS)
        for project in ("support-2026", "housing-2026")
    )
    assert (one.bits != other.bits).any()  # all alike: probability below 10^-20
    assert np.array_equal(one.held_out, other.held_out)


def test_bits_are_kept_with_the_stated_probability(region_before: Any) -> None:
    region = region_before(Step.RELEASE)
    households = 20_000
    labels = (np.arange(households) % 3 == 0).astype(np.uint8)
    register = Register([f"H{i}" for i in range(households)], np.arange(households), labels)
    drawn = LabelOffice(region.homes[LEAD], "statistics").release(register, np.arange(households), [], TERMS)
    # The release key is fresh, so this is a random test. Hoeffding: the bound is missed with probability 10^-9 per line.
    bound = np.sqrt(np.log(2e9) / (2 * households / 3))
    probability = keep_probability(keep_threshold(1000))
    assert abs((drawn.bits == labels)[labels == 1].mean() - probability) < bound
    assert abs((drawn.bits == labels)[labels == 0].mean() - probability) < bound
    assert abs(drawn.held_out.mean() - 0.2) < bound


def test_members_of_a_household_share_one_bit_and_one_flag(stages: Stages) -> None:
    region = stages.before(Step.TRAIN)
    opened = Opened(region, stages.signed, stages.manifest)
    cells = opened.label_cells()[opened.slots_by_row(LEAD)]
    register = read_register(region.engines[LEAD].extract.load(), "public_coverage")
    for household in range(len(register.households)):
        assert len(set(cells[register.household_of_row == household].tolist())) == 1


def test_the_label_budget_refuses_when_it_is_used_up(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.RELEASE)
    region.set_policy(LEAD, max_label_epsilon_milli_per_year=999)
    assert region.ask(Step.RELEASE, LEAD, stages.request(Step.RELEASE, LEAD)) == "label.budget_exhausted"
    assert label_charges(region) == []
    assert not (region.folder / LEAD / "periods").exists(), "nothing is frozen, let alone drawn"
    region.set_policy(LEAD, max_label_epsilon_milli_per_year=1000)
    assert region.ask(Step.RELEASE, LEAD, stages.request(Step.RELEASE, LEAD)) == "ok"


def test_the_label_budget_counts_all_projects_of_the_last_year(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.TRAIN)
    engine = region.engines[LEAD]
    with transaction(engine.db) as session:
        charged_at = session.scalar(select(LabelChargeRow.charged_at))
        engine.vault.join(session, "other", 0)
    later = [Accounts(engine.db, "other", stages.signed.grant_hash, "run-9", 1, charged_at + s) for s in (1, YEAR_S)]
    with pytest.raises(DoudiError) as caught:
        later[0].charge_label("another_target", "2026", 500, 1499)
    assert caught.value.code == "label.budget_exhausted"
    later[1].charge_label("another_target", "2026", 500, 1499)


def test_slots_outside_the_register_get_a_bit_and_a_flag_and_the_label_not_reached(stages: Stages) -> None:
    region = stages.before(Step.TRAIN)
    opened = Opened(region, stages.signed, stages.manifest)
    inside = opened.slots_by_row(LEAD)
    outside = np.setdiff1d(np.arange(opened.slots), inside)
    assert len(outside) > 50
    opening = np.frombuffer(opened.value(LEAD, "opening")[32:], np.uint8).reshape(3, opened.slots)
    assert not opening[0, outside].any()
    cells = opened.label_cells()
    # A bit is 1 with probability 0.27, a flag with 0.2: false alarm below 0.73^50 + 0.8^50 = 2·10^-5.
    assert set((cells[outside] & 1).tolist()) == {0, 1}
    assert set((cells[outside] >> 1).tolist()) == {0, 1}


def test_households_outside_the_register_never_count_as_negatives(stages: Stages) -> None:
    region = stages.before(None)
    register = read_register(region.engines[LEAD].extract.load(), "public_coverage")
    metrics = parse_frame(stages.reply(Step.COMBINE, LEAD)[64:]).parts["metrics"]
    import json

    reported = json.loads(metrics)
    held_out = LabelOffice(region.homes[LEAD], "support-2026").held_out(register, TERMS)
    assert reported["households"] == len(register.households)
    assert reported["evidence"]["households"] == int(held_out.sum())


def test_a_department_is_passed_its_own_slots_only(stages: Stages) -> None:
    opened = Opened(stages.before(Step.TRAIN), stages.signed, stages.manifest)
    for name in ("tax", "health_disability", "housing"):
        parts = opened.request(Step.TRAIN, name)
        own = opened.slots_by_row(name)
        assert sorted(np.frombuffer(parts["slots"], "<u4").tolist()) == sorted(own.tolist())
        assert len(parts["cells"]) == 17 * len(own) < 17 * opened.slots
        assert set(parts) == {"grant", "manifest", "slots", "cells", "cell-key"}


def moved(stages: Stages, what: str) -> dict[str, bytes | None]:
    """Return the parts of a request in which the coordinator moved cells or slots of a department."""
    opened = Opened(stages.before(Step.TRAIN), stages.signed, stages.manifest)
    parts = opened.request(Step.TRAIN, NODE)
    slots = np.frombuffer(parts["slots"], "<u4").copy()
    cells = np.frombuffer(parts["cells"], np.uint8).reshape(len(slots), 17).copy()
    all_cells = np.frombuffer(opened.reply(Step.RELEASE, LEAD)["cells"], np.uint8).reshape(opened.slots, 17)
    foreign = int(np.setdiff1d(np.arange(opened.slots), slots)[0])
    if what in ("cells", "both"):
        cells[[0, 1]] = cells[[1, 0]]
    if what in ("slots", "both"):
        slots[[0, 1]] = slots[[1, 0]]
    if what == "foreign person":
        slots[0], cells[0] = foreign, all_cells[foreign]
    return {"slots": slots.tobytes(), "cells": cells.tobytes()}


@pytest.mark.parametrize("what", ["cells", "slots", "both", "foreign person"])
def test_a_cell_opens_only_under_the_pseudonym_that_the_lead_sealed_it_for(
    region_before: Any, stages: Stages, what: str
) -> None:
    region = region_before(Step.TRAIN)
    request = edited(stages.request(Step.TRAIN, NODE), moved(stages, what))
    assert region.ask(Step.TRAIN, NODE, request) == "cells.tampered"


def test_the_cells_of_another_run_do_not_open(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.TRAIN)
    manifest = region.schedule(stages.signed, "run-2", 2)
    region.run_until(stages.signed, manifest, Step.TRAIN)
    request = region.run_folder(manifest).request(Step.TRAIN, NODE)
    first = parse_frame(stages.request(Step.TRAIN, NODE)).parts
    assert region.ask(Step.TRAIN, NODE, edited(request, {"cells": first["cells"]})) == "cells.tampered"
    swapped_key = edited(request, {"cells": first["cells"], "cell-key": first["cell-key"]})
    assert region.ask(Step.TRAIN, NODE, swapped_key) == "envelope.wrong_header"


def test_the_commitment_opens_for_what_was_released_and_for_nothing_else(stages: Stages) -> None:
    opened = Opened(stages.before(Step.TRAIN), stages.signed, stages.manifest)
    stored = opened.value(LEAD, "opening")
    key, arrays = stored[:32], np.frombuffer(stored[32:], np.uint8).reshape(3, opened.slots)
    assert np.array_equal(arrays[1] | arrays[2] << 1, opened.label_cells())
    root = opened.reply(Step.RELEASE, LEAD)["commitment"]
    leaves = [
        merkle.commitment_leaf(opening_salt(key, slot), opening_payload(slot, *arrays[:, slot].tolist()))
        for slot in range(opened.slots)
    ]
    slot = 7
    proof = merkle.inclusion_proof(leaves, slot)
    label, bit, flag = arrays[:, slot].tolist()
    merkle.verify_inclusion(root, leaves[slot], slot, opened.slots, proof)
    for other in ((1 - label, bit, flag), (label, 1 - bit, flag), (label, bit, 1 - flag)):
        leaf = merkle.commitment_leaf(opening_salt(key, slot), opening_payload(slot, *other))
        with pytest.raises(DoudiError) as caught:
            merkle.verify_inclusion(root, leaf, slot, opened.slots, proof)
        assert caught.value.code == "merkle.bad_proof"
    assert opening_salt(key, slot) != opening_salt(key, slot + 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda union, own: union.replace(own, random_points(1)), "linkage.union_incomplete"),
        (lambda union, own: union + own, "linkage.duplicate_point"),
        (lambda union, own: union[:-1], "request.malformed"),
        (lambda union, own: b"", "request.malformed"),
        (lambda union, own: union + random_points(5000), "evidence.too_many_slots"),
    ],
    ids=["left out", "doubled", "cut", "empty", "too many slots"],
)
def test_a_union_that_the_lead_cannot_release_for_is_refused_and_nothing_is_charged(
    region_before: Any, stages: Stages, change: Any, code: str
) -> None:
    region = region_before(Step.RELEASE)
    own = Opened(region, stages.signed, stages.manifest).value(LEAD, "pseudonyms")[:32]
    request = stages.request(Step.RELEASE, LEAD)
    union = change(parse_frame(request).parts["union"], own)
    assert region.ask(Step.RELEASE, LEAD, edited(request, {"union": union})) == code
    assert label_charges(region) == []


@pytest.mark.parametrize("receivers", [None, "tax", ["tax", "tax"], [LEAD], ["education"], [["tax"]]])
def test_keys_of_the_cells_go_to_departments_of_the_run_only(
    region_before: Any, stages: Stages, receivers: object
) -> None:
    region = region_before(Step.RELEASE)
    request = edited(stages.request(Step.RELEASE, LEAD), terms={"departments": receivers})
    assert region.ask(Step.RELEASE, LEAD, request) == "request.malformed"


def test_an_unknown_target_is_refused(region_before: Any) -> None:
    region = region_before(Step.RELEASE)
    extract = region.engines[LEAD].extract.load()
    for target in ("AGEP", "winning_numbers"):
        with pytest.raises(DoudiError) as caught:
            read_register(replace(extract), target)
        assert caught.value.code == "label.unknown_target"
