"""A producer's batch: sealed entries in the order of its own numbering, signed as one, placed in the log as one.

    batch = 01 ‖ frame(producer, batch id 16, first sequence 8, signer's public key 32, signature 64, wraps or nothing, entries)

`frame` puts the length before each part; entries are framed once more. The signature covers everything but the wraps themselves:
it covers their hash, so that destroying them (crypto-shredding) leaves every signature and proof valid. A node's sequence begins
at 1 for each identity key and has no gaps: an auditor sees when one is missing. May import crypto.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto import domains, merkle, merkle_log, signing
from crypto.errors import CryptoError, DoudiError
from crypto.ledger_entries import (
    BATCH_ID_BYTES,
    MAX_BATCH_ENTRIES,
    Entry,
    SealedBatch,
    parse_entry,
    parse_wraps,
    wraps_hash,
)

BATCH_SIGNATURE_DOMAIN = "ledger-batch"
VERSION = b"\x01"
MAXIMUM_BATCH_BYTES = 4 * 1024 * 1024
_NUMBER_BYTES = 8


@dataclass(frozen=True)
class Batch:
    """`signer`: 32 bytes, the key that signed. `wraps`: empty when they were destroyed. `first_sequence`: 0 if unnumbered."""

    producer: str
    batch_id: bytes
    first_sequence: int
    signer: bytes
    signature: bytes
    wraps: bytes
    entries: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """Return the form that travels."""
        return VERSION + domains.frame(
            self.producer.encode(),
            self.batch_id,
            self.first_sequence.to_bytes(_NUMBER_BYTES, "big"),
            self.signer,
            self.signature,
            self.wraps,
            domains.frame(*self.entries),
        )


def sign_batch(origin: str, producer: str, first_sequence: int, sealed: SealedBatch, private: bytes) -> Batch:
    """Return the batch signed by its producer."""
    statement = batch_statement(
        origin,
        producer,
        sealed.batch_id,
        first_sequence,
        [merkle.leaf_hash(entry) for entry in sealed.entries],
        wraps_hash(sealed.wraps),
    )
    return Batch(
        producer,
        sealed.batch_id,
        first_sequence,
        signing.signing_public_key(private),
        signing.sign(private, BATCH_SIGNATURE_DOMAIN, statement),
        sealed.wraps,
        sealed.entries,
    )


def batch_statement(
    origin: str,
    producer: str,
    batch_id: bytes,
    first_sequence: int,
    leaf_hashes: Sequence[bytes],
    hash_of_wraps: bytes,
) -> bytes:
    """Return what a producer signs: which log, who, which batch, from which number, how many, and the root of its entries."""
    root = merkle_log.root_of(leaf_hashes)
    return statement_of_root(origin, producer, batch_id, first_sequence, len(leaf_hashes), root, hash_of_wraps)


def statement_of_root(
    origin: str,
    producer: str,
    batch_id: bytes,
    first_sequence: int,
    count: int,
    root: bytes,
    hash_of_wraps: bytes,
) -> bytes:
    """Return the same statement for whoever holds the root of the batch's entries and not the entries."""
    return domains.frame(
        origin.encode(),
        producer.encode(),
        batch_id,
        first_sequence.to_bytes(_NUMBER_BYTES, "big"),
        count.to_bytes(_NUMBER_BYTES, "big"),
        root,
        hash_of_wraps,
    )


