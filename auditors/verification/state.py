"""What a verification keeps for the next one, so that it reads only what came since.

It is the auditor's own file and shortens the work, nothing else: the next pass begins with the stored tiles, and goes on only
if the root of the verified size comes out of them again. A file that is missing, damaged or of another log means a full pass.
Whoever can write into the auditor's folder could change what is kept about numbers and findings, as it could change this
program; `--full` uses none of it.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auditors.home import Home
from auditors.store import CHECKPOINTS
from auditors.terms_chain import TermsChain
from auditors.verification.batches import BatchesState, ProducerState
from auditors.verification.findings import Finding, Findings, Severity
from command_line.documents import write_atomically
from crypto.checkpoint import Checkpoint
from crypto.errors import DoudiError
from crypto.ledger_entries import BATCH_ID_BYTES
from policies.contracts.base import Hash, KeyHex

MAXIMUM_FILE_BYTES = 256 * 1024 * 1024
Count = Annotated[int, Field(ge=0, le=2**66)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Following(_Part):
    """The number that comes next under a key."""

    key: KeyHex
    number: Count


class KnownProducer(_Part):
    """What the next batches of a producer go on from."""

    producer: str
    terms_number: Count
    following: tuple[Following, ...]


class KeptFinding(_Part):
    """A finding about a batch or an earlier checkpoint: it stays, and is reported again although nobody looks there."""

    code: str
    severity: Severity
    place: str
    detail: dict[str, int | str]


class VerifiedState(_Part):
    """`terms`: digests of the verified terms by number. `batch_ids`: SHA-256 of the file of ids."""

    format_version: Literal[1] = 1
    origin: str
    size: Count
    root: Hash
    batches: Count
    batch_ids: Hash
    terms: tuple[tuple[Count, Hash], ...]
    producers: tuple[KnownProducer, ...]
    findings: tuple[KeptFinding, ...]

    def checkpoint(self) -> Checkpoint:
        """Return what was verified last."""
        return Checkpoint(self.origin, self.size, bytes.fromhex(self.root))

    def kept_findings(self) -> list[Finding]:
        """Return the findings that stay."""
        return [Finding(item.code, item.severity, item.place, item.detail) for item in self.findings]


def load_state(home: Home) -> VerifiedState | None:
    """Return what the last verification kept; `None` where there is nothing that can be gone on with."""
    path = home.verified_file
    try:
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            return None
        state = VerifiedState.model_validate_json(path.read_bytes())
        state.checkpoint()
        return state
    except (OSError, ValidationError, DoudiError):
        return None


def load_batches(home: Home, state: VerifiedState) -> BatchesState | None:
    """Return what checking batches goes on with; `None` where the file of ids is not the one that belongs to the state."""
    try:
        data = home.verified_batches_file.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != state.batch_ids or len(data) != state.batches * BATCH_ID_BYTES:
        return None
    producers = {
        item.producer: ProducerState(item.terms_number, {bytes.fromhex(one.key): one.number for one in item.following})
        for item in state.producers
    }
    ids = {data[at : at + BATCH_ID_BYTES] for at in range(0, len(data), BATCH_ID_BYTES)}
    return BatchesState(state.batches, state.size, producers, ids)


def save_state(
    home: Home, chain: TermsChain, checkpoint: Checkpoint, batches: BatchesState, findings: Findings
) -> None:
    """Keep what was verified. Raises `file.unwritable`.

    The ids are written first: a crash in between leaves a state that does not belong to them, and the next pass is a full one.
    """
    ids = b"".join(sorted(batches.ids))
    state: dict[str, Any] = {
        "format_version": 1,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "batches": batches.number,
        "batch_ids": hashlib.sha256(ids).hexdigest(),
        "terms": [[terms.number, terms.digest()] for terms in chain.terms],
        "producers": [
            {
                "producer": name,
                "terms_number": known.terms_number,
                "following": [{"key": key.hex(), "number": number} for key, number in known.following.items()],
            }
            for name, known in batches.producers.items()
        ],
        "findings": [
            {"code": one.code, "severity": str(one.severity), "place": one.place, "detail": dict(one.detail)}
            for one in findings
            if one.code in STANDING or one.place.startswith(f"{CHECKPOINTS}/")
        ],
    }
    try:
        write_atomically(home.verified_batches_file, ids)
        write_atomically(home.verified_file, json.dumps(state).encode())
    except OSError:
        raise DoudiError(
            "file.unwritable", "what was verified cannot be kept", "Check the disk and the folder's rights."
        ) from None


# Findings about batches that a later pass does not look at again.
STANDING = frozenset(
    {
        "batch.bad_signature",
        "batch.former_key",
        "batch.gap",
        "batch.inconsistent",
        "batch.other_auditors",
        "batch.out_of_order",
        "batch.repeated",
        "batch.unknown_signer",
        "batch.wraps_destroyed",
        "batch.wrong_wraps",
    }
)
