"""Signed checkpoints of a log, and the cosignatures of its witnesses. C2SP signed-note, tlog-checkpoint, tlog-cosignature.

A checkpoint says that a log has a size and a root. The log signs its text; each witness signs the text behind a line
with the time, once it has seen that the log only grew. These are the formats of public logs, so that their tools read
ours (c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature, the Ed25519 kinds 01 and 04).

A department may cosign with its identity key, which signs other documents too, because no bytes are ever signed under
two meanings. Everything else that such a key signs begins with "doudi-signature" 01; a cosignature begins with
"cosignature/v1" and a line "time …"; a log's note begins with the origin line, which holds no character below U+0020
(so no 01) and has a decimal size on the next line (so no "time …"). The message of a cosignature does not hold the
witness's name: one key must not cosign under two names.

Pure: no clock; times are arguments, in whole seconds since 1970 UTC. Imports `signing`, `errors`.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature

from crypto.errors import CryptoError
from crypto.signing import SIGNATURE_BYTES, load_private_key, load_public_key, signing_public_key

LOG_KEY = 0x01
WITNESS_KEY = 0x04
MAX_NOTE_BYTES = 256 * 1024
# More witnesses than any centre has; their lines stay below the bytes.
MAX_SIGNATURES = 1024
MAX_NAME_CHARACTERS = 128
MAX_SIZE = (1 << 63) - 1
MAX_TIME_S = (1 << 63) - 1
ROOT_BYTES = 32

_KEY_HASH_BYTES = 4
_TIME_BYTES = 8
_COSIGNATURE_BYTES = _TIME_BYTES + SIGNATURE_BYTES
_SIGNATURE_PREFIX = "— "
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
# Spaces of every script are refused, and half of a surrogate pair, which has no UTF-8.
_NAME = re.compile(rf"[^\s\x00-\x1f+\ud800-\udfff]{{1,{MAX_NAME_CHARACTERS}}}")


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself: a tree of `size` leaves has this `root`, 32 bytes. `origin` is the log's name.

    Raises `CryptoError` "checkpoint.malformed" for an origin that is no key name, another size or root length.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not _is_name(self.origin) or not 0 <= self.size <= MAX_SIZE or len(self.root) != ROOT_BYTES:
            raise _malformed("a checkpoint has an origin without spaces, a size below 2^63 and a root of 32 bytes")

    def text(self) -> str:
        """Return the text that is signed: origin, size and root in base64, each with its newline."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


@dataclass(frozen=True)
class NoteKey:
    """A public key that signs notes under a name. `public`: 32 bytes, Ed25519. `kind`: LOG_KEY or WITNESS_KEY.

    A name has 1 to 128 characters, no space of any script, no plus sign, nothing below U+0020.
    Raises `CryptoError` "checkpoint.bad_key" for name or kind, "crypto.bad_key" for a public key that proves nothing.
    """

    name: str
    public: bytes
    kind: int

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.kind not in (LOG_KEY, WITNESS_KEY):
            raise _bad_key("the key is of another kind than Ed25519 log (01) or witness (04)")
        load_public_key(self.public)

    @property
    def key_hash(self) -> bytes:
        """4 bytes that find the key's line in a note. Too short to stand for the key."""
        hashed = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(hashed).digest()[:_KEY_HASH_BYTES]

    def vkey(self) -> str:
        """Return the key as one line of text: name+hash+key."""
        return f"{self.name}+{self.key_hash.hex()}+{_base64(bytes([self.kind]) + self.public)}"


@dataclass(frozen=True)
class Signature:
    """One signature line, not verified. `value`: 64 bytes of a log; time (8) and signature (64) of a witness."""

    name: str
    key_hash: bytes
    value: bytes

    def line(self) -> str:
        """Return the line of the note, with its newline."""
        return f"{_SIGNATURE_PREFIX}{self.name} {_base64(self.key_hash + self.value)}\n"


@dataclass(frozen=True)
class Note:
    """A text with its signatures, not verified. `text` ends in a newline and lacks the blank line that follows it."""

    text: str
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """Return the note as it is published: UTF-8."""
        return (self.text + "\n" + "".join(one.line() for one in self.signatures)).encode()


def parse_vkey(text: str) -> NoteKey:
    """Return the key of a vkey line. It is trusted as far as its source is.

    Raises `CryptoError` "checkpoint.bad_key" (also for a hash that is not the key's), "crypto.bad_key".
    """
    name, _, rest = text.partition("+")
    key_hash, _, encoded = rest.partition("+")
    key = _decode_base64(encoded)
    if not key:
        raise _bad_key("a verifier key is a name, a hash and canonical base64, joined by plus signs")
    note_key = NoteKey(name, key[1:], key[0])
    if note_key.key_hash.hex() != key_hash:
        raise _bad_key("the verifier key's hash is not that of its name and key, in lower-case hexadecimal")
    return note_key


