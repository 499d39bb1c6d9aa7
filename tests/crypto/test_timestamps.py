"""Time stamps after RFC 3161, against OpenSSL's own authority."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from timestamp_authority import TimestampAuthority

from crypto.errors import CryptoError
from crypto.timestamps import load_roots, timestamp_request, verify_timestamp

DATA = b"centre.example/ledger\n300\nAAAA\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return TimestampAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stamped(authority):
    return authority.answer(timestamp_request(DATA))


def code_of(act):
    with pytest.raises(CryptoError) as refused:
        act()
    return refused.value.code


def test_a_stamp_says_when(authority, stamped):
    assert abs(verify_timestamp(stamped, DATA, load_roots(authority.root)) - time.time()) < 120


def test_a_stamp_of_other_data_is_refused(authority, stamped):
    roots = load_roots(authority.root)
    assert code_of(lambda: verify_timestamp(stamped, DATA + b"x", roots)) == "timestamp.other_data"


def test_an_authority_that_is_not_trusted_is_refused(tmp_path, stamped):
    stranger = TimestampAuthority(tmp_path, "stranger")
    roots = load_roots(stranger.root)
    assert code_of(lambda: verify_timestamp(stamped, DATA, roots)) == "timestamp.bad_signature"
    assert code_of(lambda: verify_timestamp(stamped, DATA, [])) == "timestamp.no_root"


def test_queries_differ_and_none_carries_the_data():
    first, second = timestamp_request(DATA), timestamp_request(DATA)
    assert first != second
    assert DATA not in first


def test_a_file_without_a_certificate_is_refused():
    assert code_of(lambda: load_roots(b"nothing")) == "timestamp.no_root"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0), change=st.integers(1, 255))
def test_a_damaged_stamp_is_refused_or_says_the_same(authority, stamped, place, change):
    damaged = bytearray(stamped)
    damaged[place % len(damaged)] ^= change
    roots = load_roots(authority.root)
    said = verify_timestamp(stamped, DATA, roots)
    try:
        found = verify_timestamp(bytes(damaged), DATA, roots)
    except CryptoError as error:
        found = error.code
    assert found in (said, "timestamp.malformed", "timestamp.bad_signature", "timestamp.other_data")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_stamp(data):
    assert code_of(lambda: verify_timestamp(data, DATA, [object()])) == "timestamp.malformed"
