"""The privacy budget and the journal on a real PostgreSQL server; skipped where there is no server program or no driver."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from budget_driver import CAP, DELTA, NOW, account, closed_form, new_database, plan, slow_closed_form
from sqlalchemy import Engine, func, select

from crypto.errors import DoudiError
from department_nodes.store.journal import Event, EventType, record
from department_nodes.store.models import EventRow
from department_nodes.store.session import transaction


def _programs() -> Path | None:
    found = shutil.which("pg_ctl")
    return Path(found).resolve().parent if found and (Path(found).resolve().parent / "initdb").exists() else None


pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(_programs() is None, reason="no PostgreSQL server program on this machine"),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    programs = _programs()
    assert programs is not None
    # The server refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="doudi-postgresql-"))
    if user:
        found = pwd.getpwnam(user)
        os.chown(folder, found.pw_uid, found.pw_gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def call(*command: str) -> None:
        subprocess.run([str(programs / command[0]), *command[1:]], user=user, cwd=folder, check=True, timeout=60)

    data = str(folder / "data")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    try:
        call("initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync")
        call("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        made = new_database(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres?connect_timeout=10")
        yield made
        made.dispose()
    finally:
        subprocess.run(
            [str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop"], user=user, cwd=folder, check=False
        )
        shutil.rmtree(folder, ignore_errors=True)


def test_two_hundred_reservations_and_their_charges_never_overspend_where_postgresql_is_installed(
    engine: Engine,
) -> None:
    def reserve(number: int) -> str:
        try:
            account(engine, compose=slow_closed_form).reserve(plan(f"run-{number}"))
            account(engine).charge(f"run-{number}", 1, 1)
        except DoudiError as error:
            return error.code
        return "ok"

    allowed = max(count for count in range(200) if closed_form(((plan().per_round, 4 * count),), DELTA) <= CAP)
    with ThreadPoolExecutor(12) as pool:
        codes = Counter(pool.map(reserve, range(200)))
    assert codes == {"ok": allowed, "budget.exhausted": 200 - allowed}
    state = account(engine).state()
    assert (state.attempts, sum(entry.rounds_charged for entry in state.history)) == (allowed, allowed)
    assert account(engine, NOW + 1001).settle_overdue() == allowed


def test_events_are_numbered_without_a_gap_where_postgresql_is_installed(engine: Engine) -> None:
    def write(number: int) -> None:
        # Every third transaction fails after its event got a number: the second event's type does not list a code.
        events = [Event(EventType.REPORT_SIGNED, NOW, counts={"number": number})]
        if number % 3 == 0:
            events.append(Event(EventType.ASSET_SIGNED, NOW, code="not.listed"))
        with contextlib.suppress(DoudiError), transaction(engine) as session:
            for each in events:
                record(session, each)

    with transaction(engine) as session:
        before = session.scalar(select(func.count()).select_from(EventRow)) or 0
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(write, range(120)))
    with transaction(engine) as session:
        numbers = list(session.scalars(select(EventRow.number).order_by(EventRow.number)))
    assert numbers == list(range(1, before + 80 + 1))
