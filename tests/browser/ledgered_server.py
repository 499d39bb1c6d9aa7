"""A coordinator behind TLS with everything that `ledgered.py` puts into its ledger, for tests in a browser."""

from pathlib import Path

from console_server import ConsoleServer
from ledgered import Ledgered
from world_beside import server_beside


def ledgered_server(home: Path) -> ConsoleServer:
    """Return a coordinator whose ledger is at work. `prepared` is its `Ledgered`, whose world sends more."""
    return server_beside(home, lambda world: Ledgered(world).everything())
