"""A round of a line against a coordinator that lies: what each node refuses, and that nothing opens a single update."""

import numpy as np
import pytest
from line_region import Line
from line_rounds_driver import RoundDriver
from open_gate import UnsafeOpenGate
from region import code_of, parts_of
from sqlalchemy import select

from crypto.signing import generate_signing_key
from department_nodes.engine import NodeEngine
from department_nodes.privacy.randomness import UnsafeSeededNoise
from department_nodes.store.models import SealedValueRow, StepRow
from department_nodes.store.session import transaction
from policies.contracts.line_rounds import RoundKeys, Unmasking
from policies.contracts.steps import Step


@pytest.fixture
def line(tmp_path):
    made = Line(tmp_path / "line")
    yield made
    made.close()


@pytest.fixture
def agreed(line):
    signed = line.sign(line.draft())
    return signed, line.schedule(signed)


@pytest.fixture
def driver(line, agreed):
    return RoundDriver(line, *agreed)


def sealed_names(engine: NodeEngine) -> list[str]:
    with transaction(engine.db) as session:
        names = session.scalars(select(SealedValueRow.name).where(SealedValueRow.name.startswith("line-")))
        return sorted(names)


def test_a_round_gives_masked_updates_that_only_the_survivors_shares_open(line, driver):
    updates = driver.up_to_updates()
    survivors = sorted(updates)[:-1]
    driver.consents(survivors)
    for name in survivors:
        given = Unmasking.parse(parts_of(driver.answer(name, driver.unmask_request()))["unmask"])
        assert sorted(given.self_seed_shares) == survivors
        assert sorted(given.mask_key_shares) == [sorted(updates)[-1]]
    values = np.frombuffer(updates[survivors[0]], "<u8")
    # Masked values fill the ring: an unmasked update of these bounds would stay below 2^40 or above 2^64 - 2^40.
    assert (values[: len(values)] > 2**60).mean() > 0.5


def test_after_unmasking_a_node_keeps_no_secret_of_the_round(line, driver):
    updates = driver.up_to_updates()
    name = sorted(updates)[0]
    assert sealed_names(line.engines[name])
    driver.consents(updates)
    assert driver.code(name, driver.unmask_request()) == "ok"
    assert sealed_names(line.engines[name]) == []


def test_keys_that_the_department_did_not_sign_are_refused(line, driver):
    keys = driver.keys()
    victim, other = line.parties[1], line.parties[2]
    forged = RoundKeys.parse(keys[other]).signed(generate_signing_key())
    assert driver.code(victim, driver.shares_request({**keys, other: forged.to_bytes()})) == "line.substituted_keys"


def test_own_keys_cannot_be_replaced_by_the_keys_of_another(line, driver):
    keys = driver.keys()
    victim, other = line.parties[1], line.parties[2]
    assert driver.code(victim, driver.shares_request({**keys, victim: keys[other]})) == "line.wrong_round"
    missing = {name: data for name, data in keys.items() if name != victim}
    assert driver.code(victim, driver.shares_request(missing)) == "line.substituted_keys"


def test_keys_of_another_round_are_refused(line, agreed):
    first, second = RoundDriver(line, *agreed), RoundDriver(line, *agreed, number=2)
    old = first.keys()
    new = second.keys()
    name, other = line.parties[0], line.parties[1]
    assert second.code(name, second.shares_request({**new, other: old[other]})) == "line.wrong_round"


def test_nodes_that_were_shown_different_rosters_refuse_each_others_shares(line, driver):
    keys = driver.keys()
    victim = line.parties[0]
    smaller = {name: data for name, data in keys.items() if name != line.parties[3]}
    for name in line.parties:
        roster = keys if name == victim else smaller
        if name in roster:
            driver.given_shares[name] = parts_of(driver.answer(name, driver.shares_request(roster)))
    code = driver.code(victim, driver.update_request(victim, line.parties[:3]))
    assert code in ("line.other_roster", "envelope.wrong_header")


def test_the_same_round_with_other_data_is_refused_and_the_first_ciphertext_comes_again(line, driver):
    driver.keys()
    driver.shares()
    name = line.parties[0]
    request = driver.update_request(name)
    first = driver.answer(name, request)
    assert driver.answer(name, request) == first
    parameters = len(parts_of(first)["update"]) // 8
    other_model = driver.update_request(name, model=np.full(parameters, 0.01, "<f4").tobytes())
    assert driver.code(name, other_model) == "step.different_request"
    assert driver.answer(name, request) == first


def test_a_round_that_was_passed_is_refused(line, agreed):
    RoundDriver(line, *agreed, number=2).keys()
    assert RoundDriver(line, *agreed).code(line.parties[0], RoundDriver(line, *agreed).request(Step.LINE_KEYS)) == (
        "line.round_passed"
    )


