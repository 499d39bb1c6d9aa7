"""A PostgreSQL server of one's own on a free port of 127.0.0.1, in a temporary folder, gone when the block ends.

The server refuses to run as root, so under root it runs as the account `postgres` that its package makes. Durability is its
default (`fsync=on`, `synchronous_commit=on`): this is for measuring as well as for testing.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

READY_WITHIN_S = 60


def find_programs() -> Path | None:
    """Return the folder with `initdb` and `pg_ctl`, the newest version's, or `None`."""
    candidates = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0,
    )
    on_path = shutil.which("pg_ctl")
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    return next((path for path in reversed(candidates) if (path / "initdb").is_file()), None)


@contextlib.contextmanager
def temporary_postgres() -> Iterator[str]:
    """Give the SQLAlchemy address of an empty database. Raises `FileNotFoundError` without PostgreSQL's programs."""
    programs = find_programs()
    if programs is None:
        raise FileNotFoundError("PostgreSQL's server programs are not installed")
    account = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="doudi-postgres-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        if account:
            os.chown(folder, pwd.getpwnam(account).pw_uid, -1)
        data = str(Path(folder) / "data")
        _run([programs / "initdb", "-D", data, "-U", "doudi", "--auth=trust", "--encoding=UTF8", "--locale=C"], account)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
        control: list[str | Path] = [programs / "pg_ctl", "-D", data, "-w", "-t", str(READY_WITHIN_S)]
        _run([*control, "-l", str(Path(folder) / "log"), "-o", options, "start"], account)
        try:
            yield f"postgresql+psycopg://doudi@127.0.0.1:{port}/postgres?connect_timeout=10"
        finally:
            _run([*control, "-m", "immediate", "stop"], account)


def _run(command: Sequence[str | Path], account: str | None) -> None:
    subprocess.run(command, user=account, check=True, stdout=subprocess.DEVNULL, cwd="/")
