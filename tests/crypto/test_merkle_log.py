"""The growing tree: the vectors of Certificate Transparency, every proof of small trees, and other code (tlog-scales)."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales.tlog import ConsistencyProof, ConsistencyProofInvalid, InclusionProof, InclusionProofInvalid
from tlog_scales.writer import TilesWriter

from crypto import merkle, merkle_log
from crypto.errors import CryptoError
from crypto.merkle_log import Frontier

# The eight leaves that RFC 6962 implementations share (transparency-dev/merkle testonly/constants.go), the root of each
# prefix, and the proofs of their tests.
LEAVES = [
    merkle.leaf_hash(bytes.fromhex(text))
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
MANY = [merkle.leaf_hash(number.to_bytes(2, "big")) for number in range(33)]
READ = merkle_log.leaves_reader(MANY)
ROOT_OF_SIZE = [merkle_log.root_of(MANY[:size]) for size in range(len(MANY) + 1)]


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def spoiled(proof: list[bytes]) -> list[list[bytes]]:
    """Return every proof with one hash changed, of another length, missing or too many."""
    flipped = [[*proof[:at], bytes([one[0] ^ 1]) + one[1:], *proof[at + 1 :]] for at, one in enumerate(proof)]
    shortened = [[*proof[:at], one[:-1], *proof[at + 1 :]] for at, one in enumerate(proof)]
    lengthened = [[*proof[:at], one + b"\x00", *proof[at + 1 :]] for at, one in enumerate(proof)]
    missing = [[*proof[:at], *proof[at + 1 :]] for at in range(len(proof))]
    extra = [[*proof[:at], bytes(32), *proof[at:]] for at in range(len(proof) + 1)]
    cut = [proof[:length] for length in range(len(proof))]
    return [*flipped, *shortened, *lengthened, *missing, *cut, *extra, [*proof, *proof, bytes(32)]]


@pytest.mark.parametrize("size", range(9))
def test_roots_equal_the_classic_vectors(size: int) -> None:
    assert merkle_log.root_of(LEAVES[:size]) == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_equal_the_classic_vectors(index: int, size: int) -> None:
    proof = merkle_log.inclusion_proof(merkle_log.leaves_reader(LEAVES), index, size)
    assert [one.hex() for one in proof] == INCLUSION[index, size]
    merkle_log.verify_inclusion(ROOTS[size], LEAVES[index], index, size, proof)


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_proofs_equal_the_classic_vectors(old: int, new: int) -> None:
    proof = merkle_log.consistency_proof(merkle_log.leaves_reader(LEAVES), old, new)
    assert [one.hex() for one in proof] == CONSISTENCY[old, new]
    merkle_log.verify_consistency(ROOTS[old], old, ROOTS[new], new, proof)


def test_the_example_of_rfc_9162_section_2_1_5_holds() -> None:
    # Seven leaves d0 to d6; a to l are the names that the RFC gives the nodes.
    d0, d1, d2, d3, d4, d5, d6 = MANY[:7]
    node = merkle.node_hash
    a, b, c, d, e, f, j = d0, d1, d2, d3, d4, d5, d6
    g, h, i = node(a, b), node(c, d), node(e, f)
    k, l = node(g, h), node(i, j)  # noqa: E741 - the RFC's names
    assert ROOT_OF_SIZE[7] == node(k, l)
    paths = {0: [b, h, l], 3: [c, g, l], 4: [f, j, k], 6: [i, k]}
    for index, path in paths.items():
        assert merkle_log.inclusion_proof(READ, index, 7) == path
    assert merkle_log.consistency_proof(READ, 3, 7) == [c, d, g, l]
    assert merkle_log.consistency_proof(READ, 4, 7) == [l]
    assert merkle_log.consistency_proof(READ, 6, 7) == [i, j, k]


def recursive_root(leaves: list[bytes]) -> bytes:
    # The definition of RFC 9162 section 2.1.1, word for word, over leaf hashes.
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + recursive_root(leaves[:k]) + recursive_root(leaves[k:])).digest()


@pytest.mark.parametrize("size", [*range(34), 4095, 4096, 4097, 8192, 9999])
def test_the_root_is_the_recursive_one(size: int) -> None:
    leaves = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(size)]
    assert merkle_log.root_of(leaves) == recursive_root(leaves)


def test_the_tree_over_hashes_is_the_tree_over_data() -> None:
    data = [bytes([number]) for number in range(21)]
    hashes = [merkle.leaf_hash(one) for one in data]
    assert merkle_log.root_of(hashes) == merkle.root(data)
    for index in range(21):
        proof = merkle_log.inclusion_proof(merkle_log.leaves_reader(hashes), index, 21)
        assert proof == merkle.inclusion_proof(data, index)
        merkle.verify_inclusion(merkle.root(data), data[index], index, 21, proof)


@pytest.mark.parametrize("size", range(1, 34))
def test_every_inclusion_proof_verifies_and_no_other(size: int) -> None:
    root = ROOT_OF_SIZE[size]
    for index in range(size):
        proof = merkle_log.inclusion_proof(READ, index, size)
        leaf = MANY[index]
        assert len(proof) <= (size - 1).bit_length()
        merkle_log.verify_inclusion(root, leaf, index, size, proof)
        for wrong in spoiled(proof):
            assert code_of(merkle_log.verify_inclusion, root, leaf, index, size, wrong) == "merkle.bad_proof"
        for other in set(range(size)) - {index}:
            assert code_of(merkle_log.verify_inclusion, root, leaf, other, size, proof) == "merkle.bad_proof"
        for wrong_leaf in (bytes(32), leaf[:-1], leaf + b"\x00", b""):
            assert code_of(merkle_log.verify_inclusion, root, wrong_leaf, index, size, proof) == "merkle.bad_proof"
        for wrong_root in (bytes(32), root[:-1], root + b"\x00", b""):
            assert code_of(merkle_log.verify_inclusion, wrong_root, leaf, index, size, proof) == "merkle.bad_proof"


@pytest.mark.parametrize("new", range(34))
def test_every_consistency_proof_verifies_and_no_other(new: int) -> None:
    new_root = ROOT_OF_SIZE[new]
    for old in range(new + 1):
        old_root = ROOT_OF_SIZE[old]
        proof = merkle_log.consistency_proof(READ, old, new)
        merkle_log.verify_consistency(old_root, old, new_root, new, proof)
        assert len(proof) <= new.bit_length() + 1
        assert bool(proof) == (0 < old < new)
        for wrong in spoiled(proof):
            assert code_of(merkle_log.verify_consistency, old_root, old, new_root, new, wrong) == "merkle.bad_proof"
        for root in (bytes(32), old_root[:-1], old_root + b"\x00", b""):
            assert code_of(merkle_log.verify_consistency, root, old, new_root, new, proof) == "merkle.bad_proof"
        # Under the empty old tree every new root stands, so only its length is checked there.
        wrong_new = [new_root[:-1], new_root + b"\x00", b"", *([bytes(32)] if old or not new else [])]
        for root in wrong_new:
            assert code_of(merkle_log.verify_consistency, old_root, old, root, new, proof) == "merkle.bad_proof"
        if old < new:
            assert code_of(merkle_log.verify_consistency, new_root, new, old_root, old, proof) == "merkle.bad_proof"


def accepts(check: object, *arguments: object) -> bool:
    try:
        check(*arguments)  # type: ignore[operator]
    except (CryptoError, InclusionProofInvalid, ConsistencyProofInvalid):
        return False
    return True


SHAPES = [(index, size) for size in range(1, 13) for index in range(size)]


@pytest.mark.parametrize(("index", "size"), SHAPES)
def test_a_true_inclusion_proof_stands_for_no_other_shape_than_in_other_code(index: int, size: int) -> None:
    # Leaf 2 of 3 has the path of leaf 1 of 2: only the signed size tells them apart. With the true size there is one
    # index; and no leaf passes as that of a shorter or longer path, for example the last of 8 as the only one.
    root, proof = ROOT_OF_SIZE[size], merkle_log.inclusion_proof(READ, index, size)
    for at, claimed in SHAPES:
        ours = accepts(merkle_log.verify_inclusion, root, MANY[index], at, claimed, proof)
        assert ours == accepts(InclusionProof(at, claimed, proof).check, MANY[index], root)
        if claimed == size:
            assert ours == (at == index)


@pytest.mark.parametrize(("old", "new"), [(at + 1, size) for at, size in SHAPES])
def test_a_true_consistency_proof_stands_for_no_other_shape_than_in_other_code(old: int, new: int) -> None:
    old_root, new_root = ROOT_OF_SIZE[old], ROOT_OF_SIZE[new]
    proof = merkle_log.consistency_proof(READ, old, new)
    for at, claimed in SHAPES:
        ours = accepts(merkle_log.verify_consistency, old_root, at + 1, new_root, claimed, proof)
        assert ours == accepts(ConsistencyProof(at + 1, claimed, proof).check, old_root, new_root)


def test_hashes_of_another_length_are_refused_even_where_they_lead_to_the_root() -> None:
    for short in (b"", bytes(31), bytes(33)):
        assert code_of(merkle_log.verify_inclusion, short, short, 0, 1, []) == "merkle.bad_proof"
        root = merkle.node_hash(MANY[0], short)
        assert code_of(merkle_log.verify_inclusion, root, MANY[0], 0, 2, [short]) == "merkle.bad_proof"
        assert code_of(merkle_log.verify_consistency, MANY[0], 1, root, 2, [short]) == "merkle.bad_proof"
        assert code_of(merkle_log.verify_consistency, short, 1, short, 1, []) == "merkle.bad_proof"
        assert code_of(merkle_log.verify_consistency, ROOT_OF_SIZE[0], 0, short, 1, []) == "merkle.bad_proof"


@pytest.mark.parametrize("old", range(1, 20))
def test_a_log_that_changed_its_past_finds_no_proof(old: int) -> None:
    forged = [bytes(32), *MANY[1:]]
    read = merkle_log.leaves_reader(forged)
    for new in range(old, 20):
        forged_root = merkle_log.root_of(forged[:new])
        for proof in (merkle_log.consistency_proof(read, old, new), merkle_log.consistency_proof(READ, old, new)):
            arguments = (ROOT_OF_SIZE[old], old, forged_root, new, proof)
            assert code_of(merkle_log.verify_consistency, *arguments) == "merkle.bad_proof"


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3), (-2, -1)])
def test_sizes_that_do_not_grow_are_refused(old: int, new: int) -> None:
    assert code_of(merkle_log.consistency_proof, READ, old, new) == "merkle.bad_index"
    root = ROOT_OF_SIZE[3]
    assert code_of(merkle_log.verify_consistency, root, old, root, new, []) == "merkle.bad_proof"


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, -1)])
def test_an_index_outside_the_tree_is_refused(index: int, size: int) -> None:
    assert code_of(merkle_log.inclusion_proof, READ, index, size) == "merkle.bad_index"
    assert code_of(merkle_log.verify_inclusion, bytes(32), bytes(32), index, size, []) == "merkle.bad_index"


@pytest.mark.parametrize(("level", "index"), [(-1, 0), (0, -1), (0, 33), (5, 1), (6, 0), (3, 4)])
def test_a_reader_of_leaves_knows_no_subtree_outside(level: int, index: int) -> None:
    assert code_of(READ, level, index) == "merkle.bad_index"


def test_proofs_of_a_tree_of_nearly_2_63_leaves_verify() -> None:
    # All leaves alike: the perfect subtrees of one level are then one hash.
    levels = [bytes(32)]
    for _ in range(63):
        levels.append(merkle.node_hash(levels[-1], levels[-1]))

    def read(level: int, index: int) -> bytes:
        assert level >= 0
        assert 0 <= (index + 1) << level <= new
        return levels[level]

    def root(size: int) -> bytes:
        return Frontier(size, [levels[bit] for bit in reversed(range(63)) if size >> bit & 1]).root()

    new = (1 << 63) - 3
    for old in (1, 2, 3, (1 << 62) - 1, 1 << 62, (1 << 62) + 1, new - 1, new):
        proof = merkle_log.consistency_proof(read, old, new)
        assert len(proof) <= 64
        merkle_log.verify_consistency(root(old), old, root(new), new, proof)
        path = merkle_log.inclusion_proof(read, old - 1, new)
        assert len(path) <= 63
        merkle_log.verify_inclusion(root(new), bytes(32), old - 1, new, path)


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(0, 9))
def test_a_frontier_that_grows_in_pieces_is_the_one_that_grew_at_once(pieces: list[int], single: int) -> None:
    leaves = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(sum(pieces) + single)]
    frontier, at = Frontier.empty(), 0
    for piece in pieces:
        frontier.extend(iter(leaves[at : at + piece]))
        at += piece
        frontier = Frontier(frontier.size, frontier.hashes)
    for leaf in leaves[at:]:
        frontier.append(leaf)
    whole = Frontier.empty()
    whole.extend(leaves)
    assert frontier == whole
    assert (frontier.size, frontier.root()) == (len(leaves), recursive_root(leaves))
    assert len(frontier.hashes) == len(leaves).bit_count()


def test_a_copy_grows_alone() -> None:
    frontier = Frontier.empty()
    frontier.extend(MANY[:5])
    copy = frontier.copy()
    copy.append(MANY[5])
    assert (frontier.size, frontier.root()) == (5, ROOT_OF_SIZE[5])
    assert (copy.size, copy.root()) == (6, ROOT_OF_SIZE[6])
    assert frontier != copy
    assert frontier != "frontier"


@pytest.mark.parametrize(
    ("size", "hashes"),
    [
        (-1, [bytes(32)]),
        (0, [bytes(32)]),
        (1, []),
        (3, [bytes(32)]),
        (4, [bytes(32)] * 2),
        (1, [bytes(31)]),
        (1, [b""]),
    ],
)
def test_a_frontier_of_another_shape_is_refused(size: int, hashes: list[bytes]) -> None:
    assert code_of(Frontier, size, hashes) == "merkle.bad_frontier"


@pytest.mark.parametrize("bad", [b"", bytes(31), bytes(33)])
def test_a_leaf_of_another_length_changes_nothing(bad: bytes) -> None:
    frontier = Frontier.empty()
    frontier.extend(MANY[:7])
    before = frontier.copy()
    assert code_of(frontier.append, bad) == "merkle.bad_hash"
    assert code_of(frontier.extend, [bytes(32)] * 5000 + [bad]) == "merkle.bad_hash"
    assert frontier == before


def test_an_iterable_that_fails_changes_nothing() -> None:
    def leaves() -> object:
        yield from [bytes(32)] * 5000
        raise OSError

    frontier = Frontier.empty()
    with pytest.raises(OSError):
        frontier.extend(leaves())  # type: ignore[arg-type]
    assert frontier == Frontier.empty()


HASHES = st.binary(min_size=30, max_size=34) | st.just(bytes(32))


SIZES = st.integers(-1, 9) | st.integers()


@given(HASHES, HASHES, st.lists(HASHES, max_size=8), SIZES, SIZES)
def test_random_bytes_raise_only_our_error(one: bytes, two: bytes, proof: list[bytes], a: int, b: int) -> None:
    # What stands without any hash to invert: a tree of one leaf, and two equal trees.
    if not (one == two and len(one) == 32 and (a, b) == (0, 1) and not proof):
        assert code_of(merkle_log.verify_inclusion, one, two, a, b, proof).startswith("merkle.")
    if not (one == two and len(one) == 32 and a == b > 0 and not proof):
        assert code_of(merkle_log.verify_consistency, one, a, two, b, proof) == "merkle.bad_proof"


@given(st.integers(1, 33), st.data())
def test_mutated_proofs_raise_only_our_error(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    proof = merkle_log.consistency_proof(READ, old, new)
    mutated = data.draw(st.permutations(proof)) + data.draw(st.lists(HASHES, max_size=2))
    if mutated != proof:
        arguments = (ROOT_OF_SIZE[old], old, ROOT_OF_SIZE[new], new, mutated)
        assert code_of(merkle_log.verify_consistency, *arguments) == "merkle.bad_proof"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 255, 256, 257, 600])
def test_other_code_makes_and_accepts_the_same_proofs(size: int, tmp_path: Path) -> None:
    data = [number.to_bytes(2, "big") for number in range(size)]
    writer = TilesWriter.create(tmp_path / "log", "log.example")
    for one in data:
        writer.add_leaf(one)
    writer.commit([])
    hashes = [merkle.leaf_hash(one) for one in data]
    root, read = merkle_log.root_of(hashes), merkle_log.leaves_reader(hashes)
    assert writer.reader.calculate_root_hash() == root
    for at in sorted({0, 1, 2, size // 3, size // 2, size - 2, size - 1} & set(range(size))):
        path = merkle_log.inclusion_proof(read, at, size)
        assert writer.reader.get_inclusion_proof(at, size).node_hashes == path
        InclusionProof(at, size, path).check(hashes[at], root)
        proof = merkle_log.consistency_proof(read, at + 1, size)
        assert writer.reader.get_consistency_proof(at + 1, size).node_hashes == proof
        ConsistencyProof(at + 1, size, proof).check(merkle_log.root_of(hashes[: at + 1]), root)
