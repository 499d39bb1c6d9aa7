"""Local training and what leaves of it: evidence levels, or masked integers, for every slot.

Who learns what. The lead: one of at most 32 levels per person of its register, or only the sum over all departments. The
coordinator: ciphertext for every slot; it forwards the slots of the lead's register, so this department does not learn who is in
it. This department: one randomised bit and one held-out flag per household of its own people.
"""

from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa

from crypto.cells import generate_cell_key, open_cells, seal_cells
from crypto.errors import DoudiError
from crypto.masking import mask_vector
from crypto.randomised_response import debias, keep_threshold
from department_nodes.evidence.disclosure import DisclosureCap
from department_nodes.evidence.levels import SUM_BITS_PER_PERSON, level_bits
from department_nodes.evidence.outcome import LevelRules, evidence_levels, meter_counts, sum_codes
from department_nodes.extract import Extract
from department_nodes.lines.released_bits import BITS_VALUE, pack_bits
from department_nodes.lines.start import StartingModel, train_evidence
from department_nodes.steps.context import StepContext, StepResult
from department_nodes.steps.linkage import POINT_BYTES, linked_extract, own_pseudonyms
from department_nodes.store.journal import Event, EventType
from department_nodes.training.evidence_model import TrainingSettings
from policies.contracts.grant import Grant, Operation
from policies.contracts.steps import Step

MODEL_VALUE = "model"
LEVELS_CODE, SUM_CODE = "evidence.levels", "evidence.masked_sum"
FloatArray = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class TrainingSet:
    """The released cells of the own people in row order: `bits` uint8, `target` float32, `held_out` bool, `slots` uint32."""

    bits: np.ndarray[Any, np.dtype[np.uint8]]
    target: FloatArray
    held_out: np.ndarray[Any, np.dtype[np.bool_]]
    slots: np.ndarray[Any, np.dtype[np.uint32]]


def train(context: StepContext) -> StepResult:
    """Open the own cells, train, measure what the levels tell, and seal evidence or the masked vector for the lead."""
    grant, mode = context.request.grant, context.request.mode
    slots = _verified_slot_count(context, grant)
    started = monotonic()
    extract = linked_extract(context)
    training = _open_training_set(context, slots, extract.people)
    train_rows = np.flatnonzero(~training.held_out)
    features = extract.features(context.request.me.columns)
    width = features.shape[1]
    trained = train_evidence(features, training.target, train_rows, TrainingSettings(), _start(context))
    evidence = trained.logits
    del features
    base_rate = float(training.target[train_rows].mean())
    result = StepResult(facts={"slots": slots, "train_milli": int(1000 * (monotonic() - started))})
    result.values[MODEL_VALUE] = trained.model
    if Operation.LINE in context.request.me.operations:
        result.values[BITS_VALUE] = pack_bits(training.bits, training.held_out)
    if mode in ("evidence", "both"):
        _add_evidence(context, result, extract, training, evidence, train_rows, base_rate, slots)
    # What a cap withholds stays withheld in the sum too: with the others' levels the lead could subtract it out again.
    if mode in ("sum_only", "both") and "evidence_withheld" not in result.facts:
        _add_sum(context, result, training, evidence, base_rate, slots)
    result.reports["training"] = {
        "people": extract.people,
        "train_people": len(train_rows),
        "encoded_columns": width,
        "start": trained.start,
        "seconds": round(monotonic() - started, 3),
    }
    return result


def _start(context: StepContext) -> StartingModel | None:
    """Return the line's model that this training may start from: only where the region's grant allows lines."""
    me, label = context.request.me, context.request.grant.label
    if Operation.LINE not in me.operations:
        return None
    return context.start(me.dataset, me.standard_version, label.target, me.columns)


def _verified_slot_count(context: StepContext, grant: Grant) -> int:
    slots = context.request.terms.get("slots")
    if not isinstance(slots, int) or isinstance(slots, bool) or slots < 1:
        raise DoudiError("request.malformed", "the request does not say how many slots there are")
    if slots > grant.evidence.max_slots:
        raise DoudiError("evidence.too_many_slots", "the run has more slots than granted", "Ask for a wider grant.")
    return slots


def _open_training_set(context: StepContext, slots: int, people: int) -> TrainingSet:
    """Return the own bits and flags in row order. A cell opens only under the pseudonym that the lead sealed it for."""
    lead = context.request.grant.lead.department
    own, row_of_own = own_pseudonyms(context)
    own_slots = _uint32_part(context, "slots", people)
    if len(np.unique(own_slots)) != people or own_slots.max(initial=0) >= slots:
        raise DoudiError("linkage.wrong_slots", "the slots given to this department's people are not distinct")
    cells = np.frombuffer(context.request.part("cells"), np.uint8)
    if people == 0 or len(cells) % people:
        raise DoudiError("release.wrong_length", "there is not one cell per person of this department")
    key = context.open(Step.RELEASE, lead, slots, context.request.part("cell-key"))
    points = [own[i : i + POINT_BYTES] for i in range(0, len(own), POINT_BYTES)]
    values = open_cells(key, context.binding("release"), own_slots, cells.reshape(people, -1), points)
    if values.shape[1] != 1 or (values > 3).any():
        raise DoudiError("release.wrong_length", "a label cell has the wrong form")
    threshold = keep_threshold(context.request.grant.label.epsilon_milli)
    in_row_order = np.argsort(row_of_own, kind="stable")
    cell = values[in_row_order, 0]
    bits = cell & np.uint8(1)
    return TrainingSet(bits, debias(bits, threshold), (cell >> 1).astype(bool), own_slots[in_row_order])


