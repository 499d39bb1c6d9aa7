"""Entries of the audit ledger: sealed in batches by whoever made the events, opened by auditors, each provable by itself.

One fresh key per batch is wrapped to every auditor (HPKE, `sealing`) and forgotten by its maker when the batch is written. Each
entry has a key of its own, HKDF-Expand (RFC 5869) of the batch key and the entry's position, so that disclosing one entry's key
opens no other. The header commits to that key, because AES-GCM alone lets one ciphertext open under two keys.

    entry  = 01 ‖ length of the header, 2 bytes ‖ header ‖ ciphertext and tag ‖ hash of the wraps, 32
    header = schema version, 1 ‖ time in s, 8 ‖ sequence, 8 ‖ batch id, 16 ‖ position, 4 ‖ grant hash or zeros, 32
             ‖ key commitment, 32 ‖ length of producer, 1 ‖ producer ‖ length of type, 1 ‖ type

All numbers are big-endian. Whoever reads an entry learns its header and the size of what it seals. The associated data bind
the log's origin and the whole header: producer, sequence, batch, position, type, schema version, time and grant. Where an entry
stands in the log is bound by the tree, because a producer seals before it knows that. Pure; imports `cryptography`, `domains`,
`sealing`.
"""

import hashlib
import hmac
import os
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crypto import domains, sealing
from crypto.errors import CryptoError

VERSION = b"\x01"
WRAPS_VERSION = b"\x01"
BATCH_ID_BYTES = 16
KEY_BYTES = 32
HASH_BYTES = 32
AUDITOR_ID_BYTES = 8
NO_GRANT = bytes(32)
MAX_ENTRY_BYTES = 65_535
MAX_BATCH_ENTRIES = 500
MAX_AUDITORS = 32
WRAP_BYTES = KEY_BYTES + 1137

_FIXED = struct.Struct(">BQQ16sI32s32s")
_NAME = re.compile(rb"[a-z][a-z0-9_.-]{0,62}")
_TAG_BYTES = 16
_MAX_NUMBER = 2**53
# Every key seals one entry only, so one fixed nonce does not repeat.
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True)
class Plain:
    """What is sealed into one entry. `body`: the record's bytes. `grant_hash`: 32 bytes, `NO_GRANT` where there is none."""

    type: str
    schema_version: int
    at: int
    body: bytes
    grant_hash: bytes = NO_GRANT


@dataclass(frozen=True, slots=True)
class EntryHeader:
    """What everybody who may read entries sees of one. `sequence`: the producer's own numbering from 1; 0 where it has none."""

    schema_version: int
    at: int
    sequence: int
    batch_id: bytes
    position: int
    grant_hash: bytes
    key_commitment: bytes
    producer: str
    type: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry's parts. `header_bytes`: as they stand in the entry, which the associated data bind."""

    header: EntryHeader
    header_bytes: bytes
    ciphertext: bytes
    wraps_hash: bytes


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """Entries in order, and the wraps of their batch key: `wraps` may be destroyed, then nobody opens the batch again."""

    batch_id: bytes
    entries: tuple[bytes, ...]
    wraps: bytes


def auditor_id(public: bytes) -> bytes:
    """Return the 8 bytes that name an auditor's sealing key among the wraps; for look-ups, never instead of the key."""
    return hashlib.sha256(domains.KEY_ID + public).digest()[:AUDITOR_ID_BYTES]


