"""Pairwise masks: they cancel over the exact set of parties and hide everything else."""

import numpy as np
import numpy.typing as npt
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import masking
from crypto.errors import CryptoError

Vector = npt.NDArray[np.uint16]
# Fixed keys make the statistical tests repeatable.
PRIVATE = {f"department-{number:02}": bytes([number + 1]) * 32 for number in range(17)}
PUBLIC = {name: masking.mask_public_key(private) for name, private in PRIVATE.items()}
NAMES = sorted(PRIVATE)


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def masked(name: str, values: npt.NDArray[np.int64], party_count: int = 3, context: bytes = b"run 1") -> Vector:
    peers = {peer: PUBLIC[peer] for peer in NAMES[:party_count] if peer != name}
    return masking.mask_vector(values, name, PRIVATE[name], peers, context)


@given(st.integers(3, 16), st.integers(0, 20), st.data())
@settings(max_examples=40, deadline=None)
def test_masks_cancel_over_the_exact_set(parties: int, length: int, data: st.DataObject) -> None:
    one = st.lists(st.integers(-2000, 2000), min_size=length, max_size=length)
    rows = np.array([data.draw(one) for _ in range(parties)], dtype=np.int64).reshape(parties, length)
    vectors = [masked(name, row, parties) for name, row in zip(NAMES, rows, strict=False)]
    total = masking.unmask_sum(data.draw(st.permutations(vectors)))
    assert total.dtype == np.int64
    assert np.array_equal(total, rows.sum(axis=0))


@pytest.mark.parametrize("extreme", [2000, -2000])
def test_the_largest_sum_of_the_most_parties_does_not_wrap(extreme: int) -> None:
    vectors = [masked(name, np.full(5, extreme), 16) for name in NAMES[:16]]
    assert masking.unmask_sum(vectors).tolist() == [16 * extreme] * 5


def test_int16_and_int64_values_give_the_same_vector() -> None:
    values = np.array([-2000, -1, 0, 1, 2000], dtype=np.int16)
    assert np.array_equal(masked(NAMES[0], values.astype(np.int64)), masked(NAMES[0], values))  # type: ignore[arg-type]


def test_the_mask_follows_the_stated_derivation() -> None:
    def stream(own: str, peer: str) -> npt.NDArray[np.int64]:
        shared = X25519PrivateKey.from_private_bytes(PRIVATE[own]).exchange(
            X25519PublicKey.from_public_bytes(PUBLIC[peer])
        )
        low, high = sorted([own, peer])
        parts = [b"run 1", low.encode(), high.encode(), PUBLIC[low], PUBLIC[high]]
        info = b"doudi-pairwise-mask\x01" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        key = HKDF(SHA256(), 32, salt=None, info=info).derive(shared)
        data = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor().update(bytes(8))
        return np.array([data[at] + 256 * data[at + 1] for at in range(0, 8, 2)])

    values = np.array([5, -5, 0, 2000])
    first, middle, last = NAMES[:3]
    expected = (values + stream(middle, last) - stream(middle, first)) % 65536
    assert masked(middle, values).tolist() == expected.tolist()


def chi_square(vector: Vector) -> float:
    """Return the chi-square statistic of both bytes of every entry over 256 cells each: 510 degrees of freedom."""
    total = 0.0
    for part in (vector & 0xFF, vector >> 8):
        counts = np.bincount(part, minlength=256)
        expected = len(vector) / 256
        total += float(((counts - expected) ** 2 / expected).sum())
    return total


# Mean 510, standard deviation 32; the bound is the 1 − 10^-6 quantile (≈ 675) of the chi-square distribution with 510
# degrees of freedom. The keys are fixed, so the test never flickers; other keys would fail once in a million.
BOUND = 675.0


@pytest.mark.parametrize("value", [0, 2000, -7])
def test_a_single_masked_vector_is_uniform(value: int) -> None:
    assert chi_square(masked(NAMES[0], np.full(100_000, value))) < BOUND


def test_a_sum_without_one_party_is_uniform_and_refused() -> None:
    vectors = [masked(name, np.full(100_000, 3), 4) for name in NAMES[:4]]
    partial = vectors[0] + vectors[1] + vectors[2]
    assert chi_square(partial) < BOUND
    assert code_of(masking.unmask_sum, vectors[:3]) == "masking.sum_out_of_range"
    assert code_of(masking.unmask_sum, [*vectors[:3], vectors[2]]) == "masking.sum_out_of_range"


