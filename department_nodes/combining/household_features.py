"""From people to households: the inputs of the lead's need model. Pure: numpy only."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from crypto.errors import DoudiError

Float32Array = npt.NDArray[np.float32]

OWN_COLUMNS = "own_columns"


def by_household(
    values: npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]],
    household: npt.NDArray[np.int64],
    households: int,
) -> Float32Array:
    """Return the mean, the maximum and the minimum over each household's members: float32 [households, 3k].

    `values`: [people, k], any number type; nan in a member makes that statistic nan. `household`: int64 [people], each from
    0 to `households` − 1. All means come first, then all maxima, then all minima. The order of people does not matter.

    Raises `DoudiError` `combining.bad_households` when a household has no member or an index is out of range.
    """
    if values.ndim != 2 or len(values) != len(household) or households < 1:
        raise _bad_households(f"values {values.shape}, household index [{len(household)}], {households} households")
    order = np.argsort(household, kind="stable")
    ordered_household = household[order]
    starts = np.flatnonzero(np.diff(ordered_household, prepend=-1))
    if not np.array_equal(ordered_household[starts], np.arange(households)):
        raise _bad_households("a household has no member, or an index is out of range")
    members = np.diff(starts, append=len(household))
    ordered = values[order].astype(np.float32)
    # Sums of float32 over a handful of members are exact enough; float64 would double the memory of a large region.
    mean = np.add.reduceat(ordered, starts, axis=0) / members[:, None].astype(np.float32)
    return np.concatenate(
        [mean, np.maximum.reduceat(ordered, starts, axis=0), np.minimum.reduceat(ordered, starts, axis=0)], axis=1
    )


def household_inputs(
    evidence: Mapping[str, npt.NDArray[np.integer[Any]] | None],
    own_columns: Float32Array,
    household: npt.NDArray[np.int64],
    households: int,
) -> tuple[Float32Array, tuple[str, ...]]:
    """Return the need model's inputs, float32 [households, 3 × (departments + own width)], and the group of each column.

    `evidence`: per department the levels of the lead's people, [people], or None for a department that failed: its
    block is nan, so that the same model and the same explanation stand with one input missing. In sum-only mode there is one
    entry, the sum. `own_columns`: the lead's encoded columns, float32 [people, own width].
    The group is the department's name, or `OWN_COLUMNS`.
    """
    blocks, groups = [], list[str]()
    for department, levels in evidence.items():
        if levels is None:
            blocks.append(np.full((households, 3), np.nan, np.float32))
        else:
            blocks.append(by_household(levels[:, None], household, households))
        groups += [department] * 3
    blocks.append(by_household(own_columns, household, households))
    groups += [OWN_COLUMNS] * blocks[-1].shape[1]
    return np.concatenate(blocks, axis=1), tuple(groups)


def _bad_households(reason: str) -> DoudiError:
    return DoudiError("combining.bad_households", reason, "Check the lead's register with `doudi node check`.")