def seal_batch(
    origin: str, producer: str, first_sequence: int, events: Sequence[Plain], auditors: Iterable[bytes]
) -> SealedBatch:
    """Return the events sealed under one fresh key that every auditor's public sealing key opens.

    `first_sequence`: of the first event, the others follow; 0: unnumbered. The batch key is gone when this returns.
    Raises `CryptoError`: "ledger.no_auditor" without an auditor (nothing is ever sealed to nobody), "ledger.bad_batch" for no or
    more than 500 events, names, numbers or sizes out of range, "crypto.bad_key".
    """
    if not 1 <= len(events) <= MAX_BATCH_ENTRIES:
        raise CryptoError("ledger.bad_batch", f"a batch has 1 to {MAX_BATCH_ENTRIES} events, got {len(events)}")
    batch_id, key = os.urandom(BATCH_ID_BYTES), os.urandom(KEY_BYTES)
    wraps = wrap_batch_key(origin, producer, batch_id, key, auditors)
    digest = wraps_hash(wraps)
    maker = _name(producer)
    label = domains.LEDGER_ENTRY + domains.frame(origin.encode())
    entries = []
    for position, event in enumerate(events):
        own = entry_key(key, batch_id, position)
        try:
            fixed = _FIXED.pack(
                event.schema_version,
                event.at,
                first_sequence + position if first_sequence else 0,
                batch_id,
                position,
                event.grant_hash,
                key_commitment(own),
            )
        except struct.error:
            raise CryptoError("ledger.bad_batch", "an event has a number out of range") from None
        if len(event.grant_hash) != HASH_BYTES:
            raise CryptoError("ledger.bad_batch", "a grant hash has 32 bytes")
        header = fixed + maker + _name(event.type)
        ciphertext = AESGCM(own).encrypt(_NONCE, event.body, label + header)
        entry = VERSION + len(header).to_bytes(2, "big") + header + ciphertext + digest
        if len(entry) > MAX_ENTRY_BYTES:
            raise CryptoError("ledger.bad_batch", f"an entry is above {MAX_ENTRY_BYTES} bytes")
        entries.append(entry)
    return SealedBatch(batch_id, tuple(entries), wraps)


def parse_entry(data: bytes) -> Entry:
    """Return the parts of untrusted bytes; nothing of them is verified. Raises `CryptoError` "ledger.malformed_entry"."""
    length = int.from_bytes(data[1:3], "big")
    end = 3 + length
    if data[:1] != VERSION or len(data) > MAX_ENTRY_BYTES or len(data) < end + _TAG_BYTES + HASH_BYTES:
        raise _malformed()
    header_bytes = bytes(data[3:end])
    return Entry(parse_header(header_bytes), header_bytes, bytes(data[end:-HASH_BYTES]), bytes(data[-HASH_BYTES:]))


def parse_header(data: bytes) -> EntryHeader:
    """Return the fields of a header, which has one form only. Raises `CryptoError` "ledger.malformed_entry"."""
    try:
        schema, at, sequence, batch_id, position, grant_hash, commitment = _FIXED.unpack_from(data)
        producer, rest = _take_name(data[_FIXED.size :])
        kind, rest = _take_name(rest)
    except (struct.error, IndexError):
        raise _malformed() from None
    if rest or schema == 0 or max(at, sequence) > _MAX_NUMBER or position >= MAX_BATCH_ENTRIES:
        raise _malformed()
    return EntryHeader(schema, at, sequence, batch_id, position, grant_hash, commitment, producer, kind)


def entry_key(batch_key: bytes, batch_id: bytes, position: int) -> bytes:
    """Return the key of one entry: one block of HKDF-Expand-SHA256, whose input key is uniformly random already."""
    info = domains.LEDGER_ENTRY_KEY + batch_id + position.to_bytes(4, "big")
    return hmac.digest(batch_key, info + b"\x01", "sha256")


def key_commitment(key: bytes) -> bytes:
    """Return what a header says about its entry's key: binding, and silent about the key (which is random, 32 bytes)."""
    return hashlib.sha256(domains.LEDGER_KEY_COMMITMENT + key).digest()


def open_entry(origin: str, entry: Entry, key: bytes) -> bytes:
    """Return the body of an entry under its own key.

    (1) The key is the one that the header commits to: else "ledger.wrong_key". (2) The ciphertext opens under this origin and
    this header: else "ledger.cannot_open". Raises `CryptoError` with these codes.
    """
    if len(key) != KEY_BYTES or not hmac.compare_digest(key_commitment(key), entry.header.key_commitment):
        raise CryptoError("ledger.wrong_key", "the key is not the one that the entry's header commits to")
    label = domains.LEDGER_ENTRY + domains.frame(origin.encode())
    try:
        return AESGCM(key).decrypt(_NONCE, entry.ciphertext, label + entry.header_bytes)
    except InvalidTag:
        raise CryptoError("ledger.cannot_open", "the entry does not open under its own key: it was damaged") from None