def test_another_context_gives_independent_masks() -> None:
    zeros = np.zeros(100_000, dtype=np.int64)
    one, two = masked(NAMES[0], zeros, context=b"run 1"), masked(NAMES[0], zeros, context=b"run 2")
    assert chi_square(one - two) < BOUND
    assert np.array_equal(one, masked(NAMES[0], zeros, context=b"run 1"))


def test_the_statistic_notices_what_is_not_uniform() -> None:
    assert chi_square(np.zeros(100_000, dtype=np.uint16)) > BOUND
    assert chi_square(np.arange(100_000, dtype=np.uint16) & 0x7FFF) > BOUND


@pytest.mark.parametrize("value", [2001, -2001, 2**15, 2**63 - 1, -(2**63)])
def test_a_value_beyond_the_range_is_refused(value: int) -> None:
    assert code_of(masked, NAMES[0], np.array([0, value], dtype=np.int64)) == "masking.value_out_of_range"


def test_too_few_or_too_many_parties_are_refused() -> None:
    zeros = np.zeros(4, dtype=np.int64)
    assert code_of(masked, NAMES[0], zeros, 1) == "masking.too_few_parties"
    assert code_of(masked, NAMES[0], zeros, 2) == "masking.too_few_parties"
    assert code_of(masked, NAMES[0], zeros, 17) == "masking.too_many_parties"
    vector = masked(NAMES[0], zeros)
    for count in (0, 1, 2):
        assert code_of(masking.unmask_sum, [vector] * count) == "masking.too_few_parties"
    assert code_of(masking.unmask_sum, [vector] * 17) == "masking.too_many_parties"


def test_the_own_name_the_own_key_and_empty_names_are_refused_among_peers() -> None:
    own, zeros = NAMES[0], np.zeros(4, dtype=np.int64)
    good = {name: PUBLIC[name] for name in NAMES[1:3]}
    for peers in (
        good | {own: PUBLIC[own]},
        good | {own: PUBLIC[NAMES[5]]},
        good | {"x": PUBLIC[own]},
        good | {"": b""},
    ):
        assert code_of(masking.mask_vector, zeros, own, PRIVATE[own], peers, b"") == "masking.bad_peer"
    assert code_of(masking.mask_vector, zeros, "", PRIVATE[own], good, b"") == "masking.bad_peer"


# Points of small order on Curve25519 (0, 1, p − 1, p, p + 1): every exchange with them gives zero.
@pytest.mark.parametrize("encoded", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18])
def test_a_low_order_public_key_is_refused(encoded: int) -> None:
    peers = {NAMES[1]: PUBLIC[NAMES[1]], NAMES[2]: encoded.to_bytes(32, "little")}
    zeros = np.zeros(4, dtype=np.int64)
    assert code_of(masking.mask_vector, zeros, NAMES[0], PRIVATE[NAMES[0]], peers, b"") == "masking.bad_key"


def test_keys_of_the_wrong_length_are_refused() -> None:
    zeros, good = np.zeros(4, dtype=np.int64), {name: PUBLIC[name] for name in NAMES[1:3]}
    assert code_of(masking.mask_public_key, bytes(31)) == "masking.bad_key"
    assert code_of(masking.mask_vector, zeros, "a", bytes(33), good, b"") == "masking.bad_key"
    short = good | {NAMES[2]: PUBLIC[NAMES[2]][:-1]}
    assert code_of(masking.mask_vector, zeros, "a", PRIVATE[NAMES[0]], short, b"") == "masking.bad_key"


def test_arrays_of_another_form_are_refused() -> None:
    for values in (np.zeros(4), np.zeros((2, 2), dtype=np.int64), np.zeros(4, dtype=np.uint16)):
        assert code_of(masked, NAMES[0], values) == "masking.wrong_shape"
    vector = masked(NAMES[0], np.zeros(4, dtype=np.int64))
    for third in (vector[:3], vector.astype(np.int64), vector.reshape(2, 2)):
        assert code_of(masking.unmask_sum, [vector, vector, third]) == "masking.wrong_shape"


def test_fresh_keys_differ() -> None:
    assert masking.generate_mask_key() != masking.generate_mask_key()
