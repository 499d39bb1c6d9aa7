"""Label release: the lead's one bit and one held-out flag per slot, in cells bound to the slot's pseudonym.

Who learns what. A department: bit and flag of its own people's households; the coordinator forwards only those cells, and cannot
move one to another slot, for a cell opens only with the pseudonym the lead sealed it for. The coordinator: ciphertext and a
commitment. The lead: the pseudonyms of the union, which it needs as keys of the bits outside its register.
"""

import hashlib
import hmac
import os
import struct

import numpy as np

from crypto import merkle
from crypto.canonical import canonical_json
from crypto.cells import generate_cell_key, seal_cells
from crypto.errors import DoudiError
from department_nodes.home import NodeHome
from department_nodes.labels import LabelOffice, read_register
from department_nodes.lines.released_bits import BITS_VALUE, pack_bits
from department_nodes.steps.context import StepContext, StepResult, distinct_names
from department_nodes.steps.linkage import POINT_BYTES, linked_extract, own_pseudonyms
from department_nodes.store.journal import EventType
from department_nodes.store.vault import OPENING_VALUE
from policies.contracts.grant import Operation
from policies.contracts.steps import Step

UNION_VALUE = "union"


def release(context: StepContext, home: NodeHome) -> StepResult:
    """Freeze, draw, commit and seal the label bits of every slot of the union."""
    grant = context.request.grant
    receivers = _verified_receivers(context)
    union = context.request.part("union")
    slots = _verified_slots(union, grant.evidence.max_slots)
    points = [union[POINT_BYTES * i : POINT_BYTES * (i + 1)] for i in range(slots)]
    slot_of_point = {point: slot for slot, point in enumerate(points)}
    if len(slot_of_point) != slots:
        raise DoudiError("linkage.duplicate_point", "a pseudonym stands twice in the union")
    own, row_of_own = own_pseudonyms(context)
    own_slots = _slots_of_own(own, slot_of_point)

    extract = linked_extract(context)
    register = read_register(extract, grant.label.target)
    # The charge is durable from here, before the first bit is drawn; a crash repeats only the drawing of the same bits.
    context.accounts.charge_label(
        grant.label.target,
        grant.label.label_period,
        grant.label.epsilon_milli,
        context.config.policy.max_label_epsilon_milli_per_year,
    )
    outside = np.setdiff1d(np.arange(slots), own_slots)
    office = LabelOffice(home, grant.project_id)
    drawn = office.release(
        register, register.household_of_row[row_of_own], [points[slot] for slot in outside], grant.label
    )
    in_slot_order = np.argsort(np.concatenate([own_slots, outside]), kind="stable")
    bits, flags, labels = drawn.bits[in_slot_order], drawn.held_out[in_slot_order], drawn.labels[in_slot_order]

    key = generate_cell_key()
    values = (bits | (flags.astype(np.uint8) << np.uint8(1))).astype(np.uint8).reshape(-1, 1)
    cells = seal_cells(key, context.binding("release"), np.arange(slots, dtype=np.uint32), values, points)
    opening_key = os.urandom(32)
    leaves = [
        merkle.commitment_leaf(opening_salt(opening_key, slot), opening_payload(slot, *triple))
        for slot, triple in enumerate(zip(labels.tolist(), bits.tolist(), flags.tolist(), strict=True))
    ]
    result = StepResult(facts={"slots": slots})
    result.values[UNION_VALUE] = own_slots.astype(np.uint32).tobytes()
    if Operation.LINE in context.request.me.operations:
        # The lead's own line trains on the released bits as every other does, and never on the labels.
        own_bits, own_flags = (np.zeros(len(own_slots), np.uint8) for _ in range(2))
        own_bits[row_of_own], own_flags[row_of_own] = drawn.bits[: len(own_slots)], drawn.held_out[: len(own_slots)]
        result.values[BITS_VALUE] = pack_bits(own_bits, own_flags)
    result.values[OPENING_VALUE] = opening_key + labels.tobytes() + bits.tobytes() + flags.tobytes()
    result.send("cells", cells.tobytes(), "coordinator", "sealed label bits", slots)
    commitment = merkle.root(leaves)
    result.send("commitment", commitment, "coordinator", "commitment to the labels", slots)
    counts = {
        "slots": slots,
        "households": len(register.households),
        "epsilon_milli": grant.label.epsilon_milli,
    }
    period = period_digest(grant.project_id, grant.label.target, grant.label.label_period)
    hashes = {"commitment": commitment.hex(), "period": period}
    result.events.append(context.event(EventType.LABELS_RELEASED, counts, hashes))
    for department in receivers:
        envelope = context.seal(Step.RELEASE, department, slots, key)
        result.send(f"cell-key/{department}", envelope, department, "key of the label bits", 1)
    return result


def period_digest(project_id: str, target: str, label_period: str) -> str:
    """Return the name of what is charged once, hexadecimal: who has the grant recognises it. Nothing in it is secret."""
    return hashlib.sha256(b"doudi-label-period-v1\x00" + canonical_json([project_id, target, label_period])).hexdigest()


def opening_salt(opening_key: bytes, slot: int) -> bytes:
    """Return the salt of one leaf of the commitment, 32 bytes; it opens this leaf and no other."""
    return hmac.digest(opening_key, b"doudi-opening-v1|" + struct.pack(">I", slot), "sha256")


def opening_payload(slot: int, label: int, bit: int, held_out: bool) -> bytes:
    """Return what a leaf commits to: slot, label, bit and flag."""
    return struct.pack(">BIBBB", 1, slot, label, bit, int(held_out))


def _verified_receivers(context: StepContext) -> list[str]:
    receivers = context.request.terms.get("departments")
    return distinct_names(receivers, set(context.others), "the request does not name the departments that linked")


def _verified_slots(union: bytes, max_slots: int) -> int:
    slots, rest = divmod(len(union), POINT_BYTES)
    if rest or slots == 0:
        raise DoudiError("request.malformed", "the union is not a list of pseudonyms")
    if slots > max_slots:
        raise DoudiError("evidence.too_many_slots", "the union has more slots than granted", "Ask for a wider grant.")
    return slots


def _slots_of_own(own: bytes, slot_of_point: dict[bytes, int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    try:
        return np.array(
            [slot_of_point[own[i : i + POINT_BYTES]] for i in range(0, len(own), POINT_BYTES)], dtype=np.int64
        )
    except KeyError:
        raise DoudiError("linkage.union_incomplete", "the union leaves out pseudonyms of this department") from None