def wrap_batch_key(origin: str, producer: str, batch_id: bytes, key: bytes, auditors: Iterable[bytes]) -> bytes:
    """Return 01 ‖ number of auditors, 1 ‖ for each: its id, 8 ‖ the key sealed to it (1169), sorted by id.

    Raises `CryptoError` "ledger.no_auditor", "ledger.bad_batch" (more than 32, or one twice), "crypto.bad_key".
    """
    by_id = {}
    for number, public in enumerate(auditors, start=1):
        by_id[auditor_id(public)] = public
        if len(by_id) != number or number > MAX_AUDITORS:
            raise CryptoError("ledger.bad_batch", f"auditors must be different and at most {MAX_AUDITORS}")
    if not by_id:
        raise CryptoError("ledger.no_auditor", "there is no auditor to seal the record to", "Appoint an auditor first.")
    info = _wrap_info(origin, producer, batch_id)
    wraps = [name + sealing.seal(by_id[name], info, key) for name in sorted(by_id)]
    return WRAPS_VERSION + bytes([len(wraps)]) + b"".join(wraps)


def parse_wraps(data: bytes) -> Mapping[bytes, bytes]:
    """Return the wrapped batch keys by auditor id. Raises `CryptoError` "ledger.malformed_wraps"."""
    size = AUDITOR_ID_BYTES + WRAP_BYTES
    count = data[1] if len(data) > 1 else 0
    if data[:1] != WRAPS_VERSION or not 1 <= count <= MAX_AUDITORS or len(data) != 2 + count * size:
        raise CryptoError("ledger.malformed_wraps", "the wraps of a batch have the wrong form")
    starts = range(2, len(data), size)
    names = [bytes(data[start : start + AUDITOR_ID_BYTES]) for start in starts]
    if names != sorted(set(names)):
        raise CryptoError("ledger.malformed_wraps", "the wraps of a batch are not in order")
    return {
        name: bytes(data[start + AUDITOR_ID_BYTES : start + size]) for name, start in zip(names, starts, strict=True)
    }


def wraps_hash(wraps: bytes) -> bytes:
    """Return the hash that every entry of the batch carries, so that no wrap is changed, added or left out unnoticed."""
    return hashlib.sha256(domains.LEDGER_WRAPS + wraps).digest()


def open_wrap(origin: str, producer: str, batch_id: bytes, wrap: bytes, private: bytes) -> bytes:
    """Return the batch key in one wrap. Raises `CryptoError` "ledger.cannot_open_wrap", "crypto.bad_key"."""
    try:
        key = sealing.open_sealed(private, _wrap_info(origin, producer, batch_id), wrap)
    except CryptoError as error:
        if error.code != "crypto.cannot_open":
            raise
        key = b""
    if len(key) != KEY_BYTES:
        raise CryptoError("ledger.cannot_open_wrap", "the wrap of a batch key does not open with this auditor's key")
    return key


def _wrap_info(origin: str, producer: str, batch_id: bytes) -> bytes:
    return domains.LEDGER_WRAP + domains.frame(origin.encode(), producer.encode(), batch_id)


def _name(text: str) -> bytes:
    data = text.encode()
    if not _NAME.fullmatch(data):
        raise CryptoError("ledger.bad_batch", "a producer or type is not a name")
    return bytes([len(data)]) + data


def _take_name(data: bytes) -> tuple[str, bytes]:
    length = data[0]
    name = data[1 : 1 + length]
    if len(name) != length or not _NAME.fullmatch(name):
        raise _malformed()
    return name.decode("ascii"), data[1 + length :]


def _malformed() -> CryptoError:
    return CryptoError("ledger.malformed_entry", "the bytes have not the form of a ledger entry")
