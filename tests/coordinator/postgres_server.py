"""A real PostgreSQL server for tests, on a free port of 127.0.0.1, in a folder of its own. It can be stopped and started.

The server's programs come with Debian's `postgresql` and need no service of the system. Where there are none, a test that needs
them is skipped by the marker `needs_postgresql`, which says so.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from coordinator.db import tables as _tables  # noqa: F401 - all tables must be known before the migrations
from coordinator.db.session import open_engine, upgrade

_TEMPLATE = "template_of_tests"
_TIMEOUT_S = 60


def programs() -> Path | None:
    """Return the folder of the server's programs, the newest version's; `None` if there is none."""
    on_path = shutil.which("pg_ctl")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in found if (folder / "initdb").exists()), None)


needs_postgresql = pytest.mark.skipif(programs() is None, reason="no PostgreSQL server program on this machine")


class PostgresServer:
    """A server with one migrated, empty database, of which each test takes a copy. `durable`: commits reach the disk."""

    def __init__(self, durable: bool = False) -> None:
        found = programs()
        assert found is not None
        self._programs = found
        # The server refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="doudi-postgresql-"))
        self._databases = 0
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._options = (
            f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' "
            f"-c fsync={'on' if durable else 'off'} -c synchronous_commit=on -c max_connections=60"
        )
        self._call("initdb", "-D", self._data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8")
        self.start()
        self._sql(f"CREATE DATABASE {_TEMPLATE}")
        engine = open_engine(self.url(_TEMPLATE))
        upgrade(engine)
        engine.dispose()

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database of this server."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/{database}?connect_timeout=30"

    def new_database(self) -> str:
        """Return the address of a new, migrated, empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        self._sql(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.url(name)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = str(self._folder / "log")
        self._call("pg_ctl", "-D", self._data, "-w", "-l", log, "-o", self._options, "start")

    def stop(self) -> None:
        """End the server as a crash does: nothing is finished."""
        self._call("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def close(self) -> None:
        """End the server, if it runs, and remove all of it."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _sql(self, statement: str) -> None:
        engine = open_engine(self.url()).execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def _call(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            user=self._user,
            cwd=self._folder,
            check=True,
            timeout=_TIMEOUT_S,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