def parse_batch(data: bytes) -> Batch:
    """Return the batch in untrusted bytes; nothing of it is verified. Raises `batch.malformed`."""
    if data[:1] != VERSION or len(data) > MAXIMUM_BATCH_BYTES:
        raise malformed("it has an unknown version or is too long")
    parts = unframe(data[1:])
    if len(parts) != 7:
        raise malformed("it has not seven parts")
    producer, batch_id, first, signer, signature, wraps, framed = parts
    entries = unframe(framed)
    sizes = (len(batch_id), len(first), len(signer), len(signature))
    if sizes != (BATCH_ID_BYTES, _NUMBER_BYTES, signing.KEY_BYTES, signing.SIGNATURE_BYTES):
        raise malformed("a part has the wrong length")
    if not 1 <= len(entries) <= MAX_BATCH_ENTRIES:
        raise malformed("it has no entry, or too many")
    try:
        name = producer.decode("ascii")
    except UnicodeDecodeError:
        raise malformed("the producer is not a name") from None
    return Batch(name, batch_id, int.from_bytes(first, "big"), signer, signature, wraps, tuple(entries))


def verify_batch(origin: str, batch: Batch, signer: bytes) -> tuple[Entry, ...]:
    """Return the parsed entries of a batch that its producer signed.

    (1) Every entry has the form, and names this producer, this batch, its place and its number: else "batch.inconsistent".
    (2) The wraps are those that every entry names, or were destroyed: else "batch.wrong_wraps".
    (3) The known key of the producer signed it: else "batch.bad_signature". Raises `DoudiError` with these codes.
    """
    # (1)
    entries = tuple(require_entries(batch.producer, batch.batch_id, batch.first_sequence, batch.entries))
    # (2)
    digest = entries[0].wraps_hash
    if any(entry.wraps_hash != digest for entry in entries):
        raise DoudiError("batch.wrong_wraps", "the entries of a batch name different wraps")
    if batch.wraps:
        require_wraps(batch.wraps, digest)
    # (3)
    if signer != batch.signer:
        raise DoudiError("batch.bad_signature", "a batch is signed by another key than its producer's")
    hashes = [merkle.leaf_hash(entry) for entry in batch.entries]
    verify_statement(
        batch_statement(origin, batch.producer, batch.batch_id, batch.first_sequence, hashes, digest),
        signer,
        batch.signature,
    )
    return entries


def require_entries(producer: str, batch_id: bytes, first_sequence: int, data: Sequence[bytes]) -> list[Entry]:
    """Return the entries of one batch, parsed, in order. Raises `batch.inconsistent`."""
    found = []
    for position, item in enumerate(data):
        try:
            entry = parse_entry(item)
        except CryptoError:
            raise DoudiError("batch.inconsistent", "an entry of a batch has not the form of one") from None
        header = entry.header
        expected = (producer, batch_id, position, first_sequence + position if first_sequence else 0)
        if (header.producer, header.batch_id, header.position, header.sequence) != expected:
            raise DoudiError("batch.inconsistent", "an entry is not the one that stands at its place in the batch")
        found.append(entry)
    return found


def require_wraps(wraps: bytes, expected_hash: bytes) -> None:
    """Raise `batch.wrong_wraps` unless these are the wraps that the entries name, in their one form."""
    try:
        parse_wraps(wraps)
    except CryptoError:
        raise DoudiError("batch.wrong_wraps", "the wraps of a batch have the wrong form") from None
    if wraps_hash(wraps) != expected_hash:
        raise DoudiError("batch.wrong_wraps", "the wraps of a batch are not those that its entries name")


def verify_statement(statement: bytes, signer: bytes, signature: bytes) -> None:
    """Raise `batch.bad_signature` unless the key signed the statement."""
    try:
        signing.verify(signer, BATCH_SIGNATURE_DOMAIN, statement, signature)
    except CryptoError as error:
        raise DoudiError("batch.bad_signature", "a batch is not signed by its producer") from error


def unframe(data: bytes) -> list[bytes]:
    """Return the parts that `domains.frame` joined. Raises `batch.malformed` for trailing or missing bytes."""
    parts, start = [], 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "big")
        if start + 4 > len(data) or end > len(data):
            raise malformed("a part is cut off")
        parts.append(bytes(data[start + 4 : end]))
        start = end
    return parts


def malformed(why: str) -> DoudiError:
    """Return the error for bytes that are no batch."""
    return DoudiError("batch.malformed", f"a batch cannot be read: {why}")
