"""Batches and their places: one form, signed by their producer, found out when anything moves."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import sealing
from crypto.errors import DoudiError
from crypto.ledger_entries import Plain, seal_batch
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.ledger.batches import parse_batch, sign_batch, unframe, verify_batch
from policies.contracts.ledger.placed import PlacedBatch, pack_page, page_path, parse_page

ORIGIN = "centre.example/ledger"
PRIVATE = generate_signing_key()
SIGNER = signing_public_key(PRIVATE)
AUDITOR = sealing.sealing_public_key(sealing.generate_sealing_key())
EVENTS = [Plain("node.report.signed", 1, 1_800_000_000 + number, b"{}") for number in range(4)]


def made(producer="tax", first=5, private=PRIVATE):
    return sign_batch(ORIGIN, producer, first, seal_batch(ORIGIN, producer, first, EVENTS, [AUDITOR]), private)


BATCH = made()


def code_of(act):
    with pytest.raises(DoudiError) as error:
        act()
    return error.value.code


def test_a_batch_travels_and_verifies():
    found = parse_batch(BATCH.to_bytes())
    assert found == BATCH
    assert [entry.header.sequence for entry in verify_batch(ORIGIN, found, SIGNER)] == [5, 6, 7, 8]


def test_destroyed_wraps_leave_the_signature_valid():
    shredded = dataclasses.replace(BATCH, wraps=b"")
    assert len(verify_batch(ORIGIN, parse_batch(shredded.to_bytes()), SIGNER)) == 4


def test_the_producers_known_key_must_have_signed():
    stranger = generate_signing_key()
    assert code_of(lambda: verify_batch(ORIGIN, made(private=stranger), SIGNER)) == "batch.bad_signature"
    assert code_of(lambda: verify_batch(ORIGIN, BATCH, signing_public_key(stranger))) == "batch.bad_signature"
    assert code_of(lambda: verify_batch("other.example/ledger", BATCH, SIGNER)) == "batch.bad_signature"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"entries": BATCH.entries[:-1]}, "batch.bad_signature"),
        ({"entries": BATCH.entries[1:]}, "batch.inconsistent"),
        ({"entries": (BATCH.entries[1], BATCH.entries[0], *BATCH.entries[2:])}, "batch.inconsistent"),
        ({"entries": (BATCH.entries[0], *BATCH.entries)}, "batch.inconsistent"),
        ({"entries": (b"\x01\x00", *BATCH.entries[1:])}, "batch.inconsistent"),
        ({"first_sequence": 6}, "batch.inconsistent"),
        ({"first_sequence": 0}, "batch.inconsistent"),
        ({"producer": "health"}, "batch.inconsistent"),
        ({"batch_id": bytes(16)}, "batch.inconsistent"),
        ({"wraps": made().wraps}, "batch.wrong_wraps"),
        ({"wraps": BATCH.wraps[:-1]}, "batch.wrong_wraps"),
        ({"signature": bytes(64)}, "batch.bad_signature"),
    ],
)
def test_nothing_in_a_batch_is_exchanged(changes, code):
    assert code_of(lambda: verify_batch(ORIGIN, dataclasses.replace(BATCH, **changes), SIGNER)) == code


def test_an_entry_of_another_batch_does_not_fit():
    other = made()
    mixed = dataclasses.replace(BATCH, entries=(other.entries[0], *BATCH.entries[1:]))
    assert code_of(lambda: verify_batch(ORIGIN, mixed, SIGNER)) == "batch.inconsistent"


def test_every_changed_byte_of_a_batch_is_found():
    data = BATCH.to_bytes()
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(DoudiError):
            verify_batch(ORIGIN, parse_batch(changed), SIGNER)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_batch(data):
    assert code_of(lambda: parse_batch(b"\x01" + data)) == "batch.malformed"
    assert code_of(lambda: parse_batch(b"\x02" + data)) == "batch.malformed"


@given(st.lists(st.binary(max_size=20), max_size=6), st.integers(1, 4))
def test_a_frame_is_read_back_and_a_cut_one_is_refused(parts, cut):
    from crypto.domains import frame

    data = frame(*parts)
    assert unframe(data) == parts
    if data:
        last = len(parts[-1]) + 4
        if cut < last:
            assert code_of(lambda: unframe(data[:-cut])) == "batch.malformed"


PLACED = [
    PlacedBatch(0, 4, "tax", BATCH.batch_id, 5, SIGNER, BATCH.signature, BATCH.wraps),
    PlacedBatch(4, 1, "coordinator", bytes(16), 0, SIGNER, BATCH.signature, b""),
]


def test_a_page_is_read_back():
    assert parse_page(pack_page(PLACED), 2) == PLACED
    assert parse_page(pack_page([]), 0) == []


def test_a_page_has_the_stated_number_of_batches_in_their_one_form():
    data = pack_page(PLACED)
    for changed, count in (
        (data, 1),
        (data, 3),
        (data[:-1], 2),
        (data + b"\x00", 2),
        (b"\x02" + data[1:], 2),
        (b"", 0),
        (pack_page([dataclasses.replace(PLACED[0], count=0)]), 1),
        (pack_page([dataclasses.replace(PLACED[0], count=501)]), 1),
        (pack_page([dataclasses.replace(PLACED[0], batch_id=b"short")]), 1),
    ):
        assert code_of(lambda changed=changed, count=count: parse_page(changed, count)) == "batch.malformed"


@given(st.binary(max_size=200), st.integers(0, 3))
def test_arbitrary_bytes_are_no_page(data, count):
    try:
        found, code = parse_page(data, count), ""
    except DoudiError as error:
        found, code = None, error.code
    assert code == "batch.malformed" if found is None else pack_page(found) == data


def test_pages_have_one_path():
    assert page_path(7) == "batches/7"
    assert page_path(7, 12) == "batches/7.p/12"
