"""Tiles of a log: the specification's examples, and the files of other code (tlog-scales)."""

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales.reader import Tile
from tlog_scales.writer import TilesWriter

from crypto import merkle, merkle_log, tiles
from crypto.errors import CryptoError
from crypto.tiles import TileAddress

SIZES = [0, 1, 2, 255, 256, 257, 511, 512, 700, 65535, 65536, 65537, 66000, 70000, 131072]


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CryptoError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def outcome(call: object, *arguments: object) -> object:
    """Return the result, or the code of the refusal; any other exception passes."""
    try:
        return call(*arguments)  # type: ignore[operator]
    except CryptoError as error:
        return error.code


def widths(addresses: object) -> Counter[tuple[int | None, int]]:
    return Counter((one.level, one.width) for one in addresses)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("tile/0/000", TileAddress(0, 0)),
        ("tile/0/x001/x234/067", TileAddress(0, 1234067)),
        ("tile/0/x001/x234/067.p/5", TileAddress(0, 1234067, 5)),
        ("tile/1/042.p/17", TileAddress(1, 42, 17)),
        ("tile/3/x001/000", TileAddress(3, 1000)),
        ("tile/0/999.p/255", TileAddress(0, 999, 255)),
        ("tile/63/x001/x000/000.p/1", TileAddress(63, 1_000_000, 1)),
        ("tile/entries/x001/x234/067", TileAddress(None, 1234067)),
        ("tile/entries/007.p/5", TileAddress(None, 7, 5)),
        ("tile/entries/x009/x223/x372/x036/x854/x775/807", TileAddress(None, (1 << 63) - 1)),
    ],
)
def test_a_tile_has_one_path(path: str, address: TileAddress) -> None:
    assert tiles.parse_tile_path(path) == address
    assert address.path == path
    if address.level is None:
        assert tiles.entries_path(address.index, address.width) == path
    else:
        assert tiles.tile_path(address.level, address.index, address.width) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/1234",
        "tile/0/x000/067",
        "tile/0/x000/x001/067",
        "tile/0/001/067",
        "tile/0/x001",
        "tile/0/x001/x067",
        "tile/0/X001/067",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/100/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/data/000",
        "tile/Entries/000",
        "tile/0/000.p/0",
        "tile/0/000.p/00",
        "tile/0/000.p/05",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/1000",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/5/",
        "tile/0/000/",
        "/tile/0/000",
        "tile//000",
        "tile/0/000\n",
        "tile/0/000.p/5\n",
        " tile/0/000",
        "tile/0/../000",
        "tile/0/٠٠٠",
        "tile/0/０００",
        "tile/entries/x009/x223/x372/x036/x854/x775/808",
        "tile/0/" + "x999/" * 7 + "999",
        "tile/0/" + "x999/" * 5000 + "999",
    ],
)
def test_another_path_is_refused(path: str) -> None:
    assert code_of(tiles.parse_tile_path, path) == "tile.bad_path"


@pytest.mark.parametrize(
    ("level", "index", "width"),
    [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 1 << 63, 1), (0, 0, 0), (0, 0, 257), (0, 0, -1)],
)
def test_a_tile_that_cannot_exist_has_no_path(level: int, index: int, width: int) -> None:
    assert code_of(tiles.tile_path, level, index, width) == "tile.bad_path"
    if level == 0:
        assert code_of(tiles.entries_path, index, width) == "tile.bad_path"


@given(st.none() | st.integers(0, 63), st.integers(0, (1 << 63) - 1), st.integers(1, 256))
def test_every_address_survives_its_path(level: int | None, index: int, width: int) -> None:
    address = TileAddress(level, index, width)
    assert tiles.parse_tile_path(address.path) == address


@given(st.text(max_size=40) | st.from_regex(r"tile/([0-9]{1,3}|entries)/(x?[0-9]{2,4}/?){1,4}(\.p/[0-9]{0,4})?/?"))
def test_any_text_is_canonical_or_refused(path: str) -> None:
    address = outcome(tiles.parse_tile_path, path)
    assert address == "tile.bad_path" or (isinstance(address, TileAddress) and address.path == path)


def test_the_tiles_of_70000_leaves_are_those_of_the_specification() -> None:
    assert widths(tiles.tiles_of(70_000)) == {(0, 256): 273, (0, 112): 1, (1, 256): 1, (1, 17): 1, (2, 1): 1}
    assert widths(tiles.bundles_of(70_000)) == {(None, 256): 273, (None, 112): 1}


