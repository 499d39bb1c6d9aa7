"""How a region's own training starts from its line's model, if the node's own bits do not speak against it.

A line model came through the coordinator, so it is not believed: its log loss against the node's debiased bits must not be
clearly worse than that of the base rate. That loss is unbiased for the loss against the true labels, and computing it is
post-processing of the label release: it costs no ε, and nothing of it leaves. Imports the node's own table and torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from sqlalchemy import Engine, select

from department_nodes.evidence.levels import base_rate_logit
from department_nodes.store.models import GrantRow, LineModelRow
from department_nodes.store.session import transaction
from department_nodes.training.evidence_model import TrainingSettings, train_evidence_model
from department_nodes.training.line_model import LineNetwork
from policies.contracts.grant import SignedGrant

Float32Array = npt.NDArray[np.float32]
# No probability is told apart beyond it; a line with larger logits was not trained.
LARGEST_LOGIT = 100.0


@dataclass(frozen=True)
class StartingModel:
    """The newest model of this node's line for a target, and its name."""

    digest: str
    network: LineNetwork

    def logits(self, features: Float32Array) -> Float32Array:
        """Return the line's logit of every person, float32 [people]."""
        return self.network.logits(torch.from_numpy(features)).numpy()


def find_start(
    db: Engine, dataset: str, standard_version: int, target: str, columns: Sequence[str]
) -> StartingModel | None:
    """Return the newest adopted model of this data standard, target and columns, or None.

    Other columns are another model, even where they encode to as many values.
    """
    with transaction(db) as session:
        found = session.execute(
            select(LineModelRow.document, LineModelRow.digest, GrantRow.document)
            .join(GrantRow, GrantRow.grant_hash == LineModelRow.grant_hash)
            .where(
                LineModelRow.dataset == dataset,
                LineModelRow.standard_version == standard_version,
                LineModelRow.target == target,
            )
            .order_by(LineModelRow.adopted_at.desc(), LineModelRow.digest)
        ).all()
    for model, digest, grant in found:
        if SignedGrant.parse(grant).line_grant.participants[0].columns == tuple(columns):
            return StartingModel(digest, LineNetwork.from_bytes(model))
    return None


def adopted_models(db: Engine) -> Sequence[dict[str, Any]]:
    """Return the models that came of this node's lines, newest first."""
    with transaction(db) as session:
        rows = session.scalars(select(LineModelRow).order_by(LineModelRow.adopted_at.desc(), LineModelRow.digest)).all()
        return [
            {
                "at": row.adopted_at,
                "model": row.digest[:16],
                "target": row.target,
                "run": row.run_id,
                "bytes": len(row.document),
            }
            for row in rows
        ]


@dataclass(frozen=True)
class Evidence:
    """What the node's own training gave: logits float32 [people], the model to keep, and how it started."""

    logits: Float32Array
    model: bytes
    start: Literal["nothing", "line"]


def train_evidence(
    features: Float32Array,
    target: Float32Array,
    train_rows: npt.NDArray[np.int64],
    settings: TrainingSettings,
    start: StartingModel | None,
) -> Evidence:
    """Return this node's evidence: trained on top of the line's logit, or from nothing where there is no line that holds.

    The line's logit is an offset that stays; what is trained is the region's own correction, nothing at first. Measured for
    regions of 700 and of 30,000 people: better than from nothing, than the line alone, and than a choice between them on a fold
    of the own bits, which are too noisy for it.
    """
    offset = None if start is None else moved_to_base_rate(start.logits(features), target, train_rows)
    if start is not None and offset is not None and line_holds(offset[train_rows], target[train_rows]):
        model = train_evidence_model(features, target, train_rows, settings, offset=offset)
        return Evidence(offset + model.predict(features), model.to_bytes() + start.network.to_bytes(), "line")
    model = train_evidence_model(features, target, train_rows, settings)
    return Evidence(model.predict(features), model.to_bytes(), "nothing")


def moved_to_base_rate(
    logits: Float32Array, target: Float32Array, train_rows: npt.NDArray[np.int64]
) -> Float32Array | None:
    """Return the line's logits of everybody, moved by one constant to the region's own base rate; None if they are no numbers.

    The line knows the level of all regions together; a region's own level is in its bits. Whatever constant a line came with, it
    has no effect: it is neither held against the line nor kept in the evidence.
    """
    if not np.isfinite(logits).all() or float(np.abs(logits).max(initial=0.0)) > LARGEST_LOGIT:
        return None
    wanted = float(expit(base_rate_logit(float(target[train_rows].mean(dtype=np.float64)))))
    own = logits[train_rows].astype(np.float64)
    low, high = -2 * LARGEST_LOGIT, 2 * LARGEST_LOGIT
    for _ in range(60):
        # The mean of the probabilities grows with the constant, so halving the interval finds it.
        middle = (low + high) / 2
        low, high = (middle, high) if float(expit(own + middle).mean()) < wanted else (low, middle)
    return (logits + np.float32((low + high) / 2)).astype(np.float32)


def line_holds(logits: Float32Array, target: Float32Array) -> bool:
    """Return whether a line's logits are not clearly worse than the base rate alone, on the own bits.

    `logits`, at the region's own base rate, and `target`: float32 [own training rows]. The guard against a line model that was
    made to harm: its unbiased log loss may exceed that of the base rate alone by two standard errors. It finds what harms
    plainly, and less in small regions: of lines with their sign turned, 7 to 57 in 100 passed in regions of 700 people and
    none in a region of 30,000. The bits are those that the line was trained on too, and members of a household share one.
    """
    base = base_rate_logit(float(target.mean(dtype=np.float64)))
    difference = _losses(logits, target) - _losses(np.full(len(target), base, np.float32), target)
    error = float(difference.std()) / max(1.0, len(difference)) ** 0.5
    return bool(float(difference.mean()) <= 2 * error)


def _losses(logits: Float32Array, target: Float32Array) -> npt.NDArray[np.float64]:
    """Return the log loss of each row against its debiased label, float64 [rows]: unbiased for the loss against the true one."""
    values = logits.astype(np.float64)
    return np.logaddexp(0.0, values) - target.astype(np.float64) * values
