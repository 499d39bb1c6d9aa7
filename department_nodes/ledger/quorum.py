"""Whether a checkpoint counts as witnessed: the log's signature, and the cosignatures of enough departments. Pure."""

from dataclasses import dataclass

from crypto.checkpoint import Checkpoint, Note, cosignature_times, verify_checkpoint
from crypto.errors import CryptoError, DoudiError
from policies.contracts.ledger.terms import LedgerTerms


@dataclass(frozen=True)
class Witnessed:
    """A checkpoint that a quorum has cosigned. `at`: a quorum cosigned at this time or later, in seconds since 1970 UTC."""

    checkpoint: Checkpoint
    at: int
    note: Note

    def is_recent(self, now_s: int, terms: LedgerTerms) -> bool:
        """Return whether the terms let a step rest on it now. A time far ahead is a wrong clock, and proves nothing."""
        return abs(now_s - self.at) <= terms.checkpoint_max_age_s


def verify_witnessed(note: Note, terms: LedgerTerms) -> Witnessed:
    """Return the checkpoint of an untrusted note that counts under these terms.

    Lines of other keys than the terms' witnesses are ignored. Witnesses that are slow with their clocks do not make it older, as
    long as a quorum of others has cosigned. Raises `ledger.not_witnessed` for anything else.
    """
    keys = [witness.note_key for witness in terms.witnesses]
    try:
        checkpoint = verify_checkpoint(note, terms.log_note_key)
        times = sorted(cosignature_times(note, keys).values(), reverse=True)
    except CryptoError as error:
        raise DoudiError("ledger.not_witnessed", f"a checkpoint does not count: {error.code}") from error
    if len(times) < terms.quorum:
        raise DoudiError(
            "ledger.not_witnessed", f"a checkpoint has {len(times)} cosignatures that count, {terms.quorum} are needed"
        )
    return Witnessed(checkpoint, times[terms.quorum - 1], note)