def test_the_tiles_of_small_trees() -> None:
    assert list(tiles.tiles_of(0)) == list(tiles.bundles_of(0)) == []
    assert list(tiles.tiles_of(1)) == [TileAddress(0, 0, 1)]
    assert list(tiles.tiles_of(256)) == [TileAddress(0, 0), TileAddress(1, 0, 1)]
    assert list(tiles.bundles_of(257)) == [TileAddress(None, 0), TileAddress(None, 1, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_a_partial_tile_has_the_width_of_the_formula(size: int) -> None:
    for level in range(4):
        partial = [one.width for one in tiles.tiles_of(size) if one.level == level and one.width < 256]
        width = size // 256**level % 256
        assert partial == ([width] if width else [])


@pytest.mark.parametrize("new", SIZES)
def test_new_tiles_are_those_that_the_old_tree_has_not(new: int) -> None:
    for old in (size for size in SIZES if size <= new):
        assert list(tiles.new_tiles(old, new)) == [
            one for one in tiles.tiles_of(new) if one not in set(tiles.tiles_of(old))
        ]
        assert list(tiles.new_bundles(old, new)) == [
            one for one in tiles.bundles_of(new) if one not in set(tiles.bundles_of(old))
        ]


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3), (0, 1 << 63), (-2, -1)])
def test_a_size_that_shrinks_or_is_none_is_refused_at_once(old: int, new: int) -> None:
    assert code_of(tiles.new_tiles, old, new) == "tile.bad_size"
    assert code_of(tiles.new_bundles, old, new) == "tile.bad_size"
    if old == 0:
        assert code_of(tiles.tiles_of, new) == code_of(tiles.bundles_of, new) == "tile.bad_size"


def test_a_bundle_is_length_prefixed() -> None:
    assert tiles.encode_bundle([b"", b"a", b"bc"]) == b"\x00\x00\x00\x01a\x00\x02bc"
    assert tiles.encode_bundle([bytes(65535)])[:2] == b"\xff\xff"
    assert tiles.encode_bundle([]) == b""


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_every_bundle_survives_and_other_code_reads_it(entries: list[bytes]) -> None:
    data = tiles.encode_bundle(entries)
    assert tiles.parse_bundle(data, len(entries)) == entries
    assert Tile.from_entries_bytes(data).entries == entries


@pytest.mark.parametrize("count", [-1, 0, 1, 2, 4, 256, 257])
def test_a_bundle_of_another_count_is_refused(count: int) -> None:
    data = tiles.encode_bundle([b"one", b"two", b"three"])
    assert code_of(tiles.parse_bundle, data, count) == "tile.malformed"


def test_a_truncated_or_longer_bundle_is_refused() -> None:
    data = tiles.encode_bundle([b"one", b"", b"three"])
    for wrong in [*(data[:length] for length in range(len(data))), data + b"\x00", data + b"\x00\x00"]:
        assert code_of(tiles.parse_bundle, wrong, 3) == "tile.malformed"


def test_entries_that_fit_no_bundle_are_refused() -> None:
    assert code_of(tiles.encode_bundle, [b"", bytes(65536)]) == "tile.entry_too_long"
    assert code_of(tiles.encode_bundle, [b""] * 257) == "tile.malformed"
    assert code_of(tiles.parse_bundle, bytes(2 * 257), 257) == "tile.malformed"


@given(st.binary(max_size=60), st.integers(-2, 300))
def test_any_bytes_are_a_bundle_or_refused(data: bytes, count: int) -> None:
    entries = outcome(tiles.parse_bundle, data, count)
    if entries != "tile.malformed":
        assert isinstance(entries, list)
        assert len(entries) == count
        assert tiles.encode_bundle(entries) == data


@given(st.binary(max_size=100) | st.integers(0, 257).map(lambda width: bytes(32 * width)), st.integers(-1, 258))
def test_hashes_have_exactly_their_width(data: bytes, width: int) -> None:
    if 1 <= width <= 256 and len(data) == 32 * width:
        assert tiles.parse_hashes(data, width) == [data[at : at + 32] for at in range(0, len(data), 32)]
    else:
        assert code_of(tiles.parse_hashes, data, width) == "tile.malformed"


@given(st.integers(1, 256))
def test_a_full_row_of_hashes_is_read(width: int) -> None:
    assert tiles.parse_hashes(bytes(32 * width), width) == [bytes(32)] * width


