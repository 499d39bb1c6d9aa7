"""An act whose record is not durable does not take effect: on a full disk, in a locked or stopped database, without terms.

Each is tried through the API, as whoever acts would, and each ends in one way: nothing has changed, nothing says that it has, and
when the cause is gone the same act works.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from coordinator_world import LEAD, PROJECT, World
from postgres_server import PostgresServer, needs_postgresql
from sqlalchemy import event, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from coordinator.app import create_app
from coordinator.db.session import begin, open_engine, read, upgrade
from coordinator.events import Event, EventType, record
from coordinator.ledger.models import LedgerBatchRow
from coordinator.parties.models import PartyRow
from coordinator.projects.models import ProjectRow
from crypto.canonical import canonical_json
from crypto.errors import DoudiError

BODY = canonical_json(
    {"project_id": PROJECT, "title": "Winter aid", "purpose": "social_assistance", "region": "kentucky", "lead": LEAD}
)


def open_project(world: World) -> int:
    return world.send("centre", "POST", "/v1/projects", BODY).status_code


def state(world: World) -> tuple[int, int]:
    """Return how many projects there are, and how many batches were recorded."""
    with read(world.engine) as session:
        found = [session.scalar(select(func.count()).select_from(model)) for model in (ProjectRow, LedgerBatchRow)]
    return found[0] or 0, found[1] or 0


def created(world: World) -> int:
    return len(world.records("project.created"))


@contextmanager
def setting(world: World, pragma: str) -> Iterator[None]:
    """Have every connection of the API's process begin with a pragma of SQLite."""
    engine = world.context.engine

    def apply(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", apply)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "connect", apply)
        engine.dispose()


def test_without_room_in_the_database_nothing_is_done(world: World) -> None:
    world.register_all()
    before = state(world)
    with read(world.engine) as session:
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar()
    with setting(world, f"max_page_count={pages}"):
        # Free pages inside of the file may hold an act or two: it fails whole, or works whole.
        for number in range(40):
            body = BODY.replace(PROJECT.encode(), f"winter-aid-{number}".encode())
            status = world.send("centre", "POST", "/v1/projects", body).status_code
            projects, _ = state(world)
            assert projects == created(world)
            if status != 201:
                break
        assert status in (500, 503)
        full = state(world)
        assert world.send("centre", "POST", "/v1/projects", body).status_code in (500, 503)
        assert state(world) == full
    assert world.send("centre", "POST", "/v1/projects", body).status_code == 201
    assert state(world)[0] == created(world) == before[0] + full[0] + 1


def _mounted(folder: Path, size: str) -> bool:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small-disk"
    folder.mkdir()
    if not _mounted(folder, "3m"):
        pytest.skip("this account may not mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small file system")
def test_on_a_full_disk_where_one_may_be_mounted_nothing_is_done(small_disk: Path, migrated: Path) -> None:
    world = World.in_folder(small_disk, migrated)
    world.register_all()
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    before = state(world)
    status = None
    for number in range(40):
        body = BODY.replace(PROJECT.encode(), f"winter-aid-{number}".encode())
        status = world.send("centre", "POST", "/v1/projects", body).status_code
        assert state(world)[0] == created(world)
        if status != 201:
            break
    assert status in (500, 503)
    full = state(world)
    filler.unlink()
    assert world.send("centre", "POST", "/v1/projects", body).status_code == 201
    assert state(world)[0] == created(world) == full[0] + 1 >= before[0] + 1
    world.engine.dispose()
    world.context.engine.dispose()


def test_while_the_database_is_locked_nothing_is_done(world: World, tmp_path: Path) -> None:
    world.register_all()
    before = state(world)
    other = sqlite3.connect(world.config.home / "coordinator.db", isolation_level=None)
    with setting(world, "busy_timeout=50"):
        other.execute("BEGIN IMMEDIATE")
        assert open_project(world) == 503
        assert state(world) == before
        other.execute("ROLLBACK")
        assert open_project(world) == 201
    other.close()
    assert (state(world)[0], created(world)) == (before[0] + 1, 1)


def test_an_act_whose_commit_fails_does_not_happen(world: World) -> None:
    """SQLite's writers take their turn at the beginning, so nothing is locked at the commit; but its disk may fail then."""
    world.register_all()
    before = state(world)

    def fail(*_: object) -> None:
        raise DBAPIError("COMMIT", None, Exception("the disk is gone"))

    event.listen(world.context.engine, "commit", fail)
    assert open_project(world) == 500
    event.remove(world.context.engine, "commit", fail)
    assert state(world) == before
    assert open_project(world) == 201


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    made = PostgresServer(durable=True)
    yield made
    made.close()


@needs_postgresql
@pytest.mark.processes
def test_while_postgresql_is_stopped_nothing_is_done(server: PostgresServer, tmp_path: Path, migrated: Path) -> None:
    world = World.in_folder(tmp_path, migrated, database_url=server.new_database())
    world.register_all()
    before = state(world)
    server.stop()
    assert open_project(world) == 503
    server.start()
    assert state(world) == before
    assert created(world) == 0
    assert open_project(world) == 201
    assert (state(world)[0], created(world)) == (before[0] + 1, 1)


@needs_postgresql
@pytest.mark.processes
def test_a_server_that_dies_in_the_middle_of_an_act_leaves_neither_act_nor_record(
    server: PostgresServer, tmp_path: Path, migrated: Path
) -> None:
    world = World.in_folder(tmp_path, migrated, database_url=server.new_database())
    world.register_all()
    before = state(world)

    def stop_before_commit(_session: Session) -> None:
        server.stop()

    event.listen(Session, "before_commit", stop_before_commit, once=True)
    try:
        assert open_project(world) == 503
    finally:
        if event.contains(Session, "before_commit", stop_before_commit):
            event.remove(Session, "before_commit", stop_before_commit)
    server.start()
    assert state(world) == before
    assert created(world) == 0
    assert open_project(world) == 201


def test_a_ledger_that_was_never_founded_lets_nothing_be_done(database_url: str) -> None:
    engine = open_engine(database_url)

    def act() -> None:
        with begin(engine) as session:
            session.add(PartyRow(name="centre", role="centre", identity_key="ab" * 32, registered_at=1))
            record(session, Event(EventType.PARTY_KEYS_REPLACED, "coordinator", subject="centre"))

    with pytest.raises(DoudiError) as caught:
        act()
    assert caught.value.code == "ledger.not_set_up"
    with read(engine) as session:
        assert session.scalar(select(func.count()).select_from(PartyRow)) == 0
    engine.dispose()


def test_a_coordinator_without_a_ledger_does_not_start(world: World) -> None:
    shutil.rmtree(world.config.home / "ledger")
    with pytest.raises(DoudiError) as caught:
        create_app(world.config)
    assert caught.value.code == "ledger.not_set_up"


def test_an_auditors_key_that_seals_nothing_is_never_put_into_force(world: World) -> None:
    """What new terms are recorded with is sealed to their own auditors: a key that is none ends the act that names it."""
    from coordinator.ledger.founding import terms_changed
    from coordinator.ledger.terms_store import newest_terms, store_terms
    from policies.contracts.ledger.terms import LedgerTerms, sign_terms

    with read(world.engine) as session:
        terms = newest_terms(session)
    bad = [{**card.model_dump(), "sealing_key": "ab" * 64} for card in terms.auditors]
    offered = LedgerTerms.model_validate({**terms.model_dump(), "number": 2, "auditors": bad})

    def put_into_force() -> None:
        with world.begin() as session:
            store_terms(session, sign_terms(offered, world.approval_key))
            record(session, terms_changed(offered, "centre"))

    with pytest.raises(DoudiError) as caught:
        put_into_force()
    assert caught.value.code == "crypto.bad_key"
    with read(world.engine) as session:
        assert newest_terms(session) == terms


def test_upgrading_an_empty_database_needs_no_ledger(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'new.db'}")
    upgrade(engine)
    engine.dispose()
