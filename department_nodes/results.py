"""The lead's list: the households most likely in need, with members, probability and contributions. It stays on this host."""

from typing import Any

import numpy as np

from crypto.errors import DoudiError
from department_nodes.accounts_of_runs import result_arrays
from department_nodes.engine import NodeEngine


def top_households(engine: NodeEngine, run_id: str, top: str, mode: str = "") -> dict[str, Any]:
    """Return the list, most likely first: household, members' IDs, probability and each department's contribution.

    `top` is a share such as `10%` or a number of households. Raises `run.no_results` or `results.bad_share`.
    """
    from department_nodes.steps.combine import unpack_results

    arrays = unpack_results(result_arrays(engine, run_id))
    modes = [name for name in ("evidence", "sum_only") if f"{name}_probability" in arrays]
    chosen = mode or modes[0]
    if chosen not in modes:
        raise DoudiError("run.no_results", f"the run has no results of mode {chosen}", f"It has: {', '.join(modes)}.")
    probability = arrays[f"{chosen}_probability"]
    contributions = arrays[f"{chosen}_contributions"]
    players = [str(name) for name in arrays[f"{chosen}_players"]]
    listed = np.argsort(-probability, kind="stable")[: _count(top, len(probability))]
    by_household = np.argsort(arrays["household_of_row"], kind="stable")
    starts = np.searchsorted(arrays["household_of_row"][by_household], np.arange(len(probability) + 1))
    rows = [
        {
            "household": str(arrays["household"][index]),
            "members": [arrays["resident_id"][row].decode() for row in by_household[starts[index] : starts[index + 1]]],
            "probability": round(float(probability[index]), 6),
            "contributions": {
                name: round(float(value), 4) for name, value in zip(players, contributions[index], strict=True)
            },
        }
        for index in listed.tolist()
    ]
    return {"run_id": run_id, "mode": chosen, "households": len(probability), "rows": rows}


def _count(top: str, households: int) -> int:
    try:
        share = float(top[:-1]) / 100 if top.endswith("%") else float(top) / max(households, 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise DoudiError(
            "results.bad_share", f"--top is {top!r}", "Use a share such as 10%, or a number of households."
        )
    return max(1, round(share * households))