def tile_bytes(read: merkle_log.HashReader, address: TileAddress) -> bytes:
    """Return a tile's bytes from its definition: the roots of perfect subtrees of 256^level leaves."""
    assert address.level is not None
    start = address.index * 256
    return b"".join(read(8 * address.level, index) for index in range(start, start + address.width))


def test_other_code_writes_the_same_files(tmp_path: Path) -> None:
    data = [number.to_bytes(3, "big") * (number % 3) for number in range(66_000)]
    hashes = [merkle.leaf_hash(one) for one in data]
    read = merkle_log.leaves_reader(hashes)
    writer = TilesWriter.create(tmp_path / "log", "log.example")
    size, expected = 0, set()
    for new_size in (5, 255, 256, 257, 700, 66_000):
        for one in data[size:new_size]:
            writer.add_leaf(one)
        writer.commit([], gc=False)
        for address in tiles.new_tiles(size, new_size):
            assert (tmp_path / "log" / address.path).read_bytes() == tile_bytes(read, address)
            expected.add(address.path)
        for address in tiles.new_bundles(size, new_size):
            start = address.index * 256
            bundle = tiles.encode_bundle(data[start : start + address.width])
            assert (tmp_path / "log" / address.path).read_bytes() == bundle
            expected.add(address.path)
        size = new_size
    written = {str(path.relative_to(tmp_path / "log")) for path in (tmp_path / "log/tile").rglob("*") if path.is_file()}
    assert written == expected


class Store:
    """Tiles of one tree in memory, which counts how often each was asked for."""

    def __init__(self, hashes: list[bytes]) -> None:
        read = merkle_log.leaves_reader(hashes)
        self.tiles = {(one.level, one.index, one.width): tile_bytes(read, one) for one in tiles.tiles_of(len(hashes))}
        self.asked: Counter[tuple[int, int, int]] = Counter()

    def get(self, level: int, index: int, width: int) -> bytes:
        self.asked[level, index, width] += 1
        return self.tiles[level, index, width]


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 511, 512, 700, 66_000])
def test_proofs_from_tiles_are_those_from_leaves(size: int) -> None:
    hashes = [merkle.leaf_hash(number.to_bytes(3, "big")) for number in range(size)]
    store = Store(hashes)
    read, root = tiles.tile_reader(store.get, size), merkle_log.root_of(hashes)
    chosen = random.Random(3)
    for index in {0, size - 1, size // 2, *(chosen.randrange(size) for _ in range(40))}:
        proof = merkle_log.inclusion_proof(read, index, size)
        merkle_log.verify_inclusion(root, hashes[index], index, size, proof)
        old = index + 1
        consistency = merkle_log.consistency_proof(read, old, size)
        merkle_log.verify_consistency(merkle_log.root_of(hashes[:old]), old, root, size, consistency)
    assert set(store.asked.values()) <= {1}  # kept: no tile was asked for twice


def test_a_reader_of_tiles_knows_every_subtree_inside_and_none_outside() -> None:
    hashes = [merkle.leaf_hash(number.to_bytes(3, "big")) for number in range(1500)]
    read, known = tiles.tile_reader(Store(hashes).get, 1500), merkle_log.leaves_reader(hashes)
    for level in range(11):
        for index in range(1500 >> level):
            assert read(level, index) == known(level, index)
        assert code_of(read, level, 1500 >> level) == "merkle.bad_index"
    assert code_of(read, 11, 0) == code_of(read, -1, 0) == code_of(read, 0, -1) == "merkle.bad_index"


def test_a_reader_of_tiles_keeps_a_bounded_number() -> None:
    asked: list[int] = []

    def get(level: int, index: int, width: int) -> bytes:
        asked.append(index)
        return bytes(32 * width)

    read = tiles.tile_reader(get, 256 * 300)
    for index in (*range(300), 299, 0):
        read(0, 256 * index)
    assert asked == [*range(300), 0]


@pytest.mark.parametrize("data", [b"", bytes(32 * 255), bytes(32 * 256 - 1), bytes(32 * 257)])
def test_a_tile_of_another_width_is_refused_and_not_kept(data: bytes) -> None:
    answers = [data, bytes(32 * 256)]
    read = tiles.tile_reader(lambda level, index, width: answers.pop(0), 300)
    assert code_of(read, 0, 3) == "tile.malformed"
    assert read(0, 3) == bytes(32)
