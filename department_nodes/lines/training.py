"""What a node computes in a line: budget first, then one private update of the model that was sent out.

The order of an update: the plan is reserved, the round is charged (durable), then the first step is trained; a crash in between
keeps the charge. Everything that decides privacy comes from the signed grant, never from the request.
"""

import math
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from sqlalchemy import Engine

from crypto import discrete_gaussian, fixed_point
from crypto.errors import DoudiError
from department_nodes.lines.budgets import budget_account
from department_nodes.lines.costs import planned_round
from department_nodes.lines.released_bits import find_released_bits
from department_nodes.privacy.budget import BudgetAccount
from department_nodes.privacy.plans import Plan
from department_nodes.privacy.randomness import NoiseSource, require_protecting
from department_nodes.steps.context import AdoptedModel, StepContext
from department_nodes.steps.linkage import rows_digest
from department_nodes.store.vault import Vault
from department_nodes.training.dp_sgd import DpSgdSpec, clipped_gradient_sum, train_local
from department_nodes.training.line_model import LineNetwork, LineShape
from policies.contracts.line_grant import FRACTION_BITS, SHARE_SIGMA_BITS, LineGrant, distributed_scale
from policies.standards.model_loader import load_model_standard

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LineData:
    """What a line trains on at this node: `features` float32 [people, width], `target` float32 [people], `rows` int64."""

    features: FloatArray
    target: FloatArray
    rows: npt.NDArray[np.int64]


@dataclass
class LineTrainer:
    """Trains for one department's lines. Keeps the encoded features of the run in memory between its rounds."""

    db: Engine
    vault: Vault
    noise: NoiseSource
    _features: dict[tuple[str, int], tuple[bytes, FloatArray]] = field(default_factory=dict)

    def integer_update(self, context: StepContext, model: bytes) -> npt.NDArray[np.uint64]:
        """Return what goes under the masks, uint64 [parameters].

        Raises the budget's codes, `line.no_bits`, `line.malformed_model`, `fixed_point.not_finite`.
        """
        grant = context.request.line
        network = self._network(context, model)
        if grant.training.placement == "distributed":
            return self._noised_gradient(context, network)
        weight = context.request.manifest.offer(context.config.department).people
        delta = self._local_delta(context, network)
        return fixed_point.encode(delta, grant.aggregation.update_range, FRACTION_BITS, weight)

    def plain_update(self, context: StepContext, model: bytes) -> FloatArray:
        """Return a locally noised update as it is, float32 [parameters]: for the robust strategies, which must see each."""
        largest = context.request.line.aggregation.update_range
        return np.clip(self._local_delta(context, self._network(context, model)), -largest, largest)

    def final_model(self, context: StepContext, model: bytes) -> AdoptedModel:
        """Return the line's final model. Raises `line.malformed_model` for bytes that cannot be one."""
        network = self._network(context, model)
        manifest = context.request.manifest
        self._budget(context).settle(manifest.run_id, manifest.attempt)
        self._features.clear()
        return AdoptedModel(network.digest(), network.to_bytes())

    def prepare(self, context: StepContext) -> None:
        """Find the bits to train on, and reserve the attempt's whole plan once.

        Raises `line.no_bits` or `budget.exhausted` before a key is made or anything is trained.
        """
        manifest, training = context.request.manifest, context.request.line.training
        require_protecting(self.noise)
        self._training_data(context)
        budget = self._budget(context)
        if budget.is_reserved(manifest.run_id, manifest.attempt):
            return
        budget.reserve(
            Plan(
                run_id=manifest.run_id,
                attempt=manifest.attempt,
                project_id=context.request.project_id,
                grant_hash=context.request.grant_hash,
                # An attempt that goes on from a checkpoint needs the rounds that are left.
                rounds=training.rounds - context.request.round + 1,
                expires_at=manifest.expires_at,
                **asdict(planned_round(context.request.line)),
            )
        )

    def _budget(self, context: StepContext) -> BudgetAccount:
        return budget_account(self.db, context.config, context.now_s)

    def _charge(self, context: StepContext) -> None:
        manifest = context.request.manifest
        # The charge is durable from here: a crash after it repeats the training, and nothing had left before.
        self._budget(context).charge(manifest.run_id, manifest.attempt, context.request.round)

    def _local_delta(self, context: StepContext, network: LineNetwork) -> FloatArray:
        training = context.request.line.training
        data = self._training_data(context)
        self._charge(context)
        spec = DpSgdSpec(
            clip_norm=training.clip_norm,
            noise_multiplier=training.noise_multiplier,
            sample_rate=training.sample_rate,
            steps=training.local_steps,
            learning_rate=training.local_rate,
        )
        people = context.request.manifest.offer(context.config.department).people
        return train_local(network, data.features, data.target, data.rows, spec, people, self.noise)

    def _noised_gradient(self, context: StepContext, network: LineNetwork) -> npt.NDArray[np.uint64]:
        grant = context.request.line
        data = self._training_data(context)
        self._charge(context)
        total = clipped_gradient_sum(network, data.features, data.target, data.rows, grant.training.clip_norm)
        units = np.rint(-total * distributed_scale(grant)).astype(np.int64)
        return (units + discrete_gaussian.sample(len(units), SHARE_SIGMA_BITS)).view(np.uint64)

    def _training_data(self, context: StepContext) -> LineData:
        """Return encoded features, debiased bits and the unflagged rows.

        The features are kept until the run's last round. The bits are looked up in every round: a project that was left, or a
        grant that ended, ends their use at once.
        """
        key, grant = _key(context), context.request.line
        extract = context.extract.load()
        rows_of_people = rows_digest(extract)
        try:
            bits = find_released_bits(
                self.db, self.vault, context.config.department, grant, rows_of_people, context.now_s
            )
        except DoudiError:
            self._features.clear()
            raise
        if self._features.get(key, (b"", None))[0] != rows_of_people:
            # One run at a time: the features of an earlier one would only fill the memory.
            self._features.clear()
            self._features[key] = (rows_of_people, extract.features(context.request.me.columns))
        return LineData(self._features[key][1], bits.target, np.flatnonzero(~bits.held_out))

    def _width(self, context: StepContext) -> int:
        return context.extract.load().standard.encoded_width(context.request.me.columns)

    def _network(self, context: StepContext, offset: bytes) -> LineNetwork:
        """Return the published initial model moved by the offset that was sent out, which the granted rounds can reach."""
        training = context.request.line.training
        return start_network(
            training.model, training.model_version, self._width(context), offset, _reach(context.request.line)
        )


