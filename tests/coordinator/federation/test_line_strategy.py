"""From sums to models: decoding, the norm clip, server momentum, robust averages, checkpoints."""

from pathlib import Path

import numpy as np
import pytest
from line_nodes import Line

from coordinator.federation.line_robust import fewest_updates, robust_average
from coordinator.federation.line_strategy import (
    NOISE_ROOM,
    ServerState,
    apply_average,
    clip_norm,
    decode_average,
    pack_checkpoint,
    parse_checkpoint,
)
from coordinator.federation.line_unmasking import recover_secret
from crypto.errors import CryptoError, DoudiError
from crypto.fixed_point import encode
from crypto.shamir import split_secret
from policies.contracts.line_grant import FRACTION_BITS, LineAggregation, distributed_scale


def terms(**changes: int) -> LineAggregation:
    return LineAggregation.model_validate(
        {"min_survivors": 3, "update_range_milli": 4000, "update_norm_milli": 1000, **changes}
    )


def test_the_decoded_sum_is_the_weighted_mean(tmp_path: Path) -> None:
    line = Line(tmp_path)
    values = {name: np.linspace(-3, 3, 50) / number for number, name in enumerate(line.parties, start=1)}
    total = np.zeros(50, np.uint64)
    for name, vector in values.items():
        total += encode(vector, 4.0, FRACTION_BITS, line.people[name])
    people = sum(line.people.values())
    plain = sum(line.people[name] * vector for name, vector in values.items()) / people
    assert np.abs(decode_average(total, people, line.grant) - plain).max() <= 2.0**-FRACTION_BITS


def test_a_distributed_sum_is_divided_by_scale_and_people_up_to_its_bound(tmp_path: Path) -> None:
    line = Line(tmp_path, placement="distributed", local_steps=1, sample_rate_ppm=1_000_000)
    scale = distributed_scale(line.grant)
    largest = int(scale * 1000 + NOISE_ROOM) - 10**6
    total = np.array([largest, -largest, 0], np.int64).view(np.uint64)
    assert decode_average(total, 1000, line.grant) == pytest.approx(np.array([largest, -largest, 0]) / scale / 1000)
    for wrong in (largest + 10**7, -largest - 10**7, -(2**63)):
        with pytest.raises(DoudiError) as caught:
            decode_average(np.array([0, wrong], np.int64).view(np.uint64), 1000, line.grant)
        assert caught.value.code == "line.sum_out_of_range"


@pytest.mark.parametrize("norm", [0.0, 0.5, 1.0])
def test_a_vector_within_the_norm_is_left_alone(norm: float) -> None:
    vector = np.array([norm, 0.0])
    clipped, found = clip_norm(vector, 1.0)
    assert clipped is vector
    assert found == norm


def test_a_longer_vector_keeps_its_direction() -> None:
    clipped, norm = clip_norm(np.array([3.0, 4.0]), 1.0)
    assert norm == 5.0
    assert clipped == pytest.approx(np.array([0.6, 0.8]))


def test_momentum_and_rate_are_those_of_fedavgm() -> None:
    """v1 = a, v2 = m·v1 + b; the model is r·v1, then r·v1 + r·v2 (Hsu et al. 2019)."""
    chosen = terms(server_rate_milli=500, server_momentum_milli=900)
    first, second = np.array([0.5, 0.0]), np.array([0.0, 0.25])
    one = apply_average(ServerState.initial(), first, chosen).state
    assert one.velocity == pytest.approx(first)
    assert one.offset == pytest.approx(0.5 * first)
    two = apply_average(one, second, chosen).state
    assert two.velocity == pytest.approx([0.45, 0.25])
    assert two.offset == pytest.approx([0.475, 0.125])
    assert two.offset.dtype == np.float32


