"""The node as a witness of the log: what it accepts, what it refuses, and why it never cosigns two histories.

A checkpoint goes through these steps, in this order (C2SP tlog-witness):
1. The log signed it.
2. It is not smaller than the newest accepted one (a rollback), nor of the same size with another root (a fork).
3. The log proves that the accepted tree is the beginning of the new one.
4. The new checkpoint becomes durable as the accepted one.
5. It is cosigned.
A crash between 4 and 5 loses a cosignature, and never gives a second one: whatever comes afterwards is compared with what is
durable.

`consider` (1 to 3) is pure. What is refused becomes evidence that others can check: `alarms`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crypto.checkpoint import Checkpoint, Note, parse_checkpoint, verify_checkpoint
from crypto.errors import CryptoError
from crypto.merkle_log import EMPTY_ROOT, verify_consistency
from policies.contracts.ledger.evidence import EvidenceKind
from policies.contracts.ledger.terms import LedgerTerms

ConsistencyReader = Callable[[int, int], Sequence[bytes]]
"""(old size, new size) to the log's proof, untrusted."""


@dataclass(frozen=True)
class Seen:
    """The newest checkpoint that this node accepted. `note`: as it was signed; empty before the first."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    note: str = ""


@dataclass(frozen=True)
class Accepted:
    """The checkpoint is the accepted one or follows from it."""

    checkpoint: Checkpoint


@dataclass(frozen=True)
class Refused:
    """Why a checkpoint was refused. `code`: of the journal. `checkpoint`: what it states, where that could be read."""

    kind: EvidenceKind
    code: str
    checkpoint: Checkpoint | None = None
    proof: tuple[bytes, ...] = ()


def consider(seen: Seen, note: Note, terms: LedgerTerms, read_consistency: ConsistencyReader) -> Accepted | Refused:
    """Return what a witness that has accepted `seen` makes of the note. Raises what `read_consistency` raises.

    The proof is asked for only when there is one to ask for, so `read_consistency` may go over the network.
    """
    # 1.
    try:
        offered = verify_checkpoint(note, terms.log_note_key)
    except CryptoError as error:
        return Refused("bad_signature", error.code, _unverified(note))
    # 2.
    if offered.size < seen.size:
        return Refused("rollback", "witness.rollback", offered)
    if offered.size == seen.size:
        return Accepted(offered) if offered.root == seen.root else Refused("fork", "witness.fork", offered)
    # 3.
    proof = tuple(read_consistency(seen.size, offered.size)) if seen.size else ()
    try:
        verify_consistency(seen.root, seen.size, offered.root, offered.size, proof)
    except CryptoError:
        return Refused("bad_proof", "witness.bad_proof", offered, proof)
    return Accepted(offered)


def consider_older(seen: Seen, older: Checkpoint, read_consistency: ConsistencyReader) -> Refused | None:
    """Return why a smaller checkpoint, which the log signed, is not the beginning of the accepted tree; None if it is.

    An older checkpoint is no rollback where older ones are asked for: the newest that a quorum has cosigned.
    """
    proof = tuple(read_consistency(older.size, seen.size)) if older.size else ()
    try:
        verify_consistency(older.root, older.size, seen.root, seen.size, proof)
    except CryptoError:
        return Refused("bad_proof", "witness.bad_proof", older, proof)
    return None


def _unverified(note: Note) -> Checkpoint | None:
    try:
        return parse_checkpoint(note.text)
    except CryptoError:
        return None
