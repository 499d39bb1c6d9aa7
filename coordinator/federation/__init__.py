"""How the coordinator reaches departments: Flower carries opaque bytes, and nothing else of Flower is used.

Flower 1.41.0 is pinned. Its internals are touched only by `superlink`, `flower_control`, `flower_link`, `flower_engine` and
`shell_bundle`; `relay` and `exchange` know nothing of it.
"""

import os

# Flower reads these when it is first imported, so they are set before any module of this package can import it: the
# coordinator of a public authority reports to nobody and asks nobody for updates.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