def test_no_sequence_of_averages_moves_the_model_further_than_the_norm_allows() -> None:
    chosen = terms(server_rate_milli=500, server_momentum_milli=500)
    state = ServerState.initial()
    for _ in range(50):
        before = state.offset.astype(np.float64) if state.offset.size else np.zeros(3)
        state = apply_average(state, np.full(3, 1e6), chosen).state
        # rate · norm / (1 − momentum) = 1 per round at most.
        assert np.linalg.norm(state.offset - before) <= 1 + 1e-5


def test_an_average_of_another_length_is_refused() -> None:
    state = apply_average(ServerState.initial(), np.zeros(3), terms()).state
    with pytest.raises(DoudiError) as caught:
        apply_average(state, np.zeros(4), terms())
    assert caught.value.code == "line.wrong_length"


def test_checkpoints_round_trip_bit_for_bit() -> None:
    state = apply_average(ServerState.initial(), np.array([0.1, -0.7, 1e-30]), terms()).state
    found, account = parse_checkpoint(pack_checkpoint(state, {"closed": 3, "rows": [{"seconds": 0.1}]}))
    assert found.offset.tobytes() == state.offset.tobytes()
    assert found.velocity.tobytes() == state.velocity.tobytes()
    assert account == {"closed": 3, "rows": [{"seconds": 0.1}]}


def test_a_damaged_checkpoint_is_refused() -> None:
    data = pack_checkpoint(apply_average(ServerState.initial(), np.ones(3), terms()).state, {})
    for damaged in (b"", b"\x01", b"\x02" + data[1:], data[:-1], data + b"x", data[:5] + b"[" + data[6:]):
        with pytest.raises(DoudiError) as caught:
            parse_checkpoint(damaged)
        assert caught.value.code == "line.bad_checkpoint"


def five_updates() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(7)
    return {f"d{number}": (1 + 0.01 * generator.normal(size=20)).astype(np.float32) for number in range(5)}


def test_the_median_is_the_coordinatewise_one() -> None:
    updates = five_updates()
    expected = np.median(np.stack(list(updates.values())), axis=0)
    assert robust_average("median", updates) == pytest.approx(expected)


def test_krum_returns_one_of_the_honest_updates() -> None:
    updates = five_updates()
    updates["d2"] = -100 * updates["d2"]
    found = robust_average("krum", updates, 1)
    assert any(np.array_equal(found, updates[name]) for name in ("d0", "d1", "d3", "d4"))


@pytest.mark.parametrize("method", ["median", "krum"])
@pytest.mark.parametrize("factor", [-1.0, -1000.0, 1000.0])
def test_robust_methods_resist_one_flipped_or_scaled_update(method: str, factor: float) -> None:
    updates = five_updates()
    updates["d4"] = (factor * updates["d4"]).astype(np.float32)
    assert np.abs(robust_average(method, updates, 1) - 1).max() < 0.05


def test_krum_needs_2f_plus_3_updates() -> None:
    assert fewest_updates(terms(krum_malicious=2).model_copy(update={"method": "krum"})) == 7
    assert fewest_updates(terms().model_copy(update={"method": "median"})) == 3


@pytest.mark.parametrize(("wrong", "recovered"), [(0, True), (1, True), (2, True), (3, False)])
def test_a_secret_is_recovered_around_two_wrong_shares(wrong: int, recovered: bool) -> None:
    secret = bytes(range(32))
    shares = {f"d{number}": share for number, share in enumerate(split_secret(secret, 3, 5))}
    # Different errors: equal ones at two places can cancel in the secret.
    for number, name in enumerate(sorted(shares)[:wrong], start=1):
        shares[name] = (
            shares[name][:-number] + bytes([shares[name][-number] ^ 1]) + shares[name][len(shares[name]) - number + 1 :]
        )

    def verify(found: bytes) -> None:
        if found != secret:
            raise CryptoError("aggregation.wrong_seed", "not it")

    if recovered:
        assert recover_secret(shares, 3, verify) == secret
    else:
        with pytest.raises(DoudiError) as caught:
            recover_secret(shares, 3, verify)
        assert caught.value.code == "line.bad_share"
