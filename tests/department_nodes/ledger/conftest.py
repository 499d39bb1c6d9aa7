"""Four nodes and the log in memory that they witness."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_log import HostileLog
from ledger_nodes import ME, Node, Witnesses


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Witnesses]:
    made = Witnesses(tmp_path)
    yield made
    made.close()


@pytest.fixture
def log(world: Witnesses) -> HostileLog:
    return world.log


@pytest.fixture
def node(world: Witnesses) -> Node:
    return world.nodes[ME]