def parse_note(data: bytes) -> Note:
    """Return the untrusted note in `data`: at most 256 KiB and 1 to 1024 signatures, none of them verified.

    There is one accepted encoding of each note: `parse_note(data).to_bytes()` is `data`. The text itself is not read:
    `parse_checkpoint` does that. Raises `CryptoError` "checkpoint.malformed".
    """
    if len(data) > MAX_NOTE_BYTES:
        raise _malformed(f"a note has at most {MAX_NOTE_BYTES} bytes")
    try:
        whole = bytes(data).decode()
    except UnicodeDecodeError:
        raise _malformed("a note is UTF-8 text") from None
    if any(character < " " and character != "\n" for character in whole):
        raise _malformed("a note holds no control characters but newlines")
    # The text may have blank lines of its own: the last one separates.
    body, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise _malformed("a note is a text, a blank line and signature lines")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise _malformed(f"a note has at most {MAX_SIGNATURES} signatures")
    return Note(body + "\n", tuple(_parse_signature(line) for line in lines))


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that an untrusted note's text states.

    Extension lines, which the specification permits and advises against, are refused: nothing of ours uses them, no
    monitor can check them, and so every checkpoint has one text only. Raises `CryptoError` "checkpoint.malformed".
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise _malformed("a checkpoint is three lines: origin, size, root")
    root = _decode_base64(lines[2])
    if root is None or not _SIZE.fullmatch(lines[1]):
        raise _malformed("a checkpoint's size is decimal without leading zeros, its root canonical base64")
    return Checkpoint(lines[0], int(lines[1]), root)


def sign_checkpoint(checkpoint: Checkpoint, name: str, private: bytes) -> Note:
    """Return the note of a log's checkpoint with the log's own signature. `name` is the log's key name: its origin.

    The caller answers for signing one history only. Raises `CryptoError` "checkpoint.wrong_origin", "crypto.bad_key".
    """
    _check_origin(checkpoint, name)
    key = NoteKey(name, signing_public_key(private), LOG_KEY)
    text = checkpoint.text()
    return Note(text, (Signature(name, key.key_hash, load_private_key(private).sign(text.encode())),))


def cosign(note: Note, name: str, private: bytes, time_s: int) -> Signature:
    """Return a witness's cosignature/v1 of the note's checkpoint.

    It states that at `time_s` this was the largest tree of the log that the witness had seen, and that it contains every
    earlier one: the caller verifies log signature and consistency before. `time_s`: 0 to 2^63 − 1.
    Raises `CryptoError` "checkpoint.malformed" (no checkpoint), "checkpoint.bad_time", "checkpoint.bad_key",
    "crypto.bad_key".
    """
    parse_checkpoint(note.text)
    if not 0 <= time_s <= MAX_TIME_S:
        raise CryptoError("checkpoint.bad_time", "the time of a cosignature is 0 to 2^63 − 1 seconds")
    key = NoteKey(name, signing_public_key(private), WITNESS_KEY)
    value = load_private_key(private).sign(_cosigned_bytes(note.text, time_s))
    return Signature(name, key.key_hash, time_s.to_bytes(_TIME_BYTES, "big") + value)


def with_signatures(note: Note, signatures: Iterable[Signature]) -> Note:
    """Return the note with these signatures added, one per name and key hash.

    Of two cosignatures of one key the later stays, of two other signatures the first. Add verified ones only: a forged
    later time would push out a true one. Raises `CryptoError` "checkpoint.malformed" above 1024 signatures or 256 KiB.
    """
    kept: dict[tuple[str, bytes], Signature] = {}
    for one in (*note.signatures, *signatures):
        before = kept.setdefault((one.name, one.key_hash), one)
        # Times are big-endian and first, so the larger value is the later cosignature.
        if len(one.value) == len(before.value) == _COSIGNATURE_BYTES and one.value[:8] > before.value[:8]:
            kept[one.name, one.key_hash] = one
    result = Note(note.text, tuple(kept.values()))
    if len(kept) > MAX_SIGNATURES or len(result.to_bytes()) > MAX_NOTE_BYTES:
        raise _malformed(f"a note has at most {MAX_SIGNATURES} signatures and {MAX_NOTE_BYTES} bytes")
    return result


