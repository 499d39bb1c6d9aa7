"""A whole region in one process: six nodes with folders, keys and databases of their own, joined by a relay without Flower."""

import copy
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from nodes import EngineRelay, Engines, Interrupted, Marks, Nodes, code_of, interrupt_before, lose, parts_of

from coordinator.federation.schedule import ScheduleSettings, VerticalRun
from coordinator.federation.union import PaddingPolicy
from crypto.canonical import canonical_json, parse_canonical
from crypto.cells import open_cells
from crypto.envelope import open_envelope, unverified_header
from department_nodes.config import NodeConfig, SitePolicy
from department_nodes.enrolment import create_node
from department_nodes.guard import parse_request
from department_nodes.home import NodeHome
from department_nodes.officers import draft_grant
from department_nodes.store.models import RunKeyRow
from department_nodes.store.session import transaction
from policies.contracts.drafting import GrantTerms
from policies.contracts.framing import Frame, pack_frame, parse_frame
from policies.contracts.grant import Grant, SignedGrant
from policies.contracts.manifest import Mode, SignedManifest
from policies.contracts.steps import REGION_STEPS, Step

# What tests of a region import from here.
__all__ = ["EngineRelay", "Interrupted", "Marks", "code_of", "interrupt_before", "lose", "parts_of"]

SHIPPED = Path(__file__).parents[2] / "demo_data" / "kentucky"
EXTRACT = "extract.parquet"
LEAD = "civil_affairs"
DEPARTMENTS = ("civil_affairs", "human_resources", "health_disability", "housing", "public_security", "tax")
# Small extracts have few people per level and few parties; the shares of a small sample pass any useful cap.
SMALL_REGION_POLICY = SitePolicy(
    disclosure_max_share=1.0,
    disclosure_max_rank_correlation=1.0,
    # Tests move the clock by a year; those of revocation set their own limit.
    max_revocation_age_hours=24 * 366,
)


def write_small_extracts(
    folder: Path, people: int, departments: tuple[str, ...] = DEPARTMENTS, lead_share: float = 1.0
) -> None:
    """Write `<department>/extract.parquet` for about `people` people in whole households of the shipped region.

    The lead holds `lead_share` of the households; the other departments also hold people outside its register.
    """
    register = pq.read_table(SHIPPED / f"{LEAD}.parquet")
    numbers = register.column("household_number").to_numpy(zero_copy_only=False).astype(str)
    households, counts = np.unique(numbers, return_counts=True)
    chosen = households[: int(np.searchsorted(np.cumsum(counts), people)) + 1]
    ids = register.filter(np.isin(numbers, chosen)).column("resident_id")
    for name in departments:
        table = pq.read_table(SHIPPED / f"{name}.parquet")
        table = table.filter(pc.is_in(table.column("resident_id"), value_set=ids))
        if name == LEAD:
            held = chosen[: round(lead_share * len(chosen))]
            table = table.filter(np.isin(table.column("household_number").to_numpy(zero_copy_only=False), held))
        (folder / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name / EXTRACT)


