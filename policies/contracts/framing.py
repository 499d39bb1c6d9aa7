"""The one binary form of everything that travels in a Flower message: a small typed header and named byte parts.

Layout: version byte ‖ 4-byte big-endian header length ‖ header (canonical JSON) ‖ the parts, in the order the header lists them.
A frame is a transport form only: it authenticates nothing. May import crypto.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crypto.canonical import canonical_json, parse_canonical
from crypto.errors import DoudiError

FRAME_VERSION = 1
MAXIMUM_HEADER_BYTES = 1 << 20
MAXIMUM_PARTS = 256


class FrameError(DoudiError):
    """The bytes are not a frame. Code `frame.malformed`."""

    def __init__(self, why: str) -> None:
        super().__init__("frame.malformed", why, "Ask the sender for the message again.")


@dataclass(frozen=True)
class Frame:
    """A header of JSON values (no floats) and named parts."""

    header: Mapping[str, Any]
    parts: Mapping[str, bytes] = field(default_factory=dict)


def pack_frame(frame: Frame) -> bytes:
    """Return the bytes of a frame; the same frame gives the same bytes."""
    listing = [[name, len(data)] for name, data in frame.parts.items()]
    header = canonical_json({"header": dict(frame.header), "parts": listing})
    return b"".join([bytes([FRAME_VERSION]), struct.pack(">I", len(header)), header, *frame.parts.values()])


def parse_frame(data: bytes) -> Frame:
    """Return the frame in untrusted bytes. Raises `FrameError` and nothing else."""
    if len(data) < 5 or data[0] != FRAME_VERSION:
        raise FrameError("the message does not start with a known format version")
    header_bytes = struct.unpack(">I", data[1:5])[0]
    if header_bytes > MAXIMUM_HEADER_BYTES or 5 + header_bytes > len(data):
        raise FrameError("the header is longer than the message")
    try:
        document = parse_canonical(data[5 : 5 + header_bytes])
    except DoudiError as error:
        raise FrameError("the header is not canonical JSON") from error
    if not isinstance(document, dict) or set(document) != {"header", "parts"}:
        raise FrameError("the header has unexpected fields")
    header, listing = document["header"], document["parts"]
    if not isinstance(header, dict) or not isinstance(listing, list) or len(listing) > MAXIMUM_PARTS:
        raise FrameError("the header has the wrong form")
    parts: dict[str, bytes] = {}
    position = 5 + header_bytes
    for entry in listing:
        if not (
            isinstance(entry, list)
            and len(entry) == 2
            and isinstance(entry[0], str)
            and isinstance(entry[1], int)
            and not isinstance(entry[1], bool)
        ):
            raise FrameError("the list of parts has the wrong form")
        name, size = entry
        if size < 0 or name in parts or position + size > len(data):
            raise FrameError("a part is doubled or longer than the message")
        parts[name] = data[position : position + size]
        position += size
    if position != len(data):
        raise FrameError("bytes are left over after the last part")
    return Frame(header, parts)


def frame_digest(data: bytes) -> bytes:
    """Return the 32-byte digest that names a request or reply: SHA-256, domain separated."""
    return hashlib.sha256(b"doudi-frame-v1\x00" + data).digest()
