"""What the guard asks of a line's grant: one accepting case, one refusing case per clause."""

from dataclasses import replace

import pytest
from line_region import SHORT_TRAINING, Line
from line_rounds_driver import RoundDriver

from crypto.errors import DoudiError
from department_nodes.grant_clauses import verify_grant_terms
from department_nodes.lines.officers import DISTRIBUTED_DEFAULTS
from department_nodes.offers import make_offer
from department_nodes.preview import preview_grant
from policies.contracts.grant import LineGrant, Operation, SignedGrant
from policies.contracts.line_grant import honest_survivors
from policies.contracts.steps import Step

SHARED_NOISE = replace(DISTRIBUTED_DEFAULTS, rounds=2)


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    made = Line(tmp_path_factory.mktemp("clauses") / "line", regions=3)
    yield made
    made.close()


def refusal(line: Line, grant: LineGrant, **policy: object) -> str:
    """Return the code with which the second region refuses a grant under a changed site policy, or `ok`."""
    name = line.parties[1]
    before = line.homes[name].config.policy
    try:
        if policy:
            line.set_policy(name, **policy)
        verify_grant_terms(grant, line.engines[name].site(), int(line.clock()))
        return "ok"
    except DoudiError as error:
        return error.code
    finally:
        if policy:
            line.set_policy(name, **before.model_dump())


def changed(grant: LineGrant, section: str, **values: object) -> LineGrant:
    """Return the grant with other values in one section; they are checked again."""
    content = grant.model_dump(mode="json")
    content[section] |= values
    return LineGrant.model_validate(content)


def test_a_grant_within_the_policy_is_accepted(line):
    assert refusal(line, line.draft()) == "ok"
    assert refusal(line, line.draft(SHARED_NOISE)) == "ok"


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"allow_lines": False}, "policy.lines"),
        ({"min_line_parties": 4}, "policy.line_parties"),
        ({"line_delta_exponent": 7}, "policy.line_delta"),
    ],
)
def test_a_stricter_site_refuses_any_line(line, policy, code):
    assert refusal(line, line.draft(), **policy) == code


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"allow_distributed_noise": False}, "policy.distributed_noise"),
        ({"max_honest_percent": 50}, "policy.honest_percent"),
    ],
)
def test_a_site_may_refuse_to_rely_on_the_others_noise(line, policy, code):
    assert refusal(line, line.draft(SHARED_NOISE), **policy) == code
    assert refusal(line, line.draft(), **policy) == "ok"


def test_plain_updates_are_refused_unless_the_site_allows_them(line):
    grant = line.draft(method="median")
    assert refusal(line, grant) == "policy.plain_updates"
    assert refusal(line, grant, allow_plain_updates=True) == "ok"


def test_another_model_than_the_installed_one_is_refused(line):
    assert refusal(line, changed(line.draft(), "training", model_hash="0" * 64)) == "grant.wrong_model"
    assert refusal(line, changed(line.draft(), "training", model_version=99)) == "standard.unknown_model"


def test_a_region_that_is_not_the_one_on_the_card_is_refused(line):
    content = line.draft().model_dump(mode="json")
    content["participants"][0]["region"] = "elsewhere"
    assert refusal(line, LineGrant.model_validate(content)) == "grant.wrong_region"


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("training", {"placement": "distributed", "local_steps": 2}),
        ("training", {"placement": "distributed", "local_steps": 1, "sample_rate_ppm": 1000}),
        ("training", {"noise_multiplier_milli": 0}),
        ("training", {"delta_exponent": 2}),
        ("training", {"privacy_unit": "household"}),
        ("aggregation", {"min_survivors": 2}),
        ("aggregation", {"min_survivors": 4}),
        ("aggregation", {"method": "krum", "krum_malicious": 1}),
        ("aggregation", {"method": "mean"}),
    ],
)
def test_a_grant_that_contradicts_itself_cannot_be_written(line, section, values):
    with pytest.raises(ValueError):
        changed(line.draft(), section, **values)


def test_a_node_offers_no_keys_for_a_grant_that_not_everybody_signed(line):
    with pytest.raises(DoudiError) as caught:
        make_offer(line.engines[line.parties[0]], SignedGrant(grant=line.draft()), "line-run-9", 1)
    assert caught.value.code == "grant.signature_missing"


def test_bits_that_the_regions_grant_does_not_give_to_lines_are_not_used(tmp_path):
    line = Line(tmp_path / "line", regions=3, operations=(Operation.LINK, Operation.TRAIN))
    signed = line.sign(line.draft(SHORT_TRAINING))
    driver = RoundDriver(line, signed, line.schedule(signed))
    assert {driver.code(name, driver.request(Step.LINE_KEYS)) for name in line.parties} == {"line.no_bits"}
    line.close()


@pytest.mark.parametrize(
    ("survivors", "percent", "counted"), [(3, 67, 2), (3, 100, 3), (22, 67, 14), (24, 58, 13), (32, 34, 10)]
)
def test_honest_survivors_are_whole_departments_rounded_down(survivors, percent, counted):
    assert honest_survivors(survivors, percent) == counted


def test_shared_noise_may_not_count_on_departments_that_a_dishonest_third_may_be(line):
    grant = line.draft(SHARED_NOISE)
    assert changed(grant, "training", honest_percent=100).training.honest_percent == 100
    four = Line(line.folder / "four", regions=4)
    with pytest.raises(ValueError, match="honest share"):
        changed(four.draft(SHARED_NOISE), "training", honest_percent=100)
    four.close()


def test_the_preview_names_cost_messages_and_refusal(line):
    signed = SignedGrant(grant=line.draft(SHARED_NOISE, epsilon=2.0))
    shown = preview_grant(line.homes[line.parties[1]], signed, int(line.clock()))
    assert shown["refusal"] is None
    assert 1.9 < shown["texts"]["epsilon"] <= 2.0
    kinds = [row["kind"] for row in shown["leaves"]]
    assert kinds.count("shares of a line round") == 2
    assert "masked update of a line" in kinds
