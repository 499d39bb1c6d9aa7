"""What a checkpoint is worth by the terms: read on the officer's device, which believes signatures alone. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from crypto.checkpoint import cosignature_times, parse_note, verify_checkpoint
from policies.contracts.ledger.terms import LedgerTerms


@dataclass(frozen=True)
class Standing:
    """A checkpoint that the log signed. `cosigned`: when each witness of the terms did, by its own clock."""

    size: int
    cosigned: Mapping[str, int]
    quorum: int

    @property
    def witnessed_at(self) -> int | None:
        """Since when a quorum has cosigned, by the witnesses' clocks; `None` while it has not."""
        times = sorted(self.cosigned.values())
        return times[self.quorum - 1] if len(times) >= self.quorum else None


def standing_of(note: bytes, terms: LedgerTerms) -> Standing:
    """Return what an untrusted note is worth.

    Raises `CryptoError` "checkpoint.…" unless the log key of the terms signed it and no line of a known key is wrong.
    """
    parsed = parse_note(note)
    checkpoint = verify_checkpoint(parsed, terms.log_note_key)
    times = cosignature_times(parsed, [witness.note_key for witness in terms.witnesses])
    return Standing(checkpoint.size, times, terms.quorum)
