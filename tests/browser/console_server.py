"""The real coordinator behind TLS on a free port of 127.0.0.1, with one person of each role, for tests in a browser."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from console_people import ROLES, Person, enrolled, session_token

from coordinator.app import create_app
from coordinator.config import CoordinatorConfig
from coordinator.context import AppContext
from coordinator.installation import Installation, install

START_TIMEOUT_S = 30
# Cheap, but within what the configuration allows: tests sign in often.
CHEAP_PASSWORDS = {"password_memory_kib": 19_456, "password_passes": 2}


class Clock:
    """The time of the host, which a test can put forward: a code of the second factor counts once in 30 seconds."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead_s

    def advance(self, seconds: float) -> None:
        self._ahead_s += seconds


@dataclass
class ConsoleServer:
    """A coordinator in a thread. `people`: by role. `prepare`: what is done to it before anybody is enrolled."""

    home: Path
    prepare: Callable[[CoordinatorConfig], object] | None = None
    clock: Clock = field(default_factory=Clock)
    people: dict[str, Person] = field(default_factory=dict)

    def __post_init__(self) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        self.url = f"https://127.0.0.1:{port}"
        config = _installed(self.home, port)
        self.app = create_app(config, clock=self.clock, register_flower_node=lambda _name, _key: None)
        self.context: AppContext = self.app.state.context
        self.prepared = self.prepare(config) if self.prepare is not None else None
        for role, party in ROLES.items():
            self.people[role] = enrolled(self.context, role.replace("_", "-"), party, role)
        settings = uvicorn.Config(
            self.app,
            ssl_certfile=str(config.path(config.tls_certificate_file)),
            ssl_keyfile=str(config.path(config.tls_key_file)),
            access_log=False,
            log_level="warning",
            ws="none",
            server_header=False,
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the coordinator did not start")
            time.sleep(0.02)

    def session_cookie(self, role: str) -> dict[str, Any]:
        """Return the cookie of a new session of the role's person, as a browser's context takes it."""
        token = session_token(self.context, self.people[role])
        attributes = {"path": "/", "secure": True, "httpOnly": True, "sameSite": "Strict"}
        return {"name": "__Host-doudi", "value": token, "domain": "127.0.0.1", **attributes}

    def close(self) -> None:
        """End the server and wait for it."""
        self._server.should_exit = True
        self._thread.join(START_TIMEOUT_S)


def _installed(home: Path, port: int) -> CoordinatorConfig:
    installation = Installation(
        home=home / "coordinator",
        officer_home=home / "officer",
        hosts=["127.0.0.1"],
        listen="127.0.0.1",
        api_port=port,
        fleet_port=9092,
        superlink_api_port=9091,
        step_timeout_s=900,
        further_approvers=1,
    )
    config = install(installation, int(time.time()))
    accounts = config.accounts.model_copy(update=CHEAP_PASSWORDS)
    return config.model_copy(update={"accounts": accounts}).at_home(installation.home)


def fresh_code(console: ConsoleServer, role: str) -> str:
    """Return a code of the second factor that was not used yet."""
    console.clock.advance(30)
    return console.people[role].code(console.clock())
