"""Which cells of a published table are too small to show, and which others would give them away.

The rule of the design: a minimum cell of 10 for every count and metric that leaves the lead. A count or rate is hidden when
fewer than the minimum stand behind it or behind its complement; where hidden groups of one partition could be computed by
subtracting the shown ones from the published total, more are hidden (complementary suppression; Hundepool et al., Statistical
Disclosure Control, 2012, chapter 4).

Not searched, because no table could be shown otherwise: differences between partitions of the same households, and between
the tops of one group (found in the first 10 % less found in the first 5 %). Pure: numpy only.
"""

import numpy as np
import numpy.typing as npt


def is_small(counts: npt.NDArray[np.int64], minimum_cell: int) -> npt.NDArray[np.bool_]:
    """Return for each group whether one of its counts is below `minimum_cell`; `counts`: int64 [groups, counts]."""
    return np.asarray((counts < minimum_cell).any(axis=1))


def hidden_groups(
    counts: npt.NDArray[np.int64], minimum_cell: int, already_hidden: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.bool_]:
    """Return which groups of one partition must not be shown: bool [groups].

    `counts`: int64 [groups, counts], for example households in need and others; the columns' totals are taken as public.
    Small groups are hidden, and those of `already_hidden`; then, as long as one hidden group stands alone or the hidden ones
    together are small (their total follows by subtraction), the smallest group that is still shown is hidden too.
    """
    hidden = is_small(counts, minimum_cell)
    if already_hidden is not None:
        hidden |= already_hidden
    by_size = np.argsort(counts.sum(axis=1), kind="stable")
    while hidden.any() and not hidden.all():
        together = counts[hidden].sum(axis=0)
        if hidden.sum() > 1 and not (together < minimum_cell).any():
            break
        hidden[by_size[~hidden[by_size]][0]] = True
    return hidden
