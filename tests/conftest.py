"""What every test process is started with: one thread per test, quiet migrations, and the region to take copies of."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before numpy or torch load: tests run beside each other, and a spinning second thread only takes the other test's core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
for folder in ("department_nodes", "simulation"):
    sys.path.insert(0, str(Path(__file__).parent / folder))
logging.getLogger("alembic").setLevel(logging.WARNING)

import pytest


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One run of a small region, kept as it was before each step; made once per test process, as far as it is needed."""
    from region import Stages

    made = Stages(tmp_path_factory.mktemp("stages"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def usual_rights() -> Iterator[None]:
    """Begin each test with the usual umask: commands that run within a test's process narrow it for themselves."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def region_before(stages: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Return a copy of the region as it was before a step (`None`: after the last), for this test alone to change."""
    copies = []

    def copy_before(step: Any, clock: Callable[[], float] | None = None) -> Any:
        region = stages.before(step).copy(tmp_path / f"region-{len(copies)}", clock)
        copies.append(region)
        return region

    yield copy_before
    for region in copies:
        region.close()
