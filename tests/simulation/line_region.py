"""A whole line in one process: the same department in several regions, each a node with folder, keys and database of its own.

The released bits that a line trains on are planted as a main-job run would have left them; `test_lines_of_a_region.py` has
those of a real run.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from nodes import EngineRelay, Marks, Nodes
from planted_bits import PERIOD, TARGET, WITH_LINE, plant_bits
from region import EXTRACT, SHIPPED

from coordinator.federation.line_run import LineRun
from department_nodes.config import NodeConfig, SitePolicy
from department_nodes.enrolment import create_node
from department_nodes.home import NodeHome
from department_nodes.lines.officers import LineTerms, TrainingTerms, draft_line_grant
from policies.contracts.grant import LineGrant, Operation, SignedGrant
from policies.contracts.manifest import SignedManifest

DATASET = "health_disability"
# Two short rounds of two steps: enough to see every message.
SHORT_TRAINING = TrainingTerms(rounds=2, local_steps=2, sample_rate_ppm=200_000, local_rate_micro=100_000)


def party(number: int) -> str:
    """Return the name of the department of one region."""
    return f"region{number}-{DATASET.replace('_', '-')}"


class Line(Nodes):
    """Nodes of one line that trust each other, and the officers' acts."""

    def __init__(
        self,
        folder: Path,
        regions: int = 4,
        people: int = 60,
        policy: SitePolicy = SitePolicy(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.time,
        operations: tuple[Operation, ...] = WITH_LINE,
    ) -> None:
        super().__init__(folder, clock)
        table = pq.read_table(SHIPPED / f"{DATASET}.parquet")
        homes: dict[str, NodeHome] = {}
        for number in range(regions):
            name = party(number + 1)
            (folder / name).mkdir(parents=True)
            pq.write_table(table.slice(number * people, people), folder / name / EXTRACT)
            homes[name] = create_node(folder / name, self._config(name, f"region{number + 1}", policy))
        self.meet(homes)
        for name in self.parties:
            self.plant_bits(name, operations)

    @property
    def parties(self) -> tuple[str, ...]:
        """The departments of the line, by region."""
        return self.departments

    @property
    def lead(self) -> str:
        """The department that holds the scheduling right."""
        return self.parties[0]

    def plant_bits(self, name: str, operations: tuple[Operation, ...] = WITH_LINE) -> None:
        """Leave bits at a node as a run of its region's main job does."""
        plant_bits(self.engines[name], self.cards[name], operations)

    def draft(self, training: TrainingTerms = SHORT_TRAINING, **changes: Any) -> LineGrant:
        terms = LineTerms(
            project_id="line-2026",
            purpose="social_assistance",
            region="all-regions",
            target=TARGET,
            label_period=PERIOD,
            training=training,
        )
        return draft_line_grant(self.homes[self.lead], self.cards[self.lead], self.parties, replace(terms, **changes))

    def schedule(
        self,
        signed: SignedGrant,
        run_id: str = "line-run-1",
        run_number: int = 1,
        attempt: int = 1,
        parties: tuple[str, ...] | None = None,
    ) -> SignedManifest:
        return self.scheduled(self.lead, signed, (run_id, run_number, attempt), "line", parties)

    def run(
        self,
        signed: SignedGrant,
        manifest: SignedManifest,
        relay: EngineRelay | None = None,
        marks: Marks | None = None,
    ) -> dict[str, Any]:
        """Run, or go on with, an attempt."""
        relay, marks = relay or EngineRelay(self.engines), marks or Marks()
        return LineRun(signed, manifest, relay, self.run_folder(manifest), lambda _: marks, 60).execute()

    def _config(self, name: str, region: str, policy: SitePolicy) -> NodeConfig:
        return NodeConfig(
            department=name,
            region=region,
            dataset=DATASET,
            tier="general_2",
            allowed_purposes=("social_assistance",),
            extract=EXTRACT,
            coordinator_url="https://127.0.0.1:1",
            superlink_address="127.0.0.1:2",
            policy=policy,
        )