def verify_checkpoint(note: Note, log_key: NoteKey) -> Checkpoint:
    """Return the note's checkpoint if the log signed it.

    (1) The key is a log's: else "checkpoint.bad_key". (2) The note has exactly one line of it: else
    "checkpoint.no_signature" or "checkpoint.malformed". (3) The text is a checkpoint: else "checkpoint.malformed". (4)
    Its origin is the key's name: else "checkpoint.wrong_origin". (5) The signature is right: else
    "checkpoint.bad_signature". Raises `CryptoError` with these codes.
    """
    value = _only_value(_values_by_key(note), log_key, LOG_KEY)  # (1), (2)
    checkpoint = parse_checkpoint(note.text)  # (3)
    _check_origin(checkpoint, log_key.name)  # (4)
    _verify(log_key, value, note.text.encode())  # (5)
    return checkpoint


def verify_cosignature(note: Note, witness_key: NoteKey) -> int:
    """Return the time of the witness's cosignature, in seconds since 1970 UTC, if the note has a right one.

    The log's own signature is another matter: `verify_checkpoint`. Raises `CryptoError` "checkpoint.no_signature",
    "checkpoint.bad_signature", "checkpoint.malformed" (two lines of one key, no checkpoint), "checkpoint.bad_key".
    """
    return _cosignature_time(note.text, witness_key, _only_value(_values_by_key(note), witness_key, WITNESS_KEY))


def cosignature_times(note: Note, witness_keys: Iterable[NoteKey]) -> dict[str, int]:
    """Return the time of each known witness that cosigned, by name; the latest if a witness has several keys.

    Lines of unknown keys are ignored, as signed-note demands. A line of a known key that is wrong ends it all: somebody
    made it on purpose. Raises `CryptoError` "checkpoint.bad_signature", "checkpoint.malformed", "checkpoint.bad_key".
    """
    values = _values_by_key(note)
    times: dict[str, int] = {}
    for key in witness_keys:
        if (key.name, key.key_hash) in values:
            time_s = _cosignature_time(note.text, key, _only_value(values, key, WITNESS_KEY))
            times[key.name] = max(time_s, times.get(key.name, 0))
    return times


def _values_by_key(note: Note) -> dict[tuple[str, bytes], list[bytes]]:
    values: dict[tuple[str, bytes], list[bytes]] = {}
    for one in note.signatures:
        values.setdefault((one.name, one.key_hash), []).append(one.value)
    return values


def _only_value(values: dict[tuple[str, bytes], list[bytes]], key: NoteKey, kind: int) -> bytes:
    if key.kind != kind:
        raise _bad_key(f"a key of kind {kind:02x} is needed, got {key.kind:02x}")
    found = values.get((key.name, key.key_hash), [])
    if not found:
        raise CryptoError("checkpoint.no_signature", f"the note has no signature of {key.name}")
    if len(found) > 1:
        raise _malformed("a note has at most one signature of each key")
    return found[0]


def _cosignature_time(text: str, key: NoteKey, value: bytes) -> int:
    parse_checkpoint(text)
    time_s = int.from_bytes(value[:_TIME_BYTES], "big")
    if len(value) != _COSIGNATURE_BYTES or time_s > MAX_TIME_S:
        raise _bad_signature(key)
    _verify(key, value[_TIME_BYTES:], _cosigned_bytes(text, time_s))
    return time_s


def _verify(key: NoteKey, signature: bytes, message: bytes) -> None:
    try:
        load_public_key(key.public).verify(signature, message)
    except InvalidSignature:
        raise _bad_signature(key) from None


def _cosigned_bytes(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _parse_signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    value = _decode_base64(encoded)
    if not line.startswith(_SIGNATURE_PREFIX) or not _is_name(name) or not value or len(value) <= _KEY_HASH_BYTES:
        raise _malformed("a signature line is an em dash, a key name and canonical base64")
    return Signature(name, value[:_KEY_HASH_BYTES], value[_KEY_HASH_BYTES:])


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise _bad_key(f"a key name has 1 to {MAX_NAME_CHARACTERS} characters, no spaces, no plus sign")


def _check_origin(checkpoint: Checkpoint, name: str) -> None:
    if checkpoint.origin != name:
        raise CryptoError(
            "checkpoint.wrong_origin",
            f"the checkpoint is of the log {checkpoint.origin}, the key of {name}",
            "Compare the configured log key with the log that was asked.",
        )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode_base64(text: str) -> bytes | None:
    # Python accepts set bits behind the padding; another spelling of the same bytes must not pass.
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if _base64(data) == text else None


def _malformed(message: str) -> CryptoError:
    return CryptoError("checkpoint.malformed", message, "Do not use the note; ask its sender's officer.")


def _bad_key(message: str) -> CryptoError:
    return CryptoError("checkpoint.bad_key", message, "Compare the configured key with the one that its holder gave.")


def _bad_signature(key: NoteKey) -> CryptoError:
    return CryptoError(
        "checkpoint.bad_signature",
        f"the signature under the name {key.name} does not fit the note and the configured key",
        "Do not use the note; ask the signer's officer which key is in force.",
    )
