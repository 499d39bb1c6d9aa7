"""A whole line with real nodes in one process: every placement and method, dropped nodes, interruptions, the budget."""

import json

import numpy as np
import pytest
from line_region import SHORT_TRAINING, Line
from region import EngineRelay, Interrupted, interrupt_before, lose
from sqlalchemy import select

from crypto.errors import DoudiError
from department_nodes.lines.budgets import budget_account
from department_nodes.lines.officers import DISTRIBUTED_DEFAULTS
from department_nodes.privacy.accountant import epsilon
from department_nodes.privacy.mechanisms import GaussianSteps
from department_nodes.store.models import LineModelRow, PrivacyChargeRow, SentRow
from department_nodes.store.session import transaction
from department_nodes.training.line_model import LineNetwork
from policies.contracts.steps import Step

ROUND_STEPS = [Step.LINE_KEYS, Step.LINE_SHARES, Step.LINE_UPDATE, Step.LINE_CONSENT, Step.LINE_UNMASK]


@pytest.fixture
def line(tmp_path):
    made = Line(tmp_path / "line")
    yield made
    made.close()


def models(line: Line) -> dict[str, str]:
    """Return the digest of each node's newest line model."""
    found = {}
    for name in line.parties:
        with transaction(line.engines[name].db) as session:
            rows = session.scalars(select(LineModelRow).order_by(LineModelRow.adopted_at.desc())).all()
            for row in rows[:1]:
                assert LineNetwork.from_bytes(row.document).digest() == row.digest
                found[name] = row.digest
    return found


def charges(line: Line, name: str) -> list[tuple[int, int]]:
    with transaction(line.engines[name].db) as session:
        rows = session.scalars(select(PrivacyChargeRow)).all()
        return sorted((row.attempt, row.round) for row in rows)


def spent(line: Line, name: str) -> float:
    engine = line.engines[name]
    return budget_account(engine.db, engine.home.config, int(line.clock())).state().epsilon_spent


@pytest.mark.parametrize("placement", ["local", "distributed"])
def test_all_nodes_end_with_the_same_model_and_have_paid_what_the_accountant_says(line, placement):
    training = (
        SHORT_TRAINING
        if placement == "local"
        else DISTRIBUTED_DEFAULTS.__class__(**{**DISTRIBUTED_DEFAULTS.__dict__, "rounds": 2})
    )
    grant = line.draft(training, epsilon=2.0)
    signed = line.sign(grant)
    account = line.run(signed, line.schedule(signed))
    assert account["line"]["done"] == 2
    digests = models(line)
    assert set(digests) == set(line.parties)
    assert len(set(digests.values())) == 1
    for name in line.parties:
        assert charges(line, name) == [(1, 1), (1, 2)]
        assert 1.9 < spent(line, name) <= 2.0
    if placement == "local":
        events = [GaussianSteps(grant.training.noise_multiplier, 0.2, 2)] * 2
        assert spent(line, line.parties[0]) == pytest.approx(epsilon(events, 1e-6), abs=1e-9)


def test_the_account_of_what_was_sent_names_every_part_of_every_round(line):
    signed = line.sign(line.draft())
    line.run(signed, line.schedule(signed))
    with transaction(line.engines[line.lead].db) as session:
        rows = session.scalars(select(SentRow)).all()
        kinds = sorted((row.round, row.kind) for row in rows)
    others = len(line.parties) - 1
    for number in (1, 2):
        own = [kind for round_number, kind in kinds if round_number == number]
        assert own.count("shares of a line round") == others
        assert own.count("masked update of a line") == 1
        assert len(own) == others + 5


@pytest.mark.parametrize("step", ROUND_STEPS)
def test_a_node_that_is_lost_in_a_step_is_out_of_that_round_only(line, step):
    signed = line.sign(line.draft())
    victim = line.parties[2]
    first = {"open": True}

    def alter(asked, name, data):
        if (asked, name) == (step, victim) and first["open"]:
            first["open"] = False
            return None
        return data

    account = line.run(signed, line.schedule(signed), EngineRelay(line.engines, alter))
    assert account["line"]["done"] == 2
    survivors = [row["survivors"] for row in account["line"]["rounds"]]
    in_first = step in (Step.LINE_CONSENT, Step.LINE_UNMASK)
    assert (victim in survivors[0]) is in_first
    assert victim in survivors[1]
    assert len(set(models(line).values())) == 1


def test_a_node_whose_reply_is_lost_after_it_trained_has_paid_for_the_round(line):
    signed = line.sign(line.draft())
    victim = line.parties[1]
    seen = []

    def alter_reply(asked, name, data):
        if (asked, name) == (Step.LINE_UPDATE, victim) and not seen:
            seen.append(1)
            return None
        return data

    account = line.run(signed, line.schedule(signed), EngineRelay(line.engines, alter_reply=alter_reply))
    assert victim not in account["line"]["rounds"][0]["survivors"]
    assert charges(line, victim) == [(1, 1), (1, 2)]


