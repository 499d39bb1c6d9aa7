"""Sealed entries of the audit ledger: who opens what, what is bound, and every byte that matters."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import domains, ledger_entries, merkle, sealing
from crypto.errors import CryptoError
from crypto.ledger_entries import (
    MAX_AUDITORS,
    MAX_BATCH_ENTRIES,
    NO_GRANT,
    Plain,
    auditor_id,
    entry_key,
    key_commitment,
    open_entry,
    open_wrap,
    parse_entry,
    parse_header,
    parse_wraps,
    seal_batch,
    wrap_batch_key,
    wraps_hash,
)

ORIGIN = "centre.example/ledger-0a1b2c3d"
AUDITORS = [sealing.generate_sealing_key() for _ in range(3)]
PUBLIC = [sealing.sealing_public_key(key) for key in AUDITORS]
EVENTS = [
    Plain("node.step.started", 1, 1_800_000_000, b'{"run":"run-1"}', bytes(range(32))),
    Plain("node.step.answered", 2, 1_800_000_001, b'{"run":"run-1","step":"blind"}'),
    Plain("node.report.signed", 1, 1_800_000_002, b"{}"),
]
SEALED = seal_batch(ORIGIN, "tax", 7, EVENTS, PUBLIC)


def batch_key(private, batch=SEALED, producer="tax", origin=ORIGIN):
    wrap = parse_wraps(batch.wraps)[auditor_id(sealing.sealing_public_key(private))]
    return open_wrap(origin, producer, batch.batch_id, wrap, private)


@pytest.mark.parametrize("private", AUDITORS, ids=("first", "second", "third"))
def test_every_auditor_opens_every_entry(private):
    key = batch_key(private)
    for position, (data, event) in enumerate(zip(SEALED.entries, EVENTS, strict=True)):
        entry = parse_entry(data)
        assert open_entry(ORIGIN, entry, entry_key(key, SEALED.batch_id, position)) == event.body
        header = entry.header
        assert (header.producer, header.type, header.schema_version) == ("tax", event.type, event.schema_version)
        assert (header.at, header.grant_hash, header.position) == (event.at, event.grant_hash, position)
        assert (header.sequence, header.batch_id) == (7 + position, SEALED.batch_id)


def test_a_producer_without_numbers_has_sequence_zero_throughout():
    sealed = seal_batch(ORIGIN, "coordinator", 0, EVENTS, PUBLIC)
    assert [parse_entry(entry).header.sequence for entry in sealed.entries] == [0, 0, 0]


def test_the_key_of_one_entry_opens_no_other():
    first = entry_key(batch_key(AUDITORS[0]), SEALED.batch_id, 0)
    assert open_entry(ORIGIN, parse_entry(SEALED.entries[0]), first) == EVENTS[0].body
    for other in SEALED.entries[1:]:
        with pytest.raises(CryptoError) as refused:
            open_entry(ORIGIN, parse_entry(other), first)
        assert refused.value.code == "ledger.wrong_key"


def test_a_stranger_and_an_auditor_of_another_batch_open_nothing():
    stranger = sealing.generate_sealing_key()
    wraps = parse_wraps(SEALED.wraps)
    assert auditor_id(sealing.sealing_public_key(stranger)) not in wraps
    for wrap in wraps.values():
        with pytest.raises(CryptoError) as refused:
            open_wrap(ORIGIN, "tax", SEALED.batch_id, wrap, stranger)
        assert refused.value.code == "ledger.cannot_open_wrap"


@pytest.mark.parametrize(
    ("origin", "producer", "batch_id"),
    [
        ("other.example/ledger", "tax", SEALED.batch_id),
        (ORIGIN, "health", SEALED.batch_id),
        (ORIGIN, "tax", bytes(16)),
    ],
    # Keys and batch ids are random: names of tests must not be.
    ids=("another-log", "another-producer", "another-batch"),
)
def test_a_wrap_that_is_moved_elsewhere_does_not_open(origin, producer, batch_id):
    wrap = parse_wraps(SEALED.wraps)[auditor_id(PUBLIC[0])]
    with pytest.raises(CryptoError) as refused:
        open_wrap(origin, producer, batch_id, wrap, AUDITORS[0])
    assert refused.value.code == "ledger.cannot_open_wrap"


def test_an_entry_opens_in_its_own_log_only():
    entry = parse_entry(SEALED.entries[0])
    with pytest.raises(CryptoError) as refused:
        open_entry("other.example/ledger", entry, entry_key(batch_key(AUDITORS[0]), SEALED.batch_id, 0))
    assert refused.value.code == "ledger.cannot_open"


def test_every_changed_byte_of_an_entry_is_refused_or_is_another_leaf():
    data = SEALED.entries[0]
    key = entry_key(batch_key(AUDITORS[0]), SEALED.batch_id, 0)
    body_end = len(data) - ledger_entries.HASH_BYTES
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        assert merkle.leaf_hash(changed) != merkle.leaf_hash(data)
        if place < body_end:
            # Whatever is read as header or ciphertext is authenticated as well.
            with pytest.raises(CryptoError):
                open_entry(ORIGIN, parse_entry(changed), key)


def test_a_ciphertext_cannot_be_opened_under_a_second_key():
    # AES-GCM alone would allow a ciphertext made for two keys; the commitment in the header does not.
    entry = parse_entry(SEALED.entries[0])
    other = bytes(32)
    forged = dataclasses.replace(entry, header=dataclasses.replace(entry.header, key_commitment=key_commitment(other)))
    with pytest.raises(CryptoError) as refused:
        open_entry(ORIGIN, forged, other)
    assert refused.value.code == "ledger.cannot_open"


def test_nothing_is_ever_sealed_to_nobody():
    with pytest.raises(CryptoError) as refused:
        seal_batch(ORIGIN, "tax", 1, EVENTS, [])
    assert refused.value.code == "ledger.no_auditor"


def test_two_batches_of_the_same_events_have_nothing_in_common():
    again = seal_batch(ORIGIN, "tax", 7, EVENTS, PUBLIC)
    assert again.batch_id != SEALED.batch_id
    assert parse_entry(again.entries[0]).ciphertext != parse_entry(SEALED.entries[0]).ciphertext


@pytest.mark.parametrize(
    ("producer", "first", "events", "auditors"),
    [
        ("tax", 1, [], PUBLIC),
        ("tax", 1, [EVENTS[0]] * (MAX_BATCH_ENTRIES + 1), PUBLIC),
        ("Tax", 1, EVENTS, PUBLIC),
        ("", 1, EVENTS, PUBLIC),
        ("t" * 64, 1, EVENTS, PUBLIC),
        ("tax", -1, EVENTS, PUBLIC),
        ("tax", 2**64, EVENTS, PUBLIC),
        ("tax", 1, [dataclasses.replace(EVENTS[0], type="no type")], PUBLIC),
        ("tax", 1, [dataclasses.replace(EVENTS[0], schema_version=256)], PUBLIC),
        ("tax", 1, [dataclasses.replace(EVENTS[0], at=-1)], PUBLIC),
        ("tax", 1, [dataclasses.replace(EVENTS[0], grant_hash=b"short")], PUBLIC),
        ("tax", 1, [dataclasses.replace(EVENTS[0], body=bytes(70_000))], PUBLIC),
        ("tax", 1, EVENTS, [PUBLIC[0], PUBLIC[0]]),
    ],
    ids=lambda value: None if isinstance(value, str | int) else "given",
)
def test_what_does_not_fit_into_the_form_is_not_sealed(producer, first, events, auditors):
    with pytest.raises(CryptoError) as refused:
        seal_batch(ORIGIN, producer, first, events, auditors)
    assert refused.value.code == "ledger.bad_batch"


def test_there_is_room_for_the_stated_number_of_auditors_and_no_more():
    many = [sealing.sealing_public_key(sealing.generate_sealing_key()) for _ in range(MAX_AUDITORS + 1)]
    assert len(parse_wraps(wrap_batch_key(ORIGIN, "tax", bytes(16), bytes(32), many[:-1]))) == MAX_AUDITORS
    with pytest.raises(CryptoError):
        wrap_batch_key(ORIGIN, "tax", bytes(16), bytes(32), many)


def test_wraps_have_one_form():
    size = ledger_entries.AUDITOR_ID_BYTES + ledger_entries.WRAP_BYTES
    first, rest = SEALED.wraps[2 : 2 + size], SEALED.wraps[2 + size :]
    for changed in (
        b"",
        b"\x02" + SEALED.wraps[1:],
        SEALED.wraps[:1] + b"\x02" + SEALED.wraps[2:],
        SEALED.wraps[:-1],
        SEALED.wraps + b"\x00",
        SEALED.wraps[:2] + rest + first,
        SEALED.wraps[:1] + b"\x04" + SEALED.wraps[2:] + first,
        b"\x01\x00",
    ):
        with pytest.raises(CryptoError) as refused:
            parse_wraps(changed)
        assert refused.value.code == "ledger.malformed_wraps"
        assert wraps_hash(changed) != wraps_hash(SEALED.wraps)


def test_every_entry_names_the_wraps_of_its_batch():
    assert {parse_entry(entry).wraps_hash for entry in SEALED.entries} == {wraps_hash(SEALED.wraps)}


def test_a_header_has_one_form():
    header = parse_entry(SEALED.entries[0]).header_bytes
    assert parse_header(header).grant_hash != NO_GRANT
    for changed in (
        header[:-1],
        header + b"\x00",
        b"\x00" + header[1:],
        header[:1] + b"\xff" * 8 + header[9:],
        header[:33] + b"\xff" * 4 + header[37:],
        header[:-1] + b"\xff",
        b"",
    ):
        with pytest.raises(CryptoError) as refused:
            parse_header(changed)
        assert refused.value.code == "ledger.malformed_entry"


@given(st.binary(max_size=400))
def test_arbitrary_bytes_give_the_documented_error_only(data):
    for parse in (parse_entry, parse_header, parse_wraps):
        with pytest.raises(CryptoError):
            parse(data)


@given(st.data())
def test_a_damaged_entry_is_refused_when_it_is_read_or_opened(data):
    entry = bytearray(SEALED.entries[0])
    place = data.draw(st.integers(0, len(entry) - ledger_entries.HASH_BYTES - 1))
    entry[place] ^= data.draw(st.integers(1, 255))
    key = entry_key(batch_key(AUDITORS[0]), SEALED.batch_id, 0)
    with pytest.raises(CryptoError):
        open_entry(ORIGIN, parse_entry(bytes(entry)), key)


def test_the_key_of_an_entry_is_one_block_of_hkdf_by_other_code():
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

    info = domains.LEDGER_ENTRY_KEY + bytes(range(16)) + (5).to_bytes(4, "big")
    expected = HKDFExpand(SHA256(), 32, info).derive(bytes(range(32)))
    assert entry_key(bytes(range(32)), bytes(range(16)), 5) == expected
