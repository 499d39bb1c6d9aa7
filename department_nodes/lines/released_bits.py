"""The bits that a region's lead released, kept sealed at the node, so that a line can train on them later.

The same bit of a household and period goes to every use, so keeping it costs no ε (post-processing of the label release). It may
be used in a line only where the region's grant gave this department the operation `line`, and only until that grant ends.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine, select

from crypto.errors import DoudiError
from crypto.randomised_response import debias, keep_threshold
from department_nodes.store.models import GrantRow, ProjectRow, RunKeyRow, SealedValueRow
from department_nodes.store.session import transaction
from department_nodes.store.vault import Vault
from policies.contracts.grant import Grant, LineGrant, Operation, SignedGrant

BITS_VALUE = "bits"
ROWS_VALUE = "rows"

UInt8Array = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class ReleasedBits:
    """Target float32 [people in row order], `held_out` bool [people], and the digest of who is in which row."""

    target: np.ndarray[Any, np.dtype[np.float32]]
    held_out: np.ndarray[Any, np.dtype[np.bool_]]
    rows_digest: bytes


def pack_bits(bits: UInt8Array, held_out: np.ndarray[Any, np.dtype[Any]]) -> bytes:
    """Return what is sealed: one byte per person in row order, bit 0 the released bit, bit 1 the held-out flag."""
    return (bits.astype(np.uint8) | (held_out.astype(np.uint8) << np.uint8(1))).tobytes()


def find_released_bits(
    db: Engine, vault: Vault, department: str, line: LineGrant, rows_digest: bytes, now_s: int
) -> ReleasedBits:
    """Return the newest bits of the line's target, period and purpose that this department may use in it.

    Raises `line.no_bits`, or `extract.changed` when the extract's people are others than those that were linked.
    """
    others_linked = False
    with transaction(db) as session:
        found = session.execute(
            select(SealedValueRow, GrantRow)
            .join(GrantRow, GrantRow.grant_hash == SealedValueRow.grant_hash)
            .join(ProjectRow, ProjectRow.project_id == GrantRow.project_id)
            .join(
                RunKeyRow,
                (RunKeyRow.run_id == SealedValueRow.run_id) & (RunKeyRow.attempt == SealedValueRow.attempt),
            )
            .where(SealedValueRow.name == BITS_VALUE, ProjectRow.left_at.is_(None))
            .order_by(RunKeyRow.created_at.desc(), SealedValueRow.run_id, SealedValueRow.attempt.desc())
        ).all()
        for value, row in found:
            grant = SignedGrant.parse(row.document).grant
            if not isinstance(grant, Grant) or not _allows(grant, department, line, now_s):
                continue
            names = (row.project_id, value.run_id, value.attempt)
            if vault.get(session, *names, ROWS_VALUE) != rows_digest:
                others_linked = True
                continue
            cells = np.frombuffer(vault.get(session, *names, BITS_VALUE), np.uint8)
            threshold = keep_threshold(grant.label.epsilon_milli)
            return ReleasedBits(debias(cells & np.uint8(1), threshold), (cells >> 1).astype(bool), rows_digest)
    if others_linked:
        raise DoudiError(
            "extract.changed", "the extract's people changed after the bits were released", "Run the main job again."
        )
    raise DoudiError(
        "line.no_bits",
        "this node holds no released bits of the line's target, period and purpose that it may use in a line",
        "Run the region's main job first, under a grant that gives this department the operation `line`.",
    )


def _allows(grant: Grant, department: str, line: LineGrant, now_s: int) -> bool:
    # What was released for one purpose does not train a line for another.
    names = (grant.label.target, grant.label.label_period, grant.purpose)
    wanted = (line.target, line.label_period, line.purpose)
    return names == wanted and now_s <= grant.expires_at and Operation.LINE in grant.share(department).operations
