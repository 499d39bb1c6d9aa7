"""Evidence as one of at most 32 levels, or as the integer code of the sum-only mode.

A level is all that leaves a department about a person. Its edges come from the department's own training rows and every
level holds at least 50 of them, so that a level never stands for a few people only. Pure: no files, no network.
"""

import math

import numpy as np
import numpy.typing as npt

from crypto.errors import DoudiError

Float64Array = npt.NDArray[np.float64]

LARGEST_SUM_ONLY_CODE = 16
_LARGEST_LEVELS = 256
_SUM_ONLY_STEPS_PER_LOGIT = 4.0
_LOWEST_BASE_RATE, _HIGHEST_BASE_RATE = 0.02, 0.98
# Equal rows in different batches of a matrix product differ in the last bits of a float32. Values nearer than this count as
# tied, so that no edge runs between them and people with equal columns always get equal levels.
_TIE_WIDTH = 1e-5
# What a number of the sum-only mode may tell about one person, were it seen alone.
SUM_BITS_PER_PERSON = math.ceil(math.log2(2 * LARGEST_SUM_ONLY_CODE + 1))


def level_bits(levels: int) -> int:
    """Return how many bits one of so many levels tells about a person at most, rounded up; at least 1."""
    return max(1, math.ceil(math.log2(max(2, levels))))


def fit_level_edges(
    train_evidence: npt.NDArray[np.float32], levels: int = 32, minimum_people: int = 50
) -> Float64Array:
    """Return the increasing edges between levels: float64 [at most levels − 1], one fewer than there are levels.

    `train_evidence`: float32 [n], logits of the department's own training people. The edges follow the quantiles; where ties
    or small numbers leave fewer than `minimum_people` in a level, it joins the next, so every level has at least that many
    training people. Fixed per model version: new edges would let two releases be compared.

    Raises `DoudiError` `evidence.too_few_people` when not even one level has `minimum_people`, and `evidence.not_finite`.
    """
    if not 2 <= levels <= _LARGEST_LEVELS or minimum_people < 1:
        raise DoudiError("evidence.bad_levels", f"levels is {levels}, expected 2 to {_LARGEST_LEVELS}")
    people = len(train_evidence)
    if people < minimum_people:
        raise DoudiError(
            "evidence.too_few_people",
            f"{people} training people, expected at least {minimum_people}",
            "A region this small cannot send evidence: leave the department out of the grant.",
        )
    ordered = np.sort(_finite(train_evidence))
    # A cut at position i puts the first i people below it; only positions between values that are not tied can be cuts.
    possible_cuts = np.flatnonzero(np.diff(ordered) > _TIE_WIDTH) + 1
    cuts: list[int] = []
    below = 0
    for levels_left in range(levels, 1, -1):
        # What a tie took from the levels above it is shared anew among those that are left.
        wanted = below + max(minimum_people, round((people - below) / levels_left))
        found = int(np.searchsorted(possible_cuts, wanted))
        if found == len(possible_cuts) or people - possible_cuts[found] < minimum_people:
            break
        below = int(possible_cuts[found])
        cuts.append(below)
    positions = np.asarray(cuts, np.int64)
    edges: Float64Array = (ordered[positions - 1] + ordered[positions]) / 2
    return edges


def to_levels(evidence: npt.NDArray[np.float32], edges: Float64Array) -> npt.NDArray[np.uint8]:
    """Return the level of each person: uint8 [people], the number of edges below the evidence (0 = least need)."""
    return np.searchsorted(edges, _finite(evidence), side="left").astype(np.uint8)


def base_rate_level(target_mean: float, edges: Float64Array) -> int:
    """Return the level sent for a slot that the department does not hold: that of its base rate.

    `target_mean`: mean of the debiased target over its training people, clipped to 0.02–0.98 (a debiased mean may lie
    outside 0 to 1). The lead then cannot tell from one cell whether the department holds the person, only that the cell is
    at this level, which held people share.
    """
    return int(np.searchsorted(edges, base_rate_logit(target_mean), side="left"))


def base_rate_logit(target_mean: float) -> float:
    """Return the logit of the base rate, clipped to 0.02–0.98: the evidence of a person about whom nothing is known."""
    if not math.isfinite(target_mean):
        raise DoudiError("evidence.not_finite", "the base rate is not finite", "Check that the label release arrived.")
    rate = min(max(target_mean, _LOWEST_BASE_RATE), _HIGHEST_BASE_RATE)
    return math.log(rate / (1 - rate))


def sum_only_code(evidence: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Return the integer that enters the masked sum: clip(round(4·f), ±16), int16 [people], in quarters of a logit."""
    steps = np.rint(_SUM_ONLY_STEPS_PER_LOGIT * _finite(evidence))
    return np.clip(steps, -LARGEST_SUM_ONLY_CODE, LARGEST_SUM_ONLY_CODE).astype(np.int16)


def _finite(evidence: npt.NDArray[np.float32]) -> Float64Array:
    if not np.isfinite(evidence).all():
        raise DoudiError("evidence.not_finite", "evidence is not finite", "Train the evidence model again.")
    return evidence.astype(np.float64)