def test_a_repeat_of_an_older_rounds_request_is_refused(line, agreed):
    first = RoundDriver(line, *agreed)
    updates = first.up_to_updates()
    RoundDriver(line, *agreed, number=2).keys()
    name = sorted(updates)[0]
    assert first.code(name, first.update_request(name)) == "line.round_passed"


def test_a_live_node_declared_dropped_stays_hidden(line, driver):
    """Its mask key may be asked for, and then nobody gives a share of its self mask, which hides it still."""
    updates = driver.up_to_updates()
    victim = sorted(updates)[0]
    others = [name for name in sorted(updates) if name != victim]
    assert driver.code(victim, driver.consent_request(others)) == "line.left_out"
    driver.consents(others)
    for name in others:
        given = Unmasking.parse(parts_of(driver.answer(name, driver.unmask_request()))["unmask"])
        assert victim in given.mask_key_shares
        assert victim not in given.self_seed_shares


def test_a_node_signs_one_set_of_survivors_only(line, driver):
    updates = driver.up_to_updates()
    name = sorted(updates)[0]
    assert driver.code(name, driver.consent_request(sorted(updates)[:3])) == "ok"
    assert driver.code(name, driver.consent_request(sorted(updates))) == "step.different_request"


def test_consents_to_two_sets_open_nothing(line, driver):
    updates = sorted(driver.up_to_updates())
    for name in updates[:2]:
        driver.given_consents[name] = parts_of(driver.answer(name, driver.consent_request(updates[:3])))["consent"]
    for name in updates[2:]:
        driver.given_consents[name] = parts_of(driver.answer(name, driver.consent_request(updates)))["consent"]
    assert {driver.code(name, driver.unmask_request()) for name in updates} == {"line.bad_consent"}


def test_too_few_consents_open_nothing(line, driver):
    updates = sorted(driver.up_to_updates())
    driver.consents(updates)
    few = {name: driver.given_consents[name] for name in updates[:2]}
    assert driver.code(updates[0], driver.unmask_request(few)) == "line.too_few_consents"


