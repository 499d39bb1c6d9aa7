"""A line's schedule over nodes that do the real protocol: who is asked what, losses, resuming, and when a round is aborted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from line_nodes import MASKED_STEPS, PARAMETERS, PARTIES, RANGE, Interrupted, Line, LineRelay, Recorded, pulled

from coordinator.federation import line_round
from coordinator.federation.line_account import MAXIMUM_ROWS_BYTES, bounded_rows
from coordinator.federation.line_strategy import parse_checkpoint
from crypto.errors import DoudiError
from policies.contracts.framing import parse_frame
from policies.contracts.line_grant import LARGEST_LINE
from policies.contracts.line_rounds import RoundKeys, Unmasking, model_digest
from policies.contracts.steps import Step, pack_reply

NODE = "south-tax"
# One step of the fixed point, and float32 for the model.
TOLERANCE = 2e-6


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    # Half of these tests' time; the processes that are killed here keep their page cache.
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)


def expected(rounds: list[tuple[int, tuple[str, ...]]], line: Line, update: Any = pulled) -> Any:
    """Return the model after these rounds over these survivors, in plain floats."""
    offset = np.zeros(PARAMETERS, np.float32)
    for number, survivors in rounds:
        people = sum(line.people[name] for name in survivors)
        average = sum(line.people[name] / people * update(name, number, offset) for name in survivors)
        offset = (offset + average).astype(np.float32)
    return offset


def changed(line: Line, step: Step, name: str, change: Any, number: int | None = None) -> Any:
    """Return what lets one department sign other parts in one step than it would."""

    def alter(asked: Step, department: str, found: int, request: bytes, reply: bytes) -> bytes:
        if (asked, department) != (step, name) or number not in (None, found):
            return reply
        parts = change(dict(parse_frame(reply[64:]).parts))
        return pack_reply(line.nodes[name].identity, request, step.value, name, {}, parts)

    return LineRelay(line.nodes, alter=alter)


def refused(code: str, line: Line, relay: LineRelay) -> None:
    with pytest.raises(DoudiError) as caught:
        line.run(relay)
    assert caught.value.code == code


def never_unmasked(relay: LineRelay) -> bool:
    return not any(step is Step.LINE_UNMASK for _, step, _, _ in relay.seen)


def test_a_line_is_the_plain_weighted_average_of_its_nodes(tmp_path: Path) -> None:
    line = Line(tmp_path)
    relay, marks = LineRelay(line.nodes), Recorded()
    outcome = line.run(relay, marks=marks)
    everybody = [(number, PARTIES) for number in (1, 2, 3)]
    assert np.abs(line.final() - expected(everybody, line)).max() < TOLERANCE
    assert all(node.model == line.final().tobytes() for node in line.nodes.values())
    assert outcome["line"]["model"] == model_digest(line.final().tobytes())
    assert (outcome["line"]["done"], outcome["line"]["parameters"]) == (3, PARAMETERS)
    assert [row["survivors"] for row in outcome["line"]["rounds"]] == [list(PARTIES)] * 3
    assert outcome["run"]["missing"] == {}
    assert outcome["run"]["messages"] == len(relay.seen) == (3 * 5 + 1) * 5
    assert outcome["run"]["bytes_sent"]["coordinator"] == sum(len(data) for _, _, _, data in relay.seen)
    steps = [(number, step) for number, _, step, _ in marks.rows]
    order = [*(step.value for step in MASKED_STEPS), Step.LINE_MODEL.value]
    assert steps == sorted(steps, key=lambda row: (row[0], order.index(row[1])))
    json.dumps(outcome, allow_nan=False)


def test_the_first_model_is_empty_and_the_next_ones_are_what_the_checkpoint_holds(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=2)
    relay = LineRelay(line.nodes)
    line.run(relay)
    models = {
        number: parse_frame(data).parts["model"] for number, step, _, data in relay.seen if step is Step.LINE_UPDATE
    }
    assert models[1] == b""
    assert np.abs(np.frombuffer(models[2], "<f4") - expected([(1, PARTIES)], line)).max() < TOLERANCE
    state, account = parse_checkpoint(line.run_folder().checkpoint() or b"")
    assert state.model() == line.final().tobytes()
    assert (account["closed"], account["done"]) == (2, 2)


@pytest.mark.parametrize("step", MASKED_STEPS)
def test_a_department_lost_in_a_phase_is_out_of_that_round_only(tmp_path: Path, step: Step) -> None:
    line = Line(tmp_path, rounds=2)
    relay = LineRelay(line.nodes, lose=lambda asked, name, number: (asked, name, number) == (step, NODE, 1))
    outcome = line.run(relay)
    first, second = outcome["line"]["rounds"]
    others = tuple(name for name in PARTIES if name != NODE)
    late = step in (Step.LINE_CONSENT, Step.LINE_UNMASK)
    # Who is silent after its update has come still counts: its masks are removed by the others.
    counted = PARTIES if late else others
    assert first["survivors"] == list(counted)
    assert (first["dropped"], first["silent"])[late] == {NODE: "node.unreachable"}
    assert (second["survivors"], second["dropped"], second["silent"]) == (list(PARTIES), {}, {})
    assert np.abs(line.final() - expected([(1, counted), (2, PARTIES)], line)).max() < TOLERANCE
    after = MASKED_STEPS[MASKED_STEPS.index(step) + 1 :]
    assert not any(NODE in relay.asked(each, 1) for each in after)


@pytest.mark.parametrize("step", MASKED_STEPS)
def test_below_the_quorum_nothing_is_unmasked_and_three_such_rounds_fail_the_run(tmp_path: Path, step: Step) -> None:
    """Of five departments four must stay in every phase; of the keys three."""
    line = Line(tmp_path, rounds=9)
    gone = PARTIES[:3] if step is Step.LINE_KEYS else PARTIES[:2]
    relay = LineRelay(line.nodes, lose=lambda asked, name, _: asked is step and name in gone)
    refused("line.too_few_survivors", line, relay)
    assert {number for number, _, _, _ in relay.seen} == {1, 2, 3}
    assert never_unmasked(relay) or step is Step.LINE_UNMASK
    state, account = parse_checkpoint(line.run_folder().checkpoint() or b"")
    assert (state.model(), account["aborted_in_a_row"], account["done"]) == (b"", 3, 0)
    # The end is durable: another process asks nobody.
    again = LineRelay(line.nodes)
    refused("line.too_few_survivors", line, again)
    assert again.seen == []


def test_an_aborted_round_uses_its_number_up_and_the_next_ones_go_on(tmp_path: Path) -> None:
    line = Line(tmp_path)
    relay = LineRelay(line.nodes, lose=lambda step, name, number: number == 3 and step is Step.LINE_SHARES)
    outcome = line.run(relay)
    assert [row.get("code") for row in outcome["line"]["rounds"]] == [None, None, "line.too_few_survivors"]
    assert np.abs(line.final() - expected([(1, PARTIES), (2, PARTIES)], line)).max() < TOLERANCE
    # The model goes out under the newest number: a node refuses one below what it has begun.
    model = [
        (number, parse_frame(data).header["terms"]) for number, step, _, data in relay.seen if step == "line_model"
    ]
    assert model == [(3, {"rounds": 2})] * 5


@pytest.mark.parametrize("answers", [0, 2])
@pytest.mark.parametrize("step", [*MASKED_STEPS, Step.LINE_MODEL])
def test_a_coordinator_killed_in_a_phase_goes_on_with_the_same_bytes(tmp_path: Path, step: Step, answers: int) -> None:
    line = Line(tmp_path)
    number = 3 if step is Step.LINE_MODEL else 2
    first = LineRelay(line.nodes, die=(step, number, answers))
    with pytest.raises(Interrupted):
        line.run(first)
    second = LineRelay(line.nodes)
    outcome = line.run(second)
    assert np.abs(line.final() - expected([(each, PARTIES) for each in (1, 2, 3)], line)).max() < TOLERANCE
    asked = [row[:3] for row in (*first.seen, *second.seen)]
    assert len(asked) == len(set(asked)) == outcome["run"]["messages"] == (3 * 5 + 1) * 5
    assert [row["dropped"] for row in outcome["line"]["rounds"]] == [{}] * 3


@pytest.mark.parametrize("step", [*MASKED_STEPS, Step.LINE_MODEL])
def test_a_reply_that_was_lost_with_the_coordinator_is_asked_for_with_the_same_bytes(
    tmp_path: Path, step: Step
) -> None:
    line = Line(tmp_path, rounds=2)

    def killed(asked: Step, name: str, number: int, request: bytes, reply: bytes) -> bytes:
        if (asked, name, number) == (step, NODE, 2):
            raise Interrupted
        return reply

    first = LineRelay(line.nodes, alter=killed)
    with pytest.raises(Interrupted):
        line.run(first)
    second = LineRelay(line.nodes)
    outcome = line.run(second)
    requests: dict[Any, set[bytes]] = {}
    for number, asked, name, data in (*first.seen, *second.seen):
        requests.setdefault((number, asked, name), set()).add(data)
    assert all(len(found) == 1 for found in requests.values())
    assert sum(len(node.replies) for node in line.nodes.values()) == outcome["run"]["messages"]
    assert outcome["line"]["rounds"][1]["survivors"] == list(PARTIES)


def test_who_was_lost_in_a_finished_phase_stays_out_of_the_round_after_a_crash(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=1)
    first = LineRelay(
        line.nodes,
        lose=lambda step, name, _: (step, name) == (Step.LINE_UPDATE, NODE),
        die=(Step.LINE_CONSENT, 1, 1),
    )
    with pytest.raises(Interrupted):
        line.run(first)
    second = LineRelay(line.nodes)
    outcome = line.run(second)
    assert outcome["line"]["rounds"][0]["dropped"] == {NODE: "node.unreachable"}
    assert not any(step is Step.LINE_UPDATE for _, step, _, _ in second.seen)


def test_a_crash_between_checkpoint_and_deletion_plays_no_round_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(tmp_path, rounds=2)

    def crash(self: Any, last: int) -> None:
        if last == 1:
            raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr("coordinator.federation.run_folder.RunFolder.forget_rounds", crash)
        with pytest.raises(Interrupted):
            line.run()
    assert (line.run_folder().path / "rounds" / "001").is_dir()
    second = LineRelay(line.nodes)
    line.run(second)
    assert {number for number, _, _, _ in second.seen} == {2}
    assert not list((line.run_folder().path / "rounds").iterdir())


def test_a_finished_line_executed_again_asks_nobody_and_says_the_same(tmp_path: Path) -> None:
    line = Line(tmp_path)
    first, relay = line.run(), LineRelay(line.nodes)
    assert line.run(relay) == first
    assert relay.seen == []


def test_a_new_attempt_goes_on_after_the_last_average_of_the_former_one(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=4)
    relay = LineRelay(line.nodes, die=(Step.LINE_UPDATE, 3, 1))
    with pytest.raises(Interrupted):
        line.run(relay)
    second = LineRelay(line.nodes, die=(Step.LINE_SHARES, 3, 0))
    with pytest.raises(Interrupted):
        line.run(second, attempt=2)
    assert {number for number, _, _, _ in second.seen} == {3}
    # The attempt has its own copy: what becomes of the former folder does not matter.
    (line.run_folder(1).path / "checkpoint.bin").unlink()
    outcome = line.run(attempt=2)
    assert np.abs(line.final(2) - expected([(each, PARTIES) for each in (1, 2, 3, 4)], line)).max() < TOLERANCE
    assert [(row["round"], row["attempt"]) for row in outcome["line"]["rounds"]] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert outcome["line"]["done"] == 4


def test_a_new_attempt_tries_the_numbers_of_aborted_rounds_again(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=4)
    refused("line.too_few_survivors", line, LineRelay(line.nodes, lose=lambda _s, _n, number: number > 1))
    relay = LineRelay(line.nodes)
    outcome = line.run(relay, attempt=2)
    assert {number for number, _, _, _ in relay.seen} == {2, 3, 4}
    assert outcome["line"]["done"] == 4


def test_a_checkpoint_that_cannot_be_read_ends_the_run(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.run_folder().save_checkpoint(b"\x02")
    refused("line.bad_checkpoint", line, LineRelay(line.nodes))


def test_a_vector_beyond_the_range_aborts_the_round_and_leaves_the_model(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=2)
    line.nodes[NODE].update = lambda name, number, offset: (
        np.full(PARAMETERS, 2**61, np.uint64) if number == 1 else pulled(name, number, offset)
    )
    outcome = line.run()
    assert [row.get("code") for row in outcome["line"]["rounds"]] == ["line.sum_out_of_range", None]
    assert np.abs(line.final() - expected([(2, PARTIES)], line)).max() < TOLERANCE


def test_under_masks_a_scaled_or_flipped_update_is_bounded_by_the_norm_clip_and_by_nothing_else(tmp_path: Path) -> None:
    """The weakness that the README states: within the range one node moves the average where it likes."""
    line = Line(tmp_path, rounds=1, update_norm_milli=500)
    honest = expected([(1, PARTIES)], line)
    line.nodes[NODE].update = lambda name, number, offset: -RANGE * np.ones(PARAMETERS)
    outcome = line.run()
    (row,) = outcome["line"]["rounds"]
    assert row["clipped"]
    assert row["norm"] > 0.5
    assert np.linalg.norm(line.final()) == pytest.approx(0.5, rel=1e-6)
    assert float(line.final() @ honest) < 0


def test_distributed_noise_is_decoded_to_the_mean_gradient(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=1, placement="distributed", local_steps=1, sample_rate_ppm=1_000_000)
    for node in line.nodes.values():
        node.update = lambda name, _number, _offset: line.people[name] * np.linspace(-0.3, 0.3, PARAMETERS)
    line.run()
    # The noise of the mean: five shares of 2^20 over scale and people, about 0.001; 6 of them.
    assert np.abs(line.final() - np.linspace(-0.3, 0.3, PARAMETERS)).max() < 0.006


def test_a_distributed_sum_that_gradients_cannot_have_aborts_the_round(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=1, placement="distributed", local_steps=1, sample_rate_ppm=1_000_000)
    for node in line.nodes.values():
        node.update = lambda name, _number, _offset: 5.0 * line.people[name] * np.ones(PARAMETERS)
    refused("line.sum_out_of_range", line, LineRelay(line.nodes))


def test_one_wrong_share_among_spare_ones_does_no_harm(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=1)

    def change(parts: dict[str, bytes]) -> dict[str, bytes]:
        found = Unmasking.parse(parts["unmask"])
        shares = {name: share[:-2] + "00" for name, share in found.self_seed_shares.items()}
        return {"unmask": found.model_copy(update={"self_seed_shares": shares}).to_bytes()}

    outcome = line.run(changed(line, Step.LINE_UNMASK, NODE, change))
    assert outcome["line"]["rounds"][0]["survivors"] == list(PARTIES)
    assert np.abs(line.final() - expected([(1, PARTIES)], line)).max() < TOLERANCE


def test_wrong_shares_without_spare_ones_abort_the_round_and_name_nobody(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=1)
    relay = changed(line, Step.LINE_SHARES, NODE, lambda parts: {**parts, "commitment": bytes(32)})
    refused("line.bad_share", line, relay)
    _, account = parse_checkpoint(line.run_folder().checkpoint() or b"")
    assert (account["rows"][0]["dropped"], account["rows"][0]["silent"]) == ({}, {})


BAD_REPLIES = [
    (Step.LINE_KEYS, lambda parts: {}, "reply.part_missing"),
    (Step.LINE_KEYS, lambda parts: {"keys": b"{}"}, "document.malformed"),
    (Step.LINE_SHARES, lambda parts: {**parts, "shares/east-tax": b"x"}, "envelope.malformed"),
    (Step.LINE_SHARES, lambda parts: {**parts, "shares/east-tax": parts["shares/west-tax"]}, "line.bad_envelope"),
    (Step.LINE_SHARES, lambda parts: {**parts, "commitment": b"x"}, "reply.wrong_length"),
    (Step.LINE_UPDATE, lambda parts: {"update": parts["update"][:-8]}, "reply.wrong_length"),
    (Step.LINE_UPDATE, lambda parts: {"update": parts["update"][:-1]}, "reply.wrong_length"),
    (Step.LINE_UPDATE, lambda parts: {}, "reply.part_missing"),
    (Step.LINE_CONSENT, lambda parts: {"consent": b"{}"}, "document.malformed"),
    (Step.LINE_UNMASK, lambda parts: {"unmask": b"{}"}, "document.malformed"),
]


@pytest.mark.parametrize(("step", "change", "code"), BAD_REPLIES)
def test_a_bad_reply_costs_its_department_the_round_and_nobody_else(
    tmp_path: Path, step: Step, change: Any, code: str
) -> None:
    line = Line(tmp_path, rounds=1)
    outcome = line.run(changed(line, step, NODE, change))
    (row,) = outcome["line"]["rounds"]
    assert {**row["dropped"], **row["silent"]} == {NODE: code}
    assert set(row["survivors"]) >= set(PARTIES) - {NODE}


def keys_with(line: Line, **changes: str) -> Any:
    def change(parts: dict[str, bytes]) -> dict[str, bytes]:
        keys = RoundKeys.parse(parts["keys"]).model_copy(update=changes)
        return {"keys": keys.signed(line.nodes[NODE].identity).to_bytes()}

    return change


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"mask_key": "00" * 32}, "aggregation.bad_key"),
        ({"mask_key": "ff" * 32}, "aggregation.bad_key"),
        ({"sealing_key": "01" + "ff" * 1216}, "crypto.bad_key"),
        ({"sealing_key": "11" * 64}, "line.bad_keys"),
        ({"department": "west-tax"}, "line.wrong_round"),
    ],
)
def test_a_key_that_nobody_could_use_is_refused_before_it_stops_the_others(
    tmp_path: Path, changes: dict[str, str], code: str
) -> None:
    line = Line(tmp_path, rounds=1)
    outcome = line.run(changed(line, Step.LINE_KEYS, NODE, keys_with(line, **changes)))
    assert outcome["line"]["rounds"][0]["dropped"] == {NODE: code}


def test_two_departments_with_one_mask_key_are_both_left_out_so_that_three_of_five_are_too_few(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=1)
    seen: list[str] = []

    def copy_key(step: Step, name: str, _number: int, request: bytes, reply: bytes) -> bytes:
        if step is not Step.LINE_KEYS:
            return reply
        keys = RoundKeys.parse(parse_frame(reply[64:]).parts["keys"])
        seen.append(keys.mask_key)
        if name != NODE:
            return reply
        parts = keys_with(line, mask_key=seen[0])({"keys": keys.to_bytes()})
        return pack_reply(line.nodes[NODE].identity, request, step.value, NODE, {}, parts)

    relay = LineRelay(line.nodes, alter=copy_key)
    with pytest.raises(DoudiError):
        line.run(relay)
    assert Step.LINE_SHARES not in {step for _, step, *_ in relay.seen}


@pytest.mark.parametrize("method", ["median", "krum"])
def test_robust_methods_ask_for_plain_updates_only_and_resist_a_bad_one(tmp_path: Path, method: str) -> None:
    line = Line(tmp_path, rounds=2, method=method, krum_malicious=1 if method == "krum" else 0)
    line.nodes[NODE].update = lambda name, number, offset: -RANGE * np.ones(PARAMETERS)
    relay = LineRelay(line.nodes)
    outcome = line.run(relay)
    assert {step for _, step, _, _ in relay.seen} == {Step.LINE_UPDATE, Step.LINE_MODEL}
    assert (line.final() > 0.4).all()
    assert outcome["line"]["done"] == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2 * RANGE])
def test_a_plain_update_that_is_no_number_or_too_large_is_left_out(tmp_path: Path, bad: float) -> None:
    line = Line(tmp_path, rounds=1, method="median")
    line.nodes[NODE].update = lambda name, number, offset: np.full(PARAMETERS, bad)
    outcome = line.run()
    assert outcome["line"]["rounds"][0]["dropped"] == {NODE: "line.update_out_of_range"}


def test_krum_below_its_own_minimum_aborts(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=1, method="krum", krum_malicious=1)
    relay = LineRelay(line.nodes, lose=lambda _step, name, _number: name == NODE)
    refused("line.too_few_survivors", line, relay)


def test_a_model_that_nobody_took_ends_the_run_and_the_next_attempt_delivers_it(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=1)
    refused("line.model_not_delivered", line, LineRelay(line.nodes, lose=lambda step, _n, _r: step is Step.LINE_MODEL))
    relay = LineRelay(line.nodes)
    line.run(relay, attempt=2)
    assert {step for _, step, _, _ in relay.seen} == {Step.LINE_MODEL}
    assert all(node.model == line.final(2).tobytes() for node in line.nodes.values())


def test_a_sum_that_could_wrap_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    line = Line(tmp_path, update_range_milli=1_000_000)
    line.people = dict.fromkeys(PARTIES, 100_000_000)
    relay = LineRelay(line.nodes)
    refused("fixed_point.no_room", line, relay)
    assert relay.seen == []


def test_the_largest_line_of_most_rounds_fits_into_the_results() -> None:
    names = [f"a-rather-long-department-{number:02d}" for number in range(LARGEST_LINE)]
    lost = dict.fromkeys(names[:10], "node.unreachable")
    row = {"survivors": names, "dropped": lost, "silent": {}, "seconds": 123.456, "up": 10**8, "down": 10**8}
    shown = bounded_rows(tuple({"round": number, "attempt": 1, "norm": 1.234567, **row} for number in range(999)))
    assert len(json.dumps(shown)) <= MAXIMUM_ROWS_BYTES
    assert (shown[0]["survivors"], shown[0]["dropped"]) == (LARGEST_LINE, 10)
    assert shown[-1]["survivors"] == names


def test_what_is_stored_of_a_round_is_for_the_coordinators_account_only(tmp_path: Path) -> None:
    line = Line(tmp_path)
    with pytest.raises(Interrupted):
        line.run(LineRelay(line.nodes, die=(Step.LINE_UNMASK, 2, 1)))
    for path in [line.run_folder().path, *line.run_folder().path.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0


def test_the_coordinators_line_imports_no_training() -> None:
    import subprocess
    import sys

    code = "import sys, coordinator.federation.line_run as m; print('torch' in sys.modules, 'opacus' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]
    assert line_round.robust_average is not None


def test_a_department_that_was_away_when_the_model_was_handed_out_is_asked_again(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=1)
    away = iter([True])
    relay = LineRelay(
        line.nodes, lose=lambda step, name, _: step is Step.LINE_MODEL and name == NODE and next(away, False)
    )
    outcome = line.run(relay)
    assert outcome["run"]["missing"] == {}
    assert relay.asked(Step.LINE_MODEL, 1) == [*PARTIES, NODE]
    assert all(node.model == line.final(1).tobytes() for node in line.nodes.values())


def test_a_share_that_its_dealer_did_not_sign_costs_the_dealer_its_round_and_not_the_receivers(tmp_path: Path) -> None:
    line = Line(tmp_path, rounds=1)
    receiver = next(name for name in PARTIES if name != NODE)

    def broken(parts: dict[str, bytes]) -> dict[str, bytes]:
        envelope = parts[f"shares/{receiver}"]
        return {**parts, f"shares/{receiver}": envelope[:-1] + bytes([envelope[-1] ^ 1])}

    outcome = line.run(changed(line, Step.LINE_SHARES, NODE, broken))
    assert outcome["line"]["rounds"][0]["dropped"] == {NODE: "envelope.bad_signature"}
