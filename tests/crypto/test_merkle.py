"""Merkle trees: the classic vectors of Certificate Transparency, and every proof of small trees."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import merkle
from crypto.errors import CryptoError

# The eight leaves and nine roots that RFC 6962 implementations share (certificate-transparency, merkle_tree_test).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


@pytest.mark.parametrize("size", range(9))
def test_roots_equal_the_classic_vectors(size: int) -> None:
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size]


def test_the_inclusion_proof_equals_the_classic_vector() -> None:
    assert [step.hex() for step in merkle.inclusion_proof(LEAVES, 0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def recursive_root(leaves: list[bytes]) -> bytes:
    # The definition of RFC 9162 section 2.1.1, word for word.
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + recursive_root(leaves[:k]) + recursive_root(leaves[k:])).digest()


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=70), st.data())
def test_every_leaf_proves_and_the_root_is_the_recursive_one(leaves: list[bytes], data: st.DataObject) -> None:
    root = merkle.root(leaves)
    assert root == recursive_root(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = merkle.inclusion_proof(leaves, index)
    merkle.verify_inclusion(root, leaves[index], index, len(leaves), proof)
    assert len(proof) <= (len(leaves) - 1).bit_length()


def test_many_proofs_equal_the_single_ones() -> None:
    leaves = [bytes([number]) for number in range(13)]
    indices = [12, 0, 5, 5]
    assert merkle.inclusion_proofs(leaves, indices) == [merkle.inclusion_proof(leaves, index) for index in indices]


@pytest.mark.parametrize("size", range(1, 12))
def test_a_wrong_index_leaf_root_or_proof_is_refused(size: int) -> None:
    leaves = [bytes([number]) for number in range(size)]
    root = merkle.root(leaves)
    for index in range(size):
        proof = merkle.inclusion_proof(leaves, index)
        for other in set(range(size)) - {index}:
            assert code_of(merkle.verify_inclusion, root, leaves[index], other, size, proof) == "merkle.bad_proof"
        changed = [[*proof[:at], bytes(32), *proof[at + 1 :]] for at in range(len(proof))]
        short = [[*proof[:-1], proof[-1][:-1]], proof[:-1], proof[1:]] if proof else []
        for wrong in [*changed, *short, [*proof, root], [root, *proof], [*proof, b""]]:
            assert code_of(merkle.verify_inclusion, root, leaves[index], index, size, wrong) == "merkle.bad_proof"
        assert code_of(merkle.verify_inclusion, root, b"other", index, size, proof) == "merkle.bad_proof"
        assert code_of(merkle.verify_inclusion, bytes(32), leaves[index], index, size, proof) == "merkle.bad_proof"
        assert code_of(merkle.verify_inclusion, root[:-1], leaves[index], index, size, proof) == "merkle.bad_proof"


def test_a_node_cannot_stand_for_a_leaf() -> None:
    node = merkle.leaf_hash(b"a") + merkle.leaf_hash(b"b")
    assert code_of(merkle.verify_inclusion, merkle.root([b"a", b"b"]), node, 0, 1, []) == "merkle.bad_proof"


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, -1)])
def test_an_index_outside_the_tree_is_refused(index: int, size: int) -> None:
    assert code_of(merkle.verify_inclusion, bytes(32), b"", index, size, []) == "merkle.bad_index"
    assert code_of(merkle.inclusion_proof, [b"leaf"] * max(size, 0), index) == "merkle.bad_index"


@given(st.binary(max_size=40), st.lists(st.binary(max_size=40), max_size=6), st.integers(), st.integers())
def test_random_bytes_raise_only_our_error(root: bytes, proof: list[bytes], index: int, size: int) -> None:
    assert code_of(merkle.verify_inclusion, root, b"leaf", index, size, proof).startswith("merkle.")


def test_a_commitment_binds_salt_and_payload_and_has_a_version() -> None:
    salt = merkle.commitment_salt()
    leaf = merkle.commitment_leaf(salt, b"slot 7: 1")
    assert (len(leaf), leaf[:1]) == (33, b"\x01")
    assert leaf == merkle.commitment_leaf(salt, b"slot 7: 1")
    assert leaf != merkle.commitment_leaf(salt, b"slot 7: 0")
    assert leaf != merkle.commitment_leaf(merkle.commitment_salt(), b"slot 7: 1")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_salt_of_another_length_is_refused(length: int) -> None:
    assert code_of(merkle.commitment_leaf, bytes(length), b"payload") == "merkle.bad_salt"
