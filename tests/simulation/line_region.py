"""A whole line in one process: the same department in several regions, each a node with folder, keys and database of its own.

The released bits that a line trains on are planted as a main-job run would have left them; the grid's test has real ones.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from planted_bits import PERIOD, TARGET, WITH_LINE, plant_bits
from region import EXTRACT, SHIPPED, EngineRelay, Engines, Marks

from coordinator.federation.run_folder import RunFolder
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.config import NodeConfig, SitePolicy, write_config
from department_nodes.engine import NodeEngine
from department_nodes.enrolment import create_node
from department_nodes.home import NodeHome
from department_nodes.lines.officers import LineTerms, TrainingTerms, draft_line_grant
from department_nodes.offers import make_offer
from department_nodes.officers import make_card, make_manifest, sign_as_owner
from department_nodes.trust import flower_public_key, pin
from policies.contracts.cards import CentreCard
from policies.contracts.grant import LineGrant, Operation, SignedGrant, sign_grant
from policies.contracts.manifest import SignedManifest

DATASET = "health_disability"
# Two short rounds of two steps: enough to see every message.
SHORT_TRAINING = TrainingTerms(rounds=2, local_steps=2, sample_rate_ppm=200_000, local_rate_micro=100_000)


def party(number: int) -> str:
    """Return the name of the department of one region."""
    return f"region{number}-{DATASET.replace('_', '-')}"


class Line:
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
        self.folder, self.clock = folder, clock
        self.parties = tuple(party(number) for number in range(1, regions + 1))
        self.centre_key = generate_signing_key()
        centre = CentreCard(
            approval_key=signing_public_key(self.centre_key).hex(),
            api_key=signing_public_key(generate_signing_key()).hex(),
            url="https://127.0.0.1:1",
            superlink="127.0.0.1:2",
        )
        table = pq.read_table(SHIPPED / f"{DATASET}.parquet")
        self.homes: dict[str, NodeHome] = {}
        for number, name in enumerate(self.parties):
            (folder / name).mkdir(parents=True)
            pq.write_table(table.slice(number * people, people), folder / name / EXTRACT)
            self.homes[name] = create_node(folder / name, self._config(name, f"region{number + 1}", policy))
        self.cards = {name: make_card(home, flower_public_key(home)) for name, home in self.homes.items()}
        for home in self.homes.values():
            pin(home, centre)
            for card in self.cards.values():
                pin(home, card)
        self.engines = Engines(self.homes, clock)
        for name in self.parties:
            self.plant_bits(name, operations)

    @property
    def lead(self) -> str:
        """The department that holds the scheduling right."""
        return self.parties[0]

    def close(self) -> None:
        """Stop every node."""
        for name in list(self.engines):
            self.restart(name)
            self.engines.pop(name).db.dispose()

    def restart(self, name: str) -> NodeEngine:
        """Return a new engine over a node's folder, as after a restart of its process."""
        engine = self.engines.pop(name, None)
        if engine is not None:
            engine.db.dispose()
        self.homes[name] = NodeHome(self.folder / name)
        return self.engines[name]

    def set_policy(self, name: str, **changes: Any) -> None:
        """Let a department change its site policy, and restart it."""
        config = self.homes[name].config
        write_config(self.folder / name, config.model_copy(update={"policy": config.policy.model_copy(update=changes)}))
        self.restart(name)

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

    def sign(self, grant: LineGrant) -> SignedGrant:
        signed = SignedGrant(grant=grant, signatures=(sign_grant(grant, "centre", "centre", self.centre_key),))
        for name in self.parties:
            signed = sign_as_owner(self.engines[name], signed)
        return signed

    def schedule(
        self,
        signed: SignedGrant,
        run_id: str = "line-run-1",
        run_number: int = 1,
        attempt: int = 1,
        parties: tuple[str, ...] | None = None,
    ) -> SignedManifest:
        offers = [make_offer(self.engines[name], signed, run_id, attempt) for name in parties or self.parties]
        run = {"run_id": run_id, "run_number": run_number, "attempt": attempt}
        return make_manifest(self.homes[self.lead], signed, run, offers, "line", int(self.clock()))

    def run(
        self,
        signed: SignedGrant,
        manifest: SignedManifest,
        relay: EngineRelay | None = None,
        marks: Marks | None = None,
    ) -> dict[str, Any]:
        """Run, or go on with, an attempt."""
        from coordinator.federation.line_run import LineRun

        relay, marks = relay or EngineRelay(self.engines), marks or Marks()
        return LineRun(signed, manifest, relay, self.run_folder(manifest), lambda _: marks, 60).execute()

    def run_folder(self, manifest: SignedManifest) -> RunFolder:
        """Return what the coordinator keeps of an attempt."""
        return RunFolder(self.folder / "coordinator", manifest.manifest.run_id, manifest.manifest.attempt)

    def _config(self, name: str, region: str, policy: SitePolicy) -> NodeConfig:
        return NodeConfig(
            department=name,
            region=region,
            dataset=DATASET,
            extract=EXTRACT,
            coordinator_url="https://127.0.0.1:1",
            superlink_address="127.0.0.1:2",
            policy=policy,
        )
