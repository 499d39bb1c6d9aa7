"""What the hostile tests of the ledger share: the builders of all three parties' tests, and a database to begin with."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
for folder in ("department_nodes/ledger", "coordinator/ledger", "coordinator", "auditors"):
    sys.path.insert(0, str(TESTS / folder))

import pytest

from coordinator.db.session import open_engine, upgrade


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database of a coordinator, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "coordinator.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path
