"""The fixtures of the coordinator's tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from coordinator_world import World, code_of
from postgres_server import PostgresServer, needs_postgresql

from coordinator.db.session import open_engine, upgrade

BOTH_DATABASES = ["sqlite", pytest.param("postgresql", marks=[needs_postgresql, pytest.mark.processes])]


@pytest.fixture
def code() -> Any:
    return code_of


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database that each test copies: migrating costs more than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "coordinator.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def world(tmp_path: Path, migrated: Path) -> World:
    return World.in_folder(tmp_path, migrated)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server. A test that takes it is marked `needs_postgresql`."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(params=BOTH_DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> str:
    """The address of a migrated, empty database: of each kind in turn."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.new_database()
    shutil.copy(migrated, tmp_path / "log.db")
    return f"sqlite:///{tmp_path / 'log.db'}"


@pytest.fixture
def log(database_url: str, tmp_path: Path) -> Iterator[Any]:
    """A log without its API (`ledger/log_world.py`), just founded, on each kind of database in turn."""
    from log_world import LogWorld

    home = tmp_path / "home"
    home.mkdir()
    world = LogWorld.founded(database_url, home)
    yield world
    world.engine.dispose()


@pytest.fixture
def sqlite_log(tmp_path: Path, migrated: Path) -> Iterator[Any]:
    """As `log`, on SQLite only: for what depends on its files."""
    from log_world import LogWorld

    shutil.copy(migrated, tmp_path / "log.db")
    home = tmp_path / "home"
    home.mkdir()
    world = LogWorld.founded(f"sqlite:///{tmp_path / 'log.db'}", home)
    yield world
    world.engine.dispose()
