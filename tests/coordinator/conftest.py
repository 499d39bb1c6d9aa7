"""The fixtures of the coordinator's tests."""

from pathlib import Path
from typing import Any

import pytest
from coordinator_world import World, code_of

from coordinator.db.session import open_engine, upgrade


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