def _uint32_part(context: StepContext, name: str, count: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    data = context.request.part(name)
    if len(data) != 4 * count:
        raise DoudiError(
            "release.wrong_length", f"the part {name} does not have one entry per person of this department"
        )
    return np.frombuffer(data, "<u4")


def _add_evidence(
    context: StepContext,
    result: StepResult,
    extract: Extract,
    training: TrainingSet,
    evidence: FloatArray,
    train_rows: np.ndarray[Any, np.dtype[np.int64]],
    base_rate: float,
    slots: int,
) -> None:
    """Turn evidence into levels below the site's disclosure cap, charge the bits, and seal one cell per slot to the lead."""
    policy, terms = context.config.policy, context.request.grant.evidence
    rules = LevelRules(
        min(terms.levels, policy.max_levels),
        policy.minimum_people_per_level,
        DisclosureCap(policy.disclosure_max_share, policy.disclosure_max_rank_correlation),
    )
    columns = column_values(extract, context.request.me.columns)
    try:
        outcome = evidence_levels(evidence, train_rows, base_rate, columns, rules)
    except DoudiError as error:
        if error.code != "disclosure.over_cap" or context.request.mode != "both":
            raise
        # The run goes on without this department; a sum-only run of its own stays possible.
        result.facts["evidence_withheld"] = error.code
        result.events.append(_released(context, {"slots": slots}, error.code, EventType.EVIDENCE_WITHHELD))
        return
    result.reports["disclosure"] = outcome.report
    total_bits = level_bits(outcome.level_count) + (SUM_BITS_PER_PERSON if context.request.mode == "both" else 0)
    cap_bits = min(terms.bits_per_person_and_year, policy.max_evidence_bits_per_person_and_year)
    # The charge is durable from here: a crash after it repeats only the sealing and the send.
    context.accounts.charge_evidence(total_bits, cap_bits)
    values = np.full(slots, outcome.base_level, np.uint8)
    values[training.slots] = outcome.levels
    key = generate_cell_key()
    cells = seal_cells(key, context.binding("evidence"), np.arange(slots, dtype=np.uint32), values.reshape(-1, 1))
    lead = context.request.grant.lead.department
    result.send("evidence", cells.tobytes(), lead, "evidence levels", slots)
    result.send("evidence-key", context.seal("train-evidence", lead, slots, key), lead, "key of the evidence", 1)
    counts = {"slots": slots, "held": len(training.slots), **meter_counts(outcome.report)}
    result.events.append(_released(context, counts, LEVELS_CODE))


def _add_sum(
    context: StepContext, result: StepResult, training: TrainingSet, evidence: FloatArray, base_rate: float, slots: int
) -> None:
    """Mask the integer evidence against every other supporting department of the grant and seal it to the lead."""
    grant, manifest = context.request.grant, context.request.manifest
    supporting = [participant.department for participant in grant.supporting]
    finished = context.request.terms.get("departments")
    if not isinstance(finished, list) or sorted(map(str, finished)) != sorted(supporting):
        if context.request.mode == "both":
            result.facts["sum_withheld"] = code = "sum_only.department_missing"
            result.events.append(_released(context, {"slots": slots}, code, EventType.EVIDENCE_WITHHELD))
            return
        raise DoudiError("sum_only.department_missing", "a department of the grant is missing: no sum is taken")
    context.accounts.bind_sum_set(grant.label.target, grant.label.label_period, supporting)
    cap_bits = min(grant.evidence.bits_per_person_and_year, context.config.policy.max_evidence_bits_per_person_and_year)
    # In mode `both` the attempt was charged with the evidence, unless the evidence was withheld.
    context.accounts.charge_evidence(SUM_BITS_PER_PERSON, cap_bits)
    own_codes, base_code = sum_codes(evidence, base_rate)
    codes = np.full(slots, base_code, np.int16)
    codes[training.slots] = own_codes
    me = context.config.department
    peers = {name: bytes.fromhex(manifest.offer(name).mask_key) for name in supporting if name != me}
    masked = mask_vector(codes, me, context.keys.mask, peers, context.binding("sum"))
    key = generate_cell_key()
    values = np.frombuffer(masked.astype("<u2").tobytes(), np.uint8).reshape(slots, 2)
    cells = seal_cells(key, context.binding("sum-cells"), np.arange(slots, dtype=np.uint32), values)
    lead = grant.lead.department
    result.send("sum", cells.tobytes(), lead, "masked sum vector", slots)
    result.send("sum-key", context.seal("train-sum", lead, slots, key), lead, "key of the masked sum", 1)
    result.events.append(_released(context, {"slots": slots, "held": len(training.slots)}, SUM_CODE))


def _released(
    context: StepContext, counts: dict[str, int], code: str, kind: EventType = EventType.EVIDENCE_RELEASED
) -> Event:
    """Return the event about evidence that leaves with this reply, or does not: how much, and for which purpose."""
    asset = f"{context.config.department}/{context.request.me.dataset}"
    return context.event(kind, counts, code=code, purpose=context.request.grant.purpose, assets=(asset,))


def column_values(extract: Extract, columns: tuple[str, ...]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns as the disclosure meter reads them: codes int64 with −1 for missing, numbers float64 with nan."""
    values: dict[str, np.ndarray[Any, Any]] = {}
    for name in columns:
        column = extract.table.column(name)
        standard = next(item for item in extract.standard.columns if item.name == name)
        if standard.type == "code":
            values[name] = column.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
        else:
            values[name] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
