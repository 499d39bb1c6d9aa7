"""The fixtures of the coordinator's tests."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from coordinator_world import DEPARTMENTS, Keys, World, code_of, public

from coordinator.config import parse_config
from coordinator.db.session import open_engine, upgrade
from crypto.signing import generate_signing_key


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
    api_key, approval_key, revocation_key = (generate_signing_key() for _ in range(3))
    values = {
        "centre_api_key": public(api_key),
        "centre_approval_key": public(approval_key),
        "centre_revocation_key": public(revocation_key),
    }
    shutil.copy(migrated, tmp_path / "coordinator.db")
    return World(parse_config(values, tmp_path), api_key, approval_key, {name: Keys() for name in DEPARTMENTS})
