"""Where batches stand in the log: the pages under `/log/batches/`, beside C2SP's tiles. Untrusted until the tree confirms them.

A page holds 256 placed batches in the order of the log, without their entries, which are in the bundles under
`/log/tile/entries/`.

    page   = 01 ‖ one frame per batch
    placed = frame(first index 8, count 4, producer, batch id 16, first sequence 8, signer 32, signature 64, wraps or nothing)

May import crypto.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto import domains, signing
from crypto.ledger_entries import BATCH_ID_BYTES, MAX_BATCH_ENTRIES
from policies.contracts.ledger.batches import malformed, unframe

PAGE_BATCHES = 256
VERSION = b"\x01"


@dataclass(frozen=True)
class PlacedBatch:
    """A batch's place and what belongs to it as a whole. `first_index`: of its first entry in the log, from 0."""

    first_index: int
    count: int
    producer: str
    batch_id: bytes
    first_sequence: int
    signer: bytes
    signature: bytes
    wraps: bytes


def pack_page(batches: Sequence[PlacedBatch]) -> bytes:
    """Return the bytes of a page of at most 256 batches."""
    return VERSION + domains.frame(*(_pack(batch) for batch in batches))


def parse_page(data: bytes, count: int) -> list[PlacedBatch]:
    """Return the batches of an untrusted page that must have `count` of them. Raises `batch.malformed`."""
    if data[:1] != VERSION:
        raise malformed("the page has an unknown version")
    found = [_parse(item) for item in unframe(data[1:])]
    if len(found) != count or count > PAGE_BATCHES:
        raise malformed("the page has another number of batches")
    return found


def page_path(number: int, width: int = PAGE_BATCHES) -> str:
    """Return the path of a page under `/log/`: `batches/7`, or `batches/7.p/12` while it has 12 of 256 batches."""
    return f"batches/{number}" if width == PAGE_BATCHES else f"batches/{number}.p/{width}"


def _pack(batch: PlacedBatch) -> bytes:
    return domains.frame(
        batch.first_index.to_bytes(8, "big"),
        batch.count.to_bytes(4, "big"),
        batch.producer.encode(),
        batch.batch_id,
        batch.first_sequence.to_bytes(8, "big"),
        batch.signer,
        batch.signature,
        batch.wraps,
    )


def _parse(data: bytes) -> PlacedBatch:
    parts = unframe(data)
    sizes = [len(parts[number]) for number in (0, 1, 3, 4, 5, 6)] if len(parts) == 8 else []
    if sizes != [8, 4, BATCH_ID_BYTES, 8, signing.KEY_BYTES, signing.SIGNATURE_BYTES]:
        raise malformed("a placed batch has the wrong parts")
    try:
        producer = parts[2].decode("ascii")
    except UnicodeDecodeError:
        raise malformed("the producer is not a name") from None
    count = int.from_bytes(parts[1], "big")
    if not 1 <= count <= MAX_BATCH_ENTRIES:
        raise malformed("a placed batch has an impossible number of entries")
    first_index, first_sequence = int.from_bytes(parts[0], "big"), int.from_bytes(parts[4], "big")
    return PlacedBatch(first_index, count, producer, parts[3], first_sequence, parts[5], parts[6], parts[7])
