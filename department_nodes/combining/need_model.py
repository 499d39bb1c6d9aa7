"""The lead's need model: gradient boosting over evidence levels and own columns, calibrated.

The lead trains it on its own node with its own exact labels, so nothing is charged to ε. Scores only ever add households to a
caseworker's list. Pure: numpy and sklearn; the model lives in memory for one run and is never stored as a pickle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from crypto.errors import DoudiError

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

_SMALLEST_FOLD = 20


@dataclass(frozen=True)
class CombinerSettings:
    """How the need model is trained; measured defaults.

    Each of the `folds` models sees all folds but one; their mean is the need model, and the fold that a model has not seen
    calibrates it. So calibration costs no training data, and the mean is better than one model on everything (Kentucky and
    two other states: AUC +0.0015 over one model of 200 trees). `seed` deals the folds and columns; it protects nothing.
    """

    folds: int = 4
    iterations: int = 75
    learning_rate: float = 0.12
    max_leaf_nodes: int = 15
    l2_regularization: float = 1.0
    share_of_columns_per_split: float = 0.3
    seed: int = 1


@dataclass(frozen=True)
class NeedModel:
    """A trained need model: the mean logit of its fold models, scaled and shifted by the calibration.

    `groups` names the player of each input column: a department, or the lead's own columns. `reference`: float64 [k], the
    median of each input over the training households: the published household that explanations compare with. It is made
    up column by column and need not exist.
    """

    groups: tuple[str, ...]
    reference: Float64Array
    slope: float
    intercept: float
    _known_columns: npt.NDArray[np.int64]
    _fold_models: tuple[Any, ...]

    @classmethod
    def train(
        cls,
        features: Float32Array,
        labels: npt.NDArray[np.uint8],
        train_mask: npt.NDArray[np.bool_],
        groups: Sequence[str],
        settings: CombinerSettings = CombinerSettings(),
        on_progress: Callable[[int, int], None] | None = None,
    ) -> "NeedModel":
        """Return the need model trained on the households of `train_mask`.

        `features`: float32 [households, k], nan where a department is missing. `labels`: uint8 [households], exact, 1 = in
        need. `train_mask`: bool [households], False for held-out ones. `groups`: k names, column → department.
        `on_progress` is called with (folds done, folds).

        Raises `DoudiError` `combining.wrong_length`, `combining.too_few_households`, `combining.one_class` or
        `combining.no_inputs`.
        """
        if (
            features.ndim != 2
            or not len(features) == len(labels) == len(train_mask)
            or features.shape[1] != len(groups)
        ):
            raise DoudiError(
                "combining.wrong_length",
                f"features {features.shape}, labels [{len(labels)}], mask [{len(train_mask)}], {len(groups)} groups",
            )
        train_features, train_labels = features[train_mask], labels[train_mask]
        if len(train_labels) < settings.folds * _SMALLEST_FOLD:
            raise DoudiError(
                "combining.too_few_households",
                f"{len(train_labels)} training households, expected at least {settings.folds * _SMALLEST_FOLD}",
                "Choose a larger region.",
            )
        if min(np.bincount(train_labels, minlength=2)) < settings.folds:
            raise DoudiError("combining.one_class", "hardly any household differs in the target", "Check the target.")
        # The learner bins a column by the values it has, so a department that is missing everywhere is left out.
        known_columns = np.flatnonzero(~np.isnan(train_features).all(axis=0))
        if len(known_columns) == 0:
            raise DoudiError("combining.no_inputs", "no department's evidence and no own column is there")
        fold = _deal_folds(train_labels, settings)
        inputs = train_features[:, known_columns]
        out_of_fold = np.empty(len(train_labels))
        fold_models = []
        for number in range(settings.folds):
            seen = fold != number
            model = _boosting(settings, number)
            # Its threads wait for each other after every histogram: beside other processes on the same cores, two were 10
            # times slower than one (measured: 265 s against 23 s for 119,000 households). And scikit-learn 1.9 resets
            # the process' warning filters from several threads at once, which can lose them for good.
            with threadpool_limits(1, user_api="openmp"):
                model.fit(inputs[seen], train_labels[seen])
            out_of_fold[~seen] = model.decision_function(inputs[~seen])
            fold_models.append(model)
            if on_progress is not None:
                on_progress(number + 1, settings.folds)
        slope, intercept = _platt(out_of_fold, train_labels)
        reference = np.full(features.shape[1], np.nan)
        reference[known_columns] = np.nanmedian(inputs, axis=0)
        return cls(tuple(groups), reference, slope, intercept, known_columns, tuple(fold_models))

    @property
    def players(self) -> tuple[str, ...]:
        """The groups in the order of their first column: the players of an explanation."""
        return tuple(dict.fromkeys(self.groups))

    def predict_logit(self, features: npt.NDArray[np.floating[Any]]) -> Float64Array:
        """Return the calibrated logit of need: float64 [households]."""
        if len(features) == 0:
            return np.zeros(0)
        # The learner computes in float64: converting once here, not in each fold model, saves a copy per fold.
        known = features[:, self._known_columns].astype(np.float64, copy=False)
        raw = np.zeros(len(features))
        for model in self._fold_models:
            raw += model.decision_function(known)
        logit: Float64Array = self.slope * raw / len(self._fold_models) + self.intercept
        return logit

    def predict_probability(self, features: npt.NDArray[np.floating[Any]]) -> Float64Array:
        """Return the calibrated probability of need: float64 [households]."""
        probability: Float64Array = 1 / (1 + np.exp(-self.predict_logit(features)))
        return probability


def _boosting(settings: CombinerSettings, fold: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=settings.iterations,
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.max_leaf_nodes,
        l2_regularization=settings.l2_regularization,
        max_features=settings.share_of_columns_per_split,
        early_stopping=False,
        random_state=settings.seed + fold,
    )


def _deal_folds(labels: npt.NDArray[np.uint8], settings: CombinerSettings) -> npt.NDArray[np.int64]:
    """Return each household's fold; households in need and others are dealt apart, so that each fold has its part of both."""
    generator = np.random.default_rng(settings.seed)
    fold = np.empty(len(labels), np.int64)
    for label in (0, 1):
        rows = generator.permutation(np.flatnonzero(labels == label))
        fold[rows] = np.arange(len(rows)) % settings.folds
    return fold


def _platt(logit: Float64Array, labels: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Return slope and intercept of the logistic calibration (Platt 1999) of out-of-fold logits."""
    fitted = LogisticRegression(C=1e6).fit(logit[:, None], labels)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