def start_network(model: str, version: int, width: int, offset: bytes, reach: float = math.inf) -> LineNetwork:
    """Return a published initial model, moved by an untrusted offset: float32 little-endian, empty for no move.

    Raises `line.malformed_model` for another length, a value that is not finite, or an L2 norm above `reach`.
    """
    standard = load_model_standard(model, version)
    shape = LineShape(width, standard.hidden_units)
    network = LineNetwork.initial(shape, bytes.fromhex(standard.initial_seed))
    if not offset:
        return network
    values = np.frombuffer(offset, "<f4") if len(offset) == 4 * shape.parameters else np.array([np.nan], np.float32)
    if not np.isfinite(values).all() or float(np.linalg.norm(values.astype(np.float64))) > reach:
        raise DoudiError("line.malformed_model", "the line's model has the wrong length, or is out of its bounds")
    return LineNetwork(shape, network.parameters + torch.from_numpy(values.astype(np.float32)))


def _reach(grant: LineGrant) -> float:
    """Return how far the granted rounds can move a model, with 1 % for rounding: a model beyond it was not trained by them."""
    aggregation = grant.aggregation
    step = aggregation.server_rate_milli / 1000 * aggregation.update_norm_milli / 1000
    return 1.01 * grant.training.rounds * step / (1 - aggregation.server_momentum_milli / 1000)


def _key(context: StepContext) -> tuple[str, int]:
    return context.request.manifest.run_id, context.request.manifest.attempt
