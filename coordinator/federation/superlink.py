"""The SuperLink as Doudi runs it: `python -m coordinator.federation.superlink`.

One application, two TLS listeners: everything on loopback for the coordinator, the Fleet interface alone for
departments (`fleet_border`). Node authentication is on, ServerApps run outside (process isolation), nothing is
installed at run time.

Uses internals of flwr 1.41.0 (`create_app`, its configuration and lifespan) because `flower-superlink` opens one port
for everything. The database holds task tokens and ciphertext of runs: readable by this account only.
"""

import argparse
import asyncio
import logging
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from flwr.common.constant import (
    FLWR_INTERNAL_GRPC_CONTROL_API,
    FLWR_INTERNAL_GRPC_FLEET_API,
    ISOLATION_MODE_PROCESS,
    TRANSPORT_TYPE_GRPC_RERE,
)
from flwr.supercore.http_logging import get_uvicorn_log_config
from flwr.supercore.logger import FLOWER_LOGGER, configure_superlink_log_file, console_handler
from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
from flwr.superlink.config_loader import SuperLinkLifespanConfig, load_control_authn_plugin
from flwr.superlink.main import create_app

from coordinator.federation.fleet_border import FleetBorder
from coordinator.federation.flower_engine import require_flower
from crypto.errors import DoudiError

LOOPBACK = "127.0.0.1"
SHUTDOWN_S = 3


@dataclass(frozen=True)
class SuperLinkSettings:
    """What a SuperLink needs. The certificate must name both the public host and 127.0.0.1."""

    api_port: int
    fleet_host: str
    fleet_port: int
    tls_cert: Path
    tls_key: Path
    tls_ca: Path
    database: Path
    superexec_secret_file: Path
    log_file: Path | None = None


def run_superlink(settings: SuperLinkSettings) -> None:
    """Serve until SIGTERM or SIGINT, then return; requests under way get three seconds.

    Raises `superlink.port_in_use`, `superlink.bad_settings` or `flower.unexpected_version`.
    """
    require_flower()
    configuration = _configuration(settings)
    os.umask(0o077)
    # Flower's older gRPC interfaces would listen on all addresses if these were inherited.
    os.environ.pop(FLWR_INTERNAL_GRPC_CONTROL_API, None)
    os.environ.pop(FLWR_INTERNAL_GRPC_FLEET_API, None)
    if settings.log_file is not None:
        configure_superlink_log_file(filename=str(settings.log_file), interval_hours=24, backup_count=7)
    FLOWER_LOGGER.addFilter(_CodesOnly())
    application = create_app(configuration, SuperLinkLifespan)
    tls = {"ssl_certfile": str(settings.tls_cert), "ssl_keyfile": str(settings.tls_key)}
    inside = _listener(application, lifespan="on", **tls)
    outside = _listener(FleetBorder(application), lifespan="off", **tls)
    asyncio.run(
        _serve(
            (inside, _bound_socket(LOOPBACK, settings.api_port)),
            (outside, _bound_socket(settings.fleet_host, settings.fleet_port)),
        )
    )


def _configuration(settings: SuperLinkSettings) -> Any:
    try:
        secret = settings.superexec_secret_file.read_bytes()
        certificates = tuple(path.read_bytes() for path in (settings.tls_ca, settings.tls_cert, settings.tls_key))
    except OSError as error:
        raise DoudiError(
            "superlink.bad_settings", f"a certificate or secret cannot be read: {error.strerror}"
        ) from None
    if len(secret) < 32:
        raise DoudiError("superlink.bad_settings", "the superexec secret is shorter than 32 bytes")
    return SuperLinkLifespanConfig(
        control_address="",
        health_server_address=None,
        host=LOOPBACK,
        port=settings.api_port,
        insecure=False,
        certificates=certificates,
        superexec_auth_secret=secret,
        authn_plugin=load_control_authn_plugin(),
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=True,
        fleet_api_type=TRANSPORT_TYPE_GRPC_RERE,
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=str(settings.tls_ca),
        ssl_certfile=str(settings.tls_cert),
        ssl_keyfile=str(settings.tls_key),
        database=str(settings.database),
        isolation=ISOLATION_MODE_PROCESS,
        runtime_dependency_install=False,
    )


class _CodesOnly(logging.Filter):
    """Cuts Flower's log of a refused request after its code: the text behind it holds keys and identifiers."""

    REFUSAL = re.compile(r"\[/[a-z0-9/-]+\]\[ApiError:\d+\]")

    def filter(self, record: logging.LogRecord) -> bool:
        found = self.REFUSAL.match(record.getMessage())
        if found is not None:
            record.msg, record.args = found.group(), ()
        return True


class _Listener(uvicorn.Server):
    """A uvicorn server that leaves signals alone: two of them share one process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listener(application: Any, **options: Any) -> _Listener:
    return _Listener(
        uvicorn.Config(
            application,
            log_config=get_uvicorn_log_config(console_handler.level),
            access_log=False,
            # Headers of a proxy are believed by nobody here, and nothing speaks WebSocket.
            proxy_headers=False,
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
            **options,
        )
    )


async def _serve(*listeners: tuple[_Listener, socket.socket]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server, _ in listeners:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    tasks = []
    for server, bound in listeners:
        task = asyncio.create_task(server.serve(sockets=[bound]))
        tasks.append(task)
        # The first listener owns the start-up of the application; departments are let in after it.
        while not server.started and not task.done():
            await asyncio.sleep(0.02)
    # Either listener's end is the end of both: half a SuperLink helps nobody.
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    stop()
    await asyncio.gather(*tasks)


def _bound_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise DoudiError("superlink.port_in_use", f"port {port} cannot be used: {error.strerror}") from None
    return bound


def _arguments() -> SuperLinkSettings:
    parser = argparse.ArgumentParser(prog="python -m coordinator.federation.superlink", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--api-port", type=int, required=True, help="loopback: Control, Runtime and Fleet")
    parser.add_argument("--fleet-host", required=True, help="address that departments connect to")
    parser.add_argument("--fleet-port", type=int, required=True, help="Fleet interface and health check only")
    parser.add_argument("--tls-cert", type=Path, required=True, help="PEM; names the public host and 127.0.0.1")
    parser.add_argument("--tls-key", type=Path, required=True)
    parser.add_argument("--tls-ca", type=Path, required=True)
    parser.add_argument("--database", type=Path, required=True, help="SQLite file; keeps runs over a restart")
    parser.add_argument("--superexec-secret-file", type=Path, required=True, help="at least 32 random bytes")
    parser.add_argument("--log-file", type=Path)
    return SuperLinkSettings(**vars(parser.parse_args()))


def main() -> None:
    """Run from the command line; exit code 2 for settings that cannot work."""
    settings = _arguments()
    try:
        run_superlink(settings)
    except DoudiError as error:
        raise SystemExit(f"{error}") from None


if __name__ == "__main__":
    main()
