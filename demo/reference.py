"""The demo's reference without privacy: what each department could do alone, and what one pooled database could do.

It stands outside every party: it reads all extracts and all exact labels, which no party of a run may. Its figures are labelled
"reference" in the report and nothing of them enters the run. It uses the lead's learner on the same held-out households,
so that differences come from what is joined, not from how it is learnt. May import the nodes' pure statistics.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

from crypto.errors import DoudiError
from department_nodes.combining.need_model import NeedModel
from policies.standards.loader import load_dataset_standard

Float32Array = npt.NDArray[np.float32]

LEAD = "civil_affairs"
HOUSEHOLD_COLUMN = "household_number"
OUTCOME_COLUMN = "public_coverage"


@dataclass(frozen=True)
class Register:
    """The lead's register: row of each resident ID, household index of each row, and label and flag of each household."""

    rows: dict[str, int]
    household: npt.NDArray[np.int64]
    labels: npt.NDArray[np.uint8]
    held_out: npt.NDArray[np.bool_]


def reference_aucs(
    extracts: Mapping[str, Path],
    held_out: Mapping[str, bool],
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Return `{"departments": {name: AUC}, "pooled": AUC}` per household, exact labels, no privacy, 6 digits.

    `extracts`: Parquet file per department, the lead's among them; `held_out`: flag for each household number of the lead's
    register. A department alone knows the columns of the people it holds, grouped by the lead's households; pooled is the
    outer join on `resident_id`, absent departments being missing values. `on_progress`: (models done, models).

    Raises `DoudiError` `reference.no_lead`, `reference.unknown_household` or `reference.unknown_person`.
    """
    if LEAD not in extracts:
        raise DoudiError("reference.no_lead", f"the extract of {LEAD} is missing", "Give the folder of all extracts.")
    register = _read_register(extracts[LEAD], held_out)
    blocks = {name: _department_features(name, path, register) for name, path in extracts.items()}
    models = len(blocks) + 1
    departments = {}
    for done, (name, block) in enumerate(blocks.items(), start=1):
        departments[name] = _auc(block, name, register)
        if on_progress is not None:
            on_progress(done, models)
    pooled = _auc(np.concatenate(list(blocks.values()), axis=1), "pooled", register)
    if on_progress is not None:
        on_progress(models, models)
    return {"departments": departments, "pooled": pooled}


def _read_register(path: Path, held_out: Mapping[str, bool]) -> Register:
    table = pq.read_table(path, columns=["resident_id", HOUSEHOLD_COLUMN, OUTCOME_COLUMN])
    numbers, household = np.unique(np.asarray(table[HOUSEHOLD_COLUMN].to_pylist()), return_inverse=True)
    if missing := sum(number not in held_out for number in numbers.tolist()):
        raise DoudiError("reference.unknown_household", f"{missing} households of the register have no held-out flag")
    labels = np.zeros(len(numbers), np.uint8)
    np.maximum.at(labels, household, table[OUTCOME_COLUMN].to_numpy().astype(np.uint8))
    return Register(
        rows={resident: row for row, resident in enumerate(table["resident_id"].to_pylist())},
        household=household.astype(np.int64),
        labels=labels,
        held_out=np.asarray([held_out[number] for number in numbers.tolist()], np.bool_),
    )


def _department_features(name: str, path: Path, register: Register) -> Float32Array:
    """Return mean, maximum and minimum over the members that the department holds: float32 [households, 3 × columns].

    A missing value counts for none of them; where no member has a value, or the department holds nobody, all three are nan.
    """
    standard = load_dataset_standard(name)
    table: pa.Table = pq.read_table(path)
    rows = [register.rows.get(resident) for resident in table["resident_id"].to_pylist()]
    known = [row for row in rows if row is not None]
    if len(known) < len(rows):
        raise DoudiError(
            "reference.unknown_person", f"{len(rows) - len(known)} people of {name} are not in the register"
        )
    # Trees need no encoding: on Kentucky raw codes and numbers score as high as encoded ones, in a tenth of the time.
    values = np.stack([table[column].to_numpy().astype(np.float32) for column in standard.feature_names], axis=1)
    household = register.household[np.asarray(known, np.int64)]
    order = np.argsort(household, kind="stable")
    starts = np.flatnonzero(np.diff(household[order], prepend=-1))
    ordered = values[order]
    with np.errstate(invalid="ignore"):
        mean = np.add.reduceat(np.nan_to_num(ordered), starts) / np.add.reduceat(
            ~np.isnan(ordered), starts, dtype=np.float32
        )
    features = np.full((len(register.labels), 3 * values.shape[1]), np.nan, np.float32)
    features[household[order][starts]] = np.concatenate(
        [mean, np.fmax.reduceat(ordered, starts), np.fmin.reduceat(ordered, starts)], axis=1
    )
    return features


def _auc(features: Float32Array, name: str, register: Register) -> float:
    groups = (name,) * features.shape[1]
    model = NeedModel.train(features, register.labels, ~register.held_out, groups)
    score = model.predict_logit(features[register.held_out])
    return round(float(roc_auc_score(register.labels[register.held_out], score)), 6)
