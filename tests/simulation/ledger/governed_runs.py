"""A coordinator with a run that everybody agreed to, for runs of nodes in this process that its own code marks."""

import time
from pathlib import Path

from coordinator_world import DEPARTMENTS, World
from cosigning_departments import name_witnesses
from nodes import Nodes

from coordinator.runs.services import claim_running


def running_world(folder: Path, migrated: Path) -> tuple[World, str]:
    """Return a coordinator whose departments witness its log, by the clock of this host, and the id of its running run."""
    world = World.in_folder(folder, migrated)
    world.agree()
    run = world.schedule(world.start_run())
    with world.begin() as session:
        claim_running(session, run["run_id"], 1)
    world.now = time.time()
    name_witnesses(world)
    return world, str(run["run_id"])


def register(world: World, nodes: Nodes) -> None:
    """Have the coordinator know the departments whose steps it marks."""
    for name, card in nodes.cards.items():
        if name not in DEPARTMENTS:
            assert world.send("centre", "POST", "/v1/parties", card.to_bytes()).status_code == 201
