"""Domain separation: every label under which this package hashes, signs, derives or encrypts, in one place.

A value made for one purpose must never be valid for another. Each label ends in the format version of its structure,
and no label is a prefix of another (a test checks it), so that `label + anything` cannot be read under a second label.
Imports nothing of this package.
"""

SIGNATURE = b"doudi-signature\x01"
KEY_ID = b"doudi-key-id\x01"
SEAL = b"doudi-seal-hpke\x01"
AT_REST = b"doudi-at-rest\x01"
ENVELOPE_SEAL = b"doudi-envelope-seal\x01"
RELEASE_WORD = b"doudi-release-word\x01"
HELD_OUT = b"doudi-held-out\x01"
PAIRWISE_MASK = b"doudi-pairwise-mask\x01"
CELL = b"doudi-cell\x01"
COMMITMENT = b"doudi-commitment\x01"
AGGREGATION_PAIR = b"doudi-aggregation-pair\x01"
AGGREGATION_SELF = b"doudi-aggregation-self\x01"
AGGREGATION_COMMITMENT = b"doudi-aggregation-commitment\x01"
LEDGER_ENTRY = b"doudi-ledger-entry\x01"
LEDGER_ENTRY_KEY = b"doudi-ledger-key-of-entry\x01"
LEDGER_KEY_COMMITMENT = b"doudi-ledger-key-commitment\x01"
LEDGER_WRAP = b"doudi-ledger-wrap\x01"
LEDGER_WRAPS = b"doudi-ledger-wraps-hash\x01"
UNION_NUMBERING = b"doudi-union-numbering\x01"

# The hash-to-group prefix is text, after RFC 9380 section 3.1: a name and a version, then what is hashed in.
LINKAGE_PREFIX = b"doudi-linkage-v1-"

# The domain of envelope signatures, an argument of `signing.sign` like the domains of the other packages.
ENVELOPE_SIGNATURE = "doudi-envelope"


def frame(*parts: bytes) -> bytes:
    """Return the parts in order, each behind its length as 4 bytes big-endian: two lists never look alike."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
