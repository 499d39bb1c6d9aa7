"""How a department's node is reached: a SuperNode that fetches messages, and a warm worker that answers them.

Flower 1.41.0 is pinned. Its internals are touched only by `supernode`, `worker` and `flower_engine`.
"""

import os

# Flower reads these when it is first imported, so they are set before any module of this package can import it.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
