"""The envelope of every message between nodes: sealed to the receiver's per-run key, signed by the sender.

HPKE in base mode authenticates nobody, so the sender signs header and ciphertext with the key that the grant pins. The
header is also the HPKE info, so that nobody can take the signature off, sign the ciphertext as its own and send it on.

    01 ‖ header length, 2 bytes big-endian ‖ header, canonical JSON ‖ signature (64) ‖ sealed payload

An envelope says nothing about freshness: whoever opens it keeps the rule "one message per header". Imports
`canonical`, `sealing`, `signing`, `domains` and `errors`.
"""

import dataclasses
import re
from dataclasses import dataclass

from crypto import canonical, domains, sealing, signing
from crypto.errors import CryptoError

VERSION = b"\x01"
MAX_HEADER_BYTES = 4096
MAX_NAME_CHARACTERS = 128
_HEADER_START = 3
_GRANT_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class EnvelopeHeader:
    """What both the seal and the signature cover. The coordinator reads it: nothing in it may be about a person.

    `grant_hash`: 64 hexadecimal characters. `attempt`, `count`: 0 to 2^53; `count` is the number of items in the
    payload.
    """

    grant_hash: str
    run_id: str
    attempt: int
    step: str
    sender: str
    receiver: str
    count: int


_FIELDS = tuple(field.name for field in dataclasses.fields(EnvelopeHeader))
_NUMBERS = ("attempt", "count")


def seal_envelope(header: EnvelopeHeader, payload: bytes, receiver_public: bytes, sender_private: bytes) -> bytes:
    """Return the envelope. Sealing is randomised: a retry must resend the stored bytes instead of sealing again.

    Raises `CryptoError` "envelope.bad_header", "crypto.bad_key".
    """
    fault = _header_fault(dataclasses.asdict(header))
    if fault:
        raise CryptoError("envelope.bad_header", f"the envelope header has an invalid {fault}")
    head = canonical.canonical_json(dataclasses.asdict(header))
    sealed = sealing.seal(receiver_public, domains.ENVELOPE_SEAL + head, payload)
    signature = signing.sign(sender_private, domains.ENVELOPE_SIGNATURE, _signed_part(head, sealed))
    return VERSION + len(head).to_bytes(2, "big") + head + signature + sealed


def open_envelope(data: bytes, expected: EnvelopeHeader, receiver_private: bytes, sender_public: bytes) -> bytes:
    """Return the payload of untrusted bytes, if and only if `sender_public` sent them to us under exactly `expected`.

    (1) The bytes have the form of an envelope: else "envelope.malformed".
    (2) Every header field is the expected one: else "envelope.wrong_header", which names the field and not its value.
    (3) The pinned sender signed this header with this ciphertext: else "envelope.bad_signature".
    (4) The ciphertext opens with our key under this header: else "envelope.cannot_open".

    Raises `CryptoError` with these codes; "crypto.bad_key" for keys of ours that are malformed.
    """
    # (1) to (3)
    head, sealed = _verified(data, expected, sender_public)

    # (4)
    try:
        return sealing.open_sealed(receiver_private, domains.ENVELOPE_SEAL + head, sealed)
    except CryptoError as error:
        if error.code != "crypto.cannot_open":
            raise
        raise CryptoError("envelope.cannot_open", "the envelope is not sealed to this run's key") from None


def verify_envelope(data: bytes, expected: EnvelopeHeader, sender_public: bytes) -> None:
    """Return nothing if `sender_public` signed an envelope under exactly `expected`: for whoever passes it on and cannot open it.

    Raises the codes of (1) to (3) of `open_envelope`; whether it opens at its receiver is not known.
    """
    _verified(data, expected, sender_public)


def unverified_header(data: bytes) -> EnvelopeHeader:
    """Return what an envelope claims, for routing and for looking up the keys. Nothing of it has been verified.

    Raises `CryptoError` "envelope.malformed".
    """
    return _parse_header(_split(data)[0])


def _verified(data: bytes, expected: EnvelopeHeader, sender_public: bytes) -> tuple[bytes, bytes]:
    """Return header bytes and ciphertext after steps (1) to (3) of `open_envelope`."""
    # (1)
    head, signature, sealed = _split(data)
    found = _parse_header(head)

    # (2)
    for field in _FIELDS:
        if getattr(found, field) != getattr(expected, field):
            raise CryptoError("envelope.wrong_header", f"the envelope has another {field} than expected")

    # (3)
    try:
        signing.verify(sender_public, domains.ENVELOPE_SIGNATURE, _signed_part(head, sealed), signature)
    except CryptoError as error:
        if error.code != "crypto.bad_signature":
            raise
        raise CryptoError("envelope.bad_signature", "the expected sender did not sign this envelope") from None
    return head, sealed


def _signed_part(head: bytes, sealed: bytes) -> bytes:
    return VERSION + domains.frame(head) + sealed


def _split(data: bytes) -> tuple[bytes, bytes, bytes]:
    if data[:1] != VERSION:
        raise _malformed("an unknown version")
    length = int.from_bytes(data[1:_HEADER_START], "big")
    signature_start = _HEADER_START + length
    sealed_start = signature_start + signing.SIGNATURE_BYTES
    if not 1 <= length <= MAX_HEADER_BYTES or len(data) <= sealed_start:
        raise _malformed("an impossible length")
    return data[_HEADER_START:signature_start], data[signature_start:sealed_start], data[sealed_start:]


def _parse_header(head: bytes) -> EnvelopeHeader:
    try:
        fields = canonical.parse_canonical(head, max_bytes=MAX_HEADER_BYTES)
    except CryptoError:
        raise _malformed("a header that is not canonical JSON") from None
    if not isinstance(fields, dict):
        raise _malformed("a header that is not an object")
    fault = _header_fault(fields)
    if fault:
        raise _malformed(f"an invalid {fault}")
    return EnvelopeHeader(**fields)


def _header_fault(fields: dict[str, object]) -> str:
    """Return the name of the first field that is not as `EnvelopeHeader` states, or an empty string."""
    if sorted(fields) != sorted(_FIELDS):
        return "set of fields"
    for name in _FIELDS:
        value = fields[name]
        if name in _NUMBERS:
            # A boolean is an int to Python and another value in JSON.
            if type(value) is not int or not 0 <= value <= canonical.MAX_INTEGER:
                return name
        elif not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME_CHARACTERS:
            return name
    if not _GRANT_HASH.fullmatch(str(fields["grant_hash"])):
        return "grant_hash"
    return ""


def _malformed(what: str) -> CryptoError:
    return CryptoError("envelope.malformed", f"the envelope has {what}")
