"""Canonical JSON: one value, one sequence of bytes."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crypto.canonical import canonical_json, parse_canonical
from crypto.errors import CryptoError

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(VALUES)
def test_every_supported_value_round_trips(value: Any) -> None:
    data = canonical_json(value)
    assert parse_canonical(data) == value
    assert json.loads(data) == value


def test_keys_are_sorted_and_text_is_not_escaped() -> None:
    assert canonical_json({"b": [1, True, None], "a": "兜底"}) == '{"a":"兜底","b":[1,true,null]}'.encode()


@pytest.mark.parametrize("value", [2**53, -(2**53)])
def test_the_largest_integers_are_accepted(value: int) -> None:
    assert parse_canonical(canonical_json(value)) == value


def nested(depth: int) -> object:
    value: object = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), b"bytes", {1: "a"}, {1, 2}, 2**53 + 1, -(2**53) - 1, "\ud800", object(), nested(33)]
)
def test_an_unsupported_value_is_refused(value: object) -> None:
    for wrapped in (value, [value], {"a": value}):
        with pytest.raises(CryptoError) as caught:
            canonical_json(wrapped)
        assert caught.value.code == "canonical.unsupported_value"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" 1",
        b"1 ",
        b"[1, 2]",
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b"1.0",
        b"1e3",
        b"-0",
        b"01",
        b"NaN",
        b"Infinity",
        b"9007199254740993",
        b"9" * 5000,
        b'"\\u0041"',
        b'"\\/"',
        b'"\\ud800"',
        b'"\xff"',
        b"\xef\xbb\xbf1",
        b"1\n",
        b"true false",
        b"[" * 200_000,
        b"[" * 34 + b"]" * 34,
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    with pytest.raises(CryptoError) as caught:
        parse_canonical(data)
    assert caught.value.code == "canonical.not_canonical"


def test_the_size_limit_is_exact() -> None:
    assert parse_canonical(b'"ab"', 4) == "ab"
    with pytest.raises(CryptoError) as caught:
        parse_canonical(b'"abc"', 4)
    assert caught.value.code == "canonical.too_large"


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:019.e-tfn\\u ', max_size=40).map(str.encode))
@example(b'{"":0}')
def test_random_bytes_parse_to_themselves_or_raise_our_error(data: bytes) -> None:
    try:
        value = parse_canonical(data)
    except CryptoError:
        return
    assert canonical_json(value) == data
