"""The fixtures of the tests of authorisation."""

import pytest
from coordinator_world import World
from rule_people import Town


@pytest.fixture
def town(world: World) -> Town:
    return Town(world)