def test_below_the_minimum_three_rounds_abort_and_the_run_fails_with_the_reason(line):
    signed = line.sign(line.draft(min_survivors=4))
    manifest = line.schedule(signed)
    with pytest.raises(DoudiError) as caught:
        line.run(signed, manifest, EngineRelay(line.engines, lose(line.parties[0], Step.LINE_SHARES)))
    assert caught.value.code == "line.too_few_survivors"
    assert models(line) == {}


@pytest.mark.parametrize("step", [*ROUND_STEPS, Step.LINE_MODEL])
def test_a_killed_coordinator_goes_on_and_nothing_is_charged_twice(line, step):
    signed = line.sign(line.draft())
    manifest = line.schedule(signed)
    with pytest.raises(Interrupted):
        line.run(signed, manifest, EngineRelay(line.engines, interrupt_before(step, 2)))
    account = line.run(signed, manifest)
    assert account["line"]["done"] == 2
    assert len(set(models(line).values())) == 1
    assert {tuple(charges(line, name)) for name in line.parties} == {((1, 1), (1, 2))}


@pytest.mark.parametrize("step", ROUND_STEPS)
def test_nodes_that_restart_in_the_middle_of_a_round_finish_it(line, step):
    signed = line.sign(line.draft())
    manifest = line.schedule(signed)
    with pytest.raises(Interrupted):
        line.run(signed, manifest, EngineRelay(line.engines, interrupt_before(step, 1)))
    for name in line.parties:
        line.restart(name)
    assert line.run(signed, manifest)["line"]["done"] == 2


def test_a_new_attempt_goes_on_from_the_last_checkpoint_and_pays_for_the_rounds_that_are_left(line):
    training = SHORT_TRAINING.__class__(**{**SHORT_TRAINING.__dict__, "rounds": 3})
    signed = line.sign(line.draft(training))
    manifest = line.schedule(signed)
    count = {"asked": 0}

    def alter(asked, name, data):
        if asked is Step.LINE_KEYS and name == line.parties[0]:
            count["asked"] += 1
            if count["asked"] == 2:
                raise Interrupted
        return data

    with pytest.raises(Interrupted):
        line.run(signed, manifest, EngineRelay(line.engines, alter))
    again = line.schedule(signed, attempt=2)
    account = line.run(signed, again)
    assert account["line"]["done"] == 3
    assert charges(line, line.parties[0]) == [(1, 1), (2, 2), (2, 3)]


@pytest.mark.parametrize("method", ["median", "krum"])
def test_robust_methods_run_where_every_site_allows_plain_updates(line, method):
    for name in line.parties:
        line.set_policy(name, allow_plain_updates=True)
    signed = line.sign(line.draft(method=method))
    account = line.run(signed, line.schedule(signed))
    assert account["line"]["done"] == 2
    assert len(set(models(line).values())) == 1


def test_a_budget_that_does_not_cover_the_plan_refuses_before_a_key_is_made(line):
    signed = line.sign(line.draft(epsilon=2.0))
    poor = line.parties[1]
    line.set_policy(poor, max_line_epsilon_milli=1000)
    account = line.run(signed, line.schedule(signed))
    assert all(poor not in row["survivors"] for row in account["line"]["rounds"])
    assert account["line"]["rounds"][0]["dropped"][poor] == "budget.exhausted"
    assert spent(line, poor) == 0
    assert charges(line, poor) == []


def test_a_scaled_or_flipped_update_is_bounded_by_the_range_and_the_norm_of_the_average(line, monkeypatch):
    """Under masks nobody can see it: what is bounded is how far one round moves the model."""
    from department_nodes.lines import training as line_training

    bad = line.engines[line.parties[3]].line_trainer()
    honest = line_training.LineTrainer._local_delta

    def scaled(self, context, network):
        delta = honest(self, context, network)
        return -1000 * delta if self is bad else delta

    monkeypatch.setattr(line_training.LineTrainer, "_local_delta", scaled)
    signed = line.sign(line.draft())
    account = line.run(signed, line.schedule(signed))
    bound = signed.line_grant.aggregation.update_norm_milli / 1000
    assert any(row["clipped"] for row in account["line"]["rounds"])
    momentum = signed.line_grant.aggregation.server_momentum_milli / 1000
    assert account["line"]["offset_norm"] <= (2 + momentum) * bound * 1.001


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_update_that_is_not_finite_never_leaves(line, monkeypatch, value):
    from department_nodes.lines import training as line_training

    bad = line.engines[line.parties[3]].line_trainer()
    honest = line_training.LineTrainer._local_delta

    def broken(self, context, network):
        delta = honest(self, context, network)
        return np.full_like(delta, value) if self is bad else delta

    monkeypatch.setattr(line_training.LineTrainer, "_local_delta", broken)
    signed = line.sign(line.draft())
    account = line.run(signed, line.schedule(signed))
    assert account["line"]["rounds"][0]["dropped"][line.parties[3]] == "fixed_point.not_finite"


def test_the_run_account_holds_no_vector(line):
    signed = line.sign(line.draft())
    account = line.run(signed, line.schedule(signed))
    assert len(json.dumps(account)) < 5000
