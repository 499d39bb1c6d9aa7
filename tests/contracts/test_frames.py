"""Frames and replies: the same frame has the same bytes, and whatever else arrives raises our error and nothing else."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.framing import (
    MAXIMUM_HEADER_BYTES,
    MAXIMUM_PARTS,
    Frame,
    FrameError,
    frame_digest,
    pack_frame,
    parse_frame,
)
from policies.contracts.steps import NodeRefusal, Step, open_reply, pack_refusal, pack_reply

many = settings(max_examples=200, deadline=None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
FRAMES = st.builds(
    Frame,
    st.dictionaries(st.text(max_size=6), JSON, max_size=4),
    st.dictionaries(st.text(max_size=6), st.binary(max_size=40), max_size=4),
)
KEY = generate_signing_key()
IDENTITY = signing_public_key(KEY).hex()


def framed(header: bytes, rest: bytes = b"") -> bytes:
    return b"\x01" + struct.pack(">I", len(header)) + header + rest


@many
@given(frame=FRAMES)
def test_a_frame_comes_back_as_it_was_and_packs_to_the_same_bytes(frame: Frame) -> None:
    data = pack_frame(frame)
    assert parse_frame(data) == frame
    assert list(parse_frame(data).parts) == list(frame.parts)
    assert pack_frame(parse_frame(data)) == data


@many
@given(data=st.binary(max_size=200))
def test_random_bytes_raise_the_frames_error_only(data: bytes) -> None:
    for each in (data, b"\x01" + data, framed(data)):
        with pytest.raises(FrameError):
            parse_frame(each)


@many
@given(frame=FRAMES, position=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(1, 20))
def test_damaged_frames_raise_the_frames_error_or_are_other_frames(
    frame: Frame, position: int, value: int, cut: int
) -> None:
    data = pack_frame(frame)
    with pytest.raises(FrameError):
        parse_frame(data[:-cut])
    with pytest.raises(FrameError):
        parse_frame(data + bytes(cut))
    damaged = bytearray(data)
    damaged[position % len(data)] = value
    try:
        parsed = parse_frame(bytes(damaged))
    except FrameError:
        return
    assert pack_frame(parsed) == bytes(damaged)


@many
@given(document=JSON)
def test_any_json_as_header_raises_the_frames_error_unless_it_is_one(document: Any) -> None:
    from crypto.canonical import canonical_json

    with pytest.raises(FrameError):
        parse_frame(framed(canonical_json(document)))
    with pytest.raises(FrameError):
        parse_frame(framed(canonical_json({"header": {}, "parts": [document]}), bytes(8)))


BAD = [
    ("empty", b""),
    ("another version", b"\x02" + pack_frame(Frame({}))[1:]),
    ("header beyond the end", b"\x01\x00\x00\x00\x05{}"),
    ("header above the limit", b"\x01" + struct.pack(">I", MAXIMUM_HEADER_BYTES + 1) + bytes(MAXIMUM_HEADER_BYTES + 1)),
    ("whitespace", framed(b'{"header": {},"parts":[]}')),
    ("doubled key", framed(b'{"header":{},"header":{},"parts":[]}')),
    ("unknown field", framed(b'{"extra":1,"header":{},"parts":[]}')),
    ("header not an object", framed(b'{"header":[],"parts":[]}')),
    ("float", framed(b'{"header":{"a":1.5},"parts":[]}')),
    ("part doubled", framed(b'{"header":{},"parts":[["a",1],["a",1]]}', b"xy")),
    ("part negative", framed(b'{"header":{},"parts":[["a",-1]]}')),
    ("part of true", framed(b'{"header":{},"parts":[["a",true]]}', b"x")),
    ("part too long", framed(b'{"header":{},"parts":[["a",2]]}', b"x")),
    ("bytes left over", framed(b'{"header":{},"parts":[["a",1]]}', b"xy")),
    ("deep", framed(b"[" * 5000)),
]


@pytest.mark.parametrize("data", [case[1] for case in BAD], ids=[case[0] for case in BAD])
def test_a_malformed_frame_is_refused_with_its_code(data: bytes) -> None:
    with pytest.raises(FrameError) as caught:
        parse_frame(data)
    assert caught.value.code == "frame.malformed"


def test_as_many_parts_as_allowed_are_accepted_and_one_more_is_refused() -> None:
    most = Frame({}, {str(i): b"" for i in range(MAXIMUM_PARTS)})
    assert parse_frame(pack_frame(most)) == most
    with pytest.raises(FrameError):
        parse_frame(pack_frame(Frame({}, {str(i): b"" for i in range(MAXIMUM_PARTS + 1)})))


def test_the_digest_names_these_bytes_and_no_others() -> None:
    assert frame_digest(b"a") == frame_digest(b"a")
    assert frame_digest(b"a") != frame_digest(b"b")


def test_a_refusal_carries_its_code_and_nothing_else() -> None:
    reply = pack_refusal(KEY, b"request", "blind", "tax", "policy.epsilon")
    with pytest.raises(NodeRefusal) as caught:
        open_reply(reply, b"request", Step.BLIND, "tax", IDENTITY)
    assert (caught.value.code, caught.value.department) == ("policy.epsilon", "tax")
    frame = parse_frame(reply[64:])
    assert not frame.parts
    assert not frame.header["facts"]


def test_a_refusals_code_that_is_no_code_is_not_passed_on() -> None:
    reply = pack_refusal(KEY, b"request", "blind", "tax", "x" * 80)
    with pytest.raises(NodeRefusal) as caught:
        open_reply(reply, b"request", Step.BLIND, "tax", IDENTITY)
    assert caught.value.code == "node.refused"


@many
@given(data=st.binary(max_size=200))
def test_random_bytes_are_no_reply(data: bytes) -> None:
    with pytest.raises(DoudiError) as caught:
        open_reply(data, b"request", Step.BLIND, "tax", IDENTITY)
    assert caught.value.code == "reply.bad_signature"


def test_every_byte_of_a_reply_is_covered_by_its_signature() -> None:
    reply = pack_reply(KEY, b"request", "blind", "tax", {"people": 3}, {"a": b"xyz"})
    assert open_reply(reply, b"request", Step.BLIND, "tax", IDENTITY).parts == {"a": b"xyz"}
    for position in range(len(reply)):
        damaged = bytearray(reply)
        damaged[position] ^= 1
        with pytest.raises(DoudiError) as caught:
            open_reply(bytes(damaged), b"request", Step.BLIND, "tax", IDENTITY)
        assert caught.value.code == "reply.bad_signature"
