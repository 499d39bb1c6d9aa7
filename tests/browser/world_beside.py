"""The world of `coordinator_world` beside a coordinator that a browser looks at: it sends what nodes and officers send."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from console_server import Clock, ConsoleServer
from coordinator_world import DEPARTMENTS, START_S, Keys, World
from opened_records import Auditor

from coordinator.config import CoordinatorConfig
from coordinator.installation import API_KEY_FILE, APPROVAL_KEY_FILE, REVOCATION_KEY_FILE
from coordinator.ledger.founding_auditor import FOLDER as FOUNDING_AUDITOR


class WorldBeside(World):
    """The world, sending from a thread of its own: in the tests' thread the browser's event loop is running."""

    def raw(self, *arguments: Any, **options: Any) -> httpx.Response:
        """Send as the world does."""
        with ThreadPoolExecutor(1) as beside:
            return beside.submit(super().raw, *arguments, **options).result()


def server_beside(home: Path, fill: Callable[[World], object]) -> ConsoleServer:
    """Return a coordinator whose time begins with the world's. `prepared` is what `fill` makes of its world.

    The browser's pages show the time at which the world stands when it is filled.
    """
    clock = Clock()
    clock.advance(START_S - time.time())
    officer = home / "officer"

    def prepare(config: CoordinatorConfig) -> object:
        api, approval, second, revocation = (
            bytes.fromhex((officer / name).read_text())
            for name in (API_KEY_FILE, APPROVAL_KEY_FILE, f"approver-2/{APPROVAL_KEY_FILE}", REVOCATION_KEY_FILE)
        )
        keys = {name: Keys() for name in DEPARTMENTS}
        auditor = Auditor.in_folder(officer / FOUNDING_AUDITOR)
        world = WorldBeside(config, api, approval, keys, second, revocation, now=START_S, auditor=auditor)
        filled = fill(world)
        clock.advance(max(0.0, world.now - clock()))
        return filled

    return ConsoleServer(home, prepare, clock)
