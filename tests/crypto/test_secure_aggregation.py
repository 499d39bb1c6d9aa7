"""Secure aggregation: double masks cancel over any set that stays, and hide everything else.

Keys and seeds come from the operating system, so the chi-square tests can fail by chance: each of their 13 statistics
once in 10^9 runs, which is what `BOUND` states.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import CryptoError
from crypto.fixed_point import decode_sum, encode, require_room
from crypto.masking import generate_mask_key, mask_public_key
from crypto.secure_aggregation import (
    MAX_PARTIES,
    MIN_PARTIES,
    commit_to_seed,
    generate_self_seed,
    mask_update,
    recovery_threshold,
    unmask_sum,
    verify_seed,
)
from crypto.shamir import combine_shares, split_secret

Ring = npt.NDArray[np.uint64]
CONTEXT = b"round 1, model a"
NAMES = [f"region-{number:02}" for number in range(33)]
CHUNK = 2**17


class Round(NamedTuple):
    """The secrets of every party of one round and what each of them sent."""

    privates: dict[str, bytes]
    seeds: dict[str, bytes]
    roster: dict[str, bytes]
    masked: dict[str, Ring]

    def unmask(self, survivors: Iterable[str], minimum: int = 3, context: bytes = CONTEXT, **changed: object) -> Ring:
        stayed = list(survivors)
        arguments: dict[str, object] = {
            "masked": {name: self.masked[name] for name in stayed},
            "roster": self.roster,
            "self_seeds": {name: self.seeds[name] for name in stayed},
            "dropped_privates": {name: key for name, key in self.privates.items() if name not in stayed},
            **changed,
        }
        return unmask_sum(**arguments, minimum=minimum, context=context)  # type: ignore[arg-type]


def code_of(call: object, *arguments: object, **named: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments, **named)  # type: ignore[operator]
    return caught.value.code


def hold_round(values: Mapping[str, Ring], contexts: Mapping[str, bytes] | None = None) -> Round:
    privates = {name: generate_mask_key() for name in values}
    seeds = {name: generate_self_seed() for name in values}
    roster = {name: mask_public_key(private) for name, private in privates.items()}
    masked = {
        name: mask_update(
            values[name],
            name,
            privates[name],
            {peer: public for peer, public in roster.items() if peer != name},
            seeds[name],
            (contexts or {}).get(name, CONTEXT),
        )
        for name in values
    }
    return Round(privates, seeds, roster, masked)


def random_values(parties: int, length: int, seed: int = 1) -> dict[str, Ring]:
    generator = np.random.default_rng(seed)
    return {name: generator.integers(0, 2**64, length, dtype=np.uint64) for name in NAMES[:parties]}


def plain_sum(values: Mapping[str, Ring], names: Iterable[str]) -> Ring:
    return np.add.reduce([values[name] for name in names])


def chi_square(vector: Ring) -> float:
    """Return the chi-square statistic of the eight bytes of every entry over 256 cells each: 2040 degrees of freedom."""
    total, expected = 0.0, len(vector) / 256
    for part in vector.view(np.uint8).reshape(-1, 8).T:
        counts = np.bincount(part, minlength=256)
        total += float(((counts - expected) ** 2 / expected).sum())
    return total


# The 1 − 10^-9 quantile of the chi-square distribution with 2040 degrees of freedom (mean 2040, deviation 64).
BOUND = 2446.7
SAMPLES = 100_000


@given(
    st.integers(3, 8),
    st.sampled_from([0, 1, 2, 9, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3]),
    st.integers(0, 2**32),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_masks_cancel_over_every_set_that_stays(parties: int, length: int, seed: int, data: st.DataObject) -> None:
    values = random_values(parties, length, seed)
    held = hold_round(values)
    minimum = data.draw(st.integers(3, parties))
    stayed = data.draw(st.lists(st.sampled_from(sorted(values)), min_size=minimum, max_size=parties, unique=True))
    before = {name: vector.copy() for name, vector in held.masked.items()}
    total = held.unmask(stayed, minimum)
    assert total.dtype == np.uint64
    assert np.array_equal(total, plain_sum(values, stayed))
    assert all(np.array_equal(vector, before[name]) for name, vector in held.masked.items())


def test_the_most_parties_lose_ten_of_them() -> None:
    values = random_values(MAX_PARTIES, 50)
    assert recovery_threshold(MAX_PARTIES) == 22
    stayed = NAMES[10:32]
    assert np.array_equal(hold_round(values).unmask(stayed), plain_sum(values, stayed))


def test_a_round_with_shares_recovers_the_weighted_mean_of_those_who_stayed() -> None:
    generator = np.random.default_rng(3)
    weights = {name: 100 + number for number, name in enumerate(NAMES[:6])}
    updates = {name: generator.normal(0, 0.2, 500).astype(np.float32) for name in weights}
    held = hold_round({name: encode(updates[name], 1.0, 24, weights[name]) for name in weights})
    threshold = recovery_threshold(6)
    seed_shares = {name: split_secret(seed, threshold, 6) for name, seed in held.seeds.items()}
    key_shares = {name: split_secret(key, threshold, 6) for name, key in held.privates.items()}
    commitments = {name: commit_to_seed(seed, CONTEXT + name.encode()) for name, seed in held.seeds.items()}

    lost, stayed = NAMES[2], [name for name in weights if name != NAMES[2]]
    seeds = {name: combine_shares([seed_shares[name][at] for at in (0, 1, 3, 4, 5)], threshold) for name in stayed}
    for name in stayed:
        verify_seed(seeds[name], commitments[name], CONTEXT + name.encode())
    key = combine_shares([key_shares[lost][at] for at in (5, 4, 3, 1, 0)], threshold)

    total = held.unmask(stayed, self_seeds=seeds, dropped_privates={lost: key})
    mean = decode_sum(total, sum(weights[name] for name in stayed), 1.0, 24)
    expected = np.average([updates[name] for name in stayed], axis=0, weights=[weights[name] for name in stayed])
    assert np.abs(mean - expected).max() <= 2**-24


def test_the_masks_follow_the_stated_derivation() -> None:
    values = random_values(3, 3)
    held = hold_round(values)
    first, own, last = NAMES[:3]

    def framed(*parts: bytes) -> bytes:
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    def stream(secret: bytes, info: bytes) -> list[int]:
        key = HKDF(SHA256(), 32, salt=None, info=info).derive(secret)
        data = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor().update(bytes(24))
        return [int.from_bytes(data[at : at + 8], "little") for at in (0, 8, 16)]

    def pair(peer: str) -> list[int]:
        low, high = sorted([own, peer])
        shared = X25519PrivateKey.from_private_bytes(held.privates[own]).exchange(
            X25519PublicKey.from_public_bytes(held.roster[peer])
        )
        keys = held.roster[low], held.roster[high]
        return stream(shared, b"doudi-aggregation-pair\x01" + framed(CONTEXT, low.encode(), high.encode(), *keys))

    self_mask = stream(held.seeds[own], b"doudi-aggregation-self\x01" + framed(CONTEXT, own.encode()))
    columns = zip(values[own].tolist(), self_mask, pair(last), pair(first), strict=True)
    expected = [(value + mask + added - taken) % 2**64 for value, mask, added, taken in columns]
    assert held.masked[own].tolist() == expected


@pytest.mark.parametrize("value", [0, 1, 2**64 - 5])
def test_a_single_masked_vector_is_uniform(value: int) -> None:
    held = hold_round({name: np.full(SAMPLES, value, dtype=np.uint64) for name in NAMES[:3]})
    for vector in held.masked.values():
        assert chi_square(vector) < BOUND


def test_declaring_a_live_party_dropped_leaves_its_vector_uniform() -> None:
    # The coordinator got the vector and then, by calling its sender dropped, the sender's mask key.
    values = {name: np.zeros(SAMPLES, dtype=np.uint64) for name in NAMES[:4]}
    values[NAMES[1]] = np.full(SAMPLES, 7, dtype=np.uint64)
    held = hold_round(values)
    victim, others = NAMES[1], [name for name in NAMES[:4] if name != NAMES[1]]
    assert np.array_equal(held.unmask(others), plain_sum(values, others))
    # With the mask key of the victim it makes the pair masks itself: a second vector of zeros under another seed.
    chosen = generate_self_seed()
    peers = {name: held.roster[name] for name in others}
    zeros = np.zeros(SAMPLES, dtype=np.uint64)
    pair_masks_and_chosen = mask_update(zeros, victim, held.privates[victim], peers, chosen, CONTEXT)
    left = held.masked[victim] - pair_masks_and_chosen
    assert chi_square(left) < BOUND
    # Only the seed of the same party would open it, which is why nobody gives both: the attack, had both been given.
    with_both = mask_update(zeros, victim, held.privates[victim], peers, held.seeds[victim], CONTEXT)
    assert np.array_equal(held.masked[victim] - with_both, values[victim])


def test_a_recovered_seed_alone_leaves_the_vector_under_the_pair_masks() -> None:
    values = {name: np.zeros(SAMPLES, dtype=np.uint64) for name in NAMES[:3]}
    held = hold_round(values)
    zeros = np.zeros(SAMPLES, dtype=np.uint64)
    strangers = {name: mask_public_key(generate_mask_key()) for name in NAMES[1:3]}
    with_seed = mask_update(zeros, NAMES[0], generate_mask_key(), strangers, held.seeds[NAMES[0]], CONTEXT)
    assert chi_square(held.masked[NAMES[0]] - with_seed) < BOUND
    assert chi_square(held.masked[NAMES[0]] + held.masked[NAMES[1]]) < BOUND


def test_another_context_gives_independent_masks() -> None:
    zeros, key, seed = np.zeros(SAMPLES, dtype=np.uint64), generate_mask_key(), generate_self_seed()
    peers = {name: mask_public_key(generate_mask_key()) for name in NAMES[1:3]}
    one = mask_update(zeros, NAMES[0], key, peers, seed, b"round 1")
    two = mask_update(zeros, NAMES[0], key, peers, seed, b"round 2")
    assert chi_square(one - two) < BOUND
    assert np.array_equal(one, mask_update(zeros, NAMES[0], key, peers, seed, b"round 1"))


def test_the_statistic_notices_what_is_not_uniform() -> None:
    assert chi_square(np.zeros(SAMPLES, dtype=np.uint64)) > BOUND
    assert chi_square(np.random.default_rng(1).integers(0, 2**63, SAMPLES, dtype=np.uint64)) > BOUND


@pytest.mark.parametrize("other", [b"round 2, model a", b"round 1, model b", b""])
def test_vectors_of_different_contexts_do_not_cancel(other: bytes) -> None:
    values = {name: encode(np.full(200, 0.25), 1.0, 30) for name in NAMES[:4]}
    mixed = hold_round(values, {NAMES[2]: other})
    for total in (mixed.unmask(NAMES[:4]), mixed.unmask(NAMES[:3]), mixed.unmask(NAMES[1:4])):
        assert code_of(decode_sum, total, 4, 1.0, 30) == "fixed_point.sum_out_of_range"
    # Without the one party that saw another round or model, the others still have their sum.
    agreeing = [name for name in NAMES[:4] if name != NAMES[2]]
    assert np.array_equal(mixed.unmask(agreeing), plain_sum(values, agreeing))
    alike = hold_round(values)
    assert code_of(decode_sum, alike.unmask(NAMES[:4], context=other), 4, 1.0, 30) == "fixed_point.sum_out_of_range"


def test_a_wrong_seed_gives_not_the_sum() -> None:
    held = hold_round({name: encode(np.full(200, 0.25), 1.0, 30) for name in NAMES[:4]})
    seeds = {**held.seeds, NAMES[2]: generate_self_seed()}
    swapped = {**held.seeds, NAMES[2]: held.seeds[NAMES[1]], NAMES[1]: held.seeds[NAMES[2]]}
    for wrong in (seeds, swapped):
        total = held.unmask(NAMES[:4], self_seeds=wrong)
        assert code_of(decode_sum, total, 4, 1.0, 30) == "fixed_point.sum_out_of_range"


def test_a_vector_under_another_name_gives_not_the_sum() -> None:
    held = hold_round({name: encode(np.full(200, 0.25), 1.0, 30) for name in NAMES[:4]})
    repeated = {**held.masked, NAMES[2]: held.masked[NAMES[1]]}
    total = held.unmask(NAMES[:4], masked=repeated)
    assert code_of(decode_sum, total, 4, 1.0, 30) == "fixed_point.sum_out_of_range"


def test_sets_that_do_not_match_the_roster_are_refused() -> None:
    held = hold_round(random_values(5, 4))
    stayed, lost = NAMES[:4], NAMES[4]
    seeds = {name: held.seeds[name] for name in stayed}
    key = {lost: held.privates[lost]}
    for changed in (
        {"self_seeds": {name: seeds[name] for name in stayed[:3]}},
        {"self_seeds": {**seeds, lost: held.seeds[lost]}},
        {"self_seeds": {**seeds, "stranger": seeds[stayed[0]]}},
        {"dropped_privates": {}},
        {"dropped_privates": {**key, stayed[0]: held.privates[stayed[0]]}},
        {"dropped_privates": {**key, "stranger": held.privates[lost]}},
        {"dropped_privates": {"stranger": held.privates[lost]}},
        {"roster": {name: held.roster[name] for name in stayed}},
        {"roster": {**held.roster, "stranger": mask_public_key(generate_mask_key())}},
        {"masked": held.masked},
    ):
        assert code_of(held.unmask, stayed, **changed) == "aggregation.wrong_set"


def test_a_mask_key_that_is_not_the_dropped_partys_is_refused() -> None:
    held = hold_round(random_values(5, 4))
    for wrong in (generate_mask_key(), held.privates[NAMES[0]]):
        assert code_of(held.unmask, NAMES[:4], dropped_privates={NAMES[4]: wrong}) == "aggregation.wrong_mask_key"
    assert code_of(held.unmask, NAMES[:4], dropped_privates={NAMES[4]: bytes(31)}) == "aggregation.bad_key"


def test_fewer_survivors_than_the_minimum_are_refused() -> None:
    held = hold_round(random_values(5, 4))
    assert code_of(held.unmask, NAMES[:4], 5) == "aggregation.too_few_survivors"
    for minimum in (-1, 0, 1, 2, 3):
        assert code_of(held.unmask, NAMES[:2], minimum) == "aggregation.too_few_survivors"
        assert code_of(held.unmask, [], minimum) == "aggregation.too_few_survivors"


def test_what_is_not_finite_never_reaches_the_masks() -> None:
    for value in (np.nan, np.inf, -np.inf):
        assert code_of(encode, np.array([0.0, value]), 1.0, 20) == "fixed_point.not_finite"


@pytest.mark.parametrize("lie", [-0.5, 50.0, -1e30])
def test_a_flipped_or_scaled_update_passes_and_moves_the_mean_within_the_range(lie: float) -> None:
    # Not stopped: masks hide a wrong vector as well as a right one. The range is all that bounds it.
    updates = {name: np.full(10, 0.5) for name in NAMES[:4]} | {NAMES[1]: np.full(10, lie)}
    held = hold_round({name: encode(update, 1.0, 30) for name, update in updates.items()})
    mean = decode_sum(held.unmask(NAMES[:4]), 4, 1.0, 30)
    assert np.allclose(mean, (1.5 + max(-1.0, min(1.0, lie))) / 4)


def test_a_vector_beyond_the_range_of_the_sum_is_noticed_and_one_within_it_is_not() -> None:
    values = {name: encode(np.zeros(10), 1.0, 30) for name in NAMES[:4]}
    edge = 4 * require_room(4, 1.0, 30)
    for beyond, passes in ((0, True), (1, False)):
        held = hold_round({**values, NAMES[1]: np.full(10, edge + beyond, dtype=np.uint64)})
        total = held.unmask(NAMES[:4])
        if passes:
            assert decode_sum(total, 4, 1.0, 30).tolist() == [1.0] * 10
        else:
            assert code_of(decode_sum, total, 4, 1.0, 30) == "fixed_point.sum_out_of_range"


def test_of_three_parties_each_learns_the_sum_of_the_other_two() -> None:
    # Not stopped, and stated: a sum over three hides less from its own parties.
    values = random_values(3, 10)
    total = hold_round(values).unmask(NAMES[:3])
    assert np.array_equal(total - values[NAMES[0]], values[NAMES[1]] + values[NAMES[2]])


KEY = generate_mask_key()
SEED = generate_self_seed()
PEERS = {name: mask_public_key(generate_mask_key()) for name in NAMES[1:]}
GOOD = {name: PEERS[name] for name in NAMES[1:4]}


def masking_code(peers: Mapping[str, bytes], own: str = NAMES[0], key: bytes = KEY, seed: bytes = SEED) -> str:
    return code_of(mask_update, np.zeros(4, dtype=np.uint64), own, key, peers, seed, CONTEXT)


# Points of small order on Curve25519 (0, 1, p − 1, both of order eight, and p, p + 1 in their second form): every
# exchange with them gives zero.
LOW_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    2**255 - 20,
    2**255 - 19,
    2**255 - 18,
]


@pytest.mark.parametrize("encoded", LOW_ORDER)
def test_a_low_order_public_key_is_refused(encoded: int) -> None:
    weak = encoded.to_bytes(32, "little")
    assert masking_code(GOOD | {NAMES[3]: weak}) == "aggregation.bad_key"
    held = hold_round(random_values(4, 2))
    roster = {**held.roster, NAMES[1]: weak}
    assert code_of(held.unmask, NAMES[:3], roster=roster) == "aggregation.bad_key"


def test_a_public_key_in_its_second_form_is_refused() -> None:
    # The top bit is ignored by X25519, so the same key could be given twice without looking the same.
    second = GOOD[NAMES[1]][:31] + bytes([GOOD[NAMES[1]][31] | 0x80])
    assert masking_code(GOOD | {NAMES[3]: second}) == "aggregation.bad_key"


def test_the_own_name_the_own_key_and_keys_given_twice_are_refused_among_peers() -> None:
    own_public = mask_public_key(KEY)
    for peers in (
        GOOD | {NAMES[0]: own_public},
        GOOD | {NAMES[0]: PEERS[NAMES[9]]},
        GOOD | {"x": own_public},
        GOOD | {"x": GOOD[NAMES[1]]},
        GOOD | {"": PEERS[NAMES[9]]},
    ):
        assert masking_code(peers) == "aggregation.bad_peer"
    assert masking_code(GOOD, own="") == "aggregation.bad_peer"
    held = hold_round(random_values(4, 2))
    twice = {**held.roster, NAMES[3]: held.roster[NAMES[0]]}
    assert code_of(held.unmask, NAMES[:4], roster=twice) == "aggregation.bad_peer"


def test_keys_and_seeds_of_the_wrong_length_are_refused() -> None:
    assert masking_code(GOOD | {NAMES[3]: bytes(range(31))}) == "aggregation.bad_key"
    assert masking_code(GOOD | {NAMES[3]: b""}) == "aggregation.bad_key"
    assert masking_code(GOOD, key=bytes(33)) == "aggregation.bad_key"
    assert masking_code(GOOD, seed=bytes(31)) == "aggregation.bad_seed"
    held = hold_round(random_values(3, 2))
    assert code_of(held.unmask, NAMES[:3], self_seeds={**held.seeds, NAMES[0]: b""}) == "aggregation.bad_seed"


def test_too_few_or_too_many_parties_are_refused() -> None:
    assert masking_code({}) == "aggregation.too_few_parties"
    assert masking_code({NAMES[1]: PEERS[NAMES[1]]}) == "aggregation.too_few_parties"
    assert masking_code(PEERS) == "aggregation.too_many_parties"
    assert len(PEERS) == MAX_PARTIES
    for parties in (-1, 0, MIN_PARTIES - 1):
        assert code_of(recovery_threshold, parties) == "aggregation.too_few_parties"
    assert code_of(recovery_threshold, MAX_PARTIES + 1) == "aggregation.too_many_parties"


def test_two_sets_of_the_threshold_share_more_than_a_third() -> None:
    thresholds = {parties: recovery_threshold(parties) for parties in range(3, 33)}
    assert [thresholds[parties] for parties in (3, 4, 5, 6, 7, 8, 9)] == [3, 3, 4, 5, 5, 6, 7]
    for parties, threshold in thresholds.items():
        assert threshold <= parties
        assert 3 * (2 * threshold - parties) > parties


def test_arrays_of_another_form_are_refused() -> None:
    for values in (np.zeros(4), np.zeros((2, 2), dtype=np.uint64), np.zeros(4, dtype=np.int64), np.zeros(4, ">u8")):
        assert code_of(mask_update, values, NAMES[0], KEY, GOOD, SEED, CONTEXT) == "aggregation.wrong_shape"
    held = hold_round(random_values(3, 4))
    for other in (held.masked[NAMES[0]][:3], held.masked[NAMES[0]].view(np.int64), np.zeros((2, 2), dtype=np.uint64)):
        changed = {**held.masked, NAMES[0]: other}
        assert code_of(held.unmask, NAMES[:3], masked=changed) == "aggregation.wrong_shape"


def test_the_commitment_opens_with_its_seed_and_context_only() -> None:
    commitment = commit_to_seed(SEED, b"round 1, tax")
    assert len(commitment) == 32
    verify_seed(SEED, commitment, b"round 1, tax")
    other = bytes([SEED[0] ^ 1]) + SEED[1:]
    for seed, fixed, context in (
        (other, commitment, b"round 1, tax"),
        (SEED, commitment, b"round 2, tax"),
        (SEED, commitment[:-1], b"round 1, tax"),
        (SEED, b"", b"round 1, tax"),
        (SEED, commit_to_seed(other, b"round 1, tax"), b"round 1, tax"),
    ):
        assert code_of(verify_seed, seed, fixed, context) == "aggregation.wrong_seed"
    assert code_of(commit_to_seed, bytes(31), b"") == "aggregation.bad_seed"
    assert code_of(verify_seed, b"", commitment, b"") == "aggregation.bad_seed"


def test_fresh_seeds_differ() -> None:
    assert generate_self_seed() != generate_self_seed()
