"""Combining at the lead: evidence of its register, its own columns and the exact labels become need.

Who learns what. The lead: evidence levels of the people in its register, or only their sum, and from them a probability of need
per household with each department's contribution. The coordinator: metrics over held-out households, no cell below ten. The
departments: nothing.
"""

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from crypto.cells import open_cells
from crypto.errors import DoudiError
from crypto.masking import unmask_sum
from department_nodes.combining.scoring import SUM_PLAYER, Scores, score_households
from department_nodes.combining.subgroups import age_group, household_type, oldest_member
from department_nodes.extract import Extract
from department_nodes.home import NodeHome
from department_nodes.labels import LabelOffice, Register, column_names, read_register
from department_nodes.steps.context import StepContext, StepResult, distinct_names
from department_nodes.steps.linkage import linked_extract, own_pseudonyms
from department_nodes.steps.release import UNION_VALUE
from department_nodes.store.vault import RESULTS_VALUE
from policies.contracts.grant import Operation

Int64Array = np.ndarray[Any, np.dtype[np.int64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


def combine(context: StepContext, home: NodeHome) -> StepResult:
    """Open the evidence of the own register, train the need model, evaluate, explain, and keep the list on this host."""
    grant = context.request.grant
    extract = linked_extract(context)
    register = read_register(extract, grant.label.target)
    _, row_of_own = own_pseudonyms(context)
    own_slots = np.frombuffer(context.value(UNION_VALUE), np.uint32)
    held_out = LabelOffice(home, grant.project_id).held_out(register, grant.label)
    own_columns, start = _own_columns(context, extract)
    slots = context.request.terms.get("slots")
    if not isinstance(slots, int) or isinstance(slots, bool):
        raise DoudiError("request.malformed", "the request does not say how many slots there are")

    result = StepResult()
    metrics: dict[str, Any] = {"target": grant.label.target, "epsilon_milli": grant.label.epsilon_milli}
    scores: dict[str, Scores] = {}
    inputs = (("evidence", _open_levels), ("sum", _open_sums))
    for kind, opener in inputs:
        departments = _named(context, kind)
        if not departments:
            continue
        by_row = opener(context, departments, slots, own_slots, row_of_own)
        mode = "evidence" if kind == "evidence" else "sum_only"
        scores[mode] = score_households(
            by_row, own_columns, register.household_of_row, register.labels, held_out, subgroups_of(extract, register)
        )
        metrics[mode] = scores[mode].metrics
    if not scores:
        raise DoudiError("run.no_evidence", "no department's evidence is in the request")
    metrics["households"] = len(register.households)
    metrics["persons"] = extract.people
    result.values[RESULTS_VALUE] = _pack_results(extract, register, held_out, scores)
    result.reports["metrics"] = metrics
    result.reports["training"] = {"people": extract.people, "encoded_columns": own_columns.shape[1], "start": start}
    result.send("metrics", json.dumps(metrics).encode(), "coordinator", "metrics", len(register.households))
    return result


def _own_columns(context: StepContext, extract: Extract) -> tuple[Any, str]:
    """Return the lead's encoded columns, with the logit of its own line as one more where there is a line, and which it was.

    The need model weighs that column against exact labels, so a line that says nothing, or lies, gets no weight.
    """
    me, columns = context.request.me, extract.features(context.request.me.columns)
    start = None
    if Operation.LINE in me.operations:
        target = context.request.grant.label.target
        start = context.start(me.dataset, me.standard_version, target, me.columns)
    if start is None:
        return columns, "nothing"
    return np.column_stack([columns, start.logits(columns)]), "line"


def _named(context: StepContext, kind: str) -> list[str]:
    """Return the departments whose evidence or sums came. Raises unless a sum covers the grant's exact set."""
    supporting = {participant.department for participant in context.request.grant.supporting}
    named = distinct_names(
        context.request.terms.get(kind, []), supporting, f"the request does not name the departments of {kind}"
    )
    allowed = {"evidence": ("evidence", "both"), "sum": ("sum_only", "both")}[kind]
    if named and context.request.mode not in allowed:
        raise DoudiError("manifest.mode_not_granted", "the run's mode does not include these parts")
    if kind == "sum" and named and set(named) != supporting:
        raise DoudiError("sum_only.department_missing", "a sum over another set than the grant's is not opened")
    return named


def _open_levels(
    context: StepContext, departments: Sequence[str], slots: int, own_slots: Any, row_of_own: Any
) -> dict[str, Any]:
    """Return each department's levels in row order, int64 [people]; None for a department of the grant that is missing."""
    levels: dict[str, Any] = {participant.department: None for participant in context.request.grant.supporting}
    for name in departments:
        values = _open_cells_of(context, name, "evidence", slots, own_slots, 1)
        if values.max(initial=0) >= context.request.grant.evidence.levels:
            raise DoudiError("evidence.level_out_of_range", f"a level of {name} is above those granted")
        levels[name] = _in_row_order(values[:, 0].astype(np.int64), row_of_own)
    return levels


def _open_sums(
    context: StepContext, departments: Sequence[str], slots: int, own_slots: Any, row_of_own: Any
) -> dict[str, Any]:
    """Return the sum over the departments in row order. A single department's vector stays hidden by the masks."""
    vectors = []
    for name in departments:
        values = _open_cells_of(context, name, "sum", slots, own_slots, 2)
        vectors.append(np.ascontiguousarray(values).view("<u2")[:, 0].astype(np.uint16))
    return {SUM_PLAYER: _in_row_order(unmask_sum(vectors), row_of_own)}


def _open_cells_of(context: StepContext, name: str, kind: str, slots: int, own_slots: Any, width: int) -> Any:
    data = np.frombuffer(context.request.part(f"{kind}/{name}"), np.uint8)
    if len(data) != len(own_slots) * (width + 16):
        raise DoudiError("evidence.wrong_length", f"{name} does not have one cell per person of this register")
    key = context.open(f"train-{kind}", name, slots, context.request.part(f"{kind}-key/{name}"))
    use = "evidence" if kind == "evidence" else "sum-cells"
    return open_cells(key, context.binding(use), own_slots, data.reshape(len(own_slots), width + 16))


def _in_row_order(values: Int64Array, row_of_own: Any) -> Int64Array:
    in_rows = np.empty(len(values), np.int64)
    in_rows[row_of_own] = values
    return in_rows


def subgroups_of(extract: Extract, register: Register) -> dict[str, Any]:
    """Return the partitions that recall is reported for, by household; those that the lead's data standard has columns for."""
    households = len(register.households)
    names = set(extract.table.column_names)
    first_row = np.full(households, -1, np.int64)
    first_row[register.household_of_row[::-1]] = np.arange(extract.people - 1, -1, -1)
    groups: dict[str, Any] = {}
    if "HHT" in names:
        codes = extract.table.column("HHT").to_numpy(zero_copy_only=False)
        groups["household_type"] = household_type(np.nan_to_num(codes[first_row]).astype(np.int64))
    if "AGEP" in names:
        ages = extract.table.column("AGEP").to_numpy(zero_copy_only=False).astype(np.int64)
        groups["age_group"] = age_group(oldest_member(ages, register.household_of_row, households))
    for name in column_names(extract.standard, "context"):
        groups[name] = extract.table.column(name).to_numpy(zero_copy_only=False)[first_row].astype(str)
    return groups


def _pack_results(extract: Extract, register: Register, held_out: BoolArray, scores: dict[str, Scores]) -> bytes:
    """Return the lead's list as arrays without pickled objects; it never leaves this host."""
    arrays: dict[str, Any] = {
        "household": np.array(register.households),
        "household_of_row": register.household_of_row,
        "resident_id": np.array(extract.resident_ids),
        "held_out": held_out,
    }
    for mode, score in scores.items():
        arrays[f"{mode}_probability"] = score.probability
        arrays[f"{mode}_contributions"] = score.contributions.astype(np.float32)
        arrays[f"{mode}_players"] = np.array(score.players)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def unpack_results(data: bytes) -> dict[str, Any]:
    """Return the arrays of `_pack_results`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
