"""Envelopes: sealed to the receiver, signed by the sender, bound to their header."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import domains, sealing, signing
from crypto.canonical import canonical_json
from crypto.envelope import EnvelopeHeader, open_envelope, seal_envelope, unverified_header
from crypto.errors import CryptoError

HEADER = EnvelopeHeader("ab" * 32, "run-7", 1, "evaluate", "tax", "health", 12)
RECEIVER = sealing.generate_sealing_key()
RECEIVER_PUBLIC = sealing.sealing_public_key(RECEIVER)
SENDER = signing.generate_signing_key()
SENDER_PUBLIC = signing.signing_public_key(SENDER)
ENVELOPE = seal_envelope(HEADER, b"payload", RECEIVER_PUBLIC, SENDER)
HEAD_BYTES = int.from_bytes(ENVELOPE[1:3], "big")
SIGNATURE_START = 3 + HEAD_BYTES

OTHER_VALUES = {
    "grant_hash": "cd" * 32,
    "run_id": "run-8",
    "attempt": 2,
    "step": "finish",
    "sender": "housing",
    "receiver": "tax",
    "count": 13,
}


def refusal(data: bytes, expected: EnvelopeHeader = HEADER, receiver: bytes = RECEIVER) -> CryptoError:
    with pytest.raises(CryptoError) as caught:
        open_envelope(data, expected, receiver, SENDER_PUBLIC)
    return caught.value


@given(st.binary(max_size=2000))
@settings(max_examples=30)
def test_an_envelope_opens_for_its_receiver(payload: bytes) -> None:
    data = seal_envelope(HEADER, payload, RECEIVER_PUBLIC, SENDER)
    assert open_envelope(data, HEADER, RECEIVER, SENDER_PUBLIC) == payload
    assert unverified_header(data) == HEADER


@pytest.mark.parametrize(("field", "value"), OTHER_VALUES.items())
def test_an_envelope_of_another_header_is_refused_by_the_fields_name(field: str, value: object) -> None:
    error = refusal(ENVELOPE, dataclasses.replace(HEADER, **{field: value}))
    assert error.code == "envelope.wrong_header"
    assert field in str(error)
    assert str(value) not in str(error)


def test_every_header_field_is_in_the_table_of_other_values() -> None:
    assert set(OTHER_VALUES) == {field.name for field in dataclasses.fields(EnvelopeHeader)}


@pytest.mark.parametrize(("field", "value"), OTHER_VALUES.items())
def test_a_header_rewritten_on_the_way_is_refused(field: str, value: object) -> None:
    changed = dataclasses.replace(HEADER, **{field: value})
    head = canonical_json(dataclasses.asdict(changed))
    data = b"\x01" + len(head).to_bytes(2, "big") + head + ENVELOPE[SIGNATURE_START:]
    assert refusal(data).code == "envelope.wrong_header"
    assert refusal(data, changed).code == "envelope.bad_signature"


def test_a_forged_sender_is_refused() -> None:
    forged = seal_envelope(HEADER, b"payload", RECEIVER_PUBLIC, signing.generate_signing_key())
    assert refusal(forged).code == "envelope.bad_signature"


def test_a_swapped_ciphertext_is_refused() -> None:
    other = seal_envelope(HEADER, b"another", RECEIVER_PUBLIC, SENDER)
    swapped = ENVELOPE[: SIGNATURE_START + 64] + other[SIGNATURE_START + 64 :]
    assert refusal(swapped).code == "envelope.bad_signature"


def test_a_ciphertext_signed_anew_under_another_header_does_not_open() -> None:
    # A participant takes the ciphertext out of an envelope and sends it as its own work.
    thief = dataclasses.replace(HEADER, sender="housing")
    head, sealed = canonical_json(dataclasses.asdict(thief)), ENVELOPE[SIGNATURE_START + 64 :]
    signature = signing.sign(SENDER, domains.ENVELOPE_SIGNATURE, b"\x01" + domains.frame(head) + sealed)
    data = b"\x01" + len(head).to_bytes(2, "big") + head + signature + sealed
    assert refusal(data, thief).code == "envelope.cannot_open"


def test_an_envelope_sealed_to_another_key_does_not_open() -> None:
    assert refusal(ENVELOPE, receiver=sealing.generate_sealing_key()).code == "envelope.cannot_open"


def test_a_truncated_envelope_is_refused() -> None:
    for length in range(SIGNATURE_START + 65):
        assert refusal(ENVELOPE[:length]).code == "envelope.malformed"
    for length in (SIGNATURE_START + 65, len(ENVELOPE) - 1):
        assert refusal(ENVELOPE[:length]).code == "envelope.bad_signature"


def test_trailing_bytes_and_an_unknown_version_are_refused() -> None:
    assert refusal(ENVELOPE + b"\x00").code == "envelope.bad_signature"
    assert refusal(b"\x02" + ENVELOPE[1:]).code == "envelope.malformed"


BAD_HEADERS: list[dict[str, object]] = [
    {"grant_hash": "AB" * 32},
    {"grant_hash": "ab" * 31},
    {"grant_hash": "ab" * 32 + "\n"},
    {"run_id": ""},
    {"step": "s" * 129},
    {"sender": 5},
    {"attempt": -1},
    {"attempt": True},
    {"count": 2**53 + 1},
    {"count": "12"},
]


@pytest.mark.parametrize("change", BAD_HEADERS)
def test_an_invalid_header_is_neither_written_nor_read(change: dict[str, object]) -> None:
    fields = dataclasses.asdict(HEADER) | change
    with pytest.raises(CryptoError) as caught:
        seal_envelope(EnvelopeHeader(**fields), b"", RECEIVER_PUBLIC, SENDER)
    assert caught.value.code == "envelope.bad_header"
    if fields["count"] != 2**53 + 1:
        assert refusal(with_head(canonical_json(fields))).code == "envelope.malformed"


def with_head(head: bytes) -> bytes:
    return b"\x01" + len(head).to_bytes(2, "big") + head + ENVELOPE[SIGNATURE_START:]


def test_the_longest_header_fits() -> None:
    long = EnvelopeHeader("0" * 64, "\x01" * 128, 2**53, "\x01" * 128, "\x01" * 128, "\x01" * 128, 2**53)
    assert open_envelope(seal_envelope(long, b"p", RECEIVER_PUBLIC, SENDER), long, RECEIVER, SENDER_PUBLIC) == b"p"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        canonical_json(dataclasses.asdict(HEADER) | {"extra": 1}),
        canonical_json(dataclasses.asdict(HEADER)) + b" ",
        b"[" * 4096,
    ],
)
def test_a_header_of_another_form_is_refused(head: bytes) -> None:
    assert refusal(with_head(head)).code == "envelope.malformed"


@given(st.binary(max_size=300))
def test_random_bytes_raise_only_our_error(data: bytes) -> None:
    assert refusal(data).code == "envelope.malformed"
    assert refusal(b"\x01" + data).code == "envelope.malformed"
    with pytest.raises(CryptoError):
        unverified_header(b"\x01\x00\x10" + data)


@given(st.integers(0, len(ENVELOPE) - 1), st.integers(1, 255))
def test_a_changed_byte_anywhere_is_refused(position: int, difference: int) -> None:
    changed = bytearray(ENVELOPE)
    changed[position] ^= difference
    assert refusal(bytes(changed)).code in ("envelope.malformed", "envelope.wrong_header", "envelope.bad_signature")


def test_whoever_passes_an_envelope_on_can_verify_its_sender_without_opening_it() -> None:
    from crypto.envelope import EnvelopeHeader, seal_envelope, verify_envelope
    from crypto.errors import CryptoError
    from crypto.sealing import generate_sealing_key, sealing_public_key
    from crypto.signing import generate_signing_key, signing_public_key

    sender, receiver = generate_signing_key(), generate_sealing_key()
    header = EnvelopeHeader("0" * 64, "run-1", 1, "step", "a", "b", 3)
    data = seal_envelope(header, b"payload", sealing_public_key(receiver), sender)
    verify_envelope(data, header, signing_public_key(sender))
    broken = data[:-1] + bytes([data[-1] ^ 1])
    for wrong, key in ((broken, sender), (data, generate_signing_key())):
        with pytest.raises(CryptoError) as caught:
            verify_envelope(wrong, header, signing_public_key(key))
        assert caught.value.code == "envelope.bad_signature"
