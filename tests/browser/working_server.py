"""A coordinator behind TLS with everything that `operation.py` puts into it, for tests in a browser."""

import sys
import time
from pathlib import Path

sys.path[:0] = [
    str(Path(__file__).parents[1] / "coordinator"),
    str(Path(__file__).parents[1] / "coordinator" / "console"),
]

from console_server import Clock, ConsoleServer
from coordinator_world import DEPARTMENTS, START_S, Keys, World
from operation import Operation

from coordinator.config import CoordinatorConfig
from coordinator.installation import API_KEY_FILE, APPROVAL_KEY_FILE, REVOCATION_KEY_FILE


def working_server(home: Path) -> ConsoleServer:
    """Return a coordinator at work. `prepared` is its `Operation`, whose world sends more."""
    clock = Clock()
    clock.advance(START_S - time.time())
    officer = home / "officer"

    def prepare(config: CoordinatorConfig) -> Operation:
        api, approval, second, revocation = (
            bytes.fromhex((officer / name).read_text())
            for name in (API_KEY_FILE, APPROVAL_KEY_FILE, f"approver-2/{APPROVAL_KEY_FILE}", REVOCATION_KEY_FILE)
        )
        keys = {name: Keys() for name in DEPARTMENTS}
        world = World(config, api, approval, keys, second, revocation, now=START_S)
        operation = Operation(world).everything()
        clock.advance(world.now - clock())
        return operation

    return ConsoleServer(home, prepare, clock)
