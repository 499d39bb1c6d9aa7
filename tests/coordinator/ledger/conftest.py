"""The fixtures of the tests of the ledger's API."""

import pytest
from coordinator_world import World
from ledger_hands import Hands


@pytest.fixture
def hands(world: World) -> Hands:
    """A ledger whose witnesses are the four departments, with something recorded."""
    world.register_all()
    found = Hands(world)
    found.name_witnesses()
    return found
