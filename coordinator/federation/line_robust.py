"""Averages that resist single bad updates, by Flower's own strategies: `median` and `krum`. For lines without masks only.

FedMedian (Yin et al. 2018, arXiv:1803.01498) and Krum (Blanchard et al. 2017, arXiv:1703.02757) as they are in flwr 1.41;
only their aggregation is called, which needs no grid. They see every update by itself, so under masks they are impossible.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, Metadata, MetricRecord, RecordDict
from flwr.app.message import make_message
from flwr.serverapp.strategy import FedMedian, Krum

from coordinator.federation.flower_engine import require_flower
from crypto.errors import DoudiError
from policies.contracts.line_grant import LineAggregation

_ARRAY, _WEIGHT, _TYPE = "update", "num-examples", "train"


def robust_average(
    method: Literal["median", "krum"], updates: Mapping[str, npt.NDArray[np.float32]], malicious: int = 0
) -> npt.NDArray[np.float64]:
    """Return one update in the place of all, float64 [parameters]; every update counts the same.

    `updates`: finite vectors of one length, by department. `median`: per coordinate; resists fewer than half. `krum`: the one
    update that is closest to its n − `malicious` − 2 nearest; resists `malicious` when n ≥ 2 · `malicious` + 3.
    Raises `line.no_average`, or `flower.unexpected_version`.
    """
    require_flower()
    strategy: Any = FedMedian() if method == "median" else Krum(num_malicious_nodes=malicious)
    replies = [_reply(number, updates[name]) for number, name in enumerate(sorted(updates), start=1)]
    arrays, _ = strategy.aggregate_train(1, replies)
    if arrays is None:
        raise DoudiError("line.no_average", "there is no update to aggregate")
    return np.asarray(arrays[_ARRAY].numpy(), np.float64)


def fewest_updates(terms: LineAggregation) -> int:
    """Return how many updates the method needs to keep what it promises."""
    return max(terms.min_survivors, 2 * terms.krum_malicious + 3 if terms.method == "krum" else 0)


def _reply(number: int, update: npt.NDArray[np.float32]) -> Any:
    # float64, because Flower takes distances as |x|² + |y|² − 2xy, which loses what float32 has.
    content = RecordDict(
        {
            "arrays": ArrayRecord({_ARRAY: Array(update.astype(np.float64))}),
            "metrics": MetricRecord({_WEIGHT: 1.0}),
        }
    )
    # Not `Message(...)`: that asks for the process' task identity, which belongs to the messages that really travel.
    metadata = Metadata(
        run_id=0,
        message_id=str(number),
        src_node_id=number,
        dst_node_id=1,
        reply_to_message_id="",
        group_id="",
        created_at=0.0,
        ttl=1.0,
        message_type=_TYPE,
    )
    return make_message(metadata=metadata, content=content)
