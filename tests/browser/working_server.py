"""A coordinator behind TLS with everything that `operation.py` puts into it, for tests in a browser."""

from pathlib import Path

from console_server import ConsoleServer
from operation import Operation
from world_beside import server_beside


def working_server(home: Path) -> ConsoleServer:
    """Return a coordinator at work. `prepared` is its `Operation`, whose world sends more."""
    return server_beside(home, lambda world: Operation(world).everything())