def test_different_models_for_different_nodes_open_nothing(line, driver):
    """The attack of Pasquini et al. 2022: a model under which the others' updates vanish would leave the victim's alone."""
    driver.keys()
    driver.shares()
    names = sorted(driver.given_shares)
    first = parts_of(driver.answer(names[0], driver.update_request(names[0])))["update"]
    other_model = np.full(len(first) // 8, 0.01, "<f4").tobytes()
    for name in names[1:]:
        assert driver.code(name, driver.update_request(name, model=other_model)) == "ok"
    driver.consents(names)
    assert driver.code(names[0], driver.unmask_request()) == "line.bad_consent"
    assert driver.code(names[1], driver.unmask_request()) == "line.bad_consent"


def test_a_round_below_the_minimum_is_refused_in_every_phase(line, driver):
    keys = driver.keys()
    two = {name: keys[name] for name in line.parties[:2]}
    assert driver.code(line.parties[0], driver.shares_request(two)) == "line.too_few_survivors"
    driver.shares()
    assert driver.code(line.parties[0], driver.update_request(line.parties[0], line.parties[:2])) == (
        "line.too_few_survivors"
    )
    updates = driver.updates()
    assert driver.code(line.parties[0], driver.consent_request(sorted(updates)[:2])) == "line.too_few_survivors"


@pytest.mark.parametrize("fill", [np.nan, np.inf, 1e9])
def test_a_model_that_no_granted_rounds_could_have_made_is_refused(line, driver, fill):
    driver.keys()
    driver.shares()
    name = line.parties[0]
    length = 4 * _parameters(line)
    assert driver.code(name, driver.update_request(name, model=b"\0" * (length - 4))) == "line.malformed_model"
    bad = np.full(length // 4, fill, "<f4").tobytes()
    assert driver.code(name, driver.update_request(name, model=bad)) == "line.malformed_model"


def _parameters(line: Line) -> int:
    from policies.standards.loader import load_dataset_standard
    from policies.standards.model_loader import load_model_standard

    card = line.cards[line.parties[0]]
    width = load_dataset_standard(card.dataset, 1).encoded_width(card.columns)
    return load_model_standard("perceptron", 1).parameters(width)


def test_more_rounds_than_granted_are_refused_before_training(line, agreed):
    driver = RoundDriver(line, *agreed, number=3)
    assert driver.code(line.parties[0], driver.request(Step.LINE_KEYS)) == "line.too_many_rounds"


def test_a_seeded_noise_source_is_refused(line, agreed):
    name = line.parties[0]
    unsafe = NodeEngine(line.homes[name], line.clock, UnsafeSeededNoise(1), UnsafeOpenGate())
    driver = RoundDriver(line, *agreed)
    assert code_of(unsafe.answer(driver.request(Step.LINE_KEYS))) == "privacy.unsafe_randomness"
    unsafe.db.dispose()


def test_a_step_of_the_main_job_is_refused_under_a_lines_grant(line, agreed):
    driver = RoundDriver(line, *agreed, number=0)
    assert driver.code(line.parties[0], driver.request(Step.BLIND)) == "grant.wrong_kind"


def test_replies_of_past_rounds_are_not_kept(line, agreed):
    name = line.parties[0]
    first = RoundDriver(line, *agreed)
    first.up_to_updates()
    RoundDriver(line, *agreed, number=2).keys()
    with transaction(line.engines[name].db) as session:
        kept = {(row.round, row.step): len(row.reply) for row in session.scalars(select(StepRow))}
    assert all(size == 0 for (number, _), size in kept.items() if number == 1)
    assert sealed_names(line.engines[name]) == ["line-002-keys"]


def test_a_roster_that_leaves_out_more_than_a_third_of_the_run_is_refused(tmp_path):
    """With a threshold of the roster's own, a coordinator could choose a roster of which its few accomplices are two thirds."""
    line = Line(tmp_path / "ten", regions=7)
    signed = line.sign(line.draft())
    driver = RoundDriver(line, signed, line.schedule(signed))
    keys = driver.keys()
    four = {name: keys[name] for name in line.parties[:4]}
    assert driver.code(line.parties[0], driver.shares_request(four)) == "line.too_few_survivors"
    driver.shares()
    updates = sorted(driver.updates())
    assert driver.code(updates[0], driver.consent_request(updates[:4])) == "line.too_few_survivors"
    driver.consents(updates[:5])
    few = {name: driver.given_consents[name] for name in updates[:4]}
    assert driver.code(updates[0], driver.unmask_request(few)) == "line.too_few_consents"
    line.close()


def test_a_project_that_was_left_ends_the_use_of_its_bits_in_the_next_round(line, agreed):
    from department_nodes.retention import leave_project
    from department_nodes.store.models import ProjectRow

    first = RoundDriver(line, *agreed)
    first.up_to_updates()
    name = line.parties[0]
    with transaction(line.engines[name].db) as session:
        projects = session.scalars(select(ProjectRow.project_id)).all()
    (region_project,) = [project for project in projects if project.startswith("support-")]
    leave_project(line.engines[name], region_project)
    assert RoundDriver(line, *agreed, number=2).code(name, RoundDriver(line, *agreed, 2).request(Step.LINE_KEYS)) == (
        "line.no_bits"
    )


def test_a_round_that_is_refused_leaves_the_present_one_whole(line, driver, agreed):
    driver.keys()
    driver.shares()
    name = line.parties[0]
    far = RoundDriver(line, *agreed, number=999)
    assert far.code(name, far.request(Step.LINE_KEYS)) == "line.too_many_rounds"
    assert driver.code(name, driver.update_request(name)) == "ok"


def test_the_final_model_is_taken_once(line, driver, agreed):
    name = line.parties[0]
    model = np.full(_parameters(line), 0.001, "<f4").tobytes()
    assert driver.code(name, driver.request(Step.LINE_MODEL, {"rounds": 1}, {"model": model})) == "ok"
    later = RoundDriver(line, *agreed, number=2)
    assert later.code(name, later.request(Step.LINE_MODEL, {"rounds": 2}, {"model": model})) == "line.round_passed"
    assert later.code(name, later.request(Step.LINE_KEYS)) == "line.round_passed"


@pytest.mark.parametrize("bad", [b"\x00" * 32, b"\x01" + b"\x00" * 31])
def test_a_mask_key_of_low_order_is_refused_before_anything_is_trained(line, driver, bad):
    keys = driver.keys()
    name, other = line.parties[0], line.parties[1]
    weak = RoundKeys.parse(keys[other]).model_copy(update={"mask_key": bad.hex()})
    signed = weak.signed(line.homes[other].key("identity.key")).to_bytes()
    assert driver.code(name, driver.shares_request({**keys, other: signed})) in (
        "masking.bad_key",
        "aggregation.bad_key",
    )


def test_shares_of_an_odd_length_are_refused_where_they_arrive():
    from crypto.errors import DoudiError

    good = Unmasking(survivors_digest="0" * 64, self_seed_shares={"a": "0" * 136}, mask_key_shares={})
    with pytest.raises(DoudiError) as caught:
        Unmasking.parse(good.to_bytes().replace(b"0" * 136, b"0" * 135))
    assert caught.value.code == "document.malformed"