def edited(
    request: bytes,
    parts: Mapping[str, bytes | None] | None = None,
    terms: Mapping[str, Any] | None = None,
    header: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the request with some parts, terms or header fields replaced; a part of None is left out."""
    frame = parse_frame(request)
    new_parts = {name: data for name, data in {**frame.parts, **(parts or {})}.items() if data is not None}
    new_header = {**frame.header, "terms": {**frame.header["terms"], **(terms or {})}, **(header or {})}
    return pack_frame(Frame(new_header, new_parts))


class Region(Nodes):
    """Six nodes that trust each other, and the officers' acts. The folder holds all of its state, so it can be copied."""

    def __init__(
        self,
        folder: Path,
        people: int = 400,
        departments: tuple[str, ...] = DEPARTMENTS,
        policy: SitePolicy = SMALL_REGION_POLICY,
        clock: Callable[[], float] = time.time,
        lead_share: float = 1.0,
        tier: str = "general_2",
        further_approvers: int = 0,
    ) -> None:
        super().__init__(folder, clock)
        write_small_extracts(folder, people, departments, lead_share)
        self.meet(
            {
                name: create_node(folder / name, self.config(name, policy, tier), further_approvers)
                for name in departments
            }
        )

    def copy(self, folder: Path, clock: Callable[[], float] | None = None) -> "Region":
        """Return the same region in another folder: what happens to one is not seen by the other."""
        shutil.copytree(self.folder, folder)
        twin = copy.copy(self)
        twin.folder, twin.clock = folder, clock or self.clock
        twin.homes = {name: NodeHome(folder / name) for name in self.departments}
        twin.engines = Engines(twin.homes, twin.clock)
        return twin

    def config(self, name: str, policy: SitePolicy, tier: str = "general_2") -> NodeConfig:
        return NodeConfig(
            department=name,
            region="test",
            dataset=name,
            tier=tier,
            allowed_purposes=("social_assistance",),
            extract=EXTRACT,
            coordinator_url="https://127.0.0.1:1",
            superlink_address="127.0.0.1:2",
            held_out_seed="test",
            policy=policy,
        )

    def draft(self, **changes: Any) -> Grant:
        terms: dict[str, Any] = {
            "project_id": "support-2026",
            "purpose": "social_assistance",
            "target": "public_coverage",
            "label_period": "2026",
            "epsilon_milli": 1000,
        }
        return draft_grant(self.homes[LEAD], self.cards[LEAD], self.departments, GrantTerms(**(terms | changes)))

    def schedule(
        self,
        signed: SignedGrant,
        run_id: str = "run-1",
        run_number: int = 1,
        attempt: int = 1,
        mode: Mode = "both",
        departments: tuple[str, ...] | None = None,
    ) -> SignedManifest:
        return self.scheduled(LEAD, signed, (run_id, run_number, attempt), mode, departments)

    def run(
        self,
        signed: SignedGrant,
        manifest: SignedManifest,
        relay: EngineRelay | None = None,
        marks: Marks | None = None,
        timeout_s: float = 60,
    ) -> dict[str, Any]:
        """Run, or go on with, an attempt."""
        settings = ScheduleSettings(timeout_s, PaddingPolicy(1, 3))
        relay, marks = relay or EngineRelay(self.engines), marks or Marks()
        return VerticalRun(signed, manifest, relay, self.run_folder(manifest), marks, settings).execute()

    def run_until(self, signed: SignedGrant, manifest: SignedManifest, step: Step, answers: int = 0) -> None:
        """Run until the coordinator's process ends in a step, when so many departments have answered."""
        try:
            self.run(signed, manifest, EngineRelay(self.engines, interrupt_before(step, answers)))
        except Interrupted:
            return
        raise AssertionError(f"the run did not come to {step.value}")

    def ask(self, step: Step, name: str, data: bytes) -> str:
        """Return the code of a node's reply to a request for a step, or `ok`."""
        assert parse_request(data).step is step
        return code_of(self.engines[name].answer(data))


class Opened:
    """What is inside the messages of one attempt, opened with the keys that the nodes hold: no party has all of it."""

    def __init__(self, region: Region, signed: SignedGrant, manifest: SignedManifest) -> None:
        self.region, self.signed, self.manifest = region, signed, manifest
        self._folder = region.run_folder(manifest)

    def value(self, name: str, what: str) -> bytes:
        """Return a value that a node stored in this attempt."""
        engine, run = self.region.engines[name], self.manifest.manifest
        with transaction(engine.db) as session:
            return engine.vault.get(session, self.signed.grant.project_id, run.run_id, run.attempt, what)

    def reply(self, step: Step, name: str) -> Mapping[str, bytes]:
        """Return the parts of a node's reply."""
        data = self._folder.reply(step, name)
        assert data is not None, f"{name} did not answer {step.value}"
        return parts_of(data)

    def request(self, step: Step, name: str) -> Mapping[str, bytes]:
        """Return the parts of a node's request."""
        data = self._folder.request(step, name)
        assert data is not None, f"{name} was not asked {step.value}"
        return parse_frame(data).parts

    @property
    def union(self) -> bytes:
        """The union's pseudonyms in the order of their slots."""
        return self.request(Step.RELEASE, LEAD)["union"]

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return len(self.union) // 32

    def pseudonyms(self, name: str) -> dict[bytes, bytes]:
        """Return a node's pseudonyms by resident ID."""
        ids = self.region.engines[name].extract.load().resident_ids
        stored = self.value(name, "pseudonyms")
        rows = np.frombuffer(stored[32 * len(ids) :], np.uint32)
        return {ids[row]: stored[32 * i : 32 * i + 32] for i, row in enumerate(rows.tolist())}

    def slots_by_row(self, name: str) -> Any:
        """Return the slot of each row of a node's extract, int64 [people]."""
        slot_of = {self.union[32 * i : 32 * i + 32]: i for i in range(self.slots)}
        by_id = self.pseudonyms(name)
        return np.array([slot_of[by_id[each]] for each in self.region.engines[name].extract.load().resident_ids])

    def binding(self, use: str) -> bytes:
        """Return the context of cells and masks."""
        run = self.manifest.manifest
        return canonical_json({"grant": self.signed.grant_hash, "run": run.run_id, "attempt": run.attempt, "use": use})

    def private_keys(self, name: str) -> dict[str, bytes]:
        """Return the private halves of the keys that a node offered."""
        engine, run = self.region.engines[name], self.manifest.manifest
        context = f"run-keys|{run.run_id}|{run.attempt}"
        with transaction(engine.db) as session:
            row = session.get(RunKeyRow, (run.run_id, run.attempt))
            assert row is not None
            secrets = parse_canonical(engine.vault.open(session, self.signed.grant.project_id, context, row.sealed))
        return {use: bytes.fromhex(secrets[use]) for use in ("sealing", "mask")}

    def envelope(self, receiver: str, data: bytes) -> bytes:
        """Return an envelope's payload, opened with its receiver's key; who sent it is read from its header."""
        header = unverified_header(data)
        sender = bytes.fromhex(self.signed.grant.participant(header.sender).identity_key)
        return open_envelope(data, header, self.private_keys(receiver)["sealing"], sender)

    def label_cells(self) -> Any:
        """Return what the lead released, uint8 [slots]: bit, and held-out flag times two."""
        parts = self.reply(Step.RELEASE, LEAD)
        receiver = next(name.partition("/")[2] for name in parts if name.startswith("cell-key/"))
        key = self.envelope(receiver, parts[f"cell-key/{receiver}"])
        cells = np.frombuffer(parts["cells"], np.uint8).reshape(self.slots, -1)
        points = [self.union[32 * i : 32 * i + 32] for i in range(self.slots)]
        return open_cells(key, self.binding("release"), np.arange(self.slots, dtype=np.uint32), cells, points)[:, 0]

    def evidence(self, name: str) -> Any:
        """Return the levels that a department sent, uint8 [slots]."""
        return self._trained(name, "evidence", "evidence")[:, 0]

    def masked(self, name: str) -> Any:
        """Return the masked vector that a department sent, uint16 [slots]."""
        values = np.ascontiguousarray(self._trained(name, "sum", "sum-cells"))
        return values.view("<u2")[:, 0].astype(np.uint16)

    def _trained(self, name: str, part: str, use: str) -> Any:
        parts = self.reply(Step.TRAIN, name)
        key = self.envelope(LEAD, parts[f"{part}-key"])
        cells = np.frombuffer(parts[part], np.uint8).reshape(self.slots, -1)
        return open_cells(key, self.binding(use), np.arange(self.slots, dtype=np.uint32), cells)


class Stages:
    """One run of a region in mode `both`, copied before each step. The lead's register is smaller than the union."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._region = Region(folder / "region", people=240, lead_share=0.8)
        self.signed = self._region.sign(self._region.draft())
        self.manifest = self._region.schedule(self.signed)
        self._stages: dict[Step | None, Region] = {}

    def before(self, step: Step | None) -> Region:
        """Return the region as it was before a step, or after the last one; not to be changed: take a copy."""
        order = [*REGION_STEPS, None]
        for each in order[: order.index(step) + 1]:
            if each in self._stages:
                continue
            if each is None:
                self._region.run(self.signed, self.manifest)
            else:
                self._region.run_until(self.signed, self.manifest, each)
            self._stages[each] = self._region.copy(self._folder / (each.value if each else "done"))
        return self._stages[step]

    def request(self, step: Step, department: str) -> bytes:
        """Return the request that a department is asked in this run."""
        data = self.before(step).run_folder(self.manifest).request(step, department)
        assert data is not None
        return data

    def reply(self, step: Step, department: str) -> bytes:
        """Return a department's reply in this run."""
        data = self.before(None).run_folder(self.manifest).reply(step, department)
        assert data is not None
        return data

    def close(self) -> None:
        """Close all databases."""
        for region in (self._region, *self._stages.values()):
            region.close()
